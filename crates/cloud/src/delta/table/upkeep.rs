//! An end for what each commit leaves behind: log entries, files that merging replaced, and what the library keeps of
//! each commit in memory.
//!
//! The library's snapshot holds some 40 kB of Arrow arrays for each commit that it has followed, so it follows none
//! ([`super::Table`]): one is loaded for each checkpoint and dropped again.
//!
//! An entry of the log is deleted once it is older than `log_hours` and than the latest checkpoint that is older than
//! that, so that every version of those hours can still be read. A replaced file is deleted after `vacuum_hours`.
//! Neither is looked for with a scan: replaced files are in a queue in memory, which is filled from the log once, at the
//! start; the log is listed once for each checkpoint.

use crate::delta::{ArchiveError, Settings};
use deltalake::{DeltaTable, checkpoints, table::state::DeltaTableState};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use std::{collections::VecDeque, sync::Arc};
use voltmesh_telemetry::Timestamp;

/// Replaced files that are deleted after one commit at most: eight merges of 32 files.
const DELETIONS: usize = 256;
const HOUR_MS: u64 = 3_600_000;

/// Upkeep that is due for one table.
#[derive(Debug)]
pub struct Upkeep {
    /// Name of the table.
    table: &'static str,
    settings: Settings,
    /// Version of the latest checkpoint.
    checkpoint: u64,
    /// Whether log entries may have expired since they were last looked for.
    log_due: bool,
    /// Files that merging replaced, and when; oldest first.
    replaced: VecDeque<(Timestamp, Path)>,
}

impl Upkeep {
    pub fn new(table: &'static str, settings: Settings) -> Self {
        Self { table, settings, checkpoint: 0, log_due: false, replaced: VecDeque::new() }
    }

    /// The log was found to have its latest checkpoint there.
    pub fn checkpointed(&mut self, version: Option<u64>) {
        self.checkpoint = version.unwrap_or(0);
    }

    /// Files were replaced.
    pub fn replaced(&mut self, now: Timestamp, files: impl Iterator<Item = Path>) {
        self.replaced.extend(files.map(|path| (now, path)));
    }

    /// Writes a checkpoint if the last one is long enough ago.
    pub async fn checkpoint_if_due(&mut self, table: &DeltaTable, version: u64) -> Result<(), ArchiveError> {
        if version < self.checkpoint + self.settings.checkpoint_every.max(1) {
            return Ok(());
        }
        let log = table.log_store();
        let state = DeltaTableState::try_new(&log, Some(version)).await.map_err(ArchiveError::store)?;
        let mut now = table.clone();
        now.state = Some(state);
        checkpoints::create_checkpoint(&now, None).await.map_err(ArchiveError::store)?;
        self.checkpoint = version;
        self.log_due = true;
        Ok(())
    }

    /// Fills the queue of replaced files from the log's tombstones.
    pub async fn find_replaced(&mut self, table: &DeltaTable) -> Result<(), ArchiveError> {
        let state = table.snapshot().map_err(ArchiveError::store)?;
        let log = table.log_store();
        let tombstones: Vec<_> =
            state.all_tombstones(&log).try_collect().await.map_err(ArchiveError::store)?;
        let mut replaced = Vec::with_capacity(tombstones.len());
        for file in &tombstones {
            let path = Path::parse(file.path().as_ref()).map_err(ArchiveError::store)?;
            let at = file.deletion_timestamp().and_then(|at| u64::try_from(at).ok()).unwrap_or(0);
            replaced.push((Timestamp::from_millis(at), path));
        }
        replaced.sort();
        self.replaced = replaced.into();
        Ok(())
    }

    /// Deletes log entries and replaced files in `store` whose time is over at `now`.
    pub async fn expire(
        &mut self,
        table: &DeltaTable,
        version: u64,
        store: &Arc<dyn ObjectStore>,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        let Settings { vacuum_hours, log_hours, .. } = self.settings;
        let before = |hours: u64| now.as_millis().saturating_sub(hours.saturating_mul(HOUR_MS));
        if std::mem::take(&mut self.log_due) {
            let log = table.log_store();
            let cutoff = i64::try_from(before(log_hours)).unwrap_or(i64::MAX);
            let expired = checkpoints::cleanup_expired_logs_for(version, &log, cutoff, None);
            let deleted = expired.await.map_err(ArchiveError::store)?;
            tracing::debug!(table = self.table, deleted, "deleted expired log entries");
        }
        let cutoff = Timestamp::from_millis(before(vacuum_hours));
        for _ in 0..DELETIONS {
            let Some((_, path)) = self.replaced.front().filter(|(at, _)| *at <= cutoff) else { break };
            match store.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => self.replaced.pop_front(),
                Err(error) => return Err(ArchiveError::store(error)),
            };
        }
        Ok(())
    }
}
