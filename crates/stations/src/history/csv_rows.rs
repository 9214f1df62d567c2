//! Histories as tables: rows of statuses, IRVE dynamic rows, sessions, whatever separates their fields.

use std::io::{BufRead as _, BufReader, Read};

use super::report::Skip;
use super::row::{Place, Times};
use super::{Builder, json_rows, ocpp};
use crate::Error;
use crate::error::cut;
use crate::feeds::is_json;
use crate::feeds::ocpp::{is_log, is_other_in_line};
use crate::feeds::xml::is_xml;
use crate::records::Records;
use crate::table::{Columns, decode, separator};

/// Bytes by which a file's content is told.
const BEGINNING: usize = 64 * 1024;

/// Lines before the header at most, as exports have them.
const MAX_PREAMBLE: usize = 20;

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
        let is_table = header_separator(text).is_some();
        let is_json = is_json(text);
        if !is_table && !is_json && is_log(text) {
            return ocpp::read(self, from);
        }
        if is_xml(text) {
            return json_rows::read_xml(self, from);
        }
        if !is_table && !is_json && is_log_of_others(text) {
            return Err(ocpp::without_statuses());
        }
        if is_json { json_rows::read(self, from) } else { self.read_csv(from) }
    }

    /// Reads a table; its columns in any order, others are ignored, and so is what stands before the header. Times are as
    /// [`crate::parse_time`] takes them.
    ///
    /// # Errors
    /// No table, a column that is missing, or more rows or statuses than we take. A row that cannot be used is counted.
    pub fn read_csv(&mut self, from: impl Read) -> Result<(), Error> {
        let mut from = BufReader::with_capacity(BEGINNING, from);
        let csv_error = |source: std::io::Error| Error::Csv { what: WHAT, source: source.into() };
        let beginning = from.fill_buf().map_err(csv_error)?;
        let first = beginning.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        let delimiter =
            header_separator(beginning).unwrap_or_else(|| separator(&String::from_utf8_lossy(first)));
        let mut records = Records::new(from, delimiter);
        let mut fields: Vec<String> = Vec::new();
        let mut before = Vec::new();
        let mut columns = loop {
            let read = records.next(&mut fields).map_err(csv_error)?;
            if let Some(columns) = read.and_then(|_| Columns::of(fields.iter().map(String::as_str))) {
                break columns;
            }
            before.extend(read.map(|_| fields.clone()));
            if read.is_none() || before.len() >= MAX_PREAMBLE {
                return Err(lacking(&before));
            }
        };
        let header = fields.clone();
        if let Some((column, count)) = columns.repeated(&header) {
            return Err(Error::Twice { what: WHAT, column: cut(&column), count });
        }
        records.set_width(header.len());
        self.source(format(columns))?;
        let mut times = Times::default();
        while let Some(record) = records.next(&mut fields).map_err(csv_error)? {
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
                records.set_width(fields.len());
                continue;
            }
            if fields.iter().all(String::is_empty) {
                continue;
            }
            let place = Place::Line(record.line);
            if !record.whole {
                self.skip(Skip::OpenQuote, &place.words(), &fields.join(&char::from(delimiter).to_string()));
                continue;
            }
            self.fields(columns, &fields, &mut times, place)?;
        }
        Ok(())
    }
}

/// Whether the first lines of a text have messages of OCPP.
fn is_log_of_others(text: &[u8]) -> bool {
    let lines = text.split(|byte| *byte == b'\n').take(MAX_PREAMBLE);
    lines.map(String::from_utf8_lossy).any(|line| is_other_in_line(&line))
}

/// The separator of the header that a text begins with, perhaps behind some other lines.
fn header_separator(text: &[u8]) -> Option<u8> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
    lines.take(MAX_PREAMBLE).find_map(|line| {
        let line = decode(line);
        Columns::of(fields(&line).iter().map(String::as_str)).map(|_| separator(&line))
    })
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

/// The column that a table lacks whose first lines, each in its fields, are no header: of the line that has most of what is needed.
fn lacking(before: &[Vec<String>]) -> Error {
    let needs = |header: &Vec<String>| Columns::lacking(header.iter().map(String::as_str));
    let Some(header) = before.iter().min_by_key(|header| needs(header).len()) else {
        return Error::TooShort { found: "an empty file".to_owned(), needed: "a header and rows are needed" };
    };
    let column = needs(header).first().copied().unwrap_or("timestamp");
    Error::Column { what: WHAT, column, header: cut(&header.join(",")) }
}
