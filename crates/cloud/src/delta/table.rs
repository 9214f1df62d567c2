//! One Delta table with one writer: append with watermarks, notice anyone else's commit, keep a file index.
//!
//! A commit is one entry of the log, created at the version after the newest one that this writer knows, and only if
//! nobody else has written there. What the commit changes is applied to the file index at hand: the library would list and
//! replay the log after each commit and keep what it read in memory, at a cost that grows with the commits since the last
//! checkpoint. Its snapshot here is that of the opening; it tells columns, properties and protocol, which no commit of
//! ours changes.

use super::{
    ArchiveError, Settings,
    encoding::{COMMITTED, MERGED, writer_properties},
    file_writer::FileWriter,
    files::{DataFile, Wanted, scan_file},
    replay::{METADATA_KEY, Replay, replay},
    schema::{ADDED, DAY},
    upkeep::Upkeep,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{
        Action, Add, DataType as DeltaType, MetadataExt as _, Remove, StructField, StructType, Transaction,
        engine::arrow_conversion::TryIntoKernel as _,
        transaction::{CommitBuilder, CommitProperties, TransactionError},
    },
    logstore::{CommitOrBytes, StorageConfig, default_logstore},
    operations::create::CreateBuilder,
    protocol::{DeltaOperation, SaveMode},
    table::state::DeltaTableState,
};
use futures::TryStreamExt as _;
use object_store::{ObjectStore, PutMode, path::Path, prefix::PrefixStore};
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};
use url::Url;
use voltmesh_telemetry::Timestamp;

/// Definition of a table.
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
    /// As it was when it was loaded.
    pub(super) delta: DeltaTable,
    /// The newest version: what was loaded, and our commits since then.
    version: u64,
    pub(super) view: View,
    schema: SchemaRef,
    indexed: &'static str,
    /// How the files of commits are written, and those that merging and repairs make of them.
    properties: [WriterProperties; 2],
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
            table.widen(&definition.schema).await?;
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
        let mut table = Self {
            name: definition.name,
            delta,
            version: 0,
            view,
            schema: definition.schema.clone(),
            indexed: definition.indexed,
            properties: [
                writer_properties(&definition.schema, COMMITTED)?,
                writer_properties(&definition.schema, MERGED)?,
            ],
            upkeep: Upkeep::new(definition.settings),
        };
        table.index()?;
        Ok(Some(table))
    }

    /// Gives a table that an older version made the columns that came later, and nulls where there may be any now.
    async fn widen(&mut self, schema: &SchemaRef) -> Result<(), ArchiveError> {
        let want: StructType = schema.as_ref().try_into_kernel().map_err(ArchiveError::store)?;
        let state = self.delta.snapshot().map_err(ArchiveError::store)?;
        let have = state.schema();
        // `check_schema` has found that the types are the same but for nulls.
        let looser = |field: &StructField| want.field(field.name()).filter(|want| is_looser(want, field));
        let loosened: Vec<_> = have.fields().filter_map(looser).map(|field| field.name().clone()).collect();
        let new: Vec<_> = want.fields().filter(|field| have.field(field.name()).is_none()).cloned().collect();
        if new.is_empty() && loosened.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = new.iter().map(|field| field.name().as_str()).collect();
        let columns = names.join(", ");
        tracing::info!(
            table = self.name,
            columns,
            nullable = loosened.join(", "),
            "the table gets new columns"
        );
        let fields = have.fields().map(|field| looser(field).unwrap_or(field)).chain(&new).cloned();
        let widened = StructType::try_new(fields).map_err(ArchiveError::store)?;
        let metadata = state.metadata().clone().with_schema(&widened).map_err(ArchiveError::store)?;
        let operation = DeltaOperation::AddColumn { fields: new };
        let commit = CommitBuilder::from(bare_commit())
            .with_actions(vec![Action::Metadata(metadata)])
            .build(Some(state), self.delta.log_store(), operation)
            .await
            .map_err(conflict_or_store)?;
        self.delta.state = Some(commit.snapshot());
        self.index()
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
        self.delta = self
            .delta
            .clone()
            .set_tbl_properties()
            .with_properties(properties)
            .with_commit_properties(bare_commit())
            .await
            .map_err(conflict_or_store)?;
        self.index()
    }

    /// A table of an older or foreign layout is refused before anything is written to it.
    pub fn check_schema(&self, schema: &SchemaRef) -> Result<(), ArchiveError> {
        let want: StructType = schema.as_ref().try_into_kernel().map_err(ArchiveError::store)?;
        let have = self.delta.snapshot().map_err(ArchiveError::store)?.schema();
        let missing: Vec<_> = want
            .fields()
            .filter(|field| match have.field(field.name()) {
                Some(have) => !same_but_nulls(have.data_type(), field.data_type()),
                None => !ADDED.contains(&field.name().as_str()),
            })
            .map(|field| field.name().clone())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ArchiveError::Damaged {
            what: format!("table {} lacks or has other types for: {}", self.name, missing.join(", ")),
        })
    }

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
        self.find_replaced().await?;
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

    /// The table's name.
    pub fn name(&self) -> &'static str {
        self.name
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

/// Whether two types are the same but for where they allow nulls.
fn same_but_nulls(a: &DeltaType, b: &DeltaType) -> bool {
    match (a, b) {
        (DeltaType::Array(a), DeltaType::Array(b)) => same_but_nulls(a.element_type(), b.element_type()),
        _ => a == b,
    }
}

/// Whether a column of today may hold nulls where an older one may not.
fn is_looser(want: &StructField, have: &StructField) -> bool {
    let elements = match (want.data_type(), have.data_type()) {
        (DeltaType::Array(want), DeltaType::Array(have)) => want.contains_null() && !have.contains_null(),
        _ => false,
    };
    elements || want.is_nullable() && !have.is_nullable()
}

/// A commit without retries, for a version that someone else wrote may hold the same records, so the caller must look
/// first; and without the library's upkeep.
fn bare_commit() -> CommitProperties {
    CommitProperties::default()
        .with_max_retries(0)
        .with_create_checkpoint(false)
        .with_cleanup_expired_logs(Some(false))
}

/// The log's folder within the table.
const LOG: &str = "_delta_log";

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
