//! Whether a batch continues what a vehicle has said before.

use crate::{BatchHeader, BatchId, Boot, RecordNumber};

/// The end of a vehicle's chain as one observer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// The newest boot seen.
    pub boot: Boot,
    /// The number after the last record of that boot.
    pub next: RecordNumber,
    /// The last batch of that boot.
    pub last: BatchId,
}

/// Relation of a batch to a [`ChainHead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It continues the chain: take it, then [`ChainHead::after`].
    Next,
    /// Its records lie before the head: an old batch again, or one to look up by its id.
    Replay,
    /// Batches are missing before it; it may still arrive in order later.
    Gap {
        /// The first record missing.
        from: RecordNumber,
        /// How many are.
        missing: u64,
    },
    /// It contradicts the chain: the same place with other content, or another predecessor. Quarantine.
    Fork,
    /// Its boot is older than the head's: a late batch, or a boot counter used again.
    OldBoot,
}

impl ChainHead {
    /// The head after `header`, whose batch is `id`.
    pub fn after(header: &BatchHeader, id: BatchId) -> Self {
        Self { boot: header.boot, next: header.next(), last: id }
    }

    /// How a native batch relates to the head; `None` where nothing of the vehicle is known.
    pub fn classify(head: Option<&ChainHead>, header: &BatchHeader, id: BatchId) -> Link {
        let Some(head) = head.filter(|head| head.boot >= header.boot) else {
            // A new boot begins at 0, which its header's check ties to having no predecessor.
            return if header.first == RecordNumber::ZERO {
                Link::Next
            } else {
                Link::Gap { from: RecordNumber::ZERO, missing: header.first.get() }
            };
        };
        if header.boot < head.boot {
            return Link::OldBoot;
        }
        if header.first > head.next {
            return Link::Gap { from: head.next, missing: header.first.get() - head.next.get() };
        }
        if header.first == head.next {
            return if header.previous == Some(head.last) { Link::Next } else { Link::Fork };
        }
        match header.next() {
            end if end < head.next => Link::Replay,
            end if end == head.next && id == head.last => Link::Replay,
            _ => Link::Fork,
        }
    }
}
