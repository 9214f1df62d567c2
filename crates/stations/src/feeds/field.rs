//! Fields of JSON documents, whatever publishers write into them.

use serde_json::Value;

use super::reading::{Listed, Unread};
use crate::place::Position;
use crate::times::{NoTime, read_time};
use crate::words;

/// A text that is not empty, or a number as text.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An enumeration's value in DATEX II, which stands alone or in an object.
pub(super) fn value_of(value: &Value, name: &str) -> Option<String> {
    text(value, name).or_else(|| text(value.get(name)?, "value"))
}

/// A finite number, also one that is written as text.
pub(super) fn number(value: &Value, name: &str) -> Option<f64> {
    plain_number(value.get(name)?)
}

/// A finite number that stands alone, also one that is written as text, with a point or a comma before its decimals.
pub(super) fn plain_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().replacen(',', ".", 1).parse().ok(),
        other => other.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A time in seconds since 1970, or why what stands there is none; `None` where nothing does.
pub(super) fn time(value: &Value, name: &str) -> Option<Result<i64, Unread>> {
    Some(time_of_text(text(value, name)?))
}

/// The same of a text.
pub(super) fn time_of_text(text: String) -> Result<i64, Unread> {
    read_time(&text).map(|(at, _)| at).map_err(|why| Unread { why, text })
}

/// A time in seconds since 1970, in UTC where it has no offset, as OCPI's DateTime has it.
pub(super) fn utc_time(value: &Value, name: &str) -> Option<Result<i64, Unread>> {
    let text = text(value, name)?;
    let is_utc = read_time(&text) == Err(NoTime::NoOffset);
    Some(time_of_text(if is_utc { format!("{text}Z") } else { text }))
}

/// The elements of a list; one where something stands alone, as XML has it, and none where there is nothing.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).map_or(&[][..], elements)
}

/// The elements of a list; one where it is none, and none of null.
pub(super) fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(all) => all,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// A position of two fields.
pub(super) fn position(value: &Value, latitude: &str, longitude: &str) -> Option<Position> {
    let (latitude, longitude) = (number(value, latitude)?, number(value, longitude)?);
    Position::new(latitude, longitude).filter(|_| (latitude, longitude) != (0.0, 0.0))
}

/// Adds what a connector's type names to a place.
pub(super) fn connector(listed: &mut Listed, name: &str) {
    let found = words::plugs(name);
    listed.place.plugs.extend(found.plugs);
    listed.place.plugs.sort_unstable();
    listed.place.plugs.dedup();
    listed.unknown_plugs.extend(found.not_understood);
    let known = listed.place.connector.get_or_insert_with(String::new);
    if !known.split("; ").any(|known| known == name) {
        if !known.is_empty() {
            known.push_str("; ");
        }
        known.push_str(name);
    }
}

/// Calls `visit` with every object of a document that has a field of that name.
pub(super) fn each<'a>(value: &'a Value, name: &str, visit: &mut impl FnMut(&'a Value)) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| each(one, name, visit)),
        Value::Object(object) => {
            if object.contains_key(name) {
                visit(value);
            }
            object.values().for_each(|one| each(one, name, visit));
        }
        _ => {}
    }
}

/// What stands in the first field of that name of a document.
pub(super) fn first<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Array(all) => all.iter().find_map(|one| first(one, name)),
        Value::Object(object) => {
            object.get(name).or_else(|| object.values().find_map(|one| first(one, name)))
        }
        _ => None,
    }
}
