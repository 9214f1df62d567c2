//! Histories as JSON: one document, or one a line; rows, sessions, or what networks publish.

use std::io::{BufRead, Read as _};

use serde_json::{Map, Value};

use super::report::Skip;
use super::row::{Place, Times};
use super::{Builder, ocpp};
use crate::Error;
use crate::feeds::rows::ENVELOPES;
use crate::feeds::{self, MAX_FEED_BYTES};
use crate::table::Columns;

const WHAT: &str = "the history";

/// Lists and envelopes within each other, at most.
const DEPTH: usize = 4;

/// Reads all documents.
pub(super) fn read(builder: &mut Builder, mut from: impl BufRead) -> Result<(), Error> {
    builder.source("JSON")?;
    let mut reader = Reader { builder, keys: Vec::new(), columns: None, times: Times::default() };
    let io = |source| Error::Json { what: WHAT, source: serde_json::Error::io(source) };
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        // A line may be a whole document.
        let got = (&mut from).take(MAX_FEED_BYTES as u64 + 1).read_until(b'\n', &mut line).map_err(io)?;
        too_long(line.len())?;
        if got == 0 {
            return Ok(());
        }
        number += 1;
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line).trim_ascii();
        if text.is_empty() {
            continue;
        }
        match serde_json::from_slice::<Value>(text) {
            Ok(value) => reader.value(&value, Place::Line(number), DEPTH)?,
            // One document over several lines.
            Err(_) if number == 1 => {
                (&mut from).take(MAX_FEED_BYTES as u64 + 1).read_to_end(&mut line).map_err(io)?;
                too_long(line.len())?;
                let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
                for value in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
                    let value = value.map_err(|source| Error::Json { what: WHAT, source })?;
                    reader.value(&value, Place::Line(1), DEPTH)?;
                }
                return Ok(());
            }
            Err(_) => {
                let text = String::from_utf8_lossy(text).into_owned();
                reader.builder.skip(Skip::NotARow, &Place::Line(number).words(), &text);
            }
        }
    }
}

/// Reads one document of XML.
pub(super) fn read_xml(builder: &mut Builder, from: impl BufRead) -> Result<(), Error> {
    let mut bytes = Vec::new();
    let io = |source| Error::Json { what: WHAT, source: serde_json::Error::io(source) };
    from.take(MAX_FEED_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    too_long(bytes.len())?;
    let value = feeds::xml::read(&bytes, WHAT)?;
    builder.source("XML")?;
    Reader { builder, keys: Vec::new(), columns: None, times: Times::default() }.value(
        &value,
        Place::Line(1),
        0,
    )
}

fn too_long(bytes: usize) -> Result<(), Error> {
    if bytes <= MAX_FEED_BYTES {
        return Ok(());
    }
    let limit = MAX_FEED_BYTES as u64;
    Err(Error::TooMuch { what: "bytes of one document", found: bytes as u64, limit })
}

struct Reader<'a> {
    builder: &'a mut Builder,
    /// Keys of the object before, and what they are.
    keys: Vec<String>,
    columns: Option<Columns>,
    times: Times,
}

impl Reader<'_> {
    fn value(&mut self, value: &Value, place: Place, depth: usize) -> Result<(), Error> {
        if let Some(message) = feeds::ocpp::message(value) {
            self.builder.here().format = ocpp::FORMAT;
            return ocpp::take(self.builder, &message, &mut self.times, place);
        }
        if let Some((format, readings)) = feeds::of_value(value) {
            self.builder.here().format = format;
            for reading in readings {
                match reading.at {
                    Some(at) => self.builder.push(at, &reading.evse, &reading.status)?,
                    None => self.builder.skip(Skip::NotATime, &place.words(), &reading.evse),
                }
            }
            return Ok(());
        }
        match value {
            Value::Array(all) if depth > 0 => {
                for (n, one) in all.iter().enumerate() {
                    let place =
                        if matches!(place, Place::Line(1)) { Place::Row(n as u64 + 1) } else { place };
                    self.value(one, place, depth - 1)?;
                }
                Ok(())
            }
            Value::Object(object) => self.object(object, place, depth),
            other => {
                self.builder.skip(Skip::NotARow, &place.words(), &other.to_string());
                Ok(())
            }
        }
    }

    fn object(&mut self, object: &Map<String, Value>, place: Place, depth: usize) -> Result<(), Error> {
        if !object.keys().eq(self.keys.iter()) {
            self.keys = object.keys().cloned().collect();
            self.columns = Columns::of(self.keys.iter().map(String::as_str));
        }
        let Some(columns) = self.columns else {
            let within =
                ENVELOPES.iter().find_map(|name| object.get(*name).filter(|v| v.is_array() || v.is_object()));
            return match within {
                Some(within) if depth > 0 => self.value(within, place, depth - 1),
                _ => {
                    let text = Value::Object(object.clone()).to_string();
                    self.builder.skip(Skip::NotARow, &place.words(), &text);
                    Ok(())
                }
            };
        };
        let mut fields: Vec<String> = object.values().map(text).collect();
        if let Columns::Sessions { evse, .. } = columns {
            self.builder.here().format = "JSON of sessions";
            // OCPI names an EVSE within its location.
            if let (Some(location), Some(field)) =
                (object.get("location_id").and_then(Value::as_str), fields.get_mut(evse))
            {
                *field = format!("{location}/{field}");
            }
        }
        self.builder.fields(columns, &fields, &mut self.times, place)
    }
}

/// A value as the text that a table would have.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}
