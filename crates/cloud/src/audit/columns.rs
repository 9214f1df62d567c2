//! A table's columns as its files hold them: all there, of our types, without nulls where ours has none, and within
//! what the table's log says of the file.

use super::report::{ArchiveReport, Kind};
use crate::delta::{self, ArchiveError, DataFile, Inspected, schema::DAY};
use arrow::{
    array::{Array, ArrayRef, RecordBatch, cast::AsArray},
    compute::{cast, max, max_string, min, min_string},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use std::sync::Arc;
use voltmesh_telemetry::{Digest, error_chain};

/// The columns that a table's files must have: all but the day, which is in their paths.
pub(crate) struct Columns {
    schema: SchemaRef,
}

impl Columns {
    /// Of one table.
    pub fn of(table: &Inspected) -> Self {
        let fields: Vec<_> = table.schema.fields().iter().filter(|f| f.name() != DAY).cloned().collect();
        Self { schema: Arc::new(Schema::new(fields)) }
    }

    /// The rows of a file with exactly our columns; `None`, and findings, if it does not have them.
    pub async fn read(
        &self,
        table: &Inspected,
        file: &DataFile,
        report: &mut ArchiveReport,
    ) -> Option<Vec<RecordBatch>> {
        let what = format!("file {}/{}", table.name, file.path);
        let rows = match table.view.scan_file(file, &[], &Default::default()).await {
            Ok(rows) => rows,
            Err(error) => {
                report.problem(Kind::Table, format!("{what}: {}", error_chain(&error)));
                return None;
            }
        };
        let mut ours = Vec::with_capacity(rows.len());
        for rows in rows {
            match delta::of_today(rows)
                .map_err(|error| vec![error_chain(&error)])
                .and_then(|rows| self.ours(&rows))
            {
                Ok(rows) => ours.push(rows),
                Err(wrong) => {
                    report.problem(Kind::Table, format!("{what}: {}", wrong.join("; ")));
                    return None;
                }
            }
        }
        for wrong in out_of_statistics(file, &ours) {
            report.problem(Kind::Table, format!("{what}: {wrong}"));
        }
        Some(ours)
    }

    /// The same rows in our order of columns and our types; all that is wrong with them otherwise.
    pub fn ours(&self, rows: &RecordBatch) -> Result<RecordBatch, Vec<String>> {
        let (mut columns, mut wrong): (Vec<ArrayRef>, Vec<String>) = Default::default();
        for field in self.schema.fields() {
            match rows.column_by_name(field.name()).map(|column| our_column(field, column)) {
                Some(Ok(column)) => columns.push(column),
                Some(Err(why)) => wrong.push(format!("column {} {why}", field.name())),
                None => wrong.push(format!("column {} is missing", field.name())),
            }
        }
        let known = |name: &str| self.schema.field_with_name(name).is_ok();
        for field in rows.schema().fields().iter().filter(|field| !known(field.name())) {
            wrong.push(format!("column {} is not one of the table's", field.name()));
        }
        if wrong.is_empty() {
            RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| vec![error.to_string()])
        } else {
            Err(wrong)
        }
    }
}

fn our_column(field: &Field, column: &ArrayRef) -> Result<ArrayRef, String> {
    if !same_type(field.data_type(), column.data_type()) {
        return Err(format!("is of type {}, not {}", column.data_type(), field.data_type()));
    }
    if has_nulls(field, column) {
        return Err("has values that are null".to_owned());
    }
    cast(column, field.data_type()).map_err(|error| error.to_string())
}

/// Whether there are nulls where ours has none, within lists and structures as well.
fn has_nulls(field: &Field, column: &ArrayRef) -> bool {
    let within = match field.data_type() {
        DataType::List(item) => {
            column.as_list_opt::<i32>().is_some_and(|list| has_nulls(item, list.values()))
        }
        DataType::Struct(fields) => column.as_struct_opt().is_some_and(|column| {
            fields.iter().zip(column.columns()).any(|(field, column)| has_nulls(field, column))
        }),
        _ => false,
    };
    within || !field.is_nullable() && column.logical_null_count() > 0
}

/// Whether two types are the same but for the names of lists' elements, which writers choose differently, and for where
/// they allow nulls.
fn same_type(ours: &DataType, theirs: &DataType) -> bool {
    match (ours, theirs) {
        (DataType::List(ours), DataType::List(theirs)) => same_type(ours.data_type(), theirs.data_type()),
        (DataType::Struct(ours), DataType::Struct(theirs)) => {
            let same = |(ours, theirs): (&Arc<Field>, &Arc<Field>)| {
                ours.name() == theirs.name() && same_type(ours.data_type(), theirs.data_type())
            };
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
        }
        _ => ours == theirs,
    }
}

/// What the log says of a file that its rows contradict: look-ups skip files by it.
fn out_of_statistics(file: &DataFile, rows: &[RecordBatch]) -> Vec<String> {
    let mut wrong = Vec::new();
    let held: u64 = rows.iter().map(|rows| rows.num_rows() as u64).sum();
    if let Some(said) = file.rows.filter(|said| *said != held) {
        wrong.push(format!("the table's log says {said} rows, there are {held}"));
    }
    for (name, span) in &file.spans {
        let mut longs =
            rows.iter().filter_map(|rows| cast(rows.column_by_name(name)?, &DataType::Int64).ok());
        let outside = longs.any(|column| {
            let column = column.as_primitive::<Int64Type>();
            min(column).is_some_and(|least| least < span.min)
                || max(column).is_some_and(|most| most > span.max)
        });
        if outside {
            wrong.push(format!("a value of {name} is outside the range that the table's log says"));
        }
    }
    if let Some((least, most)) = &file.vehicles {
        let mut names = rows.iter().filter_map(|rows| rows.column_by_name("vehicle")?.as_string_opt::<i32>());
        let outside = names.any(|names| {
            min_string(names).is_some_and(|name| name < least.as_str())
                || max_string(names).is_some_and(|name| name > most.as_str())
        });
        if outside {
            wrong.push("a vehicle is outside the range that the table's log says".to_owned());
        }
    }
    wrong
}

/// One digest a row over all columns, bit for bit, so that expected and stored rows are compared without keeping them.
pub(crate) struct Prints(RowConverter);

impl Prints {
    /// For rows with these columns; the day is left out.
    pub fn of(schema: &Schema) -> Self {
        let fields = schema.fields().iter().filter(|field| field.name() != DAY);
        let fields = fields.map(|field| SortField::new(field.data_type().clone())).collect();
        match RowConverter::new(fields) {
            Ok(converter) => Self(converter),
            Err(error) => unreachable!("the table's types have an order: {error}"),
        }
    }

    /// The digest of each row, on its day; an error if the columns are not the table's.
    pub fn digests(&mut self, rows: &RecordBatch, day: &str) -> Result<Vec<Digest>, ArchiveError> {
        let schema = rows.schema();
        let columns: Vec<ArrayRef> = rows
            .columns()
            .iter()
            .zip(schema.fields())
            .filter(|(_, field)| field.name() != DAY)
            .map(|(column, _)| column.clone())
            .collect();
        let rows = self.0.convert_columns(&columns).map_err(ArchiveError::store)?;
        let print = |row: &[u8]| Digest::of(&[row, &[0xff], day.as_bytes()].concat());
        Ok(rows.iter().map(|row| print(row.as_ref())).collect())
    }
}
