//! Rows of `records` from batches; and rows of an older layout in today's.

use super::{
    ArchiveError, causes,
    content::ArchivedChannel,
    schema::{ADDED, CAUSES, charger_text, contactor_text, day, days, finish, long, micros, records, times},
};
use crate::archivist::Entry;
use arrow::{
    array::{
        Array, ArrayRef, Float64Array, Float64Builder, Int32Builder, Int64Builder, ListArray, ListBuilder,
        RecordBatch, StringArray, StringBuilder, StructArray, StructBuilder, cast::AsArray, new_null_array,
    },
    datatypes::{DataType, Field, Float64Type, Int32Type, Schema},
};
use std::sync::Arc;
use voltmesh_telemetry::{Centidegrees, Milliamps, Millivolts, Millivolts16, Record, Timestamp, Unknown};

/// Columns that every row of `records` has had in all layouts, by which a table's rows are told from others'.
const CELLS: &str = "cells_mv";

fn item_of(schema: &Schema, list: &str) -> Arc<Field> {
    match schema.field_with_name(list).map(Field::data_type) {
        Ok(DataType::List(item)) => item.clone(),
        _ => unreachable!("{list} is a list of our schema"),
    }
}

/// Builds the column of extra channels.
struct ChannelsBuilder(ListBuilder<StructBuilder>);

impl ChannelsBuilder {
    fn new(item: Arc<Field>) -> Self {
        let DataType::Struct(fields) = item.data_type() else { unreachable!("a channel is a struct") };
        let values = StructBuilder::from_fields(fields.clone(), 0);
        Self(ListBuilder::new(values).with_field(item))
    }

    fn append(&mut self, channels: impl ExactSizeIterator<Item = ArchivedChannel>) {
        let any = channels.len() > 0;
        let values = self.0.values();
        for channel in channels {
            let ours = "the builder has our fields";
            let Some(name) = values.field_builder::<StringBuilder>(0) else { unreachable!("{ours}") };
            name.append_value(&channel.name);
            let Some(unit) = values.field_builder::<StringBuilder>(1) else { unreachable!("{ours}") };
            unit.append_value(&channel.unit);
            let Some(step) = values.field_builder::<Float64Builder>(2) else { unreachable!("{ours}") };
            step.append_value(channel.resolution);
            let Some(value) = values.field_builder::<Float64Builder>(3) else { unreachable!("{ours}") };
            value.append_option(channel.value);
            values.append(true);
        }
        self.0.append(any);
    }
}

/// Extra channels of each row; a null is none.
pub(super) fn channels(column: &ListArray) -> Option<Vec<Vec<ArchivedChannel>>> {
    let of = |row: usize| {
        if column.is_null(row) {
            return Some(Vec::new());
        }
        let values = column.value(row);
        let values: &StructArray = values.as_struct_opt()?;
        let (name, unit): (&StringArray, &StringArray) = (
            values.column_by_name("name")?.as_string_opt()?,
            values.column_by_name("unit")?.as_string_opt()?,
        );
        let double = |name| values.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let (step, value) = (double("resolution")?, double("value")?);
        let one = |at: usize| ArchivedChannel {
            name: name.value(at).to_owned(),
            unit: unit.value(at).to_owned(),
            resolution: step.value(at),
            value: value.is_valid(at).then(|| value.value(at)),
        };
        Some((0..values.len()).map(one).collect())
    };
    (0..column.len()).map(of).collect()
}

/// Rows that are made at once: 2.5 MB of 96 cells each.
const PIECE: usize = 4_096;

/// Rows for the kept records of `entries`, sorted by vehicle, boot and number.
pub fn record_rows(entries: &[Entry], archived: Timestamp) -> Result<RecordBatch, ArchiveError> {
    rows_of(&sorted(entries), archived)
}

/// Gives `take` the same rows, so many at a time that a large commit takes no more memory than a small one.
pub(super) fn record_pieces(
    entries: &[Entry],
    archived: Timestamp,
    mut take: impl FnMut(RecordBatch) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    sorted(entries).chunks(PIECE).try_for_each(|piece| take(rows_of(piece, archived)?))
}

fn sorted(entries: &[Entry]) -> Vec<(&Entry, &Record)> {
    let mut rows: Vec<_> =
        entries.iter().flat_map(|entry| entry.kept_records().map(move |r| (entry, r))).collect();
    rows.sort_by(|(a, x), (b, y)| {
        (&a.batch.header.vehicle, a.batch.header.boot, x.number).cmp(&(
            &b.batch.header.vehicle,
            b.batch.header.boot,
            y.number,
        ))
    });
    rows
}

