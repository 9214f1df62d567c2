//! Tests of the log that a running role writes.

use super::*;
use crate::{Head, Report};
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt as _;

fn entries(folder: &Path) -> (Vec<Entry>, Report) {
    let mut all = Vec::new();
    let report = read(folder, |entry| all.push(entry.clone())).unwrap();
    (all, report)
}

fn event(n: usize) -> Counted {
    let what = format!("decision {n} {}", "x".repeat(n % 400));
    Counted { kind: Kind::Operator, who: "op-1".to_owned(), what, count: 1 }
}

/// A log of so many entries, written some at a time, in files that are as small as asked for.
fn log_of(folder: &Path, count: usize) {
    for from in (0..count).step_by(7) {
        let mut log = Log::open(folder, |_| {}).unwrap();
        let batch: Vec<_> = (from..count.min(from + 7)).map(event).collect();
        log.append(&batch).unwrap();
        if from % 3 == 0 {
            log.rotate().unwrap();
            log.append(&[event(0)]).unwrap();
        }
    }
}

#[test]
fn what_is_recorded_is_read_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit");
    for run in 0..3 {
        let recorder = Recorder::open(&log).unwrap();
        recorder.started("0.1.0", if run < 2 { "fog.toml aa" } else { "fog.toml bb" });
        (0..10).for_each(|_| recorder.refusal("client:mallory", "a topic of another"));
        recorder.record(Kind::Stop, "process", "told to");
        recorder.close();
        recorder.record(Kind::Operator, "nobody", "after the end");
    }
    let (all, report) = entries(&log);
    assert_eq!((report.problem_count, report.first), (0, Some(0)));
    let of = |kind| all.iter().filter(move |entry| entry.kind == kind);
    assert_eq!(
        of(Kind::Configuration).map(|entry| &entry.what[..]).collect::<Vec<_>>(),
        ["fog.toml aa", "fog.toml bb"]
    );
    assert_eq!(of(Kind::Refusal).map(|entry| entry.count).sum::<u64>(), 30);
    assert_eq!((of(Kind::Start).count(), of(Kind::Stop).count(), of(Kind::Operator).count()), (3, 3, 0));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&log), mode(&files::path_of(&log, 0))), (0o700, 0o600));
}

#[test]
fn files_follow_each_other_and_the_oldest_goes_at_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path(), |_| {}).unwrap();
    for n in 0..files::FILES + 5 {
        log.append(&[event(n), event(n)]).unwrap();
        log.rotate().unwrap();
    }
    log.append(&[event(1)]).unwrap();
    let (all, report) = entries(folder.path());
    assert_eq!(files::list(folder.path()).unwrap().len(), files::FILES);
    assert_eq!(report.problems, []);
    assert_eq!(report.first, Some(all[0].seq));
    assert!(all[0].seq > 0, "the log says from which entry on it is here");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Wherever a power cut tears the last file: what was complete is read, and the chain goes on.
    #[test]
    fn a_torn_end_is_cut_off_and_said(keep in 0.0..1.0_f64) {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), |_| {}).unwrap();
        log.append(&[event(1), event(2), event(3)]).unwrap();
        let path = files::path_of(folder.path(), 0);
        let whole = fs::read(&path).unwrap();
        let cut = (whole.len() as f64 * keep) as usize;
        fs::write(&path, &whole[..cut]).unwrap();
        let complete = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        let torn = cut > 0 && whole[cut - 1] != b'\n';
        let mut log = Log::open(folder.path(), |_| {}).unwrap();
        log.append(&[event(4)]).unwrap();
        let (all, report) = entries(folder.path());
        prop_assert_eq!(report.problem_count, 0, "{:?}", report);
        prop_assert_eq!(all.len(), complete + usize::from(torn) + 1);
    }

    /// A line of the middle altered, removed, doubled or exchanged with the next is found.
    #[test]
    fn what_is_altered_in_the_middle_is_found(at in 1_usize..30, how in 0..4) {
        let folder = tempfile::tempdir().unwrap();
        log_of(folder.path(), 40);
        let (before, report) = entries(folder.path());
        prop_assert_eq!(report.problem_count, 0);
        let target = &before[at];
        for (_, path) in files::list(folder.path()).unwrap() {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<&str> = text.lines().collect();
            let Some(place) = lines.iter().position(|line| line.starts_with(&format!("{{\"seq\":{},", target.seq))) else { continue };
            let forged = lines[place].replace("decision", "permission");
            match how {
                0 => lines[place] = &forged,
                1 => drop(lines.remove(place)),
                2 => lines.insert(place, lines[place]),
                _ if place + 1 < lines.len() => lines.swap(place, place + 1),
                _ => return Ok(()),
            }
            let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            fs::write(&path, text).unwrap();
        }
        let (_, report) = entries(folder.path());
        prop_assert!(report.problem_count > 0);
    }
}

