//! Time as a source states it.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, as the source states them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest time that a record may carry: 2^42 - 1 ms, 15 May 2109. A foreign record's number is its time and 21
    /// bits of its content, and the archive's tables hold numbers of 63 bits. Every door asks this one bound.
    pub const MAX: Timestamp = Timestamp((1 << 42) - 1);
    /// Message for a time that is too late, wherever it is refused.
    pub(crate) const AFTER_MAX: &'static str =
        "time is after 15 May 2109, the last that a record may carry: correct the source's clock";

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time plus `ms` milliseconds, at most `u64::MAX`.
    pub const fn plus_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 if `earlier` is later.
    pub const fn millis_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
