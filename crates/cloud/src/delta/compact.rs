//! Fewer, larger, sorted files: what keeps look-ups and other engines quick when commits are frequent.

use super::{
    ArchiveError,
    files::DataFile,
    schema::{DAY, day_number},
    table::Table,
};
use arrow::{
    array::{ArrayRef, Date32Array, RecordBatch},
    compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch},
    datatypes::{DataType, Field, Schema},
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Files at least so large are left alone.
const LARGE: u64 = 64 << 20;
/// Merges read at most so many bytes of files at once (some five times that in memory).
const MAX_INPUT: u64 = 256 << 20;

/// Merges the small files of one day into one, sorted by `keys`, if there are at least `threshold`.
pub(super) async fn compact(
    table: &mut Table,
    threshold: usize,
    keys: &[&str],
    metadata: Value,
) -> Result<bool, ArchiveError> {
    if threshold < 2 {
        return Ok(false);
    }
    let mut days: BTreeMap<String, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in table.view().files().iter().filter(|file| file.size < LARGE) {
        days.entry(file.day.clone()).or_default().push(file.clone());
    }
    let Some((day, mut files)) = days.into_iter().find(|(_, files)| files.len() >= threshold) else {
        return Ok(false);
    };
    files.sort_by_key(|file| file.size);
    let mut total = 0;
    files.retain(|file| {
        total += file.size;
        total <= MAX_INPUT
    });
    if files.len() < 2 {
        return Ok(false);
    }
    let Some(day) = day_number(&day) else { return Ok(false) };
    let rows = merge(&table.read_all(&files).await?, keys, day)?;
    table.replace(&files, rows, metadata).await?;
    Ok(true)
}

fn merge(batches: &[RecordBatch], keys: &[&str], day: i32) -> Result<RecordBatch, ArchiveError> {
    let Some(first) = batches.first() else {
        return Err(ArchiveError::Damaged { what: "files to merge hold no rows".into() });
    };
    let all = concat_batches(&first.schema(), batches).map_err(ArchiveError::store)?;
    let columns: Vec<_> = keys
        .iter()
        .filter_map(|key| all.column_by_name(key))
        .map(|values| SortColumn { values: values.clone(), options: None })
        .collect();
    let order = lexsort_to_indices(&columns, None).map_err(ArchiveError::store)?;
    let sorted = take_record_batch(&all, &order).map_err(ArchiveError::store)?;
    // Partition columns are in the path, not in the files.
    let mut fields: Vec<_> = sorted.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(DAY, DataType::Date32, false)));
    let mut arrays = sorted.columns().to_vec();
    arrays.push(Arc::new(Date32Array::from_value(day, sorted.num_rows())) as ArrayRef);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(ArchiveError::store)
}

/// Deletes files that merging replaced more than `hours` ago.
pub(super) async fn vacuum(table: &Table, hours: u64) -> Result<(), ArchiveError> {
    let deleted = table.delete_replaced(hours).await?;
    if deleted > 0 {
        tracing::info!(deleted, "deleted files that merging had replaced");
    }
    Ok(())
}
