//! One Delta table with one writer: append with watermarks, notice anyone else's commit, keep a file index.

use super::{
    ArchiveError, Settings,
    files::{DataFile, Wanted, scan_file},
    replay::{METADATA_KEY, Replay, replay},
    schema::DAY,
    upkeep::Upkeep,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{
        Action, Add, Remove, StructType, Transaction,
        engine::arrow_conversion::TryIntoKernel as _,
        transaction::{CommitBuilder, CommitProperties, TransactionError},
    },
    logstore::{StorageConfig, default_logstore},
    operations::create::CreateBuilder,
    protocol::{DeltaOperation, SaveMode},
    writer::{DeltaWriter as _, RecordBatchWriter},
};
use object_store::{ObjectStore, path::Path, prefix::PrefixStore};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};
use url::Url;
use voltmesh_telemetry::Timestamp;

/// What makes a table.
pub(super) struct Definition {
    pub name: &'static str,
    pub schema: SchemaRef,
    /// Columns with statistics in the log, comma-separated.
    pub indexed: &'static str,
    pub comment: &'static str,
    pub settings: Settings,
}

impl Definition {
    /// The table's properties, by which other engines keep to the same rules.
    fn properties(&self) -> BTreeMap<&'static str, String> {
        let Settings { checkpoint_every, vacuum_hours, log_hours, .. } = self.settings;
        BTreeMap::from([
            ("delta.dataSkippingStatsColumns", self.indexed.to_owned()),
            ("delta.checkpointInterval", checkpoint_every.max(1).to_string()),
            ("delta.logRetentionDuration", format!("interval {log_hours} hours")),
            ("delta.deletedFileRetentionDuration", format!("interval {vacuum_hours} hours")),
            ("delta.enableExpiredLogCleanup", "true".to_owned()),
        ])
    }
}

/// The index of a snapshot's files, shared with readers.
type Files = Arc<RwLock<Arc<Vec<Arc<DataFile>>>>>;

pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) delta: DeltaTable,
    pub(super) view: View,
    properties: WriterProperties,
    pub(super) upkeep: Upkeep,
}

/// A read-only handle on a table that follows its writer's commits.
#[derive(Clone)]
pub(crate) struct View {
    pub(super) store: Arc<dyn ObjectStore>,
    files: Files,
}

impl View {
    /// A table without files, where one cannot be opened.
    pub fn empty(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, files: Files::default() }
    }

    /// The files of the latest snapshot.
    pub fn files(&self) -> Arc<Vec<Arc<DataFile>>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, files: Vec<Arc<DataFile>>) {
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
    }

    /// The wanted rows of all files that can hold any.
    pub async fn scan(&self, columns: &[&str], wanted: &Wanted) -> Result<Vec<RecordBatch>, ArchiveError> {
        let mut found = Vec::new();
        for file in self.files().iter().filter(|file| file.can_hold(wanted)) {
            found.extend(self.scan_file(file, columns, wanted).await?);
        }
        found.retain(|batch| batch.num_rows() > 0);
        Ok(found)
    }

    /// The wanted rows of one file. The partition column is not among them.
    pub async fn scan_file(
        &self,
        file: &DataFile,
        columns: &[&str],
        wanted: &Wanted,
    ) -> Result<Vec<RecordBatch>, ArchiveError> {
        scan_file(&self.store, file, columns, wanted).await
    }
}

impl Table {
    /// Opens the table, or creates it if `create` and there is none. `None` if there is none.
    pub async fn open(
        root: &Arc<dyn ObjectStore>,
        base: &Url,
        definition: &Definition,
        create: bool,
    ) -> Result<Option<Self>, ArchiveError> {
        let Some(mut table) = Self::load(root, base, definition, create).await? else { return Ok(None) };
        table.check_schema(&definition.schema)?;
        if create {
            table.adopt(definition.properties()).await?;
            table.find_replaced().await?;
        }
        Ok(Some(table))
    }