/// A whole log written anew, with hashes that hold, shows against a head that was noted.
#[test]
fn a_log_that_was_replaced_shows_against_its_noted_head() {
    let folder = tempfile::tempdir().unwrap();
    log_of(folder.path(), 20);
    let (_, report) = entries(folder.path());
    let noted: Head = report.head.unwrap().to_string().parse().unwrap();
    assert!("7:abc".parse::<Head>().is_err() && "x".parse::<Head>().is_err());
    for (_, path) in files::list(folder.path()).unwrap() {
        fs::remove_file(path).unwrap();
    }
    log_of(folder.path(), 30);
    let (all, report) = entries(folder.path());
    assert_eq!(report.problem_count, 0);
    let there = all.windows(2).any(|pair| pair[0].seq == noted.seq && pair[1].previous == noted.hash);
    assert!(!there, "another entry has its number");
}

#[test]
fn a_damaged_end_is_left_to_be_seen_and_the_next_file_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path(), |_| {}).unwrap();
    log.append(&[event(1), event(2)]).unwrap();
    let path = files::path_of(folder.path(), 0);
    let text = fs::read_to_string(&path).unwrap().replace("decision 2", "decision 3");
    fs::write(&path, text).unwrap();
    let recorder = Recorder::open(folder.path()).unwrap();
    recorder.record(Kind::Operator, "op-1", "goes on");
    recorder.close();
    let (all, report) = entries(folder.path());
    assert!(report.problem_count >= 1, "{report:?}");
    assert!(all.iter().any(|entry| entry.kind == Kind::Gap && entry.what.contains("damaged")));
    assert_eq!(all.last().unwrap().what, "goes on");
    // And again, without a further break.
    Recorder::open(folder.path()).unwrap().close();
    assert_eq!(entries(folder.path()).1.problem_count, report.problem_count);
}

/// A second process on a role's folder, while the first one writes: what it would do to the chain looks like an alteration.
#[test]
fn a_log_that_is_being_written_has_no_second_writer() {
    let folder = tempfile::tempdir().unwrap();
    let first = Recorder::open(folder.path()).unwrap();
    first.record(Kind::Start, "process", "the first");
    let refused = files::take(folder.path(), Duration::ZERO).unwrap_err();
    assert!(matches!(&refused, Error::InUse { folder: at } if at == folder.path()), "{refused}");
    first.record(Kind::Stop, "process", "the first");
    first.close();
    // One that is dropped without a word gives way as well, and one that ends is waited for.
    drop(Recorder::open(folder.path()).unwrap());
    let last = Recorder::open(folder.path()).unwrap();
    last.record(Kind::Start, "process", "the last");
    last.close();
    let (all, report) = entries(folder.path());
    assert_eq!((report.problem_count, all.len()), (0, 3), "{report:?}");
}

/// Commands of operators at once, as scripts run them: they take turns.
#[test]
fn many_writers_at_once_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for n in 0..16 {
            let folder = folder.path();
            scope.spawn(move || {
                let recorder = Recorder::open(folder).unwrap();
                recorder.record(Kind::Operator, "op-1", &format!("decision {n}"));
                recorder.close();
            });
        }
    });
    let (all, report) = entries(folder.path());
    assert_eq!((report.problem_count, all.len()), (0, 16), "{report:?}");
}

#[test]
fn what_the_disk_does_not_take_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path(), |_| {}).unwrap();
    log.append(&[event(1)]).unwrap();
    // A file that is open for reading takes nothing, like a disk that is full.
    let good = std::mem::replace(&mut log.file, File::open(files::path_of(folder.path(), 0)).unwrap());
    assert!(log.append(&[event(2), event(3)]).is_err());
    log.file = good;
    log.append(&[gap("events that could not be written", 2), event(4)]).unwrap();
    let (all, report) = entries(folder.path());
    assert_eq!(report.problem_count, 0);
    assert_eq!(all.iter().map(|entry| entry.count).sum::<u64>(), 4);
}
