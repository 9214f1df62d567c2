//! What a document states of one EVSE: its status, and its place.

use crate::hours::StatedTimes;
use crate::place::{Place, StatedPower};
use crate::times::NoTime;

/// Time that a document states and that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What it lacks.
    pub why: NoTime,
    /// As it is written.
    pub text: String,
}

/// Status of one EVSE as a document states it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The EVSE (eMI3 EVSE id where there is one).
    pub evse: String,
    /// The status in the feed's words.
    pub status: String,
    /// When that was said, in seconds since 1970; `None` if the feed does not say, or cannot be understood.
    pub at: Option<i64>,
    /// What it says of the time where that cannot be read: nobody knows how old the status is.
    pub unread: Option<Unread>,
}

impl Reading {
    /// A status with the time that is stated, if one is.
    pub(crate) fn new(evse: String, status: String, stated: Option<Result<i64, Unread>>) -> Self {
        let (at, unread) = match stated {
            None => (None, None),
            Some(Ok(at)) => (Some(at), None),
            Some(Err(unread)) => (None, Some(unread)),
        };
        Self { evse, status, at, unread }
    }
}

/// Place of an EVSE as a document states it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// The EVSE; empty where it has no id.
    pub evse: String,
    /// What is said; its power is `power`, its times are `times`, and both are unknown here.
    pub place: Place,
    /// Opening hours and prices by the time of day.
    pub times: StatedTimes,
    /// The power that is stated.
    pub power: Option<StatedPower>,
    /// The currency of its price, where that is said.
    pub currency: Option<String>,
    /// Whether it is said to be removed, or not built yet.
    pub is_absent: bool,
    /// Connector types that are not understood.
    pub unknown_plugs: Vec<String>,
}
