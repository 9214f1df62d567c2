//! Events on a client's connection that its application is told.

use std::time::Duration;

use crate::{End, Incoming, Reason, Tag};

/// Events on a client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// Messages, in order. Accept each by its token once it is dealt with.
    Messages(Vec<Incoming>),
    /// Publishes that are over, each with the server's reason.
    Completed(Vec<(Tag, Reason)>),
    /// The server's answer to each filter.
    Subscribed(Vec<(String, Reason)>),
    /// A ping was answered.
    RoundTrip(Duration),
    /// The last event. What was not completed may not have arrived: send it again, marked as a duplicate.
    Ended(End),
}
