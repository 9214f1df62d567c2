//! Audits: rows that stand twice, sums at their limits, and claims from outside.

use super::lab::Lab;
use crate::{
    Archive, ClaimError, Claims, Settings, check_doubles, dedup,
    testing::{id_of, key_of, sample},
};
use voltmesh_control::{ArchiveNotice, ArchivedBatch};
use voltmesh_ledger::public_key;
use voltmesh_telemetry::{
    Boot, Record, RecordNumber, Secret, Signer, Timestamp,
    batch::{Place, seal},
};

/// The same delivery twice, and a batch that was anchored twice: each copy is verified, and said to stand twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_twice_is_not_called_tampered() {
    let mut lab = Lab::new().await;
    let batches = lab.fleet.boot(0, 1, &[5; 6]);
    let same = lab.fleet.envelope(0, &batches[1]);
    let other = lab.fleet.envelope_again(1, &batches[3]);
    lab.append(&[same, other]).await;
    let report = lab.verify().await;
    assert!(!report.is_sound());
    assert_eq!((report.batches, report.duplicate_batches, report.bad_batches), (14, 2, 0), "{report:#?}");
    assert_eq!((report.records, report.verified, report.duplicates), (59, 59, 10), "{report:#?}");
    assert_eq!((report.tampered, report.missing, report.gaps), (0, 0, 0), "{report:#?}");
    assert_eq!((report.log.held, report.log.absent), (13, 0), "{report:#?}");
    assert!(report.problems.iter().any(|problem| problem == "record ev-0/1/7 stands 2 times"), "{report:#?}");
}

/// An archive that goes on past a change of the authorities, and a trust file of before it: nothing is called tampered that
/// is not, nothing is called verified that is not, and what does not depend on the authorities is found as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_trust_file_leaves_open_is_no_finding() {
    use commonware_cryptography::Signer as _;
    let mut lab = Lab::new().await;
    let old = lab.fleet.trust();
    let newcomer = voltmesh_ledger::testing::key(50);
    let key = newcomer.public_key();
    lab.fleet.chain.network.add_key(newcomer);
    lab.fleet.chain.act(vec![voltmesh_ledger::Action::AdmitAuthority { key }]);
    lab.fleet.chain.advance_to(45);
    let batches = lab.fleet.boot(2, 7, &[4, 2]);
    let deliveries: Vec<_> = batches.iter().map(|batch| lab.fleet.envelope(0, batch)).collect();
    lab.append(&deliveries).await;
    let now = lab.verify().await;
    assert!(now.is_sound() && now.later.is_none(), "{now:#?}");
    let report = lab.verify_with(&old, &Claims::default()).await;
    assert!(!report.is_sound() && !report.is_wrong(), "{report:#?}");
    assert_eq!((report.records, report.verified, report.unproven), (now.records, now.records - 6, 6));
    assert_eq!((report.log.unproven, report.log.absent), (2, 0), "{report:#?}");
    let later = report.later.clone().unwrap();
    assert_eq!((later.batches, later.first_epoch, later.last_epoch, later.known_until), (2, 4, 4, 1));
    assert!(later.to_string().contains("refresh it with `voltmesh chain trust`"), "{later}");
    // Someone alters a row of the batches that the old file cannot prove.
    lab.set(
        "records",
        "pack_voltage_v",
        |row| row.is_of("ev-2", 7) && row.long("number") == 3,
        |_, _| std::sync::Arc::new(arrow::array::Float64Array::from(vec![1.0])),
    );
    let altered = lab.verify_with(&old, &Claims::default()).await;
    assert!(altered.is_wrong() && (altered.tampered, altered.unproven) == (1, 5), "{altered:#?}");
}

