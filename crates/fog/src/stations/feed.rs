//! From the bytes of a feed to snapshots of the network, one a slot of the model's grid: a growing table `timestamp,evse_id,status`
//! in any of its usual column names, or documents of JSON as networks publish them, told by the content.
//!
//! A slot is complete when a row of a later one comes, or when its feed has been quiet ([`Feed::settle`]). A snapshot has every
//! EVSE's newest reading that is not too old at the newest time in the feed: rows may be whole snapshots, changes only, or each
//! with the time at which its charger said so. Where rows hardly ever repeat a status they are changes only: a status holds for a
//! week then, and slots follow this node's clock. A document says what is so now, and since when. What is polled comes as pages,
//! each whole ([`Feed::page`]) or the same as before ([`Feed::same`]). Rows that cannot be used are skipped, each counted with its
//! reason.

mod rows;
mod slots;
mod validity;

use std::collections::BTreeMap;
use std::sync::Arc;

use voltmesh_stations::feeds::{Reading as Published, believed, of_log_line};
use voltmesh_stations::table::{Columns, decode, separator};
use voltmesh_stations::{Labels, Mapping, parse_time};

use super::document::{self, Buffer};

pub use rows::Rows;
use validity::Repetitions;
pub use validity::{CHANGES_SILENCE_S, Kind, Validity};

/// Longest line, in bytes: a time, two hundred characters of id and as many of status, with room.
pub const MAX_LINE: usize = 1024;

/// Longest EVSE id, in bytes; eMI3 allows 37 characters.
const MAX_ID: usize = 128;

/// Most EVSEs of one feed and its list of places, some two kB of memory each: a country of the size of France has 150,000, a
/// city 10,000.
pub const MAX_EVSES: usize = 50_000;

/// Which grid of time the model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The sampling interval, in seconds.
    pub step_s: i64,
    /// Any time on the grid, in seconds since 1970.
    pub phase: i64,
}

impl Grid {
    /// The newest time of the grid that is not later.
    fn slot(self, at: i64) -> i64 {
        let since = at.saturating_sub(self.phase);
        at.saturating_sub(since.rem_euclid(self.step_s.max(1)))
    }
}

/// The network at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its slot, in seconds since 1970.
    pub at: i64,
    /// The newest time at which any of it is so, in seconds since 1970: this node's clock where a document said it.
    pub newest: i64,
    /// `(EVSE id, status)`, by id.
    pub readings: Vec<(String, String)>,
    /// When each of them was said, in seconds since 1970, in the same order.
    pub said: Vec<i64>,
}

/// An EVSE's newest reading.
#[derive(Debug, Clone)]
struct Reading {
    at: i64,
    /// When its charger said so, where that is another time than `at`.
    said: i64,
    /// `None`: a status that nothing here knows.
    status: Option<Arc<str>>,
    /// The page that says what is so now, where it was one.
    page: Option<u32>,
}

/// What the feed is, as its beginning says.
#[derive(Debug, Default)]
enum Content {
    /// Its beginning has not come.
    #[default]
    Unknown,
    /// A table. Rows of IRVE and Belib say what is so now, and since when; others what was so at their time.
    Table { columns: Columns, separator: char, is_now: bool },
    /// Lines of a log of OCPP.
    Log,
    /// Documents of JSON or XML.
    Documents(Buffer),
}

/// Takes bytes, gives snapshots.
#[derive(Debug)]
pub struct Feed {
    grid: Grid,
    validity: Validity,
    labels: Labels,
    mapping: Mapping,
    /// What was read of a line whose end has not been written yet.
    rest: Vec<u8>,
    /// Within a line that is too long.
    skipping: bool,
    content: Content,
    readings: BTreeMap<Arc<str>, Reading>,
    statuses: BTreeMap<Arc<str>, bool>,
    /// The slot that rows are being collected for.
    slot: Option<i64>,
    /// The newest time among the rows.
    newest: i64,
    /// Whether the slot has rows that no snapshot has shown.
    fresh: bool,
    repetitions: Repetitions,
    /// The page under way, of a feed that is polled.
    page: Option<u32>,
    /// Code and message of the last document that says it is an error.
    refusal: Option<String>,
    rows: Rows,
}

