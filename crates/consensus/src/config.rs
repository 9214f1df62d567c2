//! What a node is told when it starts.

use crate::network::AddressBook;
use std::time::Duration;
use voltmesh_ledger::{Genesis, MAX_BLOCK_BYTES, PrivateKey};

/// Settings of a node. All nodes of a chain need the same genesis; the times may differ.
#[derive(Clone)]
pub struct Config {
    /// This node's key. If it is an authority of an epoch, the node votes in that epoch; otherwise it follows.
    ///
    /// A node that has lost its disk must come back under another key (`RotateAuthority`): it no longer knows what it
    /// voted for.
    pub private_key: PrivateKey,
    /// The chain.
    pub genesis: Genesis,
    /// Where other nodes can be reached. Authorities without an address cannot be dialled, only answered; a rotated
    /// key takes over the address of the old one.
    pub addresses: AddressBook,
    /// What this node's storage partitions begin with. Default `ledger`.
    pub partition: String,
    /// Least time between a block and its parent. Default 100 ms.
    pub block_interval: Duration,
    /// Longest time that a proposer waits for something to propose. Default 1 s.
    pub idle_interval: Duration,
    /// Longest block that this node proposes, in bytes. Default and most: [`MAX_BLOCK_BYTES`].
    pub block_bytes: usize,
    /// How long a view's leader has to propose, at least half a second more than `idle_interval`. Default 1.8 s.
    pub leader_timeout: Duration,
    /// Views that may run ahead of certified ones within a leader's term. Default 4; of no use with terms of one view.
    pub optimistic_views: u64,
    /// Whether this node signs log roots, so that proofs can be made. Default true; of no use where agreement alone is
    /// measured.
    pub root_receipts: bool,
    /// How far a block's time may be ahead of this node's clock before the node waits with its vote. Default 2 s.
    pub max_clock_drift: Duration,
}

impl Config {
    /// The defaults.
    pub fn new(private_key: PrivateKey, genesis: Genesis) -> Self {
        Self {
            private_key,
            genesis,
            addresses: AddressBook::new(),
            partition: "ledger".into(),
            block_interval: Duration::from_millis(100),
            idle_interval: Duration::from_millis(1_000),
            block_bytes: MAX_BLOCK_BYTES,
            leader_timeout: Duration::from_millis(1_800),
            optimistic_views: 4,
            root_receipts: true,
            max_clock_drift: Duration::from_secs(2),
        }
    }
}
