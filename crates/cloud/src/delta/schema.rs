//! The tables' columns, and how rows become Arrow batches.
//!
//! Physical values carry their unit in the column's name; unknown ones are null. Every value is an exact image of the integer that was
//! signed: volts are `millivolts / 1000` as a double, and comparing doubles is comparing integers
//! ([`crate::verify_archive`] does so).

use super::{ArchiveError, evidence::EvidenceBuilder};
use crate::archivist::{Entry, Quarantined};
use arrow::{
    array::{
        ArrayRef, BinaryBuilder, Date32Array, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
        StringBuilder, TimestampMicrosecondBuilder,
    },
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

/// Rows of [`BATCHES`] for `entries`, sorted by height first: what batches of one block share is stored once.
pub fn batch_rows(
    entries: &[Entry],
    sequence: u64,
    archived: Timestamp,
) -> Result<RecordBatch, ArchiveError> {
    let mut rows: Vec<&Entry> = entries.iter().collect();
    rows.sort_by_key(|entry| {
        let header = &entry.batch.header;
        (entry.batch.height, header.vehicle.clone(), header.boot, entry.batch.first())
    });
    let n = rows.len();
    let mut vehicle = StringBuilder::new();
    let mut boot = Int64Builder::with_capacity(n);
    let mut first = Int64Builder::with_capacity(n);
    let mut last = Int64Builder::with_capacity(n);
    let mut sequences = Int64Builder::with_capacity(n);
    let mut count = Int64Builder::with_capacity(n);
    let mut batch_id = StringBuilder::new();
    let mut previous = StringBuilder::new();
    let mut attested_by = StringBuilder::new();
    let mut height = Int64Builder::with_capacity(n);
    let mut fog = StringBuilder::new();
    let mut archived_at = times(n);
    let mut kept =
        ListBuilder::new(Int32Builder::new()).with_field(Field::new("element", DataType::Int32, false));
    let mut wire = BinaryBuilder::new();
    let mut opening = BinaryBuilder::new();
    let mut evidence = EvidenceBuilder::default();
    for entry in rows {
        let batch = &entry.batch;
        vehicle.append_value(batch.header.vehicle.as_str());
        boot.append_value(long(batch.header.boot.get()));
        first.append_value(long(batch.first()));
        last.append_value(long(batch.last()));
        sequences.append_value(long(sequence));
        count.append_value(i64::from(batch.header.count));
        batch_id.append_value(&batch.id_text);
        previous.append_option(batch.header.previous.as_ref().map(ToString::to_string));
        attested_by.append_option(batch.attested_by());
        height.append_value(long(batch.height));
        fog.append_value(&batch.fog);
        archived_at.append_value(micros(archived));
        match &entry.kept {
            None => kept.append_null(),
            Some(positions) => kept.append_value(positions.iter().map(|p| Some(*p as i32))),
        }
        wire.append_value(&batch.wire);
        opening.append_value(&batch.opening);
        evidence.append(&batch.evidence);
    }
    let [block, evidence, signer] = evidence.finish();
    finish(
        batches(),
        vec![
            Arc::new(vehicle.finish()),
            Arc::new(boot.finish()),
            Arc::new(first.finish()),
            Arc::new(last.finish()),
            Arc::new(sequences.finish()),
            Arc::new(count.finish()),
            Arc::new(batch_id.finish()),
            Arc::new(previous.finish()),
            Arc::new(attested_by.finish()),
            Arc::new(height.finish()),
            Arc::new(fog.finish()),
            Arc::new(archived_at.finish()),
            Arc::new(kept.finish()),
            Arc::new(wire.finish()),
            Arc::new(opening.finish()),
            block,
            evidence,
            signer,
            days(day(archived), n),
        ],
    )
}

/// Rows of [`QUARANTINE`], with the times of their receipt in microseconds.
pub fn quarantine_rows(rows: &[&Quarantined], times_us: &[i64]) -> Result<RecordBatch, ArchiveError> {
    let n = rows.len();
    let mut received_at = times(n);
    let mut fog = StringBuilder::new();
    let mut vehicle = StringBuilder::new();
    let mut boot = Int64Builder::with_capacity(n);
    let mut first = Int64Builder::with_capacity(n);
    let mut count = Int64Builder::with_capacity(n);
    let mut batch_id = StringBuilder::new();
    let mut stage = StringBuilder::new();
    let mut reason = StringBuilder::new();
    let mut digest = StringBuilder::new();
    let mut bytes = BinaryBuilder::new();
    let mut archived_days = Vec::with_capacity(n);
    // What was refused may name any number: one that does not fit is left out, the raw bytes have it.
    let narrow = |value: u64| i64::try_from(value).ok();
    for (row, received_us) in rows.iter().zip(times_us) {
        received_at.append_value(*received_us);
        fog.append_value(&row.fog);
        let about = row.about.as_ref();
        vehicle.append_option(about.map(|about| about.vehicle.as_str()));
        boot.append_option(about.and_then(|about| narrow(about.boot.get())));
        first.append_option(about.and_then(|about| narrow(about.first)));
        count.append_option(about.map(|about| i64::from(about.count)));
        batch_id.append_option(about.map(|about| about.id.to_string()));
        stage.append_value(row.refusal.stage.as_str());
        reason.append_value(&row.refusal.reason);
        digest.append_value(row.digest.to_string());
        bytes.append_value(&row.bytes);
        archived_days.push(i32::try_from(received_us.div_euclid(86_400_000_000)).unwrap_or(i32::MAX));
    }
    finish(
        quarantine(),
        vec![
            Arc::new(received_at.finish()),
            Arc::new(fog.finish()),
            Arc::new(vehicle.finish()),
            Arc::new(boot.finish()),
            Arc::new(first.finish()),
            Arc::new(count.finish()),
            Arc::new(batch_id.finish()),
            Arc::new(stage.finish()),
            Arc::new(reason.finish()),
            Arc::new(digest.finish()),
            Arc::new(bytes.finish()),
            Arc::new(Date32Array::from(archived_days)),
        ],
    )
}
