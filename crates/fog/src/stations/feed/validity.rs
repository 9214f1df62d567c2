//! How long what a feed says counts.

use serde::Deserialize;
use voltmesh_stations::history::shape::CHANGES_HOLD_S;

/// Longest silence of a feed of changes, in seconds: a network in which nothing changes for a day has no feed any more.
pub const CHANGES_SILENCE_S: i64 = 86_400;

/// So many rows that follow a row of the same EVSE tell whether the feed is one of changes only.
const PAIRS: u64 = 6;

/// Of them, one in so many may repeat the status before: reconnections.
const REPEATS: u64 = 4;

/// What the rows of a feed are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Told by the rows: where they hardly ever repeat a status, they are changes only.
    #[default]
    Auto,
    /// Every EVSE again and again, changed or not.
    Snapshots,
    /// A row when a status changes.
    Changes,
}

/// How long what a feed says counts without news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// What its rows are.
    pub kind: Kind,
    /// How long a reading counts, in seconds.
    pub max_age_s: i64,
    /// How long a status of a feed of changes holds without news of its EVSE, and how old a status may be that a document says
    /// is so now, in seconds.
    pub changes_hold_s: i64,
    /// How long a feed of changes may be silent as a whole, in seconds.
    pub changes_silence_s: i64,
}

impl Validity {
    /// Readings that count for so many seconds, and the usual for the rest.
    pub fn new(max_age_s: i64) -> Self {
        let (changes_hold_s, changes_silence_s) = (CHANGES_HOLD_S, CHANGES_SILENCE_S);
        Self { kind: Kind::Auto, max_age_s, changes_hold_s, changes_silence_s }
    }
}

/// What the rows so far tell of their kind: those with a time of their own that follow a row of the same EVSE, and those of them
/// that repeat its status.
#[derive(Debug, Default)]
pub(super) struct Repetitions {
    pairs: u64,
    repeats: u64,
}

impl Repetitions {
    pub(super) fn see(&mut self, repeats: bool) {
        self.pairs += 1;
        self.repeats += u64::from(repeats);
    }

    pub(super) fn are_changes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Auto => self.pairs >= PAIRS && self.repeats * REPEATS <= self.pairs,
            Kind::Snapshots => false,
            Kind::Changes => true,
        }
    }
}
