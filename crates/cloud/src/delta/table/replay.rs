//! Content of the log beside its files: application transactions (watermarks) and our commit metadata (islands).
//!
//! The library answers for one application id at a time, each with a replay of the log; the archive needs all
//! of them at once when it opens, so this reads the latest checkpoint's `txn` column and the entries after it.

use super::object::ObjectReader;
use crate::delta::ArchiveError;
use arrow::array::{Array, cast::AsArray};
use arrow::datatypes::{DataType, Int64Type};
use deltalake::kernel::{Action, CommitInfo};
use deltalake::logstore::get_actions;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// The key of our object in a commit's metadata.
pub const METADATA_KEY: &str = "voltmesh";

/// Result of a replay of the log up to a version.
#[derive(Debug, Default)]
pub struct Replay {
    /// The latest version of every application id.
    pub transactions: BTreeMap<String, i64>,
    /// Our object in the latest commit that carries one.
    pub metadata: Option<Value>,
    /// Version of the checkpoint that it began with.
    pub checkpoint: Option<u64>,
    /// What of the log other readers may believe, and is not read here.
    pub unread: Vec<String>,
}

/// Replays the log of the table in `store` up to and with `version`.
pub async fn replay(store: &Arc<dyn ObjectStore>, version: u64) -> Result<Replay, ArchiveError> {
    let log = Path::from("_delta_log");
    let mut found = Replay::default();
    let mut checkpoint = None;
    let mut commits = BTreeMap::new();
    for entry in store.list(Some(&log)).try_collect::<Vec<_>>().await.map_err(ArchiveError::store)? {
        let Some(name) = entry.location.filename() else { continue };
        let Some(number) = name.get(..20).and_then(|digits| digits.parse::<u64>().ok()) else { continue };
        match &name[20..] {
            ".json" if number <= version => {
                commits.insert(number, entry.location.clone());
            }
            ".checkpoint.parquet"
                if number <= version && checkpoint.as_ref().is_none_or(|(latest, _, _)| *latest < number) =>
            {
                checkpoint = Some((number, entry.location.clone(), entry.size));
            }
            // Commits up to another one in one file, which some readers take instead of them.
            rest if rest.ends_with(".compacted.json") => {
                found.unread.push(format!("{name} (a compacted log)"))
            }
            _ => {}
        }
    }
    let mut from = 0;
    if let Some((number, path, size)) = checkpoint {
        found.unread.extend(read_checkpoint(store, path, size, &mut found.transactions).await?);
        // The checkpoint's own entry is read again for its metadata, which checkpoints do not keep.
        from = number;
        found.checkpoint = Some(number);
    }
    for (number, path) in commits.range(from..) {
        for action in actions_of(store, *number, path).await? {
            match action {
                Action::Txn(txn) => {
                    found.transactions.insert(txn.app_id, txn.version);
                }
                Action::CommitInfo(info) => {
                    if let Some(value) = metadata_of(&info) {
                        found.metadata = Some(value);
                    }
                }
                _ => {}
            }
        }
    }
    // Only commits without any, of another engine or of merges, come after our newest one: it is in an older entry.
    for (number, path) in commits.range(..from).rev() {
        if found.metadata.is_some() {
            break;
        }
        for action in actions_of(store, *number, path).await? {
            if let Action::CommitInfo(info) = action {
                found.metadata = metadata_of(&info);
            }
        }
    }
    Ok(found)
}

fn metadata_of(info: &CommitInfo) -> Option<Value> {
    info.info.get(METADATA_KEY).filter(|value| !value.is_null()).cloned()
}

async fn actions_of(
    store: &Arc<dyn ObjectStore>,
    version: u64,
    path: &Path,
) -> Result<Vec<Action>, ArchiveError> {
    let entry = store.get(path).await.map_err(ArchiveError::store)?;
    let bytes = entry.bytes().await.map_err(ArchiveError::store)?;
    get_actions(version, &bytes).map_err(ArchiveError::store)
}

/// Adds the checkpoint's watermarks; returns what it says in a form that is not read here.
async fn read_checkpoint(
    store: &Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    into: &mut BTreeMap<String, i64>,
) -> Result<Vec<String>, ArchiveError> {
    let damaged = || ArchiveError::Damaged { what: format!("checkpoint {path} has no readable txn column") };
    let reader = ObjectReader::new(store.clone(), path.clone(), size);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(ArchiveError::store)?;
    let parsed = builder.schema().field_with_name("add").ok().and_then(|add| match add.data_type() {
        DataType::Struct(fields) => Some(fields.iter().filter(|field| field.name().ends_with("_parsed"))),
        _ => None,
    });
    let unread: Vec<String> =
        parsed.into_iter().flatten().map(|field| format!("{} of checkpoint {path}", field.name())).collect();
    let Ok(index) = builder.schema().index_of("txn") else { return Ok(unread) };
    let mask = ProjectionMask::roots(builder.parquet_schema(), [index]);
    let mut batches = builder.with_projection(mask).build().map_err(ArchiveError::store)?;
    while let Some(batch) = batches.try_next().await.map_err(ArchiveError::store)? {
        let txn = batch.column_by_name("txn").and_then(|c| c.as_struct_opt()).ok_or_else(damaged)?;
        let ids = txn.column_by_name("appId").and_then(|c| c.as_string_opt::<i32>()).ok_or_else(damaged)?;
        let versions = txn
            .column_by_name("version")
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .ok_or_else(damaged)?;
        for row in 0..batch.num_rows() {
            if txn.is_valid(row) && ids.is_valid(row) {
                into.insert(ids.value(row).to_owned(), versions.value(row));
            }
        }
    }
    Ok(unread)
}