    /// As [`Self::open`], with whatever columns it has: to look at it, not to write.
    pub async fn load(
        root: &Arc<dyn ObjectStore>,
        base: &Url,
        definition: &Definition,
        create: bool,
    ) -> Result<Option<Self>, ArchiveError> {
        let mut url = base.clone();
        let folder = format!("{}/{}/", base.path().trim_end_matches('/'), definition.name);
        url.set_path(&folder);
        let prefix = Path::from_url_path(url.path()).map_err(ArchiveError::store)?;
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(root.clone(), prefix));
        let log = default_logstore(store.clone(), root.clone(), &url, &StorageConfig::default());
        let mut delta = DeltaTable::new(log.clone());
        if log.is_delta_table_location().await.map_err(ArchiveError::store)? {
            delta.load().await.map_err(ArchiveError::store)?;
        } else if create {
            let schema: StructType =
                definition.schema.as_ref().try_into_kernel().map_err(ArchiveError::store)?;
            delta = CreateBuilder::new()
                .with_log_store(log)
                .with_table_name(definition.name)
                .with_comment(definition.comment)
                .with_columns(schema.fields().cloned())
                .with_partition_columns([DAY])
                .with_save_mode(SaveMode::Ignore)
                .with_configuration(
                    definition.properties().into_iter().map(|(key, value)| (key.to_owned(), Some(value))),
                )
                .await
                .map_err(ArchiveError::store)?;
        } else {
            return Ok(None);
        }
        let view = View { store, files: Files::default() };
        let table = Self {
            name: definition.name,
            delta,
            view,
            properties: writer_properties(&definition.schema)?,
            upkeep: Upkeep::new(definition.settings),
        };
        table.index()?;
        Ok(Some(table))
    }

    /// Gives a table that an older version made today's properties.
    async fn adopt(&mut self, wanted: BTreeMap<&'static str, String>) -> Result<(), ArchiveError> {
        let state = self.delta.snapshot().map_err(ArchiveError::store)?;
        let have = state.metadata().configuration();
        let properties: HashMap<String, String> = wanted
            .into_iter()
            .filter(|(key, value)| have.get(*key) != Some(value))
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        if properties.is_empty() {
            return Ok(());
        }
        tracing::info!(table = self.name, ?properties, "the table gets new properties");
        let commit = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        self.delta = self
            .delta
            .clone()
            .set_tbl_properties()
            .with_properties(properties)
            .with_commit_properties(commit)
            .await
            .map_err(conflict_or_store)?;
        Ok(())
    }

    /// A table of an older or foreign layout is refused before anything is written to it.
    pub fn check_schema(&self, schema: &SchemaRef) -> Result<(), ArchiveError> {
        let want: StructType = schema.as_ref().try_into_kernel().map_err(ArchiveError::store)?;
        let have = self.delta.snapshot().map_err(ArchiveError::store)?.schema();
        let missing: Vec<_> = want
            .fields()
            .filter(|field| have.field(field.name()).is_none_or(|f| f.data_type() != field.data_type()))
            .map(|field| field.name().clone())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ArchiveError::Damaged {
            what: format!("table {} lacks or has other types for: {}", self.name, missing.join(", ")),
        })
    }

    /// Brings the file index up to the loaded snapshot.
    pub(super) fn index(&self) -> Result<(), ArchiveError> {
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

    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// The version of the loaded snapshot.
    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default()
    }

    /// Watermarks and metadata of the loaded snapshot.
    pub async fn replay(&self) -> Result<Replay, ArchiveError> {
        replay(&self.view.store, self.version()).await
    }

    /// Loads whatever is committed now.
    pub async fn reload(&mut self) -> Result<(), ArchiveError> {
        self.delta.update_state().await.map_err(ArchiveError::store)?;
        self.find_replaced().await?;
        self.index()
    }

    /// Writes `rows` as one commit on top of the loaded snapshot and of nothing else.
    pub async fn append(
        &mut self,
        rows: RecordBatch,
        transactions: Vec<Transaction>,
        metadata: Value,
    ) -> Result<u64, ArchiveError> {
        let mut adds = Vec::new();
        if rows.num_rows() > 0 {
            let mut writer = RecordBatchWriter::for_table(&self.delta)
                .map_err(ArchiveError::store)?
                .with_writer_properties(self.properties.clone());
            writer.write(rows).await.map_err(ArchiveError::store)?;
            adds = writer.flush().await.map_err(ArchiveError::store)?;
        }
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![DAY.to_owned()]),
            predicate: None,
        };
        let actions = adds.iter().cloned().map(Action::Add).collect();
        self.commit(actions, operation, transactions, metadata).await?;
        let mut files = self.view.files().as_ref().clone();
        files.extend(adds.iter().map(|add| Arc::new(data_file(add))));
        self.view.set(files);
        Ok(self.version())
    }

    /// The table's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Writes files that [`Self::exchange`] makes part of the table.
    pub async fn write_files(&self, rows: RecordBatch) -> Result<Vec<Add>, ArchiveError> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let mut writer = RecordBatchWriter::for_table(&self.delta)
            .map_err(ArchiveError::store)?
            .with_writer_properties(self.properties.clone());
        writer.write(rows).await.map_err(ArchiveError::store)?;
        writer.flush().await.map_err(ArchiveError::store)
    }

    /// Replaces `old` by files with some of their rows, in one commit.
    pub async fn exchange(
        &mut self,
        old: &[Arc<DataFile>],
        adds: Vec<Add>,
        metadata: Value,
    ) -> Result<(), ArchiveError> {
        let state = self.delta.snapshot().map_err(ArchiveError::store)?;
        let mut actions: Vec<Action> = state
            .log_data()
            .iter()
            .filter(|file| old.iter().any(|o| o.path == file.object_store_path()))
            .map(|file| Action::Remove(file.remove_action(true)))
            .collect();
        if actions.len() != old.len() {
            return Err(ArchiveError::Conflict);
        }
        actions.extend(adds.into_iter().map(Action::Add));
        self.commit(actions, DeltaOperation::Delete { predicate: None }, Vec::new(), metadata).await?;
        self.index()
    }

    /// Replaces `old` by one file with the same rows at `now`. Readers of the old snapshot keep the old files.
    pub async fn replace(
        &mut self,
        old: &[Arc<DataFile>],
        rows: RecordBatch,
        metadata: Value,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        let mut writer = RecordBatchWriter::for_table(&self.delta)
            .map_err(ArchiveError::store)?
            .with_writer_properties(self.properties.clone());
        writer.write(rows).await.map_err(ArchiveError::store)?;
        let adds = writer.flush().await.map_err(ArchiveError::store)?;
        let state = self.delta.snapshot().map_err(ArchiveError::store)?;
        let mut actions: Vec<Action> = state
            .log_data()
            .iter()
            .filter(|file| old.iter().any(|o| o.path == file.object_store_path()))
            .map(|file| {
                let deleted = i64::try_from(now.as_millis()).ok();
                Action::Remove(Remove { deletion_timestamp: deleted, ..file.remove_action(false) })
            })
            .collect();
        assert_eq!(actions.len(), old.len(), "compaction removes exactly the files it has read");
        actions.extend(adds.into_iter().map(|mut add| {
            // The same rows in fewer files: nothing for a change feed.
            add.data_change = false;
            Action::Add(add)
        }));
        let operation = DeltaOperation::Optimize { predicate: None, target_size: 0 };
        self.commit(actions, operation, Vec::new(), metadata).await?;
        self.upkeep.replaced(now, old.iter().map(|file| file.path.clone()));
        self.index()
    }

    async fn commit(
        &mut self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        transactions: Vec<Transaction>,
        metadata: Value,
    ) -> Result<(), ArchiveError> {
        // No retries: a version that someone else wrote may hold the same records, so the caller must look first.
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_application_transactions(transactions)
            .with_metadata([(METADATA_KEY.to_owned(), metadata)]);
        let state = self.delta.snapshot().map_err(ArchiveError::store)?;
        let done = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state), self.delta.log_store(), operation)
            .await
            .map_err(conflict_or_store)?;
        self.delta.state = Some(done.snapshot());
        self.checkpoint_if_due().await
    }

    /// All rows of `files`, complete, for compaction.
    pub async fn read_all(&self, files: &[Arc<DataFile>]) -> Result<Vec<RecordBatch>, ArchiveError> {
        let mut found = Vec::new();
        for file in files {
            found.extend(self.view.scan_file(file, &[], &Wanted::default()).await?);
        }
        Ok(found)
    }
}

