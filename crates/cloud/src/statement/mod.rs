//! The archive's signed statements: when one is made, where they are kept, to whom they go.
//!
//! **Invariant.** A statement is durable beside the archive before anybody is sent it, under a number that no other has.
//! So whoever has the archive can tell each leaf of the ledger's log that is a statement from one that is a batch.
//!
//! Provided: a statement within `every_s` of a commit, and each hour; each begins where the one before it ended, unless the
//! archive was rolled back, which the fog nodes then refuse and say; the places in the log that fog nodes tell of, with
//! evidence; the head of the cloud's audit log in one of them each so many hours ([`AuditHeads`]). Not provided: a statement from before a rollback; that is in the log, and fog nodes keep it
//! (`voltmesh chain statement`).

mod audit_head;
mod store;

pub use audit_head::AuditHeads;
pub use store::{MAX_STATEMENTS, StatementStore, read_places, read_statements};

use crate::delta::Holding;
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use voltmesh_control::{ArchiveStatement, AuditHead};
use voltmesh_ledger::AnchoredStatement;
use voltmesh_telemetry::Timestamp;

/// A statement is made each hour though nothing changed: it shows that nothing did.
const IDLE_MS: u64 = 3_600_000;

/// Schedule and content of the archive's statements.
pub struct Statements {
    cloud: String,
    every_ms: u64,
    holding: Holding,
    newest: Option<ArchiveStatement>,
    /// When the last one was made, or tried, by this process's clock.
    last: Option<Timestamp>,
    /// Head of the audit log that the next one is to name.
    audit: Option<AuditHead>,
}

impl Statements {
    /// Goes on after `newest`, the last one that was kept.
    pub fn new(cloud: &str, every_ms: u64, newest: Option<ArchiveStatement>) -> Self {
        Self {
            cloud: cloud.to_owned(),
            every_ms,
            holding: Holding::default(),
            newest,
            last: None,
            audit: None,
        }
    }

    /// Takes note of what the archive holds now.
    pub fn hold(&mut self, holding: Holding) {
        self.holding = holding;
    }

    /// Lets the next statement name this head of the audit log, and makes one due.
    pub fn name_head(&mut self, head: Option<AuditHead>) {
        self.audit = head;
    }

    /// Whether the archive has lost what the newest statement says it held.
    pub fn went_back(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| !newest.may_become(&self.next(newest.time)))
    }

    /// When the next one is due; `None` while there is nothing to say.
    pub fn deadline(&self) -> Option<Timestamp> {
        let changed = match &self.newest {
            Some(newest) => {
                (newest.records, newest.batches, newest.quarantine)
                    != (self.holding.records, self.holding.batches, self.holding.quarantine)
            }
            None => self.holding != Holding { versions: self.holding.versions, ..Holding::default() },
        };
        let pace = match (changed, &self.newest) {
            (true, _) => self.every_ms,
            (false, Some(_)) if self.audit.is_some() => self.every_ms,
            (false, Some(_)) => IDLE_MS,
            (false, None) => return None,
        };
        // The first one of a process does not wait.
        Some(self.last.map_or(Timestamp::from_millis(0), |last| last.plus_millis(pace)))
    }

    /// The statement that is due now, if one is. It is to be kept and sent; a later one follows whether that works or not.
    pub fn make(&mut self, now: Timestamp) -> Option<ArchiveStatement> {
        if self.deadline().is_none_or(|due| due > now) {
            return None;
        }
        self.last = Some(now);
        Some(self.next(now))
    }

    /// A statement that was made is durable.
    pub fn kept(&mut self, statement: ArchiveStatement) {
        self.newest = Some(statement);
    }

    fn next(&self, time: Timestamp) -> ArchiveStatement {
        let Holding { versions, records, batches, quarantine } = self.holding;
        ArchiveStatement {
            cloud: self.cloud.clone(),
            sequence: self.newest.as_ref().map_or(0, |newest| newest.sequence) + 1,
            time,
            versions,
            records,
            batches,
            quarantine,
            audit: self.audit,
        }
    }
}

/// Where statements are kept, by whom they are signed, and the heads of the audit log that they name.
pub struct StatementFiles {
    /// On disk.
    pub store: StatementStore,
    /// The cloud's key.
    pub key: SigningKey,
    /// Heads of the audit log.
    pub heads: AuditHeads,
}

/// Makes statements until the archive's writer ends; each goes to `send` once it is kept.
pub async fn run(
    mut statements: Statements,
    files: StatementFiles,
    mut holdings: watch::Receiver<Holding>,
    send: mpsc::Sender<Bytes>,
    mut places: mpsc::Receiver<AnchoredStatement>,
    now: impl Fn() -> Timestamp,
) {
    let StatementFiles { mut store, key, mut heads } = files;
    statements.hold(*holdings.borrow_and_update());
    if statements.went_back() {
        tracing::error!(
            "THE ARCHIVE WENT BACK: it holds less than, or other batches than, its newest statement says; was a backup \
             restored? Fog nodes will refuse its statements"
        );
    }
    loop {
        statements.name_head(heads.due(now()));
        if let Some(statement) = statements.make(now()) {
            let bytes = Bytes::from(statement.sign(&key));
            match store.append(statement.sequence, &bytes).await {
                Ok(()) => {
                    heads.said(statement.audit, now());
                    statements.kept(statement);
                    if send.send(bytes).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a statement cannot be kept; the next one will be tried")
                }
            }
        }
        let due = statements.deadline().map(|due| Duration::from_millis(due.millis_since(now())));
        let wait = [due, heads.look()].into_iter().flatten().min();
        tokio::select! {
            changed = holdings.changed() => match changed {
                Ok(()) => statements.hold(*holdings.borrow_and_update()),
                Err(_) => return,
            },
            Some(anchored) = places.recv() => {
                if let Err(error) = store.keep_place(&anchored).await {
                    tracing::warn!(%error, "where a statement is in the log cannot be kept; fog nodes tell it again");
                }
                heads.keep(&anchored).await;
            }
            () = sleep(wait) => {}
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
