//! The data files of a table's snapshot, and scans that open only those that can hold a wanted row.
//!
//! A file is skipped by the statistics in the Delta log, a row group by those in the Parquet footer, and within a
//! row group only the key columns are decoded for rows that do not match.

use super::object::ObjectReader;
use crate::delta::ArchiveError;
use arrow::{
    array::{BooleanArray, Int64Array, RecordBatch, StringArray},
    compute::{and, concat_batches, kernels::cmp},
};
use futures::TryStreamExt;
use object_store::{ObjectStore, path::Path};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowPredicateFn, ArrowReaderOptions, RowFilter},
        async_reader::AsyncFileReader as _,
    },
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData},
        statistics::Statistics,
    },
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A closed range of a `long` or `timestamp` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Smallest value.
    pub min: i64,
    /// Largest value.
    pub max: i64,
}

impl Span {
    /// Whether the two ranges share a value.
    pub fn meets(self, other: Span) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// A data file of the snapshot with the statistics that the log keeps of it.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Path within the table.
    pub path: Path,
    /// Bytes.
    pub size: u64,
    /// Rows, if the log says.
    pub rows: Option<u64>,
    /// UTC day of archiving, as the partition's text.
    pub day: String,
    /// Least and greatest vehicle (the greatest may be rounded up).
    pub vehicles: Option<(String, String)>,
    /// Ranges of the `long` and `timestamp` columns (microseconds).
    pub spans: BTreeMap<String, Span>,
}

impl DataFile {
    /// From the parts of an `add` action.
    pub fn new(path: Path, size: i64, day: String, stats: Option<&str>) -> Self {
        let stats: Value = stats.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
        let (min, max) = (&stats["minValues"], &stats["maxValues"]);
        let mut spans = BTreeMap::new();
        for (column, value) in min.as_object().into_iter().flatten() {
            // Timestamps in statistics may be cut to milliseconds: widen them.
            let slack = if value.is_string() { 999 } else { 0 };
            if let (Some(min), Some(max)) = (number(value), max.get(column).and_then(number)) {
                spans.insert(column.clone(), Span { min, max: max.saturating_add(slack) });
            }
        }
        let text = |value: &Value| value["vehicle"].as_str().map(str::to_owned);
        Self {
            path,
            size: u64::try_from(size).unwrap_or(0),
            rows: stats["numRecords"].as_u64(),
            day,
            vehicles: text(min).zip(text(max)),
            spans,
        }
    }

    /// Whether a row that `wanted` asks for can be in this file.
    pub fn can_hold(&self, wanted: &Wanted) -> bool {
        let vehicle = match (&wanted.vehicle, &self.vehicles) {
            (Some(vehicle), Some((min, max))) => min <= vehicle && vehicle <= max,
            _ => true,
        };
        vehicle
            && wanted
                .spans
                .iter()
                .all(|(column, span)| self.spans.get(*column).is_none_or(|have| have.meets(*span)))
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            i64::try_from(time.unix_timestamp_nanos() / 1000).ok()
        }
        _ => None,
    }
}

/// Rows that a scan is for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only this vehicle's.
    pub vehicle: Option<String>,
    /// Only rows whose column lies in the range.
    pub spans: Vec<(&'static str, Span)>,
}

impl Wanted {
    /// Rows of one vehicle.
    pub fn of(vehicle: &str) -> Self {
        Self { vehicle: Some(vehicle.to_owned()), spans: Vec::new() }
    }

    /// And whose `column` is between `min` and `max`.
    pub fn between(mut self, column: &'static str, min: i64, max: i64) -> Self {
        self.spans.push((column, Span { min, max }));
        self
    }

