//! Messages of VISS servers and of Eclipse Kuksa's databroker as one sample.
//!
//! Both state a path, a value and a time for each signal:
//!
//! - COVESA VISS v2 and v3: `{"data": {"path": …, "dp": {"value": …, "ts": …}}}`, or an array of such data. Values are text.
//! - `kuksa-client`: `{"path": …, "value": {"value": …, "timestamp": …}}`, or an array of such objects.
//! - kuksa.val.v2: `{"entries": {PATH: {"timestamp": …, "value": {"float": …}}}}`, a `SubscribeResponse` in protobuf's JSON.
//! - kuksa.val.v1: `{"updates": [{"entry": {"path": …, "value": {"timestamp": …, "float": …}}}]}`.
//!
//! The sample has the newest of the times. A value that is older by more than [`TOGETHER_MS`] is stale in it.

use super::object::{Fields, field_error, fields};
use super::once::Once;
use super::seeds::Time;
use super::{
    CELL_TEMPERATURES, CELL_VOLTAGES, IS_CABLE_CONNECTED, IS_CHARGING, IS_POWER_CONNECTED, TIMESTAMP, UNKNOWN,
};
use crate::{Error, Timestamp, Unknown};
use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value, json};

/// Longest time between two values that are of one sample, in ms.
pub(super) const TOGETHER_MS: u64 = 1_000;

/// One signal's value at a time.
struct Point {
    path: String,
    value: Value,
    time: Timestamp,
}

/// Reads a message of one of these forms.
pub(super) fn parse(json: &[u8]) -> Result<Fields, Error> {
    let Once(message) =
        serde_json::from_slice(json).map_err(|error| field_error("JSON sample", error.to_string()))?;
    let mut points = Vec::new();
    collect(&message, &mut points)?;
    let Some(newest) = points.iter().map(|point| point.time).max() else {
        return Err(field_error(
            "JSON sample",
            "holds no value of a signal; wants one JSON object of VSS paths, or a message of VISS or Kuksa",
        ));
    };
    let mut object = Map::new();
    object.insert(TIMESTAMP.to_owned(), json!(newest.as_millis()));
    for Point { path, value, time } in points {
        let late = newest.as_millis() - time.as_millis() > TOGETHER_MS;
        let value = if late { stale(&path, &value) } else { value };
        match object.get(&path) {
            Some(earlier) if *earlier == value => {}
            Some(_) => {
                let why = "has several values in one message: publish one message a time";
                return Err(field_error(&path, why));
            }
            None => drop(object.insert(path, value)),
        }
    }
    fields(Value::Object(object))
}

fn collect(message: &Value, points: &mut Vec<Point>) -> Result<(), Error> {
    let object = match message {
        Value::Array(messages) => return messages.iter().try_for_each(|message| collect(message, points)),
        Value::Object(object) => object,
        _ => return Err(field_error("JSON sample", "is neither an object nor an array of objects")),
    };
    if let Some(error) = object.get("error").filter(|error| !error.is_null()) {
        return Err(field_error("error", format!("the message says {error:.120}, and holds no sample")));
    }
    if let Some(data) = object.get("data") {
        return collect(data, points);
    }
    if let Some(Value::Object(entries)) = object.get("entries") {
        return entries.iter().try_for_each(|(path, point)| push(path, point, points));
    }
    if let Some(Value::Array(updates)) = object.get("updates") {
        return updates.iter().try_for_each(|update| match update.get("entry") {
            Some(entry) => collect(entry, points),
            None => Err(field_error("updates", "has an element without entry")),
        });
    }
    let path = match object.get("path") {
        Some(Value::String(path)) => path.as_str(),
        Some(_) => return Err(field_error("path", "is no text: compressed messages of VISS are not read")),
        None => return Err(field_error("JSON sample", "has an element without path")),
    };
    match object.get("dp").or_else(|| object.get("value")) {
        Some(Value::Array(dps)) => dps.iter().try_for_each(|point| push(path, point, points)),
        Some(point) => push(path, point, points),
        // Metadata, an actuator's target: not a value.
        None => Ok(()),
    }
}

/// Adds a value and its time. A signal that has never had a value is not sent.
fn push(path: &str, point: &Value, points: &mut Vec<Point>) -> Result<(), Error> {
    let path = path.replace('/', ".");
    let point = match point {
        Value::Object(point) => point,
        Value::Null => return Ok(()),
        _ => return Err(field_error(&path, "wants an object of value and time")),
    };
    let is_time = |key: &str| matches!(key, "ts" | "timestamp");
    // Beside a `value`, publishers write units and qualities; a typed value stands alone beside its time.
    let named = ["value", UNKNOWN].iter().find_map(|name| point.get_key_value(*name));
    let mut others = point.iter().filter(|(key, _)| !is_time(key));
    let stated = named.or_else(|| others.next());
    if named.is_none() && others.next().is_some() {
        return Err(field_error(&path, "has several fields beside its time, and none of them is `value`"));
    }
    let Some(value) = stated.map(|(key, value)| plain(key, value)) else { return Ok(()) };
    if value.is_null() {
        return Ok(());
    }
    let stated = point.get("ts").or_else(|| point.get("timestamp"));
    let stated = stated.ok_or_else(|| field_error(&path, "has a value without its time"))?;
    let time =
        Time.deserialize(stated).map_err(|why| field_error(&path, format!("has a time that {why}")))?;
    points.push(Point { path, value, time });
    Ok(())
}

/// The value itself: text of VISS becomes what it says, a typed value of protobuf's JSON what it holds.
fn plain(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(typed) if key != UNKNOWN && !typed.contains_key(UNKNOWN) => match typed.iter().next() {
            Some((key, value)) if typed.len() == 1 => plain(key, value),
            _ => value.clone(),
        },
        Value::Array(values) => values.iter().map(|value| plain(key, value)).collect(),
        Value::String(text) if key != UNKNOWN => match text.trim() {
            "true" => json!(true),
            "false" => json!(false),
            number => number.parse::<f64>().ok().filter(|number| number.is_finite()).map_or_else(
                || value.clone(),
                // 0 and 1 are booleans too.
                |number| if number == 0.0 || number == 1.0 { json!(number as u64) } else { json!(number) },
            ),
        },
        _ if key == UNKNOWN => json!({ UNKNOWN: value }),
        _ => value.clone(),
    }
}

/// What stands for a value that is too old for the sample.
fn stale(path: &str, value: &Value) -> Value {
    let cause = json!({ UNKNOWN: Unknown::Stale.to_string() });
    match (path, value) {
        (IS_POWER_CONNECTED | IS_CHARGING | IS_CABLE_CONNECTED, _) => Value::Null,
        (CELL_VOLTAGES | CELL_TEMPERATURES, Value::Array(values)) => vec![cause; values.len()].into(),
        _ => cause,
    }
}

#[cfg(test)]
mod tests;
