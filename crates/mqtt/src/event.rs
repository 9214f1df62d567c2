//! Events on a server that its application is told.

use crate::{End, Incoming, Reason, Session, Tag};

/// Events on a server, in order within each session.
#[derive(Debug)]
pub enum ServerEvent {
    /// A client is in.
    Connected {
        /// Whose.
        session: Session,
    },
    /// It published, within what the policy allows. Accept or reject each by its token, in any order; until then it is
    /// not acknowledged.
    Publishes {
        /// Whose.
        session: Session,
        /// All that came with one read, in order.
        items: Vec<Incoming>,
    },
    /// It will get what matches this filter.
    Subscribed {
        /// Whose.
        session: Session,
        /// As the policy allowed it.
        filter: String,
    },
    /// Publishes to it are over: acknowledged by it, or impossible.
    Completed {
        /// Whose.
        session: Session,
        /// Tags with reasons.
        done: Vec<(Tag, Reason)>,
    },
    /// It is gone; its undecided publishes will never be acknowledged.
    Ended {
        /// Whose.
        session: Session,
        /// How.
        end: End,
    },
}