impl Feed {
    /// For a model of these labels.
    pub fn new(grid: Grid, validity: Validity, labels: Labels, mapping: Mapping) -> Self {
        Self {
            grid,
            validity,
            labels,
            mapping,
            rest: Vec::new(),
            skipping: false,
            content: Content::Unknown,
            readings: BTreeMap::new(),
            statuses: BTreeMap::new(),
            slot: None,
            newest: i64::MIN,
            fresh: false,
            repetitions: Repetitions::default(),
            page: None,
            refusal: None,
            rows: Rows::default(),
        }
    }

    /// What came in so far.
    pub fn rows(&self) -> Rows {
        self.rows
    }

    /// Code and message of the last document that says it is an error; each is told once.
    pub fn refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }

    /// The file begins anew: a header comes first. Readings are kept.
    pub fn restart(&mut self) {
        self.begin();
        self.rows.restarts += 1;
    }

    fn begin(&mut self) {
        self.rest.clear();
        self.skipping = false;
        self.content = Content::Unknown;
    }

    /// Takes a whole page of a feed that is polled, the `page`-th of its poll. Returns the slots that are complete;
    /// [`Feed::settle`] ends the poll.
    pub fn page(&mut self, now: i64, page: u32, bytes: &[u8]) -> Vec<Snapshot> {
        self.begin();
        self.page = Some(page);
        let mut complete = self.take(now, bytes);
        self.drop_rest();
        let last = std::mem::take(&mut self.rest);
        complete.extend(self.line(now, &last));
        self.page = None;
        complete
    }

    /// A page is the same as before: what it said to be so is so now.
    pub fn same(&mut self, now: i64, page: u32) -> Option<Snapshot> {
        if !self.readings.values().any(|reading| reading.page == Some(page)) {
            return None;
        }
        let complete = self.reach(now);
        for reading in self.readings.values_mut().filter(|reading| reading.page == Some(page)) {
            reading.at = reading.at.max(now);
        }
        complete
    }

    /// Takes what was appended; `now` is this node's clock in seconds since 1970. Returns the slots that are complete.
    pub fn take(&mut self, now: i64, mut bytes: &[u8]) -> Vec<Snapshot> {
        let mut complete = Vec::new();
        if matches!(self.content, Content::Unknown)
            && self.rest.is_empty()
            && !self.skipping
            && document::is_one(bytes)
        {
            self.content = Content::Documents(Buffer::default());
        }
        if let Content::Documents(buffer) = &mut self.content {
            match buffer.take(bytes) {
                Some(found) => {
                    self.rows.rows += found.strange;
                    self.rows.malformed += found.strange;
                    self.refusal = found.refusal.or(self.refusal.take());
                    complete.extend(found.readings.iter().filter_map(|reading| self.published(now, reading)));
                }
                None => self.too_long(),
            }
            return complete;
        }
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&bytes[..end], &bytes[end + 1..]);
            bytes = after;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if self.rest.len() + line.len() > MAX_LINE {
                self.rest.clear();
                self.too_long();
            } else if self.rest.is_empty() {
                complete.extend(self.line(now, line));
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                complete.extend(self.line(now, &whole));
            }
        }
        // Its end is still being written.
        if !self.skipping {
            if self.rest.len() + bytes.len() > MAX_LINE {
                self.rest.clear();
                self.skipping = true;
                self.too_long();
            } else {
                self.rest.extend_from_slice(bytes);
            }
        }
        complete
    }

    /// Nothing has been appended for a while: the slot is as complete as it gets.
    pub fn settle(&mut self) -> Option<Snapshot> {
        self.drop_rest();
        std::mem::take(&mut self.fresh).then(|| self.snapshot()).flatten()
    }

    /// Counts the rest of documents: it is none, and will be none.
    fn drop_rest(&mut self) {
        if let Content::Documents(buffer) = &mut self.content
            && buffer.clear()
        {
            self.rows.rows += 1;
            self.rows.malformed += 1;
        }
    }

    /// Takes a status of a document: it is so now, and has been since the time that it states.
    fn published(&mut self, now: i64, reading: &Published) -> Option<Snapshot> {
        self.rows.rows += 1;
        let said = reading.at.unwrap_or(now);
        if reading.unread.is_some() {
            self.rows.malformed += 1;
        } else if !believed(said, now) {
            self.rows.ahead += 1;
        } else if now.saturating_sub(said) > self.validity.max_age_s.max(self.validity.changes_hold_s) {
            self.rows.late += 1;
        } else if reading.evse.is_empty() || reading.evse.len() > MAX_ID || reading.status.is_empty() {
            self.rows.malformed += 1;
        } else {
            return self.row((now, said), &reading.evse, &reading.status, true);
        }
        None
    }

    fn too_long(&mut self) {
        self.rows.rows += 1;
        self.rows.too_long += 1;
    }

    fn line(&mut self, now: i64, line: &[u8]) -> Vec<Snapshot> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Vec::new();
        }
        // No header of a table has a frame of OCPP in it.
        if matches!(self.content, Content::Unknown) && line.windows(4).any(|part| part == b"[2,\"") {
            self.content = Content::Log;
        }
        if matches!(self.content, Content::Log) {
            return self.messages(now, line);
        }
        self.table_row(now, line).into_iter().collect()
    }

    /// Takes the header or a row of a table.
    fn table_row(&mut self, now: i64, line: &[u8]) -> Option<Snapshot> {
        let Content::Table { columns, separator, is_now } = &self.content else {
            let separator = char::from(separator(&String::from_utf8_lossy(line)));
            let header = fields(line, separator);
            match Columns::of(header.iter().map(String::as_str)) {
                Some(columns @ (Columns::Statuses { .. } | Columns::Irve { .. })) => {
                    let belib = header.iter().any(|name| name.eq_ignore_ascii_case("statut_pdc"));
                    let is_now = belib || matches!(columns, Columns::Irve { .. });
                    self.content = Content::Table { columns, separator, is_now };
                }
                _ => {
                    // Wait for a header; nothing else says what is what.
                    self.rows.rows += 1;
                    self.rows.malformed += 1;
                }
            }
            return None;
        };
        let (fields, is_now) = (fields(line, *separator), *is_now);
        self.rows.rows += 1;
        let row = columns.status_of(&fields);
        let Some((Some((at, _)), id, status)) = row.map(|(at, id, status)| (parse_time(&at), id, status))
        else {
            self.rows.malformed += 1;
            return None;
        };
        if id.is_empty() || id.len() > MAX_ID || status.is_empty() || columns.evse().is_whole_charger(&fields)
        {
            self.rows.malformed += 1;
            return None;
        }
        if is_now {
            self.rows.rows -= 1;
            let reading =
                Published { evse: id.into_owned(), status: status.to_owned(), at: Some(at), unread: None };
            return self.published(now, &reading);
        }
        if !believed(at, now) {
            self.rows.ahead += 1;
            return None;
        }
        self.row((at, at), &id, status, false)
    }

    /// Takes a line of a log of OCPP; other messages than those of a status are none of ours.
    fn messages(&mut self, now: i64, line: &[u8]) -> Vec<Snapshot> {
        let Ok(line) = std::str::from_utf8(line) else { return Vec::new() };
        let (readings, unread) = of_log_line(line);
        self.rows.rows += unread;
        self.rows.malformed += unread;
        readings.iter().filter_map(|reading| self.message(now, reading)).collect()
    }

    fn message(&mut self, now: i64, reading: &Published) -> Option<Snapshot> {
        self.rows.rows += 1;
        let Some(at) = reading.at.filter(|_| reading.evse.len() <= MAX_ID) else {
            self.rows.malformed += 1;
            return None;
        };
        if !believed(at, now) {
            self.rows.ahead += 1;
            return None;
        }
        self.row((at, at), &reading.evse, &reading.status, false)
    }
}

/// The fields of one line, UTF-8 or Latin-1, trimmed; none if it is no CSV.
fn fields(line: &[u8], separator: char) -> Vec<String> {
    let text = &*decode(line);
    let trimmed = |field: &str| field.trim().to_owned();
    if !text.contains('"') {
        return text.split(separator).map(trimmed).collect();
    }
    let mut builder = csv::ReaderBuilder::new();
    let mut reader =
        builder.delimiter(separator as u8).has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => record.iter().map(trimmed).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
