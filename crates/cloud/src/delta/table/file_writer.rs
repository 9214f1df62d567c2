//! Data files as they are written: rows come in pieces, are encoded at once, and leave as one Parquet file a day.
//!
//! What is held in memory is the encoded file (some 30 bytes a record of 96 cells) and one piece of rows, never all rows
//! decoded. Each file's `add` action holds the statistics by which readers leave files out
//! ([Delta's statistics](https://github.com/delta-io/delta/blob/master/PROTOCOL.md#Per-file-Statistics)).

use super::parquet_file::ParquetFile;
use crate::delta::{
    ArchiveError,
    rows::schema::{DAY, day_name},
};
use arrow::{
    array::{Array, ArrayRef, AsArray as _, RecordBatch},
    datatypes::{Date32Type, Schema, SchemaRef},
};
use deltalake::kernel::Add;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use parquet::{
    basic::LogicalType,
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        properties::WriterProperties,
        statistics::Statistics,
    },
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// Timestamps in statistics are cut to milliseconds, as the format asks.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Files of one table that are being written, one for each day.
pub struct FileWriter {
    schema: SchemaRef,
    properties: WriterProperties,
    /// Columns with statistics.
    indexed: &'static str,
    days: BTreeMap<i32, ParquetFile>,
}

impl FileWriter {
    /// Writes files of these columns, of which [`DAY`] goes into the path.
    pub fn new(schema: &SchemaRef, indexed: &'static str, properties: WriterProperties) -> Self {
        let fields: Vec<_> = schema.fields().iter().filter(|field| field.name() != DAY).cloned().collect();
        Self { schema: Arc::new(Schema::new(fields)), properties, indexed, days: BTreeMap::new() }
    }

    /// The columns of the files, in their order.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Appends rows that have their day as a column.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), ArchiveError> {
        let days =
            rows.column_by_name(DAY).and_then(|column| column.as_primitive_opt::<Date32Type>().cloned());
        let Some(days) = days.filter(|days| days.null_count() == 0) else {
            return Err(ArchiveError::Damaged { what: format!("rows to write have no column {DAY}") });
        };
        let own = in_order(rows, &self.schema)?;
        let mut from = 0;
        for run in days.values().chunk_by(|a, b| a == b) {
            if let Some(day) = run.first() {
                self.write_day(*day, &own.slice(from, run.len()))?;
            }
            from += run.len();
        }
        Ok(())
    }

    /// Appends rows of one day, with the columns of [`Self::schema`].
    pub fn write_day(&mut self, day: i32, rows: &RecordBatch) -> Result<(), ArchiveError> {
        let file = match self.days.entry(day) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => new.insert(ParquetFile::new(self.schema.clone(), self.properties.clone())?),
        };
        file.write(rows)
    }

    /// Ends the files and puts them into the table's folder, under names that no other file has.
    pub async fn put(self, store: &Arc<dyn ObjectStore>) -> Result<Vec<Add>, ArchiveError> {
        let mut adds = Vec::with_capacity(self.days.len());
        for (day, file) in self.days {
            let (bytes, metadata) = file.finish()?;
            let day = day_name(day).ok_or_else(|| ArchiveError::Damaged {
                what: format!("rows to write are of day {day} since 1970, which no calendar has"),
            })?;
            let path = Path::from(format!("{DAY}={day}/part-{:032x}.zstd.parquet", rand::random::<u128>()));
            let size = i64::try_from(bytes.content_length()).map_err(ArchiveError::store)?;
            store.put(&path, bytes).await.map_err(ArchiveError::store)?;
            let written = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            adds.push(Add {
                path: path.into(),
                partition_values: HashMap::from([(DAY.to_owned(), Some(day))]),
                size,
                modification_time: i64::try_from(written.as_millis()).unwrap_or(i64::MAX),
                data_change: true,
                stats: Some(statistics(&metadata, self.indexed).to_string()),
                tags: None,
                deletion_vector: None,
                base_row_id: None,
                default_row_commit_version: None,
                clustering_provider: None,
            });
        }
        Ok(adds)
    }
}

/// These rows with the columns of `schema`, in its order; further columns are left out. Types of another spelling (a list's
/// element by another name) are made those of `schema`.
pub(super) fn in_order(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArchiveError> {
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef, ArchiveError> {
        let name = field.name();
        let missing = || ArchiveError::Damaged { what: format!("rows to write lack the column {name}") };
        let column = rows.column_by_name(name).ok_or_else(missing)?;
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        arrow::compute::cast(column, field.data_type()).map_err(ArchiveError::store)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(ArchiveError::store)
}

/// What the log says of a file: its rows, and of each indexed column the least and the greatest value and the number of
/// nulls.
fn statistics(metadata: &ParquetMetaData, indexed: &str) -> Value {
    let columns = metadata.file_metadata().schema_descr().columns().iter().enumerate();
    let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (at, column) in columns.filter(|(_, column)| indexed.split(',').any(|name| name == column.name())) {
        let is_time = matches!(column.logical_type_ref(), Some(LogicalType::Timestamp(_)));
        let of_groups = || metadata.row_groups().iter().map(|group| statistics_of(group, at));
        if let Some([least, greatest]) = extremes(of_groups(), is_time) {
            min.insert(column.name().to_owned(), least);
            max.insert(column.name().to_owned(), greatest);
        }
        if let Some(count) = of_groups().map(|stats| stats?.null_count_opt()).sum::<Option<u64>>() {
            nulls.insert(column.name().to_owned(), count.into());
        }
    }
    serde_json::json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": min,
        "maxValues": max,
        "nullCount": nulls,
    })
}

