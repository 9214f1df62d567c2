//! The rows of files, collected until their kind and interval can be told. One builder may read several files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::report::{Counted, Oddities, Skip, SourceReport};
use crate::Error;
use crate::error::cut;
use crate::ids::Ids;
use crate::times::PLAUSIBLE_S;
use crate::words::plain;

/// Most rows before they are put on the grid, 16 bytes each.
const MAX_ROWS: usize = 200_000_000;

/// Most different words for a status while reading: a column that is no status has thousands, a network with typing errors tens.
pub(super) const MAX_WORDS: usize = 1_000;

/// Most files of one history: a row names its file in one byte.
const MAX_SOURCES: usize = 200;

/// Longest session, in seconds: a week. The longest real ones are some days.
const MAX_SESSION_S: i64 = 7 * 86_400;

/// Assumed length of a session without an end, in seconds.
const OPEN_SESSION_S: i64 = 86_400;

/// Words for what a session tells: OCPI's.
pub(super) const CHARGING: &str = "CHARGING";
pub(super) const AVAILABLE: &str = "AVAILABLE";

/// Collects rows until the sampling interval can be told.
#[derive(Debug, Default)]
pub struct Builder {
    pub(super) rows: Vec<Row>,
    pub(super) sessions: Vec<Session>,
    pub(super) evses: Ids,
    pub(super) ids: Vec<Arc<str>>,
    /// Words as they were written first.
    pub(super) words: Vec<String>,
    /// Words by their plain spelling, and those seen by what was written.
    plain: BTreeMap<String, u16>,
    written: HashMap<String, u16>,
    pub(super) offset_s: Option<i32>,
    pub(super) oddities: Oddities,
    pub(super) sources: Vec<SourceReport>,
    /// The time of the row before.
    previous: i64,
}

/// An observation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) at: i64,
    pub(super) evse: u32,
    pub(super) word: u16,
    pub(super) source: u8,
}

/// A session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Whether its end is not known: it is over when the next begins.
    pub(super) open: bool,
    pub(super) evse: u32,
    pub(super) source: u8,
}

impl Builder {
    /// Begins a file: its rows are judged by themselves. Returns false if there are too many.
    ///
    /// # Errors
    /// More files than we take.
    pub fn source(&mut self, format: &'static str) -> Result<(), Error> {
        if self.sources.len() >= MAX_SOURCES {
            let found = self.sources.len() as u64 + 1;
            return Err(Error::TooMuch { what: "files of a history", found, limit: MAX_SOURCES as u64 });
        }
        self.sources.push(SourceReport { format, ..SourceReport::default() });
        self.previous = i64::MIN;
        Ok(())
    }

    /// What is read of the file under way.
    pub(super) fn here(&mut self) -> &mut SourceReport {
        if self.sources.is_empty() {
            self.sources.push(SourceReport { format: "rows", ..SourceReport::default() });
        }
        let last = self.sources.len() - 1;
        &mut self.sources[last]
    }

    /// Counts a row that is not used. `place` is where it stands.
    pub fn skip(&mut self, why: Skip, place: &str, value: &str) {
        self.oddities.rows += 1;
        let source = self.here();
        source.rows += 1;
        count(&mut source.skipped, why, || format!("{place}: {}", cut(value)));
    }

    /// Adds one observation, `at` in seconds since 1970-01-01T00:00Z. One that is not plausible is counted and not used.
    ///
    /// # Errors
    /// More rows or statuses than we take.
    pub fn push(&mut self, at: i64, evse: &str, status: &str) -> Result<(), Error> {
        if !PLAUSIBLE_S.contains(&at) {
            self.skip(Skip::NotBelieved, "a row", &format!("{at} s since 1970, {evse}"));
            return Ok(());
        }
        self.room()?;
        let word = self.word(status)?;
        let evse = self.evse(evse);
        self.oddities.rows += 1;
        self.here().rows += 1;
        self.oddities.reversed += u64::from(at < self.previous);
        self.previous = at;
        let source = (self.sources.len() - 1) as u8;
        self.rows.push(Row { at, evse, word, source });
        Ok(())
    }

    /// Adds one session, in seconds since 1970; without an end it counts for a day, or to the next.
    ///
    /// # Errors
    /// More rows than we take.
    pub fn session(&mut self, start: i64, end: Option<i64>, evse: &str, place: &str) -> Result<(), Error> {
        let value = || match end {
            Some(end) => format!("{evse}, {start} to {end} s since 1970"),
            None => format!("{evse}, from {start} s since 1970 on"),
        };
        let until = end.unwrap_or(start.saturating_add(OPEN_SESSION_S));
        let why = if !PLAUSIBLE_S.contains(&start) || !PLAUSIBLE_S.contains(&until) {
            Some(Skip::NotBelieved)
        } else if until <= start {
            Some(Skip::NoDuration)
        } else if until - start > MAX_SESSION_S {
            Some(Skip::TooLong)
        } else {
            None
        };
        if let Some(why) = why {
            self.skip(why, place, &value());
            return Ok(());
        }
        self.room()?;
        self.word(CHARGING)?;
        self.word(AVAILABLE)?;
        let evse = self.evse(evse);
        self.oddities.rows += 1;
        self.here().rows += 1;
        let source = (self.sources.len() - 1) as u8;
        self.sessions.push(Session { start, end: until, open: end.is_none(), evse, source });
        Ok(())
    }

    fn room(&self) -> Result<(), Error> {
        let rows = self.rows.len() + 2 * self.sessions.len();
        if rows < MAX_ROWS {
            return Ok(());
        }
        Err(Error::TooMuch { what: "rows of history", found: rows as u64 + 1, limit: MAX_ROWS as u64 })
    }

    /// The number of a word; words that differ in case and separators only are one.
    pub(super) fn word(&mut self, status: &str) -> Result<u16, Error> {
        if let Some(word) = self.written.get(status) {
            return Ok(*word);
        }
        let plain = match plain(status) {
            // Signs alone are a word too.
            empty if empty.is_empty() => status.to_owned(),
            plain => plain,
        };
        let next = self.words.len();
        let word = *self.plain.entry(plain).or_insert(next as u16);
        if usize::from(word) == next {
            self.words.push(cut(status));
        }
        if self.words.len() > MAX_WORDS {
            let (found, limit) = (self.words.len() as u64, MAX_WORDS as u64);
            return Err(Error::TooMuch { what: "different statuses in the history", found, limit });
        }
        if self.written.len() < 4 * MAX_WORDS {
            self.written.insert(status.to_owned(), word);
        }
        Ok(word)
    }

    fn evse(&mut self, evse: &str) -> u32 {
        if let Some(index) = self.evses.find(evse) {
            return index as u32;
        }
        let (id, index) = (Arc::<str>::from(evse), self.ids.len());
        self.ids.push(id.clone());
        self.evses.insert(id, index);
        index as u32
    }
}

/// Counts one, and keeps the first.
pub(super) fn count(skipped: &mut BTreeMap<Skip, Counted>, why: Skip, first: impl FnOnce() -> String) {
    let counted = skipped.entry(why).or_default();
    if counted.rows == 0 {
        counted.first = first();
    }
    counted.rows += 1;
}
