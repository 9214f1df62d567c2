//! What a document states of one EVSE: its status, and its place.

use crate::place::Place;

/// Status of one EVSE as a document states it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The EVSE (eMI3 EVSE id where there is one).
    pub evse: String,
    /// The status in the feed's words.
    pub status: String,
    /// When that was said, in seconds since 1970; `None` if the feed does not say.
    pub at: Option<i64>,
}

/// Place of an EVSE as a document states it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// The EVSE; empty where it has no id.
    pub evse: String,
    /// What is said.
    pub place: Place,
    /// Connector types that are not understood.
    pub unknown_plugs: Vec<String>,
}
