//! What a controller keeps, on disk: a snapshot, and the changes since.
//!
//! **Invariant.** What [`Store::write`] has confirmed is read back by [`Store::open`] after any crash, in order.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use voltmesh_identity::write_private;
use voltmesh_spool::{Config, Context, Position, Spool};

use crate::controller::{Change, Kept};

/// Changes after which a new snapshot is written: some 4 MB of journal, read in well under a second.
const EVERY: u64 = 8_192;
/// Largest change: the state of a function that is handed over, 1 MiB as it came, with what is around it; learning of a large
/// fleet.
const MAX_CHANGE: usize = 64 << 20;
/// Changes that are read at once.
const READ: usize = 1_024;
/// File of the snapshot.
const SNAPSHOT: &str = "controller.json";

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk: see its cause.
    #[error("the controller's changes cannot be kept")]
    Spool(#[from] voltmesh_spool::Error),
    /// The snapshot cannot be read or written.
    #[error("the controller's snapshot {path}")]
    Snapshot {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is on disk is not what this version writes.
    #[error(
        "change {position} of the controller's data cannot be read: {problem}; move the data folder away, start with a higher \
         leases.least_term, and functions that run are taken over from the fog nodes"
    )]
    Damaged {
        /// Its position.
        position: Position,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    /// Position of the first change that is not in it.
    next: u64,
    kept: Kept,
}

/// The controller's disk.
pub struct Store<E: Context> {
    spool: Spool<E>,
    snapshot: PathBuf,
    /// Position of the first change that is not in the snapshot.
    next: u64,
}

impl<E: Context> Store<E> {
    /// Opens what is kept in a folder, whose storage is the context's.
    pub async fn open(context: E, folder: &Path) -> Result<(Self, Kept), StoreError> {
        let path = folder.join(SNAPSHOT);
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Snapshot {
            path: path.clone(),
            source,
        };
        let Snapshot { next, mut kept } = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Snapshot { next: 0, kept: Kept::default() }
            }
            Err(error) => return Err(wrong(error.into())),
        };
        let config =
            Config { max_entry: MAX_CHANGE, max_unsynced: 2 * MAX_CHANGE, ..Config::new("controller") };
        let spool = Spool::open(context, config).await?;
        let mut at = Position(next);
        while at < spool.end() {
            let entries = spool.read_from(at, READ, MAX_CHANGE).await?;
            let Some((last, _)) = entries.last() else { break };
            let after = last.next();
            for (position, bytes) in entries {
                let change: Change = serde_json::from_slice(&bytes)
                    .map_err(|error| StoreError::Damaged { position, problem: error.to_string() })?;
                kept.apply(&change);
            }
            at = after;
        }
        Ok((Self { spool, snapshot: path, next }, kept))
    }

    /// Makes changes durable, all with one sync.
    pub async fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        for change in changes {
            let bytes = serde_json::to_vec(change).map_err(|error| StoreError::Snapshot {
                path: self.snapshot.clone(),
                source: error.into(),
            })?;
            self.spool.append(Bytes::from(bytes))?;
        }
        self.spool.sync().await?;
        Ok(())
    }

    /// Whether a snapshot is due.
    pub fn wants_snapshot(&self) -> bool {
        self.spool.end().0 >= self.next + EVERY
    }

    /// Writes a snapshot of what is kept, in which every change is that was written; the changes go.
    pub async fn snapshot(&mut self, kept: Kept) -> Result<(), StoreError> {
        let next = self.spool.end().0;
        let wrong = |path: &Path, source: Box<dyn std::error::Error + Send + Sync>| StoreError::Snapshot {
            path: path.to_owned(),
            source,
        };
        let bytes = serde_json::to_vec(&Snapshot { next, kept })
            .map_err(|error| wrong(&self.snapshot, error.into()))?;
        write_private(&self.snapshot, &bytes).map_err(|error| wrong(&self.snapshot, error.into()))?;
        for position in self.next..next {
            self.spool.ack(Position(position))?;
        }
        self.next = next;
        Ok(self.spool.checkpoint().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Runner as _, Supervisor as _, deterministic};

    fn changes() -> Vec<Change> {
        vec![
            Change::Term { term: 3 },
            Change::Numbers { orders: 1_000, leases: 7 },
            Change::Paused { paused: true },
            Change::Withheld {
                vehicle: "car-1".parse().expect("a name"),
                function: "guard".into(),
                decision: 4,
            },
        ]
    }

    /// Whatever is between two openings, a snapshot or none, the same is kept.
    #[test]
    fn what_was_written_is_read_back() {
        for with_snapshot in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().to_owned();
            deterministic::Runner::default().start(|context| async move {
                let mut expected = Kept::default();
                for round in 0..3_u32 {
                    let (mut store, kept) = Store::open(context.child("store"), &path).await.expect("opens");
                    assert_eq!(kept, expected);
                    let mut more = changes();
                    more.push(Change::Term { term: 4 + round });
                    store.write(&more).await.expect("writes");
                    more.iter().for_each(|change| expected.apply(change));
                    if with_snapshot {
                        store.snapshot(expected.clone()).await.expect("writes");
                        let last = [Change::Paused { paused: round % 2 == 0 }];
                        store.write(&last).await.expect("writes");
                        last.iter().for_each(|change| expected.apply(change));
                    }
                }
            });
        }
    }
}
