//! The archive on a real folder, and with more than one writer.

use super::*;
use crate::{ArchiveError, delta::durable::DurableFolder, testing::*, verify_archive};
use object_store::{Error, ObjectStore, PutOptions, memory::InMemory, path::Path};
use std::sync::Arc;
use voltmesh_ledger::Proof;
use voltmesh_telemetry::{Boot, RecordId, RecordNumber};

pub(super) const QUICK: Settings =
    Settings { checkpoint_every: 3, compact_files: 0, vacuum_hours: 168, log_hours: 720 };

fn record(text: &str) -> RecordId {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn survives_a_restart_and_proves_every_record() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(&folder.path().join("a/b")).unwrap();
    let mut fleet = Fleet::new(3);
    let batches = fleet.boot(0, 1, &[5, 5, 5, 5]);
    let foreign = fleet.foreign(0, 1, &[1, 2, 3]);
    let again = fleet.foreign(1, 1, &[3, 4]);
    let mut bench = Bench::open(&fleet, &location, QUICK).await;
    for (token, batch) in [(1, &batches[0]), (2, &batches[2]), (3, &foreign)] {
        let delivery = fleet.envelope(0, batch);
        bench.deliver(0, token, delivery).await;
        assert!(bench.flush().await);
    }
    assert_eq!((bench.accepted.len(), bench.notices.len()), (3, 3));

    // Killed and started again: nothing in memory.
    let mut bench = Bench::open(&fleet, &location, QUICK).await;
    assert_eq!(bench.core.gaps().iter().map(|gap| (gap.first, gap.next)).collect::<Vec<_>>(), [(5, 10)]);
    for (token, batch) in [(4, &batches[2]), (5, &batches[1]), (6, &again), (7, &batches[3]), (8, &foreign)] {
        let delivery = fleet.envelope(1, batch);
        bench.deliver(1, token, delivery).await;
    }
    assert!(bench.flush().await);
    assert_eq!(bench.accepted.len(), 5);
    assert_eq!((bench.core.counters().duplicates, bench.core.counters().records), (2, 11));
    assert!(bench.core.gaps().is_empty());

    let report = verify_archive(&location, &fleet.trust()).await.unwrap();
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.records, report.verified, report.batches), (24, 24, 6));

    let reader = bench.reader();
    for (vehicle, boot, number) in
        [(0, 1, 0), (0, 1, 7), (0, 1, 19), (1, 0, again.open().unwrap()[1].number.get())]
    {
        let id = RecordId {
            vehicle: id_of(&vehicle_name(vehicle)),
            boot: Boot::new(boot),
            number: RecordNumber::new(number),
        };
        let bytes = crate::prove(&reader, &fleet.trust().chain(), &id).await.unwrap();
        let proven = Proof::decode(&bytes).unwrap().verify(&fleet.trust()).unwrap();
        assert_eq!(proven.id, id);
    }
    let nothing = crate::prove(&reader, &fleet.trust().chain(), &record("ev-0/1/20")).await;
    assert!(matches!(nothing, Err(crate::ProveError::NotArchived(_))));

    // Pages in order of time, whatever the order of arrival.
    let mut numbers = Vec::new();
    let mut after = None;
    loop {
        let page = reader.records(&id_of("ev-0"), 0, u64::MAX >> 20, after, 6).await.unwrap();
        numbers.extend(page.records.iter().map(|row| row.number));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    let from = sample(0, 1, 4).time.as_millis();
    let page = reader.records(&id_of("ev-0"), from, from + 3000, None, 100).await.unwrap();
    assert_eq!(page.records.iter().map(|row| row.number).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(page.records[0].pack_voltage_v, sample(0, 1, 4).pack_voltage.to_base().ok());
    assert_eq!(reader.latest_of(&id_of("ev-0")).await.unwrap().unwrap().number, 19);
    assert_eq!(reader.all_latest(1000).await.unwrap().into_keys().collect::<Vec<_>>(), ["ev-0", "ev-1"]);
    assert_eq!(bench.core.vehicles().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_writer_is_noticed() {
    let disk: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[3, 3]);
    let mut one = Bench::open(&fleet, &in_memory(disk.clone()), QUICK).await;
    let mut two = Bench::open(&fleet, &in_memory(disk.clone()), QUICK).await;
    let delivery = fleet.envelope(0, &batches[0]);
    one.deliver(0, 1, delivery.clone()).await;
    assert!(one.flush().await);
    // The other one does not know of it and wants to append the same.
    two.deliver(0, 1, delivery).await;
    let out = two.core.handle(at(20_000), Input::Tick);
    let error = two.archive.commit(commits(&out)[0]).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Conflict), "{error:?}");
    let marks = two.archive.reload().await.unwrap();
    assert!(two.step(Input::Reloaded { ticket: 0, marks }).await);
    assert_eq!((two.accepted.len(), two.core.counters().duplicates), (1, 1));
    let report = crate::verify_reader(&two.reader(), &fleet.trust()).await.unwrap();
    assert_eq!((report.verified, report.duplicates), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merged_files_hold_the_same_and_stay_sound() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let mut fleet = Fleet::new(2);
    let settings = Settings { compact_files: 4, ..QUICK };
    let mut bench = Bench::open(&fleet, &location, settings).await;
    for (n, batch) in fleet.boot(0, 1, &[4; 7]).iter().enumerate() {
        // Every third one is missing at first.
        if n % 3 != 1 {
            let delivery = fleet.envelope(0, batch);
            bench.deliver(0, n as u64, delivery).await;
            assert!(bench.flush().await);
        }
    }
    assert_eq!(bench.reader().record_files().len(), 5);
    assert!(bench.archive.compact().await.unwrap());
    assert_eq!(bench.reader().record_files().len(), 1);
    assert!(!bench.archive.compact().await.unwrap());
    let gaps = bench.core.gaps();
    let mut bench = Bench::open(&fleet, &location, settings).await;
    assert_eq!(bench.core.gaps(), gaps, "islands survive compaction");
    for (n, batch) in fleet.boot(0, 1, &[4; 7]).iter().enumerate() {
        let delivery = fleet.envelope(1, batch);
        bench.deliver(1, n as u64, delivery).await;
    }
    assert!(bench.flush().await);
    let report = verify_archive(&location, &fleet.trust()).await.unwrap();
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.verified, report.gaps), (28, 0));
}

