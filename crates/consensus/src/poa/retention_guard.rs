//! A guard against pruning, for who reads blocks from a mark of its own.

use crate::poa::shared::Shared;
use std::sync::Arc;
use voltmesh_ledger::Height;

/// Guard that keeps the blocks from some height on, and a state to begin from, on this node's disk until it is
/// dropped. It is not remembered over a restart: take it again at once then. Nothing is pruned before the next
/// snapshot.
pub struct RetentionGuard {
    shared: Arc<Shared>,
    id: u64,
}

impl RetentionGuard {
    pub(crate) fn new(shared: Arc<Shared>, from: Height) -> Self {
        let id = shared.holds.lock().add(from);
        Self { shared, id }
    }

    /// From now on blocks before `from` are not needed any more. Never goes back.
    pub fn advance(&self, from: Height) {
        self.shared.holds.lock().advance(self.id, from);
    }
}

impl Drop for RetentionGuard {
    fn drop(&mut self) {
        self.shared.holds.lock().remove(self.id);
    }
}
