//! The tables' columns, and how values are written in them.
//!
//! Physical values carry their unit in the column's name; unknown ones are null. Every value is an exact image of the integer that was
//! signed: volts are `millivolts / 1000` as a double, and comparing doubles is comparing integers
//! ([`crate::verify_archive`] does so).

use crate::delta::ArchiveError;
use arrow::{
    array::{ArrayRef, Date32Array, RecordBatch, TimestampMicrosecondBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use std::sync::Arc;
use voltmesh_telemetry::{Charger, Contactor, Timestamp};

/// One row per record.
pub const RECORDS: &str = "records";
/// One row per archived batch, with the bytes that prove its records.
pub const BATCHES: &str = "batches";
/// Table of what failed a check, with its reason.
pub const QUARANTINE: &str = "quarantine";
/// Batches that were anchored again, or that hold no new record, with the columns of [`BATCHES`]; their records are
/// archived from elsewhere. What explains their entries of the ledger's log. `sequence` is 0, or the commit of a row that
/// stood twice in `batches` and was moved here.
pub const COPIES: &str = "copies";
/// Partition column of all: the UTC day of archiving, so that a commit writes one file whatever the
/// vehicles' clocks say, and a day's files can be compacted once it has passed.
pub const DAY: &str = "archived_day";

/// Column of the ledger's evidence that batches of one block share.
pub const BLOCK: &str = "block";
/// A batch's own place in the log; where [`BLOCK`] and [`SIGNER`] are null, all of its evidence.
pub const EVIDENCE: &str = "evidence";
/// The signer's entry in the ledger's registry.
pub const SIGNER: &str = "signer";
/// Column of the reasons why values of a row are null, as [`super::causes`] says it.
pub const CAUSES: &str = "causes";
/// Columns that every row of `records` has had in all layouts, by which a table's rows are told from others'.
pub const CELLS: &str = "cells_mv";
/// Columns that a table of before ADR 18 (evidence in three columns) or ADR 23 (unknown values) does not have.
pub const ADDED: [&str; 8] =
    [BLOCK, SIGNER, "insulation_ohm", "ambient_c", "coolant_c", "speed_kmh", "channels", CAUSES];

fn timestamp(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}

/// A list whose elements may be null.
fn list(name: &str, item: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("element", item, true))), false)
}

/// Extra channels of a row; null if it has none.
fn channels() -> Field {
    let fields = vec![
        field("name", DataType::Utf8),
        field("unit", DataType::Utf8),
        field("resolution", DataType::Float64),
        optional("value", DataType::Float64),
    ];
    let element = Field::new("element", DataType::Struct(fields.into()), false);
    optional("channels", DataType::List(Arc::new(element)))
}

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// The element of a list column.
pub(super) fn item_of(schema: &Schema, list: &str) -> Arc<Field> {
    match schema.field_with_name(list).map(Field::data_type) {
        Ok(DataType::List(item)) => item.clone(),
        _ => unreachable!("{list} is a list of our schema"),
    }
}

/// Columns of [`RECORDS`].
pub fn records() -> SchemaRef {
    use DataType::{Date32, Float64, Int32, Int64, Utf8};
    Arc::new(Schema::new(vec![
        field("vehicle", Utf8),
        field("boot", Int64),
        field("number", Int64),
        timestamp("time"),
        optional("pack_voltage_v", Float64),
        optional("pack_current_a", Float64),
        optional("soc_percent", Float64),
        list("cells_mv", Int32),
        list("temperatures_c", Float64),
        field("contactor", Utf8),
        field("charger", Utf8),
        optional("insulation_ohm", Int64),
        optional("ambient_c", Float64),
        optional("coolant_c", Float64),
        optional("speed_kmh", Float64),
        channels(),
        optional(CAUSES, Utf8),
        optional("attested_by", Utf8),
        field("batch_id", Utf8),
        field("height", Int64),
        field(DAY, Date32),
    ]))
}

