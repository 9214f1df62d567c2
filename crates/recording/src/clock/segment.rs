//! Segments of a recording: where a row is placed, and why a segment began.

use crate::Stamp;

/// A row with its final time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The row.
    pub item: T,
    /// Its segment, from 0.
    pub segment: u32,
    /// Its time: Unix if the recording states a date or its start is given.
    pub time: Stamp,
}

/// Reason why a segment began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The recording began.
    Begin,
    /// The clock was set back.
    SetBack,
    /// The clock went on after more than [`MAX_STEP_NS`](super::MAX_STEP_NS).
    Gap,
    /// A clock without a date began anew.
    Restart,
}

impl Cause {
    /// A sentence for a person.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Begin => "the recording begins",
            Self::SetBack => "the clock was set back",
            Self::Gap => "the clock goes on after more than 24 h",
            Self::Restart => "the clock begins anew",
        }
    }
}
