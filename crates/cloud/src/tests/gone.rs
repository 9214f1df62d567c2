//! Evidence from outside that something was taken away: the log's size and leaves, and the cloud's own statements.

use super::{at, cloud_key, lab::Lab, lab::Row};
use crate::{Archive, Claims, Settings, dedup, testing::opening_of};
use bytes::Bytes;
use std::fs;
use voltmesh_control::ArchiveStatement;
use voltmesh_ledger::{AnchoredStatement, Leaves, LogProof, Trust, commitment, public_key};

/// Trust that knows the log's size now.
fn sized(lab: &Lab) -> Trust {
    let mut trust = lab.fleet.trust();
    let block = lab.fleet.chain.blocks.last().unwrap();
    let proof =
        LogProof::new(block.block.header().clone(), block.certificate.clone(), block.root_receipts.clone());
    assert!(trust.set_log(proof).unwrap());
    trust
}

/// All leaves of the log.
fn leaves(lab: &Lab) -> Leaves {
    let mut all = Leaves { first: 0, hashes: Vec::new() };
    for block in &lab.fleet.chain.blocks {
        all.hashes.extend(Leaves::of(&block.block, all.end()).hashes);
    }
    all
}

/// Trust with the cloud's statement of what the archive holds now, which is in the log.
async fn stated(lab: &mut Lab) -> Trust {
    let (archive, _) = Archive::open(&lab.location(), Settings::default()).await.unwrap();
    let holding = *archive.holdings().borrow();
    let statement = ArchiveStatement {
        cloud: "cloud-1".into(),
        sequence: 1,
        time: at(600_000),
        versions: holding.versions,
        records: holding.records,
        batches: holding.batches,
        quarantine: holding.quarantine,
        audit: None,
    };
    let statement = Bytes::from(statement.sign(&cloud_key()));
    let leaf = AnchoredStatement::leaf(&statement);
    lab.fleet.chain.anchor(&[leaf]);
    let opening = opening_of("fog-0");
    let signer = commitment("fog-0", &opening.salt, &opening.key);
    let evidence = lab.fleet.chain.blocks.last().unwrap().evidence(&leaf, &signer).unwrap();
    let mut trust = sized(lab);
    trust.add_cloud(public_key(cloud_key().verifying_key().as_bytes()).unwrap());
    trust.set_archives(vec![AnchoredStatement { statement, evidence }]).unwrap();
    trust
}

