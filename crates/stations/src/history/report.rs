//! Report on the reading of a history: what was read, what was odd, and what was not used and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::Meaning;
use crate::times::NoTime;

/// Oddities of the rows of a history; none of them stops anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Oddities {
    /// Rows read.
    pub rows: u64,
    /// Rows for an EVSE and a slot that had one already: the later row counts.
    pub duplicates: u64,
    /// Rows older than the row before them. The grid does not depend on the order of rows with different times.
    pub reversed: u64,
    /// Rows between two points of the grid; they count for the point before.
    pub off_grid: u64,
    /// Slots, from first to last, at which no EVSE was observed.
    pub empty_slots: u64,
}

/// Reason why a row was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// It is no row, or no object, of its kind.
    NotARow,
    /// An answer that says it is an error.
    ErrorAnswer,
    /// A quotation mark in it is never closed.
    OpenQuote,
    /// Its time cannot be read, or there is none.
    NotATime,
    /// Its time has no offset from UTC.
    NoOffset,
    /// Its time is before 2000, after 2099, or far from the bulk of its file.
    NotBelieved,
    /// It names no EVSE.
    NoEvse,
    /// It has no status.
    NoStatus,
    /// A session that ends before it begins, or that has no duration.
    NoDuration,
    /// A session of more than a week.
    TooLong,
    /// A message about a charger as a whole (OCPP connector 0), which says nothing of its EVSEs.
    WholeCharger,
    /// A status beyond [`crate::Labels::MAX`] different ones.
    TooManyWords,
}

impl From<NoTime> for Skip {
    fn from(why: NoTime) -> Self {
        match why {
            NoTime::NoOffset => Self::NoOffset,
            NoTime::NotATime => Self::NotATime,
        }
    }
}

impl Skip {
    /// What is wrong, and what to do.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotARow => "no row of the kind that its file has",
            Self::ErrorAnswer => "an answer that says it is an error; nothing in it counts",
            Self::OpenQuote => "a quotation mark that is never closed",
            Self::NotATime => "no time that can be read; write RFC 3339 or seconds since 1970",
            Self::NoOffset => {
                "a time without its offset from UTC; write for example +01:00 behind it, or name its column timestamp_utc"
            }
            Self::NotBelieved => {
                "a time before 2000, after 2099 or far from the bulk of the file; correct the clock"
            }
            Self::NoEvse => "no EVSE id",
            Self::NoStatus => "no status",
            Self::NoDuration => "a session that does not end after it begins",
            Self::TooLong => "a session of more than a week",
            Self::WholeCharger => "a message about a charger as a whole",
            Self::TooManyWords => "a status beyond the number of different ones; is this the right column?",
        }
    }
}

/// Count of occurrences, with the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// How many rows.
    pub rows: u64,
    /// Where the first is (a line), and its value.
    pub first: String,
}

/// Kind of history that a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Each EVSE in each interval, changed or not: a status counts for the EVSE's interval and one slot more.
    Snapshots,
    /// A row when a status changes: it holds until the next, [`super::shape::CHANGES_HOLD_S`] at most.
    Changes,
    /// Start and end of each session: charging in between, free after, [`super::shape::SESSIONS_HOLD_S`] at most.
    Sessions,
    /// Rows at irregular times, changed or not: a status holds until the next, for about as long as the usual pauses.
    Polls,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshots => "snapshots",
            Self::Changes => "changes only",
            Self::Sessions => "sessions",
            Self::Polls => "irregular polls",
        })
    }
}

/// One file of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// What it is, as its content says.
    pub format: &'static str,
    /// What kind of history; `None` where nothing of it could be used.
    pub shape: Option<Shape>,
    /// Rows read.
    pub rows: u64,
    /// Rows not used, by reason.
    pub skipped: BTreeMap<Skip, Counted>,
    /// Headers between the rows, as joined files have them.
    pub headers: u64,
    /// Rows that say what another row of the same EVSE and time says.
    pub repeated: u64,
    /// Rows that say something else than another row of the same EVSE and time: the later counts.
    pub contradicting: u64,
    /// Sessions that begin before the one before has ended: they count as one.
    pub overlapping: u64,
    /// EVSEs.
    pub evses: u64,
    /// EVSEs with an interval of their own, longer than the grid's.
    pub own_intervals: u64,
    /// The usual time between two rows of an EVSE, in seconds.
    pub interval_s: i64,
    /// How long a status counts without news, in seconds.
    pub hold_s: i64,
    /// The first and last time that is believed, seconds since 1970.
    pub span: Option<(i64, i64)>,
}

/// A word for a status, what it is taken to mean, and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Word {
    /// The word as it is written first.
    pub word: String,
    /// What it means; `None` where it is not understood.
    pub meaning: Option<Meaning>,
    /// In how many rows.
    pub rows: u64,
}

/// Report on the reading of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By file.
    pub sources: Vec<SourceReport>,
    /// By word, the most frequent first.
    pub words: Vec<Word>,
}

impl Report {
    /// Rows read.
    pub fn rows(&self) -> u64 {
        self.sources.iter().map(|source| source.rows).sum()
    }

    /// Rows that tell a status: those not skipped, with a word that is understood.
    pub fn usable(&self) -> u64 {
        let skipped: u64 =
            self.sources.iter().flat_map(|source| source.skipped.values()).map(|c| c.rows).sum();
        let strange: u64 =
            self.words.iter().filter(|word| word.meaning.is_none()).map(|word| word.rows).sum();
        self.rows().saturating_sub(skipped).saturating_sub(strange)
    }

    /// Whether most rows could not be used, or so many contradict each other that one id stands for several EVSEs.
    pub fn mostly_unusable(&self) -> bool {
        2 * self.usable() < self.rows() || 4 * self.contradicting() >= self.rows().max(1)
    }

    /// Rows that say something else than another of the same EVSE and time.
    pub fn contradicting(&self) -> u64 {
        self.sources.iter().map(|source| source.contradicting).sum()
    }

    /// What was odd, one line each; none where all is as it should be.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            let file = if self.sources.len() > 1 { format!("file {}: ", number + 1) } else { String::new() };
            for (why, counted) in &source.skipped {
                lines.push(format!(
                    "{file}{} rows skipped: {} (first: {})",
                    counted.rows,
                    why.words(),
                    counted.first
                ));
            }
            let counts = [
                (source.headers, "headers between the rows: joined files"),
                (source.repeated, "rows repeat a row of the same EVSE and time"),
                (
                    source.contradicting,
                    "rows contradict a row of the same EVSE and time; the later counts: has each connector an id of its own?",
                ),
                (source.overlapping, "sessions overlap the one before and count as one with it"),
            ];
            lines.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{file}{n} {what}")));
            match source.shape {
                Some(shape) if shape != Shape::Snapshots => lines.push(format!(
                    "{file}read as {shape}: a status holds until the next one, {} at most",
                    span_words(source.hold_s)
                )),
                _ => {}
            }
        }
        for word in self.words.iter().filter(|word| word.meaning.is_none()) {
            lines.push(format!(
                "status `{}` is not understood ({} rows): it counts as unknown; say --meaning '{}=…'",
                word.word, word.rows, word.word
            ));
        }
        lines
    }
}

/// A duration in words.
fn span_words(seconds: i64) -> String {
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3600),
        _ => format!("{} minutes", seconds / 60),
    }
}
