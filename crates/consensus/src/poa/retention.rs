//! Blocks that must not be pruned, since somebody in this process has yet to read them.

use std::collections::BTreeMap;
use voltmesh_ledger::Height;

/// Heights from which on blocks are needed, by holder.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    from: BTreeMap<u64, u64>,
    taken: u64,
}

impl Retention {
    /// The lowest height that somebody needs.
    pub fn lowest(&self) -> Option<u64> {
        self.from.values().min().copied()
    }

    /// Needs blocks from `from` on; returns the holder's number.
    pub fn add(&mut self, from: Height) -> u64 {
        self.taken += 1;
        self.from.insert(self.taken, from.get());
        self.taken
    }

    /// A holder needs blocks before `from` no more. Never goes back.
    pub fn advance(&mut self, holder: u64, from: Height) {
        if let Some(held) = self.from.get_mut(&holder) {
            *held = (*held).max(from.get());
        }
    }

    /// A holder needs nothing any more.
    pub fn remove(&mut self, holder: u64) {
        self.from.remove(&holder);
    }
}