/// Removes the newest commits of a table, as an older copy of its log has it.
fn roll_back(lab: &Lab, table: &str, commits: usize) {
    let mut entries: Vec<_> = fs::read_dir(lab.table(table).join("_delta_log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    entries.sort();
    for entry in entries.iter().rev().take(commits) {
        fs::remove_file(entry).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_tail_shows_by_the_logs_size() {
    let mut lab = Lab::new().await;
    let trust = sized(&lab);
    let report = lab.verify_with(&trust, &Claims::default()).await;
    assert!(report.is_sound() && report.log.trusted_size == Some(12), "{report:#?}");
    for table in ["records", "batches"] {
        roll_back(&lab, table, 2);
    }
    let report = lab.verify().await;
    assert!(report.is_sound(), "without the log's size there is nothing to tell: {report:#?}");
    let report = lab.verify_with(&trust, &Claims::default()).await;
    assert_eq!((report.log.absent, report.log.ranges.as_slice()), (4, &[(8, 11)][..]), "{report:#?}");
    assert!(report.problems[0].starts_with("log entries 8..=11: anchored as of block"), "{report:#?}");
    let last = |row: &Row<'_>| row.is_of("ev-0", 1) && row.long("first") >= 20;
    lab.delete_batches(last);
    let report = lab.verify_with(&trust, &Claims::default()).await;
    assert!(
        report.problems.iter().any(|text| text.starts_with("log entries 4..=5: anchored by")),
        "{report:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_shows_by_the_clouds_statement_with_its_date() {
    let mut lab = Lab::new().await;
    let trust = stated(&mut lab).await;
    let none = Claims::default();
    let report = lab.verify_with(&trust, &none).await;
    assert!(report.is_sound() && report.problems.is_empty(), "{report:#?}");
    assert_eq!((report.log.held, report.log.trusted_size), (13, Some(13)));
    roll_back(&lab, "batches", 2);
    roll_back(&lab, "records", 2);
    let report = lab.verify_with(&trust, &none).await;
    let said = "batches: the archive held 12, and 8 are here";
    let dated = |text: &String| text.contains(said) && text.contains("cloud-1 on 2026-06-01T");
    assert!(report.problems.iter().any(dated), "{report:#?}");
    assert!(report.unaccounted >= 1 && report.log.absent == 4, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_quarantine_shows_by_the_clouds_statement() {
    let mut lab = Lab::new().await;
    let trust = stated(&mut lab).await;
    lab.rewrite("quarantine", |rows| Some(rows.slice(0, 0)));
    let report = lab.verify_with(&trust, &Claims::default()).await;
    assert_eq!((report.unaccounted, report.problems.len()), (1, 1), "{report:#?}");
    assert!(
        report.problems[0].contains("quarantined deliveries: the archive held 1, and 0 are here"),
        "{report:#?}"
    );
}

/// Rows that are moved away by dedup stay accounted for: the statement before holds, and the cloud's next one follows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_outlives_the_removal_of_doubled_rows() {
    let mut lab = Lab::new().await;
    let batches = lab.fleet.boot(0, 1, &[5; 6]);
    let (same, other) = (lab.fleet.envelope(0, &batches[1]), lab.fleet.envelope_again(1, &batches[3]));
    lab.append(&[same, other]).await;
    let trust = stated(&mut lab).await;
    let (before, _) = Archive::open(&lab.location(), Settings::default()).await.unwrap();
    let before = *before.holdings().borrow();
    dedup(&lab.location(), &trust, false).await.unwrap();
    let report = lab.verify_with(&trust, &Claims::default()).await;
    assert!(report.is_sound() && report.problems.is_empty(), "{report:#?}");
    let (after, _) = Archive::open(&lab.location(), Settings::default()).await.unwrap();
    assert_eq!(after.holdings().borrow().batches, before.batches);
    assert_eq!(after.counted().await.unwrap().batches, before.batches);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_tell_every_entry() {
    let mut lab = Lab::new().await;
    let batches = lab.fleet.boot(0, 1, &[5; 6]);
    // Anchored again, and not delivered: a copy that only its leaf explains.
    let _ = lab.fleet.envelope_again(1, &batches[3]);
    let trust = sized(&lab);
    let report = lab.verify_with(&trust, &Claims::default()).await;
    assert_eq!((report.log.absent, report.log.ranges.as_slice()), (1, &[(12, 12)][..]));
    let mut claims = Claims::default();
    assert_eq!(claims.set_leaves(&leaves(&lab).encode()).unwrap(), 13);
    let report = lab.verify_with(&trust, &claims).await;
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.log.copies, report.log.leaves, report.log.held), (1, Some(13), 12));

    let mut others = leaves(&lab);
    others.hashes.swap(3, 4);
    claims.set_leaves(&others.encode()).unwrap();
    let report = lab.verify_with(&trust, &claims).await;
    assert!(
        report.problems.iter().any(|text| text.contains("are not those of the ledger's log")),
        "{report:#?}"
    );
    assert!(claims.set_leaves(b"VMLEAVE").is_err());

    claims.set_leaves(&leaves(&lab).encode()).unwrap();
    lab.delete_batches(|row| row.is_of("ev-1", 2));
    let report = lab.verify_with(&trust, &claims).await;
    assert_eq!((report.log.absent, report.log.ranges.as_slice()), (1, &[(9, 9)][..]), "{report:#?}");
}

/// A statement whose place nobody has told yet is told by its leaf.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_tell_statements_from_batches() {
    let mut lab = Lab::new().await;
    let mut trust = stated(&mut lab).await;
    let statement = trust.archives()[0].statement.clone();
    let (mut store, _) = crate::statement::StatementStore::open(&lab.location()).await.unwrap();
    store.append(1, &statement).await.unwrap();
    trust.set_archives(Vec::new()).unwrap();
    let report = lab.verify_with(&trust, &Claims::default()).await;
    assert_eq!((report.log.absent, report.log.ranges.as_slice()), (1, &[(12, 12)][..]), "{report:#?}");
    let mut claims = Claims::default();
    claims.set_leaves(&leaves(&lab).encode()).unwrap();
    let report = lab.verify_with(&trust, &claims).await;
    assert_eq!((report.log.statements, report.is_sound()), (1, true), "{report:#?}");
}