/// Names of the files in a table's folder, and of its log.
fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<_> = files.map(|file| file.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// By the archive's clock all files are old: log entries go with the first checkpoint after them, replaced files with the
/// first commit after their hours, and a restart finds the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_log_entries_and_replaced_files_are_deleted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let mut fleet = Fleet::new(1);
    let settings = Settings { checkpoint_every: 4, compact_files: 3, vacuum_hours: 2, log_hours: 1 };
    let mut bench = Bench::open(&fleet, &location, settings).await;
    // Files carry the time of the disk, commits that of the archive.
    let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    bench.clock = real.saturating_sub(at(0).as_millis()) + 24 * 3_600_000;
    let batches = fleet.boot(0, 1, &[2; 40]);
    let (mut most_files, mut most_entries) = (0, 0);
    for (n, batch) in batches.iter().enumerate() {
        // The first gap is never closed: its islands are in each commit's metadata, and only there.
        if n == 1 {
            continue;
        }
        let delivery = fleet.envelope(0, batch);
        bench.deliver(0, n as u64, delivery).await;
        bench.clock += 600_000;
        assert!(bench.flush().await);
        while bench.archive.compact().await.unwrap() {}
        for table in ["records", "batches"] {
            most_entries = most_entries.max(names(&folder.path().join(table).join("_delta_log")).len());
        }
        let listed = bench.reader().record_files().len();
        let days = std::fs::read_dir(folder.path().join("records")).unwrap();
        let days = days.map(|day| day.unwrap().path()).filter(|day| !day.ends_with("_delta_log"));
        most_files = most_files.max(days.map(|day| names(&day).len()).sum::<usize>() - listed);
    }
    // A checkpoint each 4 versions, of which the older one stays until there is a newer: at most 2 × 4 entries and those of
    // a few merges, 2 checkpoints and the pointer to the last.
    assert!(most_entries <= 16, "{most_entries} log files");
    // 12 commits of two hours, each with its file replaced and the results of merges.
    assert!((4..=24).contains(&most_files), "{most_files} replaced files");

    let gaps = bench.core.gaps();
    assert_eq!(gaps.iter().map(|gap| (gap.first, gap.next)).collect::<Vec<_>>(), [(2, 4)]);
    let clock = bench.clock;
    let mut bench = Bench::open(&fleet, &location, settings).await;
    bench.clock = clock;
    assert_eq!(bench.core.gaps(), gaps, "marks and islands are found without the old entries");
    for (n, batch) in batches.iter().enumerate() {
        let delivery = fleet.envelope(0, batch);
        bench.deliver(0, n as u64, delivery).await;
    }
    assert!(bench.flush().await);
    assert_eq!((bench.core.counters().batches, bench.core.counters().duplicates), (1, 39));
    let report = verify_archive(&location, &fleet.trust()).await.unwrap();
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.verified, report.duplicates, report.gaps), (80, 0, 0));
}