fn statistics_of(group: &RowGroupMetaData, column: usize) -> Option<&Statistics> {
    group.column(column).statistics()
}

/// The least and the greatest value over all row groups; `None` if one of them does not say, or for a type without an order.
fn extremes<'a>(groups: impl Iterator<Item = Option<&'a Statistics>>, is_time: bool) -> Option<[Value; 2]> {
    let mut numbers: Option<(i64, i64)> = None;
    let mut texts: Option<(&str, &str)> = None;
    for stats in groups {
        match stats? {
            Statistics::Int64(stats) => {
                let (least, greatest) = (*stats.min_opt()?, *stats.max_opt()?);
                let (min, max) = numbers.get_or_insert((least, greatest));
                (*min, *max) = ((*min).min(least), (*max).max(greatest));
            }
            Statistics::ByteArray(stats) => {
                let least = std::str::from_utf8(stats.min_bytes_opt()?).ok()?;
                let greatest = std::str::from_utf8(stats.max_bytes_opt()?).ok()?;
                let (min, max) = texts.get_or_insert((least, greatest));
                (*min, *max) = ((*min).min(least), (*max).max(greatest));
            }
            _ => return None,
        }
    }
    match (numbers, texts) {
        (Some((min, max)), None) if is_time => Some([time_text(min)?, time_text(max)?]),
        (Some((min, max)), None) => Some([min.into(), max.into()]),
        (None, Some((min, max))) => Some([min.into(), max.into()]),
        _ => None,
    }
}

fn time_text(micros: i64) -> Option<Value> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()?;
    time.format(TIME).ok().map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{
        schema,
        table::{encoding::writer_properties, files::DataFile},
    };
    use arrow::array::{Date32Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, TimeUnit};
    use object_store::memory::InMemory;
    use proptest::prelude::*;

    fn table() -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Arc::new(Schema::new(vec![
            Field::new("vehicle", DataType::Utf8, true),
            Field::new("boot", DataType::Int64, false),
            Field::new("time", time, false),
            Field::new(DAY, DataType::Date32, false),
        ]))
    }

    proptest! {
        /// What the log says of a file encloses every row of it, and each day has its own file.
        #[test]
        fn statistics_enclose_all_rows_of_a_day(
            rows in prop::collection::vec((prop::option::of("[a-z]{0,3}"), -9i64..9, 0i64..4_000_000_000_000, 20_000i32..20_003), 1..60),
            pieces in 1usize..9,
        ) {
            let properties = writer_properties(&table(), 1).unwrap();
            let mut writer = FileWriter::new(&table(), "vehicle,boot,time", properties);
            for piece in rows.chunks(rows.len().div_ceil(pieces)) {
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(StringArray::from_iter(piece.iter().map(|row| row.0.clone()))),
                    Arc::new(Int64Array::from_iter_values(piece.iter().map(|row| row.1))),
                    Arc::new(TimestampMicrosecondArray::from_iter_values(piece.iter().map(|row| row.2)).with_timezone("UTC")),
                    Arc::new(Date32Array::from_iter_values(piece.iter().map(|row| row.3))),
                ];
                writer.write(&RecordBatch::try_new(table(), columns).unwrap()).unwrap();
            }
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let adds = futures::executor::block_on(writer.put(&store)).unwrap();
            let mut written = 0;
            for add in adds {
                let day = add.partition_values[DAY].clone().unwrap();
                let of_day: Vec<_> = rows.iter().filter(|row| Some(row.3) == schema::day_number(&day)).collect();
                let folder = format!("{DAY}={day}/");
                prop_assert!(add.path.starts_with(&folder));
                let file = DataFile::new(Path::from(add.path.as_str()), add.size, day, add.stats.as_deref());
                prop_assert_eq!(file.rows, Some(of_day.len() as u64));
                written += of_day.len();
                let span = |column: &str| file.spans[column];
                prop_assert!(of_day.iter().all(|row| (span("boot").min..=span("boot").max).contains(&row.1)));
                prop_assert!(of_day.iter().all(|row| (span("time").min..=span("time").max).contains(&row.2)));
                let stats: Value = serde_json::from_str(add.stats.as_deref().unwrap()).unwrap();
                let nulls = of_day.iter().filter(|row| row.0.is_none()).count();
                prop_assert_eq!(stats["nullCount"]["vehicle"].as_u64(), Some(nulls as u64));
                let names: Vec<_> = of_day.iter().filter_map(|row| row.0.clone()).collect();
                let said = file.vehicles.clone();
                prop_assert_eq!(said.map(|(min, _)| min), names.iter().min().cloned());
                prop_assert_eq!(file.vehicles.map(|(_, max)| max), names.iter().max().cloned());
            }
            prop_assert_eq!(written, rows.len());
        }
    }
}
