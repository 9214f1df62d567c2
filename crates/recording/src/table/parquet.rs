//! Parquet files, read in batches.

use super::cell::{Cell, Kept};
use super::dialect::HEAD_LINES;
use super::header::Name;
use crate::Error;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Rows of a batch.
const BATCH: usize = 8192;

/// A column of a batch.
enum Column {
    Number(Float64Array),
    Text(StringArray),
    /// Nanoseconds since 1970, and whether they are UTC.
    Date(arrow::array::Int64Array, bool),
    /// Of a type that is no value here.
    Other,
}

/// Rows of a Parquet file.
pub(crate) struct ParquetSource {
    reader: ParquetRecordBatchReader,
    path: PathBuf,
    columns: Vec<Column>,
    rows: usize,
    /// The row to come in the batch.
    next: usize,
    before: u64,
}

impl ParquetSource {
    /// Opens a file: its reader and the names of its columns.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Name>), Error> {
        let file = File::open(path).map_err(Error::file(path, "opening"))?;
        let damaged = |error: parquet::errors::ParquetError| {
            Error::format(path.display(), format!("this Parquet file cannot be read: {error}"))
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
        let names = builder.schema().fields().iter().map(|field| Name::parse(field.name())).collect();
        let reader = builder.with_batch_size(BATCH).build().map_err(damaged)?;
        let mut source =
            Self { reader, path: path.to_owned(), columns: Vec::new(), rows: 0, next: 0, before: 0 };
        source.load()?;
        Ok((source, names))
    }

    /// The first rows of the batch that is loaded.
    pub(super) fn sample(&self) -> Vec<Vec<Kept>> {
        (0..self.rows.min(HEAD_LINES))
            .map(|row| (0..self.columns.len()).map(|index| Kept::from(self.at(index, row))).collect())
            .collect()
    }

    fn load(&mut self) -> Result<bool, Error> {
        self.before += self.rows as u64;
        (self.rows, self.next) = (0, 0);
        let damaged = |error: arrow::error::ArrowError| {
            Error::format(self.path.display(), format!("this Parquet file is damaged: {error}"))
        };
        let Some(batch) = self.reader.next().transpose().map_err(damaged)? else { return Ok(false) };
        self.columns = columns(&batch).map_err(damaged)?;
        self.rows = batch.num_rows();
        Ok(true)
    }

    pub fn advance(&mut self) -> Result<bool, Error> {
        while self.next >= self.rows {
            if !self.load()? {
                return Ok(false);
            }
        }
        self.next += 1;
        Ok(true)
    }

    pub fn cell(&self, index: usize) -> Cell<'_> {
        self.at(index, self.next.saturating_sub(1))
    }

    pub fn number(&self) -> u64 {
        self.before + self.next as u64
    }

    fn at(&self, index: usize, row: usize) -> Cell<'_> {
        match self.columns.get(index) {
            Some(Column::Number(values)) if values.is_valid(row) => Cell::Number(values.value(row)),
            Some(Column::Text(values)) if values.is_valid(row) => match values.value(row).trim().as_bytes() {
                [] => Cell::Empty,
                text => Cell::Text(text),
            },
            Some(Column::Date(values, utc)) if values.is_valid(row) => Cell::Date(values.value(row), *utc),
            _ => Cell::Empty,
        }
    }
}

fn columns(batch: &RecordBatch) -> Result<Vec<Column>, arrow::error::ArrowError> {
    batch.columns().iter().map(column).collect()
}

fn column(array: &ArrayRef) -> Result<Column, arrow::error::ArrowError> {
    let as_date = |utc: bool| -> Result<Column, arrow::error::ArrowError> {
        let zone = if utc { Some("UTC".into()) } else { None };
        let nanos = cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, zone))?;
        Ok(Column::Date(cast(&nanos, &DataType::Int64)?.as_primitive::<Int64Type>().clone(), utc))
    };
    Ok(match array.data_type() {
        kind if kind.is_numeric() || *kind == DataType::Boolean => {
            Column::Number(cast(array, &DataType::Float64)?.as_primitive().clone())
        }
        DataType::Duration(unit) => {
            let per_second = match unit {
                TimeUnit::Second => 1.0,
                TimeUnit::Millisecond => 1e3,
                TimeUnit::Microsecond => 1e6,
                TimeUnit::Nanosecond => 1e9,
            };
            let counts = cast(array, &DataType::Int64)?;
            let seconds = counts.as_primitive::<Int64Type>().unary(|count| count as f64 / per_second);
            Column::Number(seconds)
        }
        DataType::Timestamp(_, zone) => as_date(zone.is_some())?,
        DataType::Date32 | DataType::Date64 => as_date(false)?,
        // Times of day become hh:mm:ss.
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Dictionary(..)
        | DataType::Time32(_)
        | DataType::Time64(_) => Column::Text(cast(array, &DataType::Utf8)?.as_string::<i32>().clone()),
        DataType::Binary => match array.as_any().downcast_ref::<BinaryArray>() {
            Some(bytes) if bytes.iter().flatten().all(|bytes| std::str::from_utf8(bytes).is_ok()) => {
                Column::Text(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
            }
            _ => Column::Other,
        },
        _ => Column::Other,
    })
}