    fn columns(&self) -> Vec<&'static str> {
        self.vehicle.iter().map(|_| "vehicle").chain(self.spans.iter().map(|(column, _)| *column)).collect()
    }

    fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray, arrow::error::ArrowError> {
        let mut mask = BooleanArray::from(vec![true; batch.num_rows()]);
        if let (Some(vehicle), Some(column)) = (&self.vehicle, batch.column_by_name("vehicle")) {
            mask = and(&mask, &cmp::eq(column, &StringArray::new_scalar(vehicle))?)?;
        }
        for (name, span) in &self.spans {
            if let Some(column) = batch.column_by_name(name) {
                let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64)?;
                mask = and(&mask, &cmp::gt_eq(&column, &Int64Array::new_scalar(span.min))?)?;
                mask = and(&mask, &cmp::lt_eq(&column, &Int64Array::new_scalar(span.max))?)?;
            }
        }
        Ok(mask)
    }

    fn group_can_hold(&self, group: &RowGroupMetaData) -> bool {
        let column = |name: &str| {
            group.columns().iter().find(|c| c.column_path().string() == name).and_then(|c| c.statistics())
        };
        let vehicle = self.vehicle.as_ref().is_none_or(|vehicle| {
            column("vehicle").is_none_or(|stats| {
                let (min, max) = (stats.min_bytes_opt(), stats.max_bytes_opt());
                min.is_none_or(|min| min <= vehicle.as_bytes())
                    && max.is_none_or(|max| vehicle.as_bytes() <= max)
            })
        });
        vehicle
            && self.spans.iter().all(|(name, span)| match column(name) {
                Some(Statistics::Int64(stats)) => match (stats.min_opt(), stats.max_opt()) {
                    (Some(min), Some(max)) => Span { min: *min, max: *max }.meets(*span),
                    _ => true,
                },
                _ => true,
            })
    }
}

/// Reads the wanted rows of one file, `columns` only (top-level names; empty for all).
pub async fn scan_file(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    columns: &[&str],
    wanted: &Wanted,
) -> Result<Vec<RecordBatch>, ArchiveError> {
    let reader = ObjectReader::new(store.clone(), file.path.clone(), file.size);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(ArchiveError::store)?;
    let groups: Vec<usize> = builder
        .metadata()
        .row_groups()
        .iter()
        .enumerate()
        .filter(|(_, group)| wanted.group_can_hold(group))
        .map(|(index, _)| index)
        .collect();
    let schema = builder.parquet_schema();
    let projection =
        if columns.is_empty() { ProjectionMask::all() } else { roots(builder.schema(), schema, columns) };
    let keys = roots(builder.schema(), schema, &wanted.columns());
    let mut builder = builder.with_row_groups(groups).with_projection(projection);
    if !wanted.columns().is_empty() {
        let wanted = wanted.clone();
        let predicate = ArrowPredicateFn::new(keys, move |batch| wanted.mask(&batch));
        builder = builder.with_row_filter(RowFilter::new(vec![Box::new(predicate)]));
    }
    builder.build().map_err(ArchiveError::store)?.try_collect().await.map_err(ArchiveError::store)
}

/// All of a file, as a check reads it.
pub struct WholeFile {
    /// What its footer and its index of pages say of its columns.
    pub footer: Arc<ParquetMetaData>,
    /// Its rows, found without that index, which may be the part that somebody altered.
    pub rows: Vec<RecordBatch>,
}

/// Reads a file's footer, its index of pages and all its rows.
pub async fn whole_file(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<WholeFile, ArchiveError> {
    let mut reader = ObjectReader::new(store.clone(), file.path.clone(), file.size);
    let with_index = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let footer = reader.get_metadata(Some(&with_index)).await.map_err(ArchiveError::store)?;
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(ArchiveError::store)?;
    let rows =
        builder.build().map_err(ArchiveError::store)?.try_collect().await.map_err(ArchiveError::store)?;
    Ok(WholeFile { footer, rows })
}

/// What a file's footer says of its columns.
pub async fn metadata(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
) -> Result<Arc<ParquetMetaData>, ArchiveError> {
    let reader = ObjectReader::new(store.clone(), file.path.clone(), file.size);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(ArchiveError::store)?;
    Ok(builder.metadata().clone())
}

/// All of these rows as one batch, in the first one's order of columns: files of another age may have another.
pub fn joined(batches: &[RecordBatch]) -> Result<RecordBatch, ArchiveError> {
    let Some(first) = batches.first() else {
        return Err(ArchiveError::Damaged { what: "files to rewrite hold no rows".into() });
    };
    let schema = first.schema();
    let ordered = batches.iter().map(|batch| {
        let names = schema.fields().iter().map(|field| batch.schema().index_of(field.name()));
        batch.project(&names.collect::<Result<Vec<_>, _>>()?)
    });
    let ordered = ordered.collect::<Result<Vec<_>, _>>().map_err(ArchiveError::store)?;
    concat_batches(&schema, &ordered).map_err(ArchiveError::store)
}

fn roots(
    arrow: &arrow::datatypes::Schema,
    schema: &parquet::schema::types::SchemaDescriptor,
    columns: &[&str],
) -> ProjectionMask {
    let indexes: Vec<usize> = columns.iter().filter_map(|name| arrow.index_of(name).ok()).collect();
    ProjectionMask::roots(schema, indexes)
}
