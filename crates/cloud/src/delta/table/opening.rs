//! Opening a table: created if it is not there, and brought to the columns and properties of this version.

use super::{
    Table, bare_commit,
    encoding::{COMMITTED, MERGED, writer_properties},
    upkeep::Upkeep,
    view::View,
};
use crate::delta::{
    ArchiveError,
    definitions::Definition,
    rows::schema::{ADDED, DAY},
};
use arrow::datatypes::SchemaRef;
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{
        Action, DataType as DeltaType, MetadataExt as _, StructField, StructType,
        engine::arrow_conversion::TryIntoKernel as _,
        transaction::{CommitBuilder, TransactionError},
    },
    logstore::{StorageConfig, default_logstore},
    operations::create::CreateBuilder,
    protocol::{DeltaOperation, SaveMode},
};
use object_store::{ObjectStore, path::Path, prefix::PrefixStore};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use url::Url;

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
            table.upkeep.find_replaced(&table.delta).await?;
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
        let mut table = Self {
            name: definition.name,
            delta,
            version: 0,
            view: View::empty(store),
            schema: definition.schema.clone(),
            indexed: definition.indexed,
            properties: [
                writer_properties(&definition.schema, COMMITTED)?,
                writer_properties(&definition.schema, MERGED)?,
            ],
            upkeep: Upkeep::new(definition.name, definition.settings),
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
