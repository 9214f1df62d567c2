//! A sample to JSON, in decimal digits that give the same sample back.

use super::*;
use crate::{CentiPercent, Charger, Contactor, Sample};
use std::fmt::Write as _;

/// Writes a sample as one JSON object of full VSS paths and a `timestamp` in milliseconds; what is unknown is left out.
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
    field(CURRENT_VOLTAGE, &|out| decimal(out, i64::from(sample.pack_voltage.get()), 1000));
    field(CURRENT_CURRENT, &|out| decimal(out, i64::from(sample.pack_current.get()), 1000));
    if !sample.cells.is_empty() {
        let cells = sample.cells.iter().map(|cell| i64::from(cell.get()));
        field(CELL_VOLTAGES, &|out| list(out, cells.clone(), 1000));
    }
    if !sample.temperatures.is_empty() {
        let temperatures = sample.temperatures.iter().map(|value| i64::from(value.get()));
        field(CELL_TEMPERATURES, &|out| list(out, temperatures.clone(), 100));
    }
    if sample.soc != CentiPercent::UNKNOWN {
        field(STATE_OF_CHARGE, &|out| decimal(out, i64::from(sample.soc.get()), 100));
    }
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
    json.push('}');
    json
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

fn list(out: &mut String, values: impl Iterator<Item = i64>, per_unit: u64) {
    out.push('[');
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push(',');
        }
        decimal(out, value, per_unit);
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
