//! Heads of this node's audit log onto the ledger, and their receipts beside the log.
//!
//! Provided: each so many hours the newest durable entry is committed to; once final, the proof is a file that
//! `voltmesh audit verify --trust` reads. Not provided: that whoever may write the folder leaves the receipts there. Keep
//! copies of them elsewhere, as of any noted head.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rand::RngExt as _;
use voltmesh_audit::{Head, HeadStatement, Recorder};
use voltmesh_consensus::{Handle, SubmitError};
use voltmesh_identity::{create_private_dir, write_private};
use voltmesh_ledger::{Act, EventProof, EventSalt, Lane, PrivateKey, salted_digest};
use voltmesh_telemetry::VehicleId;

use crate::Error;

/// Folder of the receipts in the log's.
const RECEIPTS: &str = "ledger";

/// Receipts that are kept: a year of daily ones, some 2 KiB each with four authorities. The oldest goes.
const KEPT: usize = 366;

/// Between two looks whether a head is due, and longest wait before another try.
const LOOK: Duration = Duration::from_secs(60);

/// Before the first other try; each further wait is twice as long.
const RETRY: Duration = Duration::from_secs(2);

/// Longest wait until a head is final; after it another one is submitted.
const PATIENCE: Duration = Duration::from_secs(600);

/// Numbers tried if lists of before a restart still wait under the first ones.
const TRIES: u64 = 8;

/// Who puts the heads of which log onto which ledger.
pub(super) struct AuditHeads {
    pub recorder: Recorder,
    pub ledger: Handle,
    pub key: PrivateKey,
    pub fog: VehicleId,
    /// Time between two heads.
    pub every: Duration,
}

impl AuditHeads {
    /// Anchors heads as they are due, until the ledger ends.
    pub(super) async fn run(self) {
        let Some(folder) = self.recorder.folder().map(|folder| folder.join(RECEIPTS)) else { return };
        let (mut told, mut pause) = (false, RETRY);
        loop {
            let head = self.recorder.head().filter(|head| is_due(&folder, *head, self.every));
            if let Some(head) = head {
                match self.anchor(&folder, head).await {
                    Ok(()) => (told, pause) = (false, RETRY),
                    // Such as a node that is not an authority yet: said once.
                    Err(why) if !told => {
                        told = true;
                        tracing::warn!(%why, "the head of the audit log is not on the ledger; it is tried again, at least every minute");
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    Err(_) => {
                        pause = (2 * pause).min(LOOK);
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Puts a head onto the ledger, waits until it is final, and keeps the receipt.
    async fn anchor(&self, folder: &Path, head: Head) -> Result<(), String> {
        let statement = HeadStatement { node: self.fog.to_string(), head }.to_bytes();
        let mut salt: EventSalt = [0; 16];
        rand::rng().fill(&mut salt[..]);
        let digest = salted_digest(&salt, &statement);
        let mut finals = self.ledger.subscribe(self.ledger.height());
        let act = self.submit(digest)?;
        let found = async {
            loop {
                match finals.next().await {
                    Some(finalized) => {
                        if let Some(evidence) = finalized.act_evidence(&act) {
                            return Ok(evidence);
                        }
                    }
                    None => return Err("the ledger has ended".to_owned()),
                }
            }
        };
        let late = || format!("it is not final after {PATIENCE:?}");
        let evidence = tokio::time::timeout(PATIENCE, found).await.map_err(|_| late())??;
        let proof = EventProof::of_event(salt, statement.into(), &[digest], 0, evidence);
        let proof = proof.ok_or("the list has one event")?;
        keep(folder, head, &proof.to_bytes()).map_err(|error| error.to_string())?;
        tracing::info!(%head, "the head of the audit log is on the ledger");
        Ok(())
    }

    /// Submits a list of this one digest, under the first free number.
    fn submit(&self, digest: voltmesh_ledger::SaltedDigest) -> Result<Act, String> {
        use commonware_cryptography::Signer as _;
        let first = self.ledger.next_event_sequence(&self.key.public_key(), Lane::Audit);
        for number in first..first.saturating_add(TRIES) {
            match self.ledger.submit_events(&self.key, Lane::Audit, number, vec![digest]) {
                Ok(list) => return Ok(Act::of_events(&list)),
                Err(SubmitError::Conflict { .. }) => {}
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                    return Err(format!("{error}{}", cause.unwrap_or_default()));
                }
            }
        }
        Err(format!("{TRIES} earlier heads wait for a block"))
    }
}

/// Whether the newest receipt is old enough, and of another entry.
fn is_due(folder: &Path, head: Head, every: Duration) -> bool {
    let Some(newest) = receipts(folder).pop() else { return true };
    if newest == path_of(folder, head) {
        return false;
    }
    let written = std::fs::metadata(&newest).and_then(|about| about.modified());
    // A clock that went back must not keep heads from the ledger.
    written.map_or(true, |at| SystemTime::now().duration_since(at).map_or(true, |age| age >= every))
}

fn path_of(folder: &Path, head: Head) -> PathBuf {
    folder.join(format!("head-{:020}.event", head.seq))
}

/// Receipts of a folder, oldest first.
fn receipts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "event"))
        .collect();
    all.sort();
    all
}

/// Writes a receipt; the oldest past the bound goes.
fn keep(folder: &Path, head: Head, proof: &[u8]) -> Result<(), Error> {
    create_private_dir(folder)?;
    write_private(&path_of(folder, head), proof)?;
    let all = receipts(folder);
    for oldest in all.iter().take(all.len().saturating_sub(KEPT)) {
        std::fs::remove_file(oldest).map_err(Error::file("remove", oldest))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_due_once_a_period_and_receipts_are_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join(RECEIPTS);
        let head = |seq| Head { seq, hash: voltmesh_audit::Hash::default() };
        let day = Duration::from_secs(86_400);
        assert!(is_due(&folder, head(3), day), "none yet");
        keep(&folder, head(3), b"proof").expect("written");
        assert!(!is_due(&folder, head(3), Duration::ZERO), "the same entry");
        assert!(!is_due(&folder, head(4), day), "too early");
        assert!(is_due(&folder, head(4), Duration::ZERO));
        for seq in 10..10 + KEPT as u64 {
            keep(&folder, head(seq), b"proof").expect("written");
        }
        let all = receipts(&folder);
        assert_eq!((all.len(), all.first()), (KEPT, Some(&path_of(&folder, head(10)))));
    }
}
