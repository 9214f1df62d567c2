//! A table's columns as its files hold them: all there, of our types, without nulls where ours has none, and as the table's
//! log and the file's footer say of them.

use super::{
    report::{ArchiveReport, Kind},
    statistics,
};
use crate::delta::{self, ArchiveError, DataFile, Inspected, WholeFile, schema::DAY};
use arrow::{
    array::{Array, ArrayRef, RecordBatch, cast::AsArray},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use std::{collections::BTreeSet, sync::Arc};
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
        let WholeFile { footer, rows } = match table.view.whole_file(file).await {
            Ok(whole) => whole,
            Err(error) => {
                report.problem(Kind::Table, format!("{what}: {}", error_chain(&error)));
                return None;
            }
        };
        let mut wrong = statistics::wrong_in_footer(&footer, &rows);
        if let Some(said) = &table.said {
            let names = footer.file_metadata().schema_descr().root_schema().get_fields();
            let hidden = names.iter().map(|field| field.name()).filter(|name| !said.columns.contains(*name));
            wrong.extend(hidden.map(|name| format!("the table's log does not name the column {name}")));
            wrong.extend(
                said.files.get(&file.path).into_iter().flat_map(|said| statistics::wrong_in_log(said, &rows)),
            );
        }
        for wrong in wrong {
            report.problem(Kind::Table, format!("{what}: {wrong}"));
        }
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
        let mut names = BTreeSet::new();
        for field in rows.schema().fields() {
            if !known(field.name()) {
                wrong.push(format!("column {} is not one of the table's", field.name()));
            } else if !names.insert(field.name().clone()) {
                wrong.push(format!("column {} is there twice", field.name()));
            }
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