/// Gaps of 2^63 in three boots stay the largest number instead of wrapping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_of_gaps_do_not_wrap() {
    let mut lab = Lab::new().await;
    let far = (1 << 63) - 2;
    let previous = Some(lab.fleet.boot(0, 1, &[5])[0].id());
    let deliveries: Vec<_> = (5..8)
        .map(|boot| {
            let record = Record { number: RecordNumber::new(far), sample: sample(0, boot, 1) };
            let vehicle = id_of("ev-0");
            let place = Place { vehicle, boot: Boot::new(boot), previous, signer: Signer::Vehicle };
            let batch = seal(&place, &[record], &Secret::new([0; 32]), &key_of("ev-0")).unwrap();
            lab.fleet.envelope(0, &batch)
        })
        .collect();
    lab.append(&deliveries).await;
    let report = lab.verify().await;
    assert_eq!((report.gaps, report.gap_records), (3, u64::MAX), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_claims_what_must_be_there() {
    let lab = Lab::new().await;
    let mut trust = lab.fleet.trust();
    let batches = lab.fleet.boot(0, 1, &[5; 7]);
    let notice = |range: std::ops::Range<usize>| ArchiveNotice {
        vehicle: batches[0].header().vehicle.clone(),
        batches: batches[range].iter().map(|batch| ArchivedBatch::of(batch.header(), batch.id())).collect(),
        archived: Timestamp::from_millis(0),
    };
    let key = super::cloud_key();
    let good = notice(0..6).sign(&key);
    let mut claims = Claims::default();
    assert!(matches!(claims.add_notices(&good, &trust), Err(ClaimError::NoKey)));
    trust.add_cloud(public_key(key.verifying_key().as_bytes()).unwrap());
    assert_eq!(claims.add_notices(&good, &trust).unwrap(), 6);
    let report = lab.verify_with(&trust, &claims).await;
    assert!(report.is_sound(), "{report:#?}");

    let stranger = notice(0..1).sign(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]));
    assert!(matches!(claims.add_notices(&stranger, &trust), Err(ClaimError::Notice { .. })));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines = format!("{}\n{}\n", hex(&notice(6..7).sign(&key)), hex(&good));
    assert_eq!(claims.add_notices(lines.as_bytes(), &trust).unwrap(), 7);
    assert!(claims.add_notices(b"abc\n", &trust).is_err());
    let report = lab.verify_with(&trust, &claims).await;
    assert_eq!((report.unaccounted, report.problems.len()), (1, 1), "{report:#?}");
    assert!(report.problems[0].contains("the cloud signed that it is archived"), "{report:#?}");
}

/// What stands twice is found and removed; then the archive verifies, and the cloud goes on with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doubled_rows_are_removed_and_the_cloud_goes_on() {
    let mut lab = Lab::new().await;
    assert!(check_doubles(&lab.location()).await.unwrap().is_clean());
    let batches = lab.fleet.boot(0, 1, &[5; 7]);
    let same = lab.fleet.envelope(0, &batches[1]);
    let other = lab.fleet.envelope_again(1, &batches[3]);
    lab.append(&[same.clone(), other]).await;
    lab.append(&[same]).await;
    let found = check_doubles(&lab.location()).await.unwrap();
    assert_eq!((found.records, found.doubled_records), (64, 15), "{found:#?}");
    assert_eq!((found.batches, found.doubled_batches), (15, 3), "{found:#?}");
    assert!(found.ids.iter().any(|id| id == "record ev-0/1/7: 3 rows"), "{found:#?}");

    let trust = lab.fleet.trust();
    let before = lab.verify().await;
    let planned = dedup(&lab.location(), &trust, true).await.unwrap();
    assert_eq!((planned.removed_records, planned.removed_batches, planned.left), (15, 3, 0), "{planned:#?}");
    assert_eq!(lab.verify().await, before, "a dry run writes nothing");

    let done = dedup(&lab.location(), &trust, false).await.unwrap();
    assert_eq!((done.removed_records, done.removed_batches, done.moved), (15, 3, 3), "{done:#?}");
    let rows: Vec<_> = done.tables.iter().map(|table| (table.table, table.before, table.after)).collect();
    assert_eq!(rows, [("records", 64, 49), ("batches", 15, 12), ("copies", 0, 3)]);
    let report = lab.verify().await;
    assert!(report.is_sound() && report.problems.is_empty(), "{report:#?}");
    assert_eq!((report.records, report.batches, report.copies, report.log.held), (49, 12, 3, 13));
    let again = dedup(&lab.location(), &trust, false).await.unwrap();
    assert_eq!((again.removed_records, again.tables.len()), (0, 0), "{again:#?}");

    // The cloud starts on it, knows what it holds, and takes the next batch.
    let mut bench = super::Bench::open(&lab.fleet, &lab.location(), Settings::default()).await;
    for (token, batch) in [(1, &batches[1]), (2, &batches[3]), (3, &batches[6])] {
        let bytes = lab.fleet.envelope(0, batch);
        bench.deliver(0, token, bytes).await;
    }
    assert!(bench.flush().await);
    assert_eq!((bench.accepted.len(), bench.core.counters().duplicates), (3, 2));
    let report = lab.verify().await;
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.records, report.batches), (54, 13));
}

