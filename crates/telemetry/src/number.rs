//! Numbers of a vehicle's starts and of the records of each.

use crate::{digest::Digest, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A start of a vehicle's edge process: at least 1, never used twice. Boot 0 holds what a fog node
/// attests for clients that are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boot(u64);

impl Boot {
    /// Attested by a fog node for a foreign client.
    pub const FOREIGN: Boot = Boot(0);

    /// Wraps a boot counter.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The counter.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether a fog node attests for the records of this boot.
    pub const fn is_foreign(self) -> bool {
        self.0 == 0
    }
}

/// A record's number within its boot: 0, 1, 2 … for our vehicles, time and content for foreign ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordNumber(u64);

impl RecordNumber {
    /// The first record of a boot.
    pub const ZERO: RecordNumber = RecordNumber(0);

    /// Wraps a number.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number `count` after this one; `None` past the end of the range.
    pub fn checked_add(self, count: u64) -> Option<Self> {
        self.0.checked_add(count).map(Self)
    }

    /// Number of a foreign record: 42 bits of time and 21 of what it says, so that a second delivery, through
    /// whichever fog node, has the same number. Two samples that differ can have one number: whoever remembers a
    /// number compares the content too.
    pub fn foreign(time: Timestamp, content: &Digest) -> Self {
        let [a, b, c, ..] = content.to_bytes();
        let tag = (u64::from(a) << 13) | (u64::from(b) << 5) | (u64::from(c) >> 3);
        Self((time.as_millis().min(Timestamp::MAX.as_millis()) << 21) | tag)
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RecordNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
