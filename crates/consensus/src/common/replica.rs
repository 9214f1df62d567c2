//! What every agreement offers to those who load it and measure it: proof of authority and the baselines alike.

use crate::common::mempool::SubmitError;
use commonware_utils::channel::mpsc;
use std::{sync::Arc, time::SystemTime};
use voltmesh_ledger::{Block, Digest, State, Transaction};

/// Block that became final at a node.
#[derive(Clone, Debug)]
pub struct Final {
    /// The block.
    pub block: Arc<Block>,
    /// Its digest.
    pub digest: Digest,
    /// When this node held it as final, by the node's clock.
    pub at: SystemTime,
}

/// Statistics of what did not go straight ahead since the node's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolStats {
    /// Leaders' turns that ended without a block: nullified views of simplex, view changes of PBFT.
    pub view_changes: u64,
    /// Blocks at a height at which this node knew another one (proof of work).
    pub forks: u64,
    /// SHA-256 compressions spent on puzzles, or in virtual time those that chance stands for (proof of work).
    pub hashes: u64,
    /// Final blocks at this node that a longer chain undid, or that differ from those of a chain which it cannot follow
    /// (proof of work). Anything but 0 means that final was not final.
    pub conflicting_finals: u64,
}

/// A node of any agreement. All of them have the same blocks, transactions, keys and channels.
pub trait Replica: Send + Sync + 'static {
    /// Gets a transaction into the ledger: spreads it, again and again until it is final.
    fn submit(&self, transaction: Transaction) -> Result<(), SubmitError>;

    /// The newest final state.
    fn state(&self) -> Arc<State>;

    /// Blocks that become final here from now on, in order. For measurements: the queue has no bound.
    fn finals(&self) -> mpsc::UnboundedReceiver<Final>;

    /// See [`ProtocolStats`].
    fn detours(&self) -> ProtocolStats;
}

/// A running node of any agreement; dropping it ends it.
pub struct Running {
    /// What may be asked of it.
    pub replica: Arc<dyn Replica>,
    _alive: Box<dyn Send + Sync>,
}

impl Running {
    /// `alive` ends the node when it is dropped.
    pub fn new(replica: Arc<dyn Replica>, alive: impl Send + Sync + 'static) -> Self {
        Self { replica, _alive: Box::new(alive) }
    }
}
