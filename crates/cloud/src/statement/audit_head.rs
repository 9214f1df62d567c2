//! Heads of the cloud's audit log in its statements, and their receipts beside the log.
//!
//! Provided: each so many hours one statement names the newest durable entry; once a fog node tells where the ledger's log
//! holds that statement, it is kept with that evidence, as a file that `voltmesh audit verify --trust` reads. Not provided:
//! that whoever may write the folder leaves the receipts there. Keep copies of them elsewhere, as of any noted head.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use voltmesh_audit::Recorder;
use voltmesh_control::{ArchiveStatement, AuditHead};
use voltmesh_identity::{create_private_dir, write_private};
use voltmesh_ledger::AnchoredStatement;
use voltmesh_telemetry::{Digest, Timestamp};

/// Folder of the receipts in the log's.
const RECEIPTS: &str = "ledger";

/// Receipts that are kept: a year of daily ones, some 2 KiB each with four authorities. The oldest goes.
const KEPT: usize = 366;

/// Between two looks whether a head is due.
const LOOK: Duration = Duration::from_secs(60);

/// Longest wait until a fog node tells that the log holds a statement; after it another one names a head.
const PATIENCE_MS: u64 = 600_000;

/// Schedule of heads, and the folder of their receipts.
pub struct AuditHeads {
    recorder: Recorder,
    folder: Option<PathBuf>,
    every_ms: u64,
    /// Number of the entry that the newest receipt is for, and when it was written.
    newest: Option<(u64, Timestamp)>,
    /// When the newest statement with a head was sent, until its receipt is kept.
    said: Option<Timestamp>,
}

impl AuditHeads {
    /// Heads of this log, each so many milliseconds; 0 for none.
    pub fn new(recorder: Recorder, every_ms: u64) -> Self {
        let folder = recorder.folder().filter(|_| every_ms > 0).map(|folder| folder.join(RECEIPTS));
        let newest = folder.as_deref().and_then(|folder| receipts(folder).pop()).and_then(|path| {
            let seq = path.file_stem()?.to_str()?.strip_prefix("head-")?.parse().ok()?;
            let written = std::fs::metadata(&path).and_then(|about| about.modified()).ok()?;
            let since = written.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some((seq, Timestamp::from_millis(u64::try_from(since.as_millis()).ok()?)))
        });
        Self { recorder, folder, every_ms, newest, said: None }
    }

    /// The head that the next statement is to name, if one is due.
    pub(super) fn due(&self, now: Timestamp) -> Option<AuditHead> {
        self.folder.as_ref()?;
        let head = self.recorder.head()?;
        // A clock that went back must not keep heads from the ledger.
        let waits = |since: Timestamp, for_ms: u64| since <= now && now.millis_since(since) < for_ms;
        let early = self.newest.is_some_and(|(seq, at)| seq == head.seq || waits(at, self.every_ms));
        let under_way = self.said.is_some_and(|said| waits(said, PATIENCE_MS));
        (!early && !under_way).then(|| AuditHead { seq: head.seq, hash: Digest::new(head.hash.to_bytes()) })
    }

    /// A statement that names this head is on its way to the fog nodes.
    pub(super) fn said(&mut self, head: Option<AuditHead>, now: Timestamp) {
        self.said = head.map(|_| now).or(self.said);
    }

    /// How long until it is to be asked again.
    pub(super) fn look(&self) -> Option<Duration> {
        self.folder.is_some().then_some(LOOK)
    }

    /// Keeps the receipt of a head: a checked statement with its place in the ledger's log. Several fog nodes may tell of one.
    pub(super) async fn keep(&mut self, anchored: &AnchoredStatement) {
        let Some(folder) = self.folder.clone() else { return };
        let Some(head) = ArchiveStatement::peek(&anchored.statement).ok().and_then(|said| said.audit) else {
            return;
        };
        if self.newest.is_some_and(|(seq, _)| seq >= head.seq) {
            return;
        }
        let (bytes, seq) = (anchored.to_bytes(), head.seq);
        let written = tokio::task::spawn_blocking(move || write(&folder, seq, &bytes)).await;
        match written.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(at) => {
                (self.newest, self.said) = (Some((seq, at)), None);
                tracing::info!(entry = seq, "the head of the audit log is on the ledger");
            }
            Err(error) => {
                tracing::warn!(%error, "the receipt of an audit log's head is not kept; a later head follows")
            }
        }
    }
}

