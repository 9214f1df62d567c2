//! Laws of an archive's statements: when one is made, what it tells, how it is kept and sent.

use super::*;
use crate::delta::Location;
use voltmesh_audit::Recorder;
use voltmesh_control::Tree;
use voltmesh_telemetry::Digest;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_600_000_000 + 1_000 * seconds)
}

fn holding(batches: u64) -> Holding {
    let tree = |size: u64| Tree { size, root: Digest::new([size as u8; 32]) };
    Holding { versions: [batches; 3], records: 10 * batches, batches: tree(batches), quarantine: tree(0) }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

#[test]
fn one_is_made_when_something_is_new_and_each_hour() {
    let mut statements = Statements::new("cloud-1", 60_000, None);
    assert_eq!((statements.deadline(), statements.make(at(0))), (None, None), "nothing to say");
    let mut make = |seconds, batches: Option<u64>| {
        batches.into_iter().for_each(|batches| statements.hold(holding(batches)));
        let made = statements.make(at(seconds));
        made.iter().for_each(|made| statements.kept(made.clone()));
        made.map(|made| (made.sequence, made.batches.size))
    };
    assert_eq!(make(1, Some(1)), Some((1, 1)), "the first does not wait");
    assert_eq!(make(2, Some(2)), None);
    assert_eq!(make(60, Some(5)), None);
    assert_eq!(make(61, None), Some((2, 5)));
    assert_eq!(make(3_660, None), None, "nothing is new");
    assert_eq!(make(3_661, None), Some((3, 5)));
    assert_eq!(make(3_662, Some(6)), None);
    assert_eq!(make(3_721, None), Some((4, 6)));
}

#[test]
fn a_head_of_the_audit_log_makes_one_due_and_is_named_once() {
    let mut statements = Statements::new("cloud-1", 60_000, None);
    let head = AuditHead { seq: 7, hash: Digest::of(b"entry") };
    statements.name_head(Some(head));
    assert_eq!(statements.deadline(), None, "no archive, no statement");
    statements.hold(holding(1));
    let made = statements.make(at(0)).unwrap();
    assert_eq!(made.audit, Some(head));
    assert_eq!(ArchiveStatement::verify(&made.sign(&key()), &key().verifying_key()), Ok(made.clone()));
    statements.kept(made);
    statements.name_head(None);
    assert_eq!(statements.make(at(60)), None, "nothing is new");
    statements.name_head(Some(head));
    assert_eq!(statements.make(at(59)), None);
    assert_eq!(statements.make(at(61)).unwrap().audit, Some(head));
}

#[test]
fn an_archive_that_lost_something_is_told() {
    let newest = |holding: Holding| {
        let mut before = Statements::new("cloud-1", 60_000, None);
        before.hold(holding);
        before.make(at(0))
    };
    let check = |before: Holding, now: Holding, expected: bool| {
        let mut statements = Statements::new("cloud-1", 60_000, newest(before));
        statements.hold(now);
        assert_eq!(statements.went_back(), expected);
    };
    check(holding(5), holding(5), false);
    check(holding(5), holding(6), false);
    check(holding(5), holding(4), true);
    check(holding(5), Holding { batches: Tree { size: 5, root: Digest::ZERO }, ..holding(5) }, true);
    check(holding(5), Holding::default(), true);
}

#[tokio::test]
async fn they_are_kept_in_files_that_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let mut made = Vec::new();
    let (mut store, newest) = StatementStore::open(&location).await.unwrap();
    assert_eq!(newest, None);
    // One past what a file holds, with a restart on each side of it.
    for sequence in 1..=258u64 {
        if [200, 256, 257].contains(&sequence) {
            let (again, newest) = StatementStore::open(&location).await.unwrap();
            assert_eq!(newest.unwrap().sequence, sequence - 1);
            store = again;
        }
        let mut statements = Statements::new("cloud-1", 0, None);
        statements.hold(holding(sequence));
        let statement = ArchiveStatement { sequence, ..statements.make(at(sequence)).unwrap() };
        let bytes = Bytes::from(statement.sign(&key()));
        store.append(sequence, &bytes).await.unwrap();
        made.push(bytes);
    }
    assert_eq!(read_statements(&location).await.unwrap(), made);
    let files = std::fs::read_dir(folder.path().join("statements")).unwrap().flatten();
    let files = files.filter(|entry| entry.path().is_file()).count();
    assert_eq!(files, 2);
    std::fs::write(folder.path().join("statements/00000000000000000257"), b"\xff\xffcut").unwrap();
    let error = StatementStore::open(&location).await.err().unwrap().to_string();
    assert!(error.contains("00000000000000000257"), "{error}");
}

#[tokio::test]
async fn the_task_keeps_then_sends() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let (store, _) = StatementStore::open(&location).await.unwrap();
    let (holdings, watched) = watch::channel(holding(7));
    let (send, mut sent) = mpsc::channel(1);
    let statements = Statements::new("cloud-1", 60_000, None);
    let (_tell, places) = mpsc::channel(1);
    let files = StatementFiles { store, key: key(), heads: AuditHeads::new(Recorder::none(), 0) };
    let task = tokio::spawn(run(statements, files, watched, send, places, || at(0)));
    let bytes = sent.recv().await.unwrap();
    assert_eq!(ArchiveStatement::verify(&bytes, &key().verifying_key()).unwrap().batches, holding(7).batches);
    assert_eq!(read_statements(&location).await.unwrap(), [bytes]);
    drop(holdings);
    task.await.unwrap();
}