fn data_file(add: &Add) -> DataFile {
    let path = Path::parse(&add.path).unwrap_or_else(|_| Path::from(add.path.as_str()));
    let day = add.partition_values.get(DAY).cloned().flatten().unwrap_or_default();
    DataFile::new(path, add.size, day, add.stats.as_deref())
}

fn conflict_or_store(error: DeltaTableError) -> ArchiveError {
    match error {
        DeltaTableError::VersionAlreadyExists(_)
        | DeltaTableError::Transaction {
            source:
                TransactionError::MaxCommitAttempts(_)
                | TransactionError::CommitConflict(_)
                | TransactionError::VersionAlreadyExists(_),
        } => ArchiveError::Conflict,
        other => ArchiveError::store(other),
    }
}

/// Zstandard; small counters and cell voltages as deltas, which dictionaries would double.
fn writer_properties(schema: &SchemaRef) -> Result<WriterProperties, ArchiveError> {
    /// Rows in a row group: 96 cells × 65,536 rows are about 25 MB decoded, and one vehicle's rows are few groups.
    const GROUP_ROWS: usize = 65_536;
    /// Some 8,000 batches: what a thousand vehicles send in 80 s.
    const EVIDENCE_PAGE: usize = 8 << 20;
    let level = ZstdLevel::try_new(3).map_err(ArchiveError::store)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    for (column, leaf) in [
        ("number", vec!["number"]),
        ("time", vec!["time"]),
        ("cells_mv", vec!["cells_mv", "list", "element"]),
    ] {
        if schema.index_of(column).is_ok() {
            let path = ColumnPath::new(leaf.into_iter().map(str::to_owned).collect());
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    // Batches of one block stand together and share most of their evidence; those of one vehicle the path to its entry in
    // the registry. Both are stored once in each page.
    let evidence = ColumnPath::from("evidence");
    if schema.index_of("evidence").is_ok() {
        properties = properties.set_column_data_page_size_limit(evidence, EVIDENCE_PAGE);
    }
    for column in ["wire", "evidence", "bytes"] {
        if schema.index_of(column).is_ok() {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
    }
    Ok(properties.build())
}