/// Columns of [`BATCHES`].
pub fn batches() -> SchemaRef {
    use DataType::{Binary, Date32, Int64, Utf8};
    Arc::new(Schema::new(vec![
        field("vehicle", Utf8),
        field("boot", Int64),
        // First and last number: equal to `first + count - 1` except for attested batches, whose numbers have gaps.
        field("first", Int64),
        field("last", Int64),
        field("sequence", Int64),
        field("count", Int64),
        field("batch_id", Utf8),
        optional("previous", Utf8),
        optional("attested_by", Utf8),
        field("height", Int64),
        field("fog", Utf8),
        timestamp("archived_at"),
        // Positions of the records that were new; null if all were.
        Field::new("kept", DataType::List(Arc::new(Field::new("element", DataType::Int32, false))), true),
        field("wire", Binary),
        field("opening", Binary),
        optional(BLOCK, Binary),
        field(EVIDENCE, Binary),
        optional(SIGNER, Binary),
        field(DAY, Date32),
    ]))
}

/// Columns of [`QUARANTINE`].
pub fn quarantine() -> SchemaRef {
    use DataType::{Binary, Date32, Int64, Utf8};
    Arc::new(Schema::new(vec![
        timestamp("received_at"),
        field("fog", Utf8),
        optional("vehicle", Utf8),
        optional("boot", Int64),
        optional("first", Int64),
        optional("count", Int64),
        optional("batch_id", Utf8),
        field("stage", Utf8),
        field("reason", Utf8),
        field("digest", Utf8),
        field("bytes", Binary),
        field(DAY, Date32),
    ]))
}

/// The text of a contactor state, as in JSON.
pub fn contactor_text(value: Contactor) -> &'static str {
    match value {
        Contactor::Unknown => "unknown",
        Contactor::Open => "open",
        Contactor::Closed => "closed",
        Contactor::Precharge => "precharge",
        Contactor::Fault => "fault",
    }
}

/// The text of a charger state, as in JSON.
pub fn charger_text(value: Charger) -> &'static str {
    match value {
        Charger::Unknown => "unknown",
        Charger::Unplugged => "unplugged",
        Charger::Plugged => "plugged",
        Charger::Charging => "charging",
        Charger::Fault => "fault",
    }
}

/// Microseconds since the Unix epoch. `Timestamp::MAX` fits with a factor of a thousand to spare.
pub fn micros(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 1000).saturating_mul(1000)
}

/// The time of a commit's rows, from microseconds.
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(micros / 1000).unwrap_or(0))
}

/// Days since the Unix epoch.
pub fn day(time: Timestamp) -> i32 {
    i32::try_from(time.as_millis() / 86_400_000).unwrap_or(i32::MAX)
}

/// The day of a time in microseconds, as the partition's text.
pub fn day_text(micros: i64) -> String {
    let day = i32::try_from(micros.div_euclid(86_400_000_000)).ok().and_then(day_name);
    day.unwrap_or_else(|| "a day without a date".to_owned())
}

/// The partition's text of a day since the Unix epoch; `None` for one that no calendar has.
pub fn day_name(day: i32) -> Option<String> {
    let epoch = time::macros::date!(1970 - 01 - 01).to_julian_day();
    time::Date::from_julian_day(epoch.checked_add(day)?).ok().map(|day| day.to_string())
}

/// Days since the Unix epoch, from the partition's text.
pub fn day_number(text: &str) -> Option<i32> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let date = time::Date::parse(text, format).ok()?;
    Some(date.to_julian_day() - time::macros::date!(1970 - 01 - 01).to_julian_day())
}

/// A counter as Delta's `long`. The core refuses larger values before they come here.
pub fn long(value: u64) -> i64 {
    assert!(value <= i64::MAX as u64, "{value} does not fit a long column");
    value as i64
}

pub(super) fn times(capacity: usize) -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::with_capacity(capacity).with_timezone("UTC")
}

pub(super) fn days(value: i32, rows: usize) -> ArrayRef {
    Arc::new(Date32Array::from_value(value, rows))
}

pub(super) fn finish(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArchiveError> {
    RecordBatch::try_new(schema, columns).map_err(ArchiveError::store)
}
