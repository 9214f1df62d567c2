//! Commits to a table: one entry of its log each, created where nobody else has written.

use super::{Table, bare_commit, file_writer::FileWriter, files::DataFile, replay::METADATA_KEY};
use crate::delta::{ArchiveError, rows::schema::DAY};
use arrow::array::RecordBatch;
use deltalake::{
    kernel::{Action, Add, Remove, Transaction, transaction::CommitBuilder},
    logstore::CommitOrBytes,
    protocol::{DeltaOperation, SaveMode},
};
use futures::TryStreamExt as _;
use object_store::{ObjectStore as _, PutMode, path::Path};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use voltmesh_telemetry::Timestamp;

/// The log's folder within the table.
const LOG: &str = "_delta_log";

impl Table {
    /// Appends rows as one commit on top of the loaded snapshot and of nothing else.
    pub async fn append_rows(
        &mut self,
        rows: &RecordBatch,
        transactions: Vec<Transaction>,
        metadata: Value,
    ) -> Result<u64, ArchiveError> {
        let mut files = self.committed();
        files.write(rows)?;
        self.append(files, transactions, metadata).await
    }

    /// Appends files as one commit on top of the loaded snapshot and of nothing else.
    pub async fn append(
        &mut self,
        files: FileWriter,
        transactions: Vec<Transaction>,
        metadata: Value,
    ) -> Result<u64, ArchiveError> {
        let adds = files.put(&self.view.store).await?;
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![DAY.to_owned()]),
            predicate: None,
        };
        self.commit(&[], adds, operation, transactions, metadata).await?;
        Ok(self.version)
    }

    /// Writes files that [`Self::exchange`] makes part of the table.
    pub async fn write_files(&self, rows: &RecordBatch) -> Result<Vec<Add>, ArchiveError> {
        let mut files = self.merged();
        files.write(rows)?;
        files.put(&self.view.store).await
    }

    /// Replaces `old` by files with some of their rows, in one commit.
    pub async fn exchange(
        &mut self,
        old: &[Arc<DataFile>],
        adds: Vec<Add>,
        metadata: Value,
    ) -> Result<(), ArchiveError> {
        let (removes, operation) = (removals(old, true, None), DeltaOperation::Delete { predicate: None });
        self.commit(&removes, adds, operation, Vec::new(), metadata).await
    }

    /// Replaces `old` by files with the same rows at `now`. Readers of the old snapshot keep the old files.
    pub async fn replace(
        &mut self,
        old: &[Arc<DataFile>],
        files: FileWriter,
        metadata: Value,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        let mut adds = files.put(&self.view.store).await?;
        // The same rows in fewer files: nothing for a change feed.
        adds.iter_mut().for_each(|add| add.data_change = false);
        let removes = removals(old, false, Some(now));
        let operation = DeltaOperation::Optimize { predicate: None, target_size: 0 };
        self.commit(&removes, adds, operation, Vec::new(), metadata).await?;
        self.upkeep.replaced(now, old.iter().map(|file| file.path.clone()));
        Ok(())
    }

    /// Makes the next version, and no other, of the newest one without `removes` and with `adds`.
    async fn commit(
        &mut self,
        removes: &[Remove],
        adds: Vec<Add>,
        operation: DeltaOperation,
        transactions: Vec<Transaction>,
        metadata: Value,
    ) -> Result<(), ArchiveError> {
        let gone: BTreeSet<&str> = removes.iter().map(|remove| remove.path.as_str()).collect();
        let mut files = self.view.files().as_ref().clone();
        let before = files.len();
        files.retain(|file| !gone.contains(file.path.as_ref()));
        if before - files.len() != gone.len() {
            return Err(ArchiveError::Conflict);
        }
        files.extend(adds.iter().map(|add| Arc::new(data_file(add))));
        let properties = bare_commit()
            .with_application_transactions(transactions)
            .with_metadata([(METADATA_KEY.to_owned(), metadata)]);
        let actions = removes.iter().cloned().map(Action::Remove).chain(adds.into_iter().map(Action::Add));
        let state = self.delta.snapshot().map_err(ArchiveError::store)?;
        let prepared = CommitBuilder::from(properties)
            .with_actions(actions.collect())
            .build(Some(state), self.delta.log_store(), operation)
            .into_prepared_commit_future()
            .await
            .map_err(ArchiveError::store)?;
        let CommitOrBytes::LogBytes(entry) = prepared.commit_or_bytes().clone() else {
            unreachable!("the default log store takes entries as bytes");
        };
        drop(prepared);
        self.is_newest().await?;
        let path = entry_path(self.version + 1);
        self.view.store.put_opts(&path, entry.into(), PutMode::Create.into()).await.map_err(|error| {
            match error {
                // No retries: what someone else wrote may hold the same records, so the caller must look first.
                object_store::Error::AlreadyExists { .. } => ArchiveError::Conflict,
                other => ArchiveError::store(other),
            }
        })?;
        self.version += 1;
        self.view.set(files);
        Ok(())
    }

    /// A conflict if the log's newest entry is not that of our version. Creating the next one would notice another writer's
    /// as well, but not once that has expired, nor that the log was rolled back.
    async fn is_newest(&self) -> Result<(), ArchiveError> {
        let (log, ours) = (Path::from(LOG), entry_path(self.version));
        let before = match self.version.checked_sub(1) {
            Some(before) => entry_path(before),
            None => log.clone(),
        };
        let mut entries = self.view.store.list_with_offset(Some(&log), &before);
        let mut found = false;
        while let Some(entry) = entries.try_next().await.map_err(ArchiveError::store)? {
            found |= entry.location == ours;
            let number = entry.location.filename().and_then(|name| name.get(..20)?.parse::<u64>().ok());
            if number.is_some_and(|number| number > self.version) {
                return Err(ArchiveError::Conflict);
            }
        }
        if found { Ok(()) } else { Err(ArchiveError::Conflict) }
    }
}

fn entry_path(version: u64) -> Path {
    Path::from(format!("{LOG}/{version:020}.json"))
}

/// Removes of these files; at `now`, or at the time of the clock.
fn removals(files: &[Arc<DataFile>], data_change: bool, now: Option<Timestamp>) -> Vec<Remove> {
    let now = now.map_or_else(wall_clock_ms, Timestamp::as_millis);
    files
        .iter()
        .map(|file| Remove {
            path: file.path.to_string(),
            data_change,
            deletion_timestamp: i64::try_from(now).ok(),
            extended_file_metadata: Some(true),
            partition_values: Some(HashMap::from([(DAY.to_owned(), Some(file.day.clone()))])),
            size: i64::try_from(file.size).ok(),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
        })
        .collect()
}

fn wall_clock_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

fn data_file(add: &Add) -> DataFile {
    let path = Path::parse(&add.path).unwrap_or_else(|_| Path::from(add.path.as_str()));
    let day = add.partition_values.get(DAY).cloned().flatten().unwrap_or_default();
    DataFile::new(path, add.size, day, add.stats.as_deref())
}
