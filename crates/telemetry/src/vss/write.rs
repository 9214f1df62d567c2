//! A sample to JSON, in decimal digits that give the same sample back.

use super::*;
use crate::{Charger, Contactor, Reading, Sample, Unknown};
use std::fmt::Write as _;

/// Writes a sample as one JSON object of full VSS paths and a `timestamp` in milliseconds. What is optional and not sent is
/// left out.
pub fn to_json(sample: &Sample) -> String {
    let mut json = String::with_capacity(512 + 8 * (sample.cells.len() + sample.temperatures.len()));
    let mut field = |key: &str, value: &dyn Fn(&mut String)| {
        json.push(if json.is_empty() { '{' } else { ',' });
        json.push('"');
        json.push_str(key);
        json.push_str("\":");
        value(&mut json);
    };
    field(TIMESTAMP, &|out| push(out, format_args!("{}", sample.time.as_millis())));
    field(CURRENT_VOLTAGE, &|out| reading(out, sample.pack_voltage.reading(), 1000));
    field(CURRENT_CURRENT, &|out| reading(out, sample.pack_current.reading(), 1000));
    if !sample.cells.is_empty() {
        let cells = sample.cells.iter().map(|cell| cell.reading());
        field(CELL_VOLTAGES, &|out| list(out, cells.clone(), 1000));
    }
    if !sample.temperatures.is_empty() {
        let temperatures = sample.temperatures.iter().map(|value| value.reading());
        field(CELL_TEMPERATURES, &|out| list(out, temperatures.clone(), 100));
    }
    let mut optional = |key: &str, value: Reading<i64>, per_unit: u64| {
        if value != Err(Unknown::NotSent) {
            field(key, &|out| reading(out, value, per_unit));
        }
    };
    optional(STATE_OF_CHARGE, sample.soc.reading().map(i64::from), 100);
    optional(INSULATION, sample.insulation.reading().map(i64::from), 1);
    optional(AIR_TEMPERATURE, sample.ambient.reading().map(i64::from), 100);
    optional(COOLANT_TEMPERATURE, sample.coolant.reading().map(i64::from), 100);
    optional(SPEED, sample.speed.reading().map(i64::from), 100);
    if sample.contactor != Contactor::Unknown {
        let closed = sample.contactor == Contactor::Closed;
        field(IS_POWER_CONNECTED, &|out| push(out, format_args!("{closed}")));
    }
    if sample.charger != Charger::Unknown {
        let charging = sample.charger == Charger::Charging;
        field(IS_CHARGING, &|out| push(out, format_args!("{charging}")));
        let cable = sample.charger != Charger::Unplugged;
        field(IS_CABLE_CONNECTED, &|out| push(out, format_args!("{cable}")));
    }
    if !sample.channels.is_empty() {
        field(CHANNELS, &|out| channels(out, sample));
    }
    json.push('}');
    json
}

fn channels(out: &mut String, sample: &Sample) {
    for (i, value) in sample.channels.iter().enumerate() {
        let channel = &value.channel;
        out.push(if i == 0 { '[' } else { ',' });
        // Neither names nor units of UCUM need an escape.
        push(out, format_args!(r#"{{"name":"{}","unit":"{}","#, channel.name(), channel.unit()));
        push(out, format_args!(r#""resolution":{},"value":"#, channel.resolution()));
        match value.reading() {
            Ok(value) => push(out, format_args!("{value}")),
            Err(cause) => unknown(out, cause),
        }
        out.push('}');
    }
    out.push(']');
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

fn unknown(out: &mut String, cause: Unknown) {
    match cause {
        Unknown::NotSent => out.push_str("null"),
        cause => push(out, format_args!(r#"{{"{UNKNOWN}":"{cause}"}}"#)),
    }
}

fn reading(out: &mut String, value: Reading<impl Into<i64>>, per_unit: u64) {
    match value {
        Ok(value) => decimal(out, value.into(), per_unit),
        Err(cause) => unknown(out, cause),
    }
}

fn list<T: Into<i64>>(out: &mut String, values: impl Iterator<Item = Reading<T>>, per_unit: u64) {
    out.push('[');
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push(',');
        }
        reading(out, value, per_unit);
    }
    out.push(']');
}

/// `value / per_unit` (a power of ten) without a float and without trailing zeros.
fn decimal(out: &mut String, value: i64, per_unit: u64) {
    if value < 0 {
        out.push('-');
    }
    push(out, format_args!("{}", value.unsigned_abs() / per_unit));
    let mut rest = value.unsigned_abs() % per_unit;
    let mut unit = per_unit;
    if rest > 0 {
        out.push('.');
    }
    while rest > 0 {
        unit /= 10;
        out.push(char::from(b'0' + (rest / unit) as u8));
        rest %= unit;
    }
}
