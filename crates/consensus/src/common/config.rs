//! What a node is told when it starts.

use crate::common::{block_store::BLOCKS_PER_SECTION, network::AddressBook};
use std::{num::NonZeroU64, time::Duration};
use voltmesh_ledger::{Checkpoint, Genesis, MAX_BLOCK_BYTES, PrivateKey};

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
    /// Views that may run ahead of certified ones within a leader's term. Default 6; of no use with terms of one view.
    pub optimistic_views: u64,
    /// Whether this node signs log roots, so that proofs can be made. Default true; of no use where agreement alone is
    /// measured.
    pub root_receipts: bool,
    /// How far a block's time may be ahead of this node's clock before the node waits with its vote. Default 2 s.
    pub max_clock_drift: Duration,
    /// Blocks between two snapshots of the state, which are what a restart and a newcomer begin from; 0 for none. Nodes of
    /// a chain need the same one, since f + 1 of them must attest a snapshot before anyone believes it. Default 4,096: at
    /// ten blocks a second some seven minutes.
    pub snapshot_interval: u64,
    /// Final blocks that stay on disk; older ones are pruned, file by file of 4,096 blocks, but never those after the last
    /// snapshot but one, nor what somebody holds ([`crate::Handle::hold`]). Default: all.
    pub history_blocks: Option<u64>,
    /// What a node with an empty disk begins from, instead of genesis. It is checked: nobody needs to be trusted for it.
    /// Ignored if there is anything on disk. Default: none.
    pub checkpoint: Option<Checkpoint>,
    /// Whether to move away what is damaged on disk and to fetch it from peers again, see [`crate::StartError::Damaged`].
    /// A node whose journal of votes is damaged follows without voting until the epoch after the next one. For one start,
    /// by somebody who has looked. Default false: a node with damage does not start.
    pub repair: bool,
    /// Blocks per file. Never changes while there are files.
    pub(crate) section_blocks: NonZeroU64,
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
            optimistic_views: 6,
            root_receipts: true,
            max_clock_drift: Duration::from_secs(2),
            snapshot_interval: 4_096,
            history_blocks: None,
            checkpoint: None,
            repair: false,
            section_blocks: BLOCKS_PER_SECTION,
        }
    }
}