/// A table that an older version made keeps its files and gets the properties of today.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_other_properties_adopts_those_of_today() {
    let disk: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[3, 3, 3]);
    for (n, settings) in [QUICK, Settings::default(), Settings::default()].into_iter().enumerate() {
        let mut bench = Bench::open(&fleet, &in_memory(disk.clone()), settings).await;
        // One commit creates or changes the properties, one follows for each batch; the third opening changes nothing.
        assert_eq!(bench.archive.versions()[1], [0, 2, 3][n]);
        let delivery = fleet.envelope(0, &batches[n]);
        bench.deliver(0, 1, delivery).await;
        assert!(bench.flush().await);
        assert_eq!(bench.accepted.len(), 1);
    }
    let reader = crate::open_reader(&in_memory(disk)).await.unwrap();
    let report = crate::verify_reader(&reader, &fleet.trust()).await.unwrap();
    assert_eq!((report.verified, report.gaps, report.duplicates), (9, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampering_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let mut fleet = Fleet::new(1);
    let mut bench = Bench::open(&fleet, &location, QUICK).await;
    for (n, batch) in fleet.boot(0, 1, &[4, 4]).iter().enumerate() {
        let delivery = fleet.envelope(0, batch);
        bench.deliver(0, n as u64, delivery).await;
        assert!(bench.flush().await);
    }
    let file = bench.reader().record_files()[0].path.clone();
    let path = folder.path().join("records").join(file.as_ref());
    let whole = std::fs::read(&path).unwrap();

    // A row that says something else.
    let damaged = alter_first_voltage(&whole).unwrap();
    std::fs::write(&path, damaged).unwrap();
    let report = verify_archive(&location, &fleet.trust()).await.unwrap();
    assert!(!report.is_sound() && report.tampered >= 1, "{report:#?}");

    // The file's data pages are damaged.
    let mut flipped = whole.clone();
    flipped[16..whole.len() / 2].iter_mut().for_each(|byte| *byte ^= 0x40);
    std::fs::write(&path, flipped).unwrap();
    let report = verify_archive(&location, &fleet.trust()).await.unwrap();
    assert!(!report.is_sound(), "{report:#?}");

    // The file is gone.
    std::fs::remove_file(&path).unwrap();
    let report = verify_archive(&location, &fleet.trust()).await.unwrap();
    assert!(!report.is_sound() && report.missing == 4, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_deliveries_are_kept_with_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let fleet = Fleet::new(1);
    let mut bench = Bench::open(&fleet, &location, QUICK).await;
    bench.deliver(0, 1, Bytes::from_static(b"nonsense")).await;
    assert!(bench.rejected.is_empty());
    assert!(bench.flush().await);
    assert_eq!(bench.rejected, [(Token(1), "envelope".to_owned())]);
    assert_eq!(bench.reader().totals().quarantined, 1);
    let report = verify_archive(&location, &fleet.trust()).await.unwrap();
    assert_eq!((report.quarantined, report.is_sound()), (1, true));
}

#[tokio::test]
async fn a_durable_put_creates_once_and_leaves_nothing_behind() {
    use object_store::{ObjectStoreExt as _, PutMode};
    let folder = tempfile::tempdir().unwrap();
    let store = DurableFolder::new();
    let at = Path::from_absolute_path(folder.path().join("x/y/z.json")).unwrap();
    let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&at, "one".into(), create()).await.unwrap();
    let again = store.put_opts(&at, "two".into(), create()).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    store.put(&at, "three".into()).await.unwrap();
    assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), "three");
    assert_eq!(std::fs::read_dir(folder.path().join("x/y")).unwrap().count(), 1);
}
