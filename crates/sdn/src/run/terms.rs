//! Where a controller's term comes from: it commands only while it holds one, and fog nodes and vehicles take no order of a lower one.

use bytes::Bytes;
use voltmesh_telemetry::Timestamp;

use super::ledger::Ledger;

/// Source of terms.
pub(super) enum Terms {
    /// A controller that is alone: each start takes the next one. Nothing is agreed with anybody, so that a second controller must
    /// not be started on another data folder: it would have terms of its own.
    Alone(Option<u32>),
    /// The ledger gives them, to one controller at a time.
    Ledger(Box<Ledger>),
}

impl Terms {
    /// Terms of a controller that is alone and has held this one; the first is at least `least`.
    pub fn alone(held: u32, least: u32) -> Self {
        Self::Alone(held.checked_add(1).map(|next| next.max(least)))
    }

    /// The term in which this controller commands now.
    pub fn held(&self, now: Timestamp) -> Option<u32> {
        match self {
            Self::Alone(term) => *term,
            Self::Ledger(ledger) => ledger.held(now),
        }
    }

    /// When [`Self::tick`] is due.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Alone(_) => None,
            Self::Ledger(ledger) => ledger.deadline(),
        }
    }

    /// Time passes: policy transactions that are to go to fog nodes.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Bytes> {
        match self {
            Self::Alone(_) => Vec::new(),
            Self::Ledger(ledger) => ledger.tick(now),
        }
    }

    /// A fog node says that it has seen a higher term. One fog node cannot depose a controller that holds the ledger's term; one that
    /// is alone is of no use any more.
    pub fn superseded(&mut self, seen: u32) -> bool {
        match self {
            Self::Alone(term) => term.take_if(|term| *term < seen).is_some(),
            Self::Ledger(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_term_of_one_that_is_alone_is_higher_than_the_one_before() {
        let now = Timestamp::from_millis(1);
        let first = |held| Terms::alone(held, 5).held(now);
        assert_eq!([0, 4, 5, 9].map(first), [Some(5), Some(5), Some(6), Some(10)]);
        assert_eq!(first(u32::MAX), None);
        let mut terms = Terms::alone(5, 1);
        assert!(!terms.superseded(6) && terms.held(now) == Some(6));
        assert!(terms.superseded(7) && terms.held(now).is_none() && !terms.superseded(9));
    }
}