fn rows_of(rows: &[(&Entry, &Record)], archived: Timestamp) -> Result<RecordBatch, ArchiveError> {
    let n = rows.len();
    let schema = records();
    let text = StringBuilder::new;
    let (longs, doubles) = (|| Int64Builder::with_capacity(n), || Float64Builder::with_capacity(n));
    let (mut vehicle, mut contactor, mut charger) = (text(), text(), text());
    let (mut causes, mut attested_by, mut batch_id) = (text(), text(), text());
    let (mut boot, mut number, mut insulation, mut height) = (longs(), longs(), longs(), longs());
    let (mut voltage, mut current, mut soc) = (doubles(), doubles(), doubles());
    let (mut ambient, mut coolant, mut speed) = (doubles(), doubles(), doubles());
    let mut time = times(n);
    let mut cells = ListBuilder::new(Int32Builder::new()).with_field(item_of(&schema, CELLS));
    let mut temperatures =
        ListBuilder::new(Float64Builder::new()).with_field(item_of(&schema, "temperatures_c"));
    let mut channels = ChannelsBuilder::new(item_of(&schema, "channels"));
    let mut known = Vec::new();
    for (entry, record) in rows {
        let (batch, sample) = (&entry.batch, &record.sample);
        vehicle.append_value(batch.header.vehicle.as_str());
        boot.append_value(long(batch.header.boot.get()));
        number.append_value(long(record.number.get()));
        time.append_value(micros(sample.time));
        voltage.append_option(sample.pack_voltage.to_base().ok());
        current.append_option(sample.pack_current.to_base().ok());
        soc.append_option(sample.soc.to_base().ok());
        append_cells(&mut cells, &sample.cells, &mut known);
        temperatures.append_value(sample.temperatures.iter().map(|value| value.to_base().ok()));
        contactor.append_value(contactor_text(sample.contactor));
        charger.append_value(charger_text(sample.charger));
        insulation.append_option(sample.insulation.reading().ok().map(i64::from));
        ambient.append_option(sample.ambient.to_base().ok());
        coolant.append_option(sample.coolant.to_base().ok());
        speed.append_option(sample.speed.to_base().ok());
        channels.append(sample.channels.iter().map(ArchivedChannel::of));
        causes.append_option(causes::text(sample));
        attested_by.append_option(batch.attested_by());
        batch_id.append_value(&batch.id_text);
        height.append_value(long(batch.height));
    }
    finish(
        schema,
        vec![
            Arc::new(vehicle.finish()),
            Arc::new(boot.finish()),
            Arc::new(number.finish()),
            Arc::new(time.finish()),
            Arc::new(voltage.finish()),
            Arc::new(current.finish()),
            Arc::new(soc.finish()),
            Arc::new(cells.finish()),
            Arc::new(temperatures.finish()),
            Arc::new(contactor.finish()),
            Arc::new(charger.finish()),
            Arc::new(insulation.finish()),
            Arc::new(ambient.finish()),
            Arc::new(coolant.finish()),
            Arc::new(speed.finish()),
            Arc::new(channels.0.finish()),
            Arc::new(causes.finish()),
            Arc::new(attested_by.finish()),
            Arc::new(batch_id.finish()),
            Arc::new(height.finish()),
            days(day(archived), n),
        ],
    )
}

/// Appends a row's cells. Nearly always all are known, and then they are copied at once; `known` is a buffer for that.
fn append_cells(list: &mut ListBuilder<Int32Builder>, cells: &[Millivolts16], known: &mut Vec<i32>) {
    if cells.iter().fold(true, |known, cell| known & cell.is_known()) {
        known.clear();
        known.extend(cells.iter().map(|cell| i32::from(cell.get())));
        list.values().append_slice(known);
        list.append(true);
    } else {
        list.append_value(cells.iter().map(|cell| cell.reading().ok().map(i32::from)));
    }
}

/// The same rows in today's layout: files of before the causes get its columns, and numbers that stand for unknown values
/// now become null with their cause, exactly as a batch of format 1 is read. Rows of another table, and columns of other
/// types, are left as they are.
pub(super) fn of_today(rows: RecordBatch) -> Result<RecordBatch, ArchiveError> {
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

/// What is said of a list's codes, as [`causes::text`] says it.
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
