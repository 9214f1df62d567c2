//! One Delta table with one writer: append with watermarks, notice anyone else's commit, keep a file index.
//!
//! A commit is one entry of the log, created at the version after the newest one that this writer knows, and only if
//! nobody else has written there. What the commit changes is applied to the file index at hand: the library would list and
//! replay the log after each commit and keep what it read in memory, at a cost that grows with the commits since the last
//! checkpoint. Its snapshot here is that of the opening; it tells columns, properties and protocol, which no commit of
//! ours changes.

mod cells_column;
mod commit;
pub mod compact;
mod encoding;
mod file_writer;
mod files;
mod merge;
mod object;
mod opening;
mod parquet_file;
mod replay;
mod said;
pub mod upkeep;
mod view;

pub use files::{DataFile, Wanted, WholeFile, joined, metadata};
pub use replay::Replay;
pub use said::{Said, SaidOfFile};
pub use view::View;

use super::{ArchiveError, rows::schema::DAY};
use arrow::datatypes::SchemaRef;
use deltalake::{DeltaTable, kernel::transaction::CommitProperties, table::state::DeltaTableState};
use file_writer::FileWriter;
use parquet::file::properties::WriterProperties;
use replay::replay;
use std::sync::Arc;
use upkeep::Upkeep;
use voltmesh_telemetry::Timestamp;

/// A Delta table and its one writer.
pub struct Table {
    name: &'static str,
    /// As it was when it was loaded.
    delta: DeltaTable,
    /// The newest version: what was loaded, and our commits since then.
    version: u64,
    view: View,
    schema: SchemaRef,
    indexed: &'static str,
    /// How the files of commits are written, and those that merging and repairs make of them.
    properties: [WriterProperties; 2],
    upkeep: Upkeep,
}

impl Table {
    /// Brings version and file index up to the loaded snapshot.
    fn index(&mut self) -> Result<(), ArchiveError> {
        self.version = self.delta.version().unwrap_or_default();
        let state = self.delta.snapshot().map_err(ArchiveError::store)?;
        let files = state
            .log_data()
            .iter()
            .map(|file| {
                let day = file.partition_values_map().remove(DAY).flatten().unwrap_or_default();
                Arc::new(DataFile::new(file.object_store_path(), file.size(), day, file.stats().as_deref()))
            })
            .collect();
        self.view.set(files);
        Ok(())
    }

    /// A handle for reading.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// The newest version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Watermarks and metadata of the newest version.
    pub async fn replay(&self) -> Result<Replay, ArchiveError> {
        replay(&self.view.store, self.version).await
    }

    /// Loads whatever is committed now.
    pub async fn reload(&mut self) -> Result<(), ArchiveError> {
        let log = self.delta.log_store();
        let state = DeltaTableState::try_new(&log, None).await.map_err(ArchiveError::store)?;
        let (name, was, found) = (self.name, self.version, state.version());
        if found < was {
            return Err(ArchiveError::Damaged {
                what: format!(
                    "table {name} was at version {was}, and is at {found}: its log was rolled back, or is listed late"
                ),
            });
        }
        self.delta.state = Some(state);
        self.upkeep.find_replaced(&self.delta).await?;
        self.index()
    }

    /// Begins the files of a commit.
    pub fn committed(&self) -> FileWriter {
        FileWriter::new(&self.schema, self.indexed, self.properties[0].clone())
    }

    /// Begins the files that merging and repairs make of others.
    pub fn merged(&self) -> FileWriter {
        FileWriter::new(&self.schema, self.indexed, self.properties[1].clone())
    }

    /// The table's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The log was found to have its latest checkpoint there.
    pub fn checkpointed(&mut self, version: Option<u64>) {
        self.upkeep.checkpointed(version);
    }

    /// Writes a checkpoint if the last one is long enough ago.
    pub async fn checkpoint_if_due(&mut self) -> Result<(), ArchiveError> {
        self.upkeep.checkpoint_if_due(&self.delta, self.version).await
    }

    /// Deletes log entries and replaced files whose time is over at `now`.
    pub async fn expire(&mut self, now: Timestamp) -> Result<(), ArchiveError> {
        self.upkeep.expire(&self.delta, self.version, &self.view.store, now).await
    }
}

/// A commit without retries, for a version that someone else wrote may hold the same records, so the caller must look
/// first; and without the library's upkeep.
fn bare_commit() -> CommitProperties {
    CommitProperties::default()
        .with_max_retries(0)
        .with_create_checkpoint(false)
        .with_cleanup_expired_logs(Some(false))
}
