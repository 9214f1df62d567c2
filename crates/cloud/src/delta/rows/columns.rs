//! Columns of rows by name, and their values.

use crate::delta::ArchiveError;
use arrow::array::{Array, Int64Array, RecordBatch, StringArray, cast::AsArray};
use arrow::datatypes::Int64Type;
use voltmesh_telemetry::BatchId;

/// A batch's columns by name, with the errors of a table that someone else has changed.
pub struct Columns<'a>(pub &'a RecordBatch);

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a dyn Array, ArchiveError> {
        self.0
            .column_by_name(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| ArchiveError::Damaged { what: format!("column {name} is missing") })
    }

    fn wrong(name: &str) -> ArchiveError {
        ArchiveError::Damaged { what: format!("column {name} has another type than ours") }
    }

    /// A `long` or `timestamp` column.
    pub fn long(&self, name: &str) -> Result<Int64Array, ArchiveError> {
        let column = arrow::compute::cast(self.column(name)?, &arrow::datatypes::DataType::Int64)
            .map_err(|_| Self::wrong(name))?;
        Ok(column.as_primitive::<Int64Type>().clone())
    }

    /// A text column.
    pub fn text(&self, name: &str) -> Result<&'a StringArray, ArchiveError> {
        self.column(name)?.as_string_opt::<i32>().ok_or_else(|| Self::wrong(name))
    }

    /// A `double` column.
    pub fn double(&self, name: &str) -> Result<&'a arrow::array::Float64Array, ArchiveError> {
        self.column(name)?
            .as_primitive_opt::<arrow::datatypes::Float64Type>()
            .ok_or_else(|| Self::wrong(name))
    }

    /// A `binary` column.
    pub fn binary(&self, name: &str) -> Result<&'a arrow::array::BinaryArray, ArchiveError> {
        self.column(name)?.as_binary_opt::<i32>().ok_or_else(|| Self::wrong(name))
    }

    /// A list column.
    pub fn list(&self, name: &str) -> Result<&'a arrow::array::ListArray, ArchiveError> {
        self.column(name)?.as_list_opt::<i32>().ok_or_else(|| Self::wrong(name))
    }
}

/// A counter from a `long`; negative ones, which no row of ours has, are 0.
pub fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A batch id or digest from its text.
pub fn id_of(text: &str) -> Result<BatchId, ArchiveError> {
    text.parse().map_err(|_| ArchiveError::Damaged { what: format!("{text:?} is no batch id") })
}
