//! Reading of what is in the spool, and the check of all of it.

use super::Spool;
use crate::{Error, Position};
use bytes::Bytes;
use commonware_runtime::ReadOptions;
use commonware_storage::Context;
use commonware_storage::journal::contiguous::Contiguous as _;
use futures::StreamExt as _;

/// Result of [`Spool::verify`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Entries on disk, acknowledged ones that are not pruned yet included.
    pub entries: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

impl<E: Context> Spool<E> {
    /// The payload at a position, durable or not; `None` if it is removed or not there.
    ///
    /// # Errors
    /// [`Error::Storage`] or [`Error::Corrupt`].
    pub async fn read(&self, position: Position) -> Result<Option<Bytes>, Error> {
        if position.0 >= self.durable {
            let index = usize::try_from(position.0 - self.durable).unwrap_or(usize::MAX);
            return Ok(self.pending.get(index).map(|e| e.payload.clone()));
        }
        self.view.payload(position.0).await.map_err(|e| self.read_failed(position.0, e))
    }

    /// Durable, unacknowledged entries in order from `from` on: at most `limit`, and no more after `max_bytes`
    /// of payload are reached.
    ///
    /// # Errors
    /// [`Error::Storage`] or [`Error::Corrupt`].
    pub async fn read_from(
        &self,
        from: Position,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Bytes)>, Error> {
        let acks = self.lock_acks().clone();
        self.view.read_from(&self.config.name, &acks, from, limit, max_bytes).await
    }

    /// The newest durable entry, acknowledged or not.
    ///
    /// # Errors
    /// [`Error::Storage`] or [`Error::Corrupt`].
    pub async fn last(&self) -> Result<Option<(Position, Bytes)>, Error> {
        Ok(self.last_entry().await?.map(|e| (Position(self.last_position()), e.payload)))
    }

    /// Reads every entry that is on disk and checks checksums, order and completeness.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first damaged position, or [`Error::Storage`].
    pub async fn verify(&self) -> Result<Verified, Error> {
        let mut verified = Verified::default();
        let mut before = None;
        for segment in &self.view.segments {
            let bounds = segment.reader.bounds();
            let mut next = segment.base + bounds.start;
            let buffer = crate::config::REPLAY_BUFFER;
            let replay = segment.reader.replay(bounds, buffer, ReadOptions::default()).await;
            let mut batches = std::pin::pin!(replay.map_err(|e| self.read_failed(next, e))?);
            while let Some(batch) = batches.next().await {
                for (local, entry) in batch.map_err(|e| self.read_failed(next, e))? {
                    if segment.base + local != next || before.is_some_and(|b| b != entry.before) {
                        return Err(self.corrupt(next, "an entry is missing before this one".into()));
                    }
                    verified.entries += 1;
                    verified.bytes += entry.payload.len() as u64;
                    before = Some(entry.after());
                    next += 1;
                }
            }
            if next != segment.end {
                return Err(self.corrupt(next, "the file ends early".into()));
            }
        }
        Ok(verified)
    }
}
