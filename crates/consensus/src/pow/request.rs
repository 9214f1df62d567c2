//! A request for blocks, and what came of its answer.

use voltmesh_ledger::Digest;

/// Request to a peer.
pub(super) struct Asked {
    pub wanted: Digest,
    pub at_ms: u64,
}

/// Result of taking a block.
#[derive(Default)]
pub(super) struct Taken {
    /// Blocks that are in the tree since now.
    pub connected: usize,
    /// Set if it is on a branch that this node cannot follow.
    pub foreign: Option<Digest>,
}