/// Receipts of a folder, oldest first.
fn receipts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "statement"))
        .collect();
    all.sort();
    all
}

/// Writes a receipt; the oldest past the bound goes. Returns when.
fn write(folder: &Path, seq: u64, bytes: &[u8]) -> Result<Timestamp, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    create_private_dir(folder).map_err(|error| failed(&error))?;
    write_private(&folder.join(format!("head-{seq:020}.statement")), bytes)
        .map_err(|error| failed(&error))?;
    let all = receipts(folder);
    for oldest in all.iter().take(all.len().saturating_sub(KEPT)) {
        std::fs::remove_file(oldest).map_err(|error| failed(&error))?;
    }
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fleet, opening_of};
    use voltmesh_audit::Kind;
    use voltmesh_control::Tree;
    use voltmesh_ledger::commitment;

    const DAY_MS: u64 = 86_400_000;

    fn log(folder: &Path) -> Recorder {
        let recorder = Recorder::open(folder).unwrap();
        recorder.record(Kind::Operator, "test", "an entry");
        recorder.close();
        Recorder::open(folder).unwrap()
    }

    fn anchored(fleet: &mut Fleet, head: AuditHead) -> AnchoredStatement {
        let none = Tree { size: 0, root: Digest::of(&[]) };
        let said = ArchiveStatement {
            cloud: "cloud-1".into(),
            sequence: 1,
            time: Timestamp::from_millis(1),
            versions: [0; 3],
            records: 0,
            batches: none,
            quarantine: none,
            audit: Some(head),
        };
        let statement = said.sign(&ed25519_dalek::SigningKey::from_bytes(&[3; 32]));
        let leaf = AnchoredStatement::leaf(&statement);
        fleet.chain.anchor(&[leaf]);
        let opening = opening_of("fog-0");
        let signer = commitment("fog-0", &opening.salt, &opening.key);
        let evidence = fleet.chain.blocks.last().unwrap().evidence(&leaf, &signer).unwrap();
        AnchoredStatement { statement: statement.into(), evidence }
    }

    #[tokio::test]
    async fn a_head_is_due_once_a_period_and_its_receipt_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = log(folder.path());
        let mut fleet = Fleet::new(1);
        let now = || {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            Timestamp::from_millis(since.as_millis() as u64)
        };
        assert_eq!(AuditHeads::new(recorder.clone(), 0).due(now()), None, "switched off");
        assert_eq!(AuditHeads::new(Recorder::none(), DAY_MS).due(now()), None, "no log");
        let mut heads = AuditHeads::new(recorder.clone(), DAY_MS);
        let head = heads.due(now()).expect("none yet");
        assert_eq!(head.seq, recorder.head().unwrap().seq);
        heads.said(Some(head), now());
        assert_eq!(heads.due(now()), None, "under way");
        assert!(heads.due(now().plus_millis(PATIENCE_MS + 1_000)).is_some(), "nobody told of it");
        let receipt = anchored(&mut fleet, head);
        heads.keep(&receipt).await;
        heads.keep(&receipt).await;
        let kept = receipts(&folder.path().join(RECEIPTS));
        assert_eq!(kept.len(), 1);
        assert_eq!(AnchoredStatement::from_bytes(&std::fs::read(&kept[0]).unwrap()).unwrap(), receipt);
        assert_eq!(heads.due(now().plus_millis(2 * DAY_MS)), None, "the same entry");
        recorder.record(Kind::Operator, "test", "another entry");
        recorder.close();
        // A later process goes on with what the folder says.
        let later = AuditHeads::new(Recorder::open(folder.path()).unwrap(), DAY_MS);
        assert_eq!(later.due(now()), None, "too early");
        assert!(later.due(now().plus_millis(DAY_MS)).is_some_and(|due| due.seq > head.seq));
    }
}
