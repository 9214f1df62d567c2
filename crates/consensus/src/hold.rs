//! What must not be pruned, since somebody in this process has yet to read it.

use crate::shared::Shared;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_ledger::Height;

/// Heights from which on blocks are needed, by holder.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    from: BTreeMap<u64, u64>,
    taken: u64,
}

impl Holds {
    /// The lowest height that somebody needs.
    pub fn lowest(&self) -> Option<u64> {
        self.from.values().min().copied()
    }
}

/// Keeps the blocks from some height on, and a state to begin from, on this node's disk; until it is dropped. It is not
/// remembered over a restart: take it again at once then. Nothing is pruned before the next snapshot.
pub struct Hold {
    shared: Arc<Shared>,
    id: u64,
}

impl Hold {
    pub(crate) fn new(shared: Arc<Shared>, from: Height) -> Self {
        let mut holds = shared.holds.lock();
        holds.taken += 1;
        let id = holds.taken;
        holds.from.insert(id, from.get());
        drop(holds);
        Self { shared, id }
    }

    /// From now on blocks before `from` are not needed any more. Never goes back.
    pub fn advance(&self, from: Height) {
        if let Some(held) = self.shared.holds.lock().from.get_mut(&self.id) {
            *held = (*held).max(from.get());
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.holds.lock().from.remove(&self.id);
    }
}
