use crate::boot::next;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use voltmesh_telemetry::Boot;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

const NOW: u64 = 1_760_000_000;

#[test]
fn counts_up_and_is_never_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("boot");
    let boot =
        |new, newest: Option<u64>, now| next(&file, new, newest.map(Boot::new), at(now)).map(Boot::get);

    assert_eq!(boot(true, None, 0).unwrap(), 1);
    assert_eq!(boot(true, None, 0).unwrap(), 2, "a new vehicle is new once");
    assert_eq!(boot(false, Some(2), 0).unwrap(), 3);

    // The counter comes from an old copy, the spool is ahead.
    assert_eq!(boot(false, Some(9), 0).unwrap(), 10);

    // The disk is lost.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(boot(false, None, NOW).unwrap(), NOW);
    assert_eq!(boot(false, None, NOW).unwrap(), NOW + 1);

    // Lost again, within the same second as the newest boot in a spool that survived.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(boot(false, Some(NOW + 5), NOW).unwrap(), NOW + 6);

    // Damaged.
    std::fs::write(&file, "x").unwrap();
    assert_eq!(boot(false, None, NOW + 60).unwrap(), NOW + 60);
}

#[test]
fn refuses_to_guess_without_counter_and_clock() {
    let folder = tempfile::tempdir().unwrap();
    let error = next(&folder.path().join("boot"), false, None, at(100)).unwrap_err();
    assert!(error.to_string().contains("clock is not set"), "{error}");
}
