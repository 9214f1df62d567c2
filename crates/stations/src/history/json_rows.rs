//! Histories as JSON: one document, or one a line; rows, sessions, or what networks publish.

use std::cell::LazyCell;
use std::io::{BufRead, Read as _};

use serde_json::{Map, Value};

use super::report::Skip;
use super::row::{Place, Times};
use super::{Builder, ocpp};
use crate::Error;
use crate::feeds::rows::within;
use crate::feeds::values::several;
use crate::feeds::{self, MAX_FEED_BYTES};
use crate::table::Columns;
use crate::times::{NoTime, read_time};

const WHAT: &str = "the history";

/// Lists and envelopes within each other, at most.
const DEPTH: usize = 4;

/// Reads all documents.
pub(super) fn read(builder: &mut Builder, mut from: impl BufRead) -> Result<(), Error> {
    builder.source("JSON")?;
    let mut reader = Reader::new(builder);
    let io = |source| Error::Json { what: WHAT, source: serde_json::Error::io(source) };
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        // A line may be a whole document.
        let got = (&mut from).take(MAX_FEED_BYTES as u64 + 1).read_until(b'\n', &mut line).map_err(io)?;
        too_long(line.len())?;
        if got == 0 {
            return reader.end();
        }
        number += 1;
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line).trim_ascii();
        if text.is_empty() {
            continue;
        }
        match several(text) {
            // One document over several lines.
            (_, false) if number == 1 => {
                (&mut from).take(MAX_FEED_BYTES as u64 + 1).read_to_end(&mut line).map_err(io)?;
                too_long(line.len())?;
                let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
                for value in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
                    let value = value.map_err(|source| Error::Json { what: WHAT, source })?;
                    reader.value(&value, Place::Line(1), DEPTH)?;
                }
                return reader.end();
            }
            (values, is_whole) => {
                for value in &values {
                    reader.value(value, Place::Line(number), DEPTH)?;
                }
                if !is_whole {
                    let text = String::from_utf8_lossy(text).into_owned();
                    reader.builder.skip(Skip::NotARow, &Place::Line(number).words(), &text);
                }
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
    Reader::new(builder).value(&value, Place::Line(1), 0)
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
    /// Messages of OCPP that say nothing of a status.
    others: u64,
}

impl<'a> Reader<'a> {
    fn new(builder: &'a mut Builder) -> Self {
        Self { builder, keys: Vec::new(), columns: None, times: Times::default(), others: 0 }
    }

    /// All is read.
    fn end(self) -> Result<(), Error> {
        let is_log = self.others > 0 && self.builder.here().rows == 0;
        if is_log { Err(ocpp::without_statuses()) } else { Ok(()) }
    }

    fn value(&mut self, value: &Value, place: Place, depth: usize) -> Result<(), Error> {
        if let Some(said) = feeds::refusal(value) {
            self.builder.skip(Skip::ErrorAnswer, &place.words(), &said);
            return Ok(());
        }
        let found = feeds::ocpp::found(value);
        for message in &found.messages {
            self.builder.here().format = ocpp::FORMAT;
            ocpp::take(self.builder, message, &mut self.times, place)?;
        }
        for _ in 0..found.unread {
            self.builder.skip(Skip::NotARow, &place.words(), &value.to_string());
        }
        if !found.is_empty() {
            return Ok(());
        }
        if feeds::ocpp::is_other(value) {
            self.others += 1;
            return Ok(());
        }
        if let Some((format, readings)) = feeds::of_value(value) {
            self.builder.here().format = format;
            // Readings without a time are of the document's; it is looked for where one needs it, and once.
            let of_document = LazyCell::new(|| feeds::time_of(value));
            for reading in readings {
                let stated = match (reading.at, &reading.unread) {
                    (Some(at), _) => Some(Ok(at)),
                    (None, Some(unread)) => Some(Err(unread)),
                    (None, None) => of_document.as_ref().map(|stated| stated.as_ref().copied()),
                };
                match stated {
                    None => self.builder.skip(Skip::NotATime, &place.words(), &reading.evse),
                    Some(Err(unread)) => self.builder.skip(unread.why.into(), &place.words(), &unread.text),
                    Some(_) if reading.evse.is_empty() => {
                        self.builder.skip(Skip::NoEvse, &place.words(), &reading.status);
                    }
                    Some(_) if reading.status.is_empty() => {
                        self.builder.skip(Skip::NoStatus, &place.words(), &reading.evse);
                    }
                    Some(Ok(at)) => self.builder.push(at, &reading.evse, &reading.status)?,
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
        if let Some(session) = session(object) {
            return self.object(&session, place, depth);
        }
        if !object.keys().eq(self.keys.iter()) {
            self.keys = object.keys().cloned().collect();
            self.columns = Columns::of(self.keys.iter().map(String::as_str));
        }
        let Some(columns) = self.columns else {
            return match within(object) {
                Some(within) if depth > 0 => self.value(&within, place, depth - 1),
                _ => {
                    let mut text = Value::Object(object.clone()).to_string();
                    if let [column] = Columns::lacking(self.keys.iter().map(String::as_str))[..] {
                        text = format!("no `{column}` in {text}");
                    }
                    self.builder.skip(Skip::NotARow, &place.words(), &text);
                    Ok(())
                }
            };
        };
        let mut fields: Vec<String> = object.values().map(text).collect();
        if let Columns::Sessions { start, end, evse, .. } = columns {
            self.builder.here().format = "JSON of sessions";
            let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
            let of_ocpi = has(&["start_date_time", "start_datetime"])
                && (has(&["location_id", "cdr_location"])
                    || object.get("location").is_some_and(Value::is_object));
            // OCPI names an EVSE within its location.
            if let (Some(location), "evse_uid", Some(field)) = (
                object.get("location_id").and_then(Value::as_str),
                self.keys[evse.evse].as_str(),
                fields.get_mut(evse.evse),
            ) {
                *field = format!("{location}/{field}");
            }
            // Its times are in UTC, whether they say so or not.
            for at in [start.at, end.at].into_iter().filter(|_| of_ocpi) {
                if read_time(&fields[at]) == Err(NoTime::NoOffset) {
                    fields[at].push('Z');
                }
            }
        }
        self.builder.fields(columns, &fields, &mut self.times, place)
    }
}

/// A session or charge detail record of OCPI with its EVSE and its end beside its begin: the EVSE may stand within an object
/// (`cdr_location` of 2.2.1 and 2.3.0, `location` of 2.1.1), and a session under way has no end. `None` for any other object, and where
/// nothing is missing.
fn session(object: &Map<String, Value>) -> Option<Map<String, Value>> {
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    if !has(&["start_date_time", "start_datetime"]) {
        return None;
    }
    let mut session = object.clone();
    if !has(&["evse_uid", "evse_id"]) {
        let location = object.get("cdr_location").or_else(|| object.get("location"))?;
        let evse = location.get("evses").and_then(|evses| evses.get(0)).unwrap_or(location);
        let text = |value: &Value, name: &str| value.get(name).map(text).filter(|text| !text.is_empty());
        let id = text(evse, "evse_id").or_else(|| {
            let uid = text(evse, "evse_uid").or_else(|| text(evse, "uid"))?;
            Some(format!("{}/{uid}", text(location, "id")?))
        })?;
        session.insert("evse_id".to_owned(), Value::String(id));
    }
    if !has(&["end_date_time", "end_datetime", "stop_date_time"]) {
        session.insert("end_date_time".to_owned(), Value::Null);
    }
    (session.len() > object.len()).then_some(session)
}

/// A value as the text that a table would have.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        _ => String::new(),
    }
}