/// A writer that commits while rows are removed is noticed by whoever comes second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_and_a_running_cloud_exclude_each_other() {
    let mut lab = Lab::new().await;
    let batches = lab.fleet.boot(0, 1, &[5; 7]);
    let same = lab.fleet.envelope(0, &batches[1]);
    lab.append(&[same]).await;
    let mut cloud = super::Bench::open(&lab.fleet, &lab.location(), Settings::default()).await;
    dedup(&lab.location(), &lab.fleet.trust(), false).await.unwrap();
    let bytes = lab.fleet.envelope(0, &batches[6]);
    cloud.deliver(0, 1, bytes).await;
    assert!(!cloud.flush().await, "the commit is on a version that is not the latest");
    let (_, marks) = Archive::open(&lab.location(), Settings::default()).await.unwrap();
    assert_eq!(marks.watermarks[&(id_of("ev-0"), Boot::new(1))], 30);
}

/// Rows of which no copy is what was signed are named and left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doubled_rows_that_do_not_verify_are_left() {
    let mut lab = Lab::new().await;
    let batches = lab.fleet.boot(0, 1, &[5; 6]);
    let same = lab.fleet.envelope(0, &batches[1]);
    lab.append(&[same]).await;
    lab.set(
        "records",
        "charger",
        |row| row.is_of("ev-0", 1) && row.long("number") == 7,
        super::lab::says("fault"),
    );
    let done = dedup(&lab.location(), &lab.fleet.trust(), false).await.unwrap();
    assert_eq!((done.removed_records, done.removed_batches, done.left), (4, 1, 1), "{done:#?}");
    assert!(done.log.iter().any(|line| line.starts_with("record ev-0/1/7: 2 rows, and none")), "{done:#?}");
    let report = lab.verify().await;
    assert_eq!((report.tampered, report.duplicates), (2, 1), "{report:#?}");
}

/// A batch that two fog nodes anchored, and a foreign client's batch without a new record: both entries of the log are
/// explained, now and after a restart, and a repeat writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_anchored_twice_explains_both_entries() {
    let mut lab = Lab::new().await;
    let batches = lab.fleet.boot(0, 1, &[5; 6]);
    let twice = lab.fleet.envelope_again(1, &batches[3]);
    let foreign = lab.fleet.foreign(1, 2, &[2, 3]);
    let nothing_new = lab.fleet.envelope(1, &foreign);
    for round in 0..3 {
        let mut bench = super::Bench::open(&lab.fleet, &lab.location(), Settings::default()).await;
        for (token, bytes) in [(1, &twice), (2, &nothing_new), (3, &twice)] {
            bench.deliver(1, token, bytes.clone()).await;
            assert!(round > 0 || bench.flush().await);
        }
        assert!(bench.flush().await);
        assert_eq!((bench.accepted.len(), bench.core.counters().duplicates), (3, 3), "{round}");
        let report = lab.verify().await;
        assert!(report.is_sound() && report.problems.is_empty(), "{report:#?}");
        assert_eq!((report.records, report.batches), (49, 12));
        assert_eq!((report.log.held, report.log.size), (14, 14));
        assert_eq!(report.copies, 2, "{round}");
    }
    lab.delete("copies", |row| row.is_of("ev-0", 1));
    let report = lab.verify().await;
    assert_eq!((report.log.absent, report.log.ranges), (1, vec![(12, 12)]));
}
