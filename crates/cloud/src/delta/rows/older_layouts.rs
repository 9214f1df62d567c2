//! Rows of files that an older version wrote, in today's layout.

use super::{
    evidence::in_parts,
    schema::{ADDED, CAUSES, CELLS, item_of, records},
};
use crate::delta::ArchiveError;
use arrow::{
    array::{
        Array, ArrayRef, Float64Array, Float64Builder, Int32Builder, ListBuilder, RecordBatch, StringBuilder,
        cast::AsArray, new_null_array,
    },
    datatypes::{Float64Type, Int32Type, Schema},
};
use std::sync::Arc;
use voltmesh_telemetry::{Centidegrees, Milliamps, Millivolts, Millivolts16, Unknown};

/// Rows of any table in today's layout, whatever the layout of their file.
pub fn of_today(rows: RecordBatch) -> Result<RecordBatch, ArchiveError> {
    with_causes(in_parts(rows)?)
}

/// The same rows in today's layout: files of before the causes get its columns, and numbers that stand for unknown values
/// now become null with their cause, exactly as a batch of format 1 is read. Rows of another table, and columns of other
/// types, are left as they are.
fn with_causes(rows: RecordBatch) -> Result<RecordBatch, ArchiveError> {
    let older = rows.column_by_name(CELLS).is_some() && rows.column_by_name(CAUSES).is_none();
    let Some(told) = older.then(|| Older::of(&rows)).flatten() else { return Ok(rows) };
    let schema = records();
    let given = rows.schema();
    let columns = given.fields().iter().cloned().zip(rows.columns().iter().cloned());
    let (mut fields, mut arrays): (Vec<_>, Vec<ArrayRef>) = columns
        .map(|(field, array)| match told.columns.iter().find(|(name, _)| field.name() == name) {
            // Its field in today's schema, which allows nulls.
            Some((name, array)) => match schema.fields().find(name) {
                Some((_, field)) => (field.clone(), array.clone()),
                None => (field, array.clone()),
            },
            None => (field, array),
        })
        .unzip();
    for field in schema.fields().iter().filter(|field| ADDED.contains(&field.name().as_str())) {
        if rows.column_by_name(field.name()).is_none() {
            arrays.push(match field.name().as_str() {
                CAUSES => told.causes.clone(),
                _ => new_null_array(field.data_type(), rows.num_rows()),
            });
            fields.push(field.clone());
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(ArchiveError::store)
}

/// Columns of an older layout as they are today.
struct Older {
    columns: [(&'static str, ArrayRef); 4],
    causes: ArrayRef,
}

impl Older {
    /// `None` if the columns have other types than ours.
    fn of(rows: &RecordBatch) -> Option<Self> {
        let double = |name: &str| rows.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let (voltage, current) = (double("pack_voltage_v")?, double("pack_current_a")?);
        let cells = rows.column_by_name(CELLS)?.as_list_opt::<i32>()?;
        let temperatures = rows.column_by_name("temperatures_c")?.as_list_opt::<i32>()?;
        let schema = records();
        let mut cell_list = ListBuilder::new(Int32Builder::new()).with_field(item_of(&schema, CELLS));
        let mut temperature_list =
            ListBuilder::new(Float64Builder::new()).with_field(item_of(&schema, "temperatures_c"));
        let (mut volts, mut amps) = (Float64Builder::new(), Float64Builder::new());
        let mut causes = StringBuilder::new();
        for row in 0..rows.num_rows() {
            let mut said = Vec::new();
            volts.append_option(known(voltage, row, "pack_voltage_v", &mut said, |value| {
                let count = (value * 1000.0).round() as u32;
                (!Millivolts::new(count).is_known() && f64::from(count) / 1000.0 == value)
                    .then_some(count.into())
            }));
            amps.append_option(known(current, row, "pack_current_a", &mut said, |value| {
                let count = (value * 1000.0).round() as i32;
                (!Milliamps::new(count).is_known() && f64::from(count) / 1000.0 == value)
                    .then_some(count.into())
            }));
            let values = cells.value(row);
            let mut numbers = Vec::new();
            for value in values.as_primitive_opt::<Int32Type>()? {
                let code = value.and_then(|value| u16::try_from(value).ok());
                let number = code.filter(|code| !Millivolts16::new(*code).is_known()).map(i64::from);
                cell_list.values().append_option(value.filter(|_| number.is_none()));
                numbers.push(number);
            }
            cell_list.append(true);
            list(CELLS, &numbers, &mut said);
            numbers.clear();
            let values = temperatures.value(row);
            for value in values.as_primitive_opt::<Float64Type>()? {
                let number = value.and_then(|value| {
                    let count = (value * 100.0).round() as i16;
                    let code = !Centidegrees::new(count).is_known() && f64::from(count) / 100.0 == value;
                    code.then_some(i64::from(count))
                });
                temperature_list.values().append_option(value.filter(|_| number.is_none()));
                numbers.push(number);
            }
            temperature_list.append(true);
            list("temperatures_c", &numbers, &mut said);
            causes.append_option((!said.is_empty()).then(|| said.join(" ")));
        }
        let columns: [(&str, ArrayRef); 4] = [
            ("pack_voltage_v", Arc::new(volts.finish())),
            ("pack_current_a", Arc::new(amps.finish())),
            (CELLS, Arc::new(cell_list.finish())),
            ("temperatures_c", Arc::new(temperature_list.finish())),
        ];
        Some(Self { columns, causes: Arc::new(causes.finish()) })
    }
}

/// A value, or nothing and what is said of it if it is a code now.
fn known(
    column: &Float64Array,
    row: usize,
    name: &str,
    said: &mut Vec<String>,
    code: impl Fn(f64) -> Option<i64>,
) -> Option<f64> {
    let value = column.is_valid(row).then(|| column.value(row))?;
    match code(value) {
        Some(number) => {
            said.push(format!("{name}={}({number})", Unknown::OutOfRange));
            None
        }
        None => Some(value),
    }
}

/// What is said of a list's codes, as [`super::causes::text`] says it.
fn list(name: &str, numbers: &[Option<i64>], said: &mut Vec<String>) {
    let all: Vec<_> = numbers.iter().copied().enumerate().collect();
    for run in all.chunk_by(|(_, a), (_, b)| a == b) {
        let [(first, Some(number)), ..] = run else { continue };
        let range = match run.len() {
            1 => first.to_string(),
            len => format!("{first}-{}", first + len - 1),
        };
        said.push(format!("{name}[{range}]={}({number})", Unknown::OutOfRange));
    }
}
