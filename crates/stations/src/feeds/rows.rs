//! Rows of statuses as JSON, and OCPP's messages, alone or in a line of a log: what a live feed has beside networks' documents.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::field::time_of_text;
use super::ocpp;
use super::reading::Reading;
use crate::table::{Columns, is_time};

/// Lists within each other, at most.
const DEPTH: usize = 3;

/// Names under which publishers put their rows.
const ENVELOPES: [&str; 13] = [
    "data",
    "results",
    "records",
    "items",
    "_items",
    "value",
    "rows",
    "fields",
    "sessions",
    "features",
    "properties",
    "evses",
    "statuses",
];

/// The rows that an object holds, and each that has no time with that of the object around it, as logs of whole networks have them.
pub(crate) fn within(object: &Map<String, Value>) -> Option<Cow<'_, Value>> {
    let name =
        ENVELOPES.iter().find(|name| object.get(**name).is_some_and(|v| v.is_array() || v.is_object()))?;
    let (rows, time) =
        (&object[*name], object.iter().find(|(name, value)| is_time(name) && !value.is_object()));
    let (Value::Array(all), Some((name, time))) = (rows, time) else { return Some(Cow::Borrowed(rows)) };
    let lacks_time = |row: &Map<String, Value>| {
        let columns = |more: Option<&String>| Columns::of(row.keys().chain(more).map(String::as_str));
        columns(None).is_none()
            && matches!(columns(Some(name)), Some(Columns::Statuses { .. } | Columns::Irve { .. }))
    };
    if !all.iter().filter_map(Value::as_object).any(lacks_time) {
        return Some(Cow::Borrowed(rows));
    }
    let timed = |row: &Value| match row {
        Value::Object(row) if lacks_time(row) => {
            let mut row = row.clone();
            row.insert(name.clone(), time.clone());
            Value::Object(row)
        }
        other => other.clone(),
    };
    Some(Cow::Owned(Value::Array(all.iter().map(timed).collect())))
}

/// The statuses of a row, a message, or a list of such; `None` if it is neither.
pub(super) fn readings(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    let mut found = Vec::new();
    collect(value, DEPTH, &mut found).then_some(("rows", found))
}

/// Whether anything was a row.
fn collect(value: &Value, depth: usize, found: &mut Vec<Reading>) -> bool {
    let of_ocpp = ocpp::found(value);
    if !of_ocpp.is_empty() {
        found.extend(of_ocpp.messages.iter().filter_map(reading));
        // An entry without a status is counted by who asks.
        found.extend((0..of_ocpp.unread).map(|_| Reading::default()));
        return true;
    }
    match value {
        Value::Array(all) if depth > 0 => {
            let mut any = false;
            for one in all {
                any |= collect(one, depth - 1, found);
            }
            any
        }
        Value::Object(object) => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let fields: Vec<String> = object.values().map(text).collect();
            let columns = Columns::of(object.keys().map(String::as_str));
            if columns.is_some_and(|columns| columns.evse().is_whole_charger(&fields)) {
                return true;
            }
            let Some((at, evse, status)) = columns.and_then(|columns| columns.status_of(&fields)) else {
                return depth > 0 && within(object).is_some_and(|within| collect(&within, depth - 1, found));
            };
            found.push(Reading::new(
                evse.into_owned(),
                status.to_owned(),
                Some(time_of_text(at.into_owned())),
            ));
            true
        }
        _ => false,
    }
}

/// The statuses in a line of a log of OCPP, and how many of its messages about one cannot be read.
pub(super) fn of_line(line: &str) -> (Vec<Reading>, u64) {
    let found = ocpp::in_line(line);
    (found.messages.iter().filter_map(reading).collect(), found.unread)
}

fn reading(message: &ocpp::Message) -> Option<Reading> {
    let at = time_of_text(message.at.clone());
    Some(Reading::new(message.evse_id()?, message.status.clone(), Some(at)))
}
