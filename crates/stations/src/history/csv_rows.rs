//! Histories as tables: rows of statuses, IRVE dynamic rows, sessions, whatever separates their fields.

use std::io::{BufRead as _, BufReader, Read};

use super::row::{Place, Times};
use super::{Builder, json_rows, ocpp};
use crate::Error;
use crate::error::cut;
use crate::feeds::is_json;
use crate::feeds::ocpp::is_log;
use crate::feeds::xml::is_xml;
use crate::table::{Columns, decode, separator};

/// Bytes by which a file's content is told.
const BEGINNING: usize = 64 * 1024;

const WHAT: &str = "the history";

impl Builder {
    /// Reads one file, told by its content: a table with the columns `timestamp,evse_id,status` in any of their usual names, IRVE
    /// dynamic tables, tables of sessions with start and end; JSON, one document or one object a line: rows, sessions, OCPI, OICP,
    /// DATEX II, Open Charge Map; DATEX II as XML; logs of OCPP.
    ///
    /// # Errors
    /// None of these, or more rows or statuses than we take. A row that cannot be used is counted ([`super::Report`]).
    pub fn read(&mut self, from: impl Read) -> Result<(), Error> {
        let mut from = BufReader::with_capacity(BEGINNING, from);
        let csv_error = |source: std::io::Error| Error::Csv { what: WHAT, source: source.into() };
        let beginning = from.fill_buf().map_err(csv_error)?;
        let text = beginning.strip_prefix("\u{feff}".as_bytes()).unwrap_or(beginning).trim_ascii_start();
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = decode(first);
        let is_table = Columns::of(fields(&first).iter().map(String::as_str)).is_some();
        let is_json = is_json(text);
        if !is_table && !is_json && is_log(text) {
            return ocpp::read(self, from);
        }
        if is_xml(text) {
            return json_rows::read_xml(self, from);
        }
        if is_json { json_rows::read(self, from) } else { self.read_csv(from) }
    }

    /// Reads a table; its columns in any order, others are ignored. Times are as [`crate::parse_time`] takes them.
    ///
    /// # Errors
    /// No table, a column that is missing, or more rows or statuses than we take. A row that cannot be used is counted.
    pub fn read_csv(&mut self, from: impl Read) -> Result<(), Error> {
        let mut from = BufReader::with_capacity(BEGINNING, from);
        let csv_error = |source| Error::Csv { what: WHAT, source };
        let beginning = from.fill_buf().map_err(|source| csv_error(source.into()))?;
        let first = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let delimiter = separator(&String::from_utf8_lossy(first));
        // The reader leaves the second byte of CR LF to the next record.
        let behind = u64::from(first.ends_with(b"\r"));
        let mut builder = csv::ReaderBuilder::new();
        let mut reader = builder.delimiter(delimiter).flexible(true).has_headers(false).from_reader(from);
        let mut row = csv::ByteRecord::new();
        let text = |row: &csv::ByteRecord| -> Vec<String> {
            row.iter().map(|field| decode(field).trim().to_owned()).collect()
        };
        let header =
            if reader.read_byte_record(&mut row).map_err(csv_error)? { text(&row) } else { Vec::new() };
        let Some(mut columns) = Columns::of(header.iter().map(String::as_str)) else {
            return Err(lacking(&header));
        };
        self.source(format(columns))?;
        let mut times = Times::default();
        let mut fields: Vec<String> = Vec::new();
        loop {
            match reader.read_byte_record(&mut row) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(csv_error(error)),
            }
            let line = row.position().map_or(0, csv::Position::line) + behind;
            fields.truncate(row.len());
            for (n, field) in row.iter().enumerate() {
                let field = decode(field);
                match fields.get_mut(n) {
                    Some(known) => {
                        known.clear();
                        known.push_str(field.trim());
                    }
                    None => fields.push(field.trim().to_owned()),
                }
            }
            if fields == header {
                self.here().headers += 1;
                continue;
            }
            // Another header: the rest of joined files has other columns.
            if fields.len() >= 3
                && let Some(others) = Columns::of(fields.iter().map(String::as_str))
            {
                self.here().headers += 1;
                columns = others;
                continue;
            }
            if fields.iter().all(String::is_empty) {
                continue;
            }
            let place = Place::Line(line);
            self.fields(columns, &fields, &mut times, place)?;
        }
    }
}

/// The fields of a line, roughly: enough to tell a header.
fn fields(line: &str) -> Vec<String> {
    let separator = char::from(separator(line));
    line.trim_end().split(separator).map(|field| field.trim_matches('"').to_owned()).collect()
}

fn format(columns: Columns) -> &'static str {
    match columns {
        Columns::Statuses { .. } => "CSV of statuses",
        Columns::Irve { .. } => "IRVE dynamic",
        Columns::Sessions { .. } => "CSV of sessions",
    }
}

/// The column that a header lacks.
fn lacking(header: &[String]) -> Error {
    let with = |more: &[&str]| {
        let all: Vec<&str> = header.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Columns::of(all.iter().copied()).is_some()
    };
    let column = match () {
        () if with(&["timestamp"]) => "timestamp",
        () if with(&["evse_id"]) => "evse_id",
        () if with(&["status"]) => "status",
        () => "timestamp",
    };
    Error::Column { what: WHAT, column, header: cut(&header.join(",")) }
}
