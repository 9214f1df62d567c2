//! Extent of the archive: its statements agree with its tables, whoever counts.

use super::*;
use crate::{Holding, verify_archive};
use voltmesh_telemetry::merkle;

const MERGES: Settings = Settings { compact_files: 2, ..QUICK };
const QUICK: Settings = Settings { checkpoint_every: 3, compact_files: 0, vacuum_hours: 168, log_hours: 168 };

fn holding(archive: &Archive) -> Holding {
    *archive.holdings().borrow()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_holding_is_a_beginning_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let mut fleet = Fleet::new(2);
    // Not in the order of the table, which is sorted by vehicle and merged at each commit.
    let all = [fleet.boot(1, 1, &[5, 5, 5]), fleet.boot(0, 1, &[5, 5])].concat();
    let mut bench = Bench::open(&fleet, &location, MERGES).await;
    let empty = holding(&bench.archive);
    assert_eq!(empty, Holding { versions: empty.versions, ..Holding::default() });
    let mut said = vec![empty];
    for (n, batch) in (0..).zip(&all) {
        let delivery = fleet.envelope(0, batch);
        bench.deliver(0, 2 * n, delivery).await;
        bench.deliver(0, 2 * n + 1, Bytes::from(vec![n as u8; 20])).await;
        // All refusals come at one moment.
        assert!(bench.step(Input::Tick).await && bench.flush().await);
        bench.clock -= 10_000;
        bench.archive.compact().await.unwrap();
        said.push(holding(&bench.archive));
    }
    let newest = holding(&bench.archive);
    assert_eq!((newest.records, newest.batches.size, newest.quarantine.size), (25, 5, 5));
    let leaves: Vec<_> = all.iter().map(|batch| merkle::leaf_hash(batch.id().as_bytes())).collect();
    for holding in &said {
        let size = holding.batches.size as usize;
        assert_eq!(
            (holding.batches.root, holding.quarantine.size),
            (merkle::root(&leaves[..size]), size as u64)
        );
    }
    // A restart reads the same from the commits' metadata, and from the tables where there are none.
    let (again, _) = Archive::open(&location, MERGES).await.unwrap();
    assert_eq!(holding(&again), newest);
    assert_eq!(again.counted().await.unwrap(), newest);
    assert_eq!(verify_archive(&location, &fleet.trust()).await.unwrap().verified, 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_changes_nothing_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let mut fleet = Fleet::new(1);
    let all = fleet.boot(0, 1, &[5, 5]);
    let mut first = Bench::open(&fleet, &location, QUICK).await;
    let mut second = Bench::open(&fleet, &location, QUICK).await;
    let delivery = fleet.envelope(0, &all[0]);
    first.deliver(0, 1, delivery).await;
    assert!(first.flush().await);
    let delivery = fleet.envelope(0, &all[1]);
    second.deliver(0, 1, delivery).await;
    assert!(!second.flush().await, "another has written");
    assert_eq!(holding(&second.archive).batches.size, 0);
    second.archive.reload().await.unwrap();
    assert_eq!(holding(&second.archive), holding(&first.archive));
}
