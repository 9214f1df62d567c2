//! Why a node does not start, and what to do then.

/// Reason why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Consensus needs epochs of at least two blocks. Choose another `epoch_length` for the chain.
    #[error("an epoch of {0} blocks is too short, want at least 2")]
    EpochLength(u64),
    /// Something on disk is damaged. Restore the partition from a copy, or start with [`crate::Config::repair`]: what is
    /// damaged is moved to a partition named `…-damaged` and fetched from peers again.
    #[error(
        "partition {partition}, {place}: {what} damaged; restore it, or start once with repair to move it away and \
         fetch it from peers"
    )]
    Damaged {
        /// The partition of the node's storage.
        partition: String,
        /// File, height or offset in it, as far as known.
        place: String,
        /// Of what.
        what: &'static str,
        /// Why it cannot be read, if a lower layer says.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// What this node has promised about a replaced committee cannot be read. Restore the partition from a copy, or wipe
    /// the ledger and come back under a rotated key.
    #[error("the promise to follow a decree cannot be read: {why}")]
    Promise {
        /// Why.
        why: String,
    },
    /// The journal of this node's votes is damaged: the node may have voted for what it does not know of any more. Restore
    /// the partition from a copy made since, or start with [`crate::Config::repair`]: the node then follows without voting
    /// until the epoch after the next one. The journal itself is never repaired.
    #[error(
        "partition {partition}, {place}: journal of votes damaged; restore it, or start once with repair to follow \
         without voting until the epoch after next"
    )]
    Votes {
        /// The partition of the node's storage.
        partition: String,
        /// The view, or file, in it.
        place: String,
        /// Why it cannot be read, if a lower layer says.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Blocks that this node had applied are not on disk any more. As [`Self::Damaged`].
    #[error(
        "partition {partition}: block {missing} is missing although blocks up to {applied} were applied; restore it, or \
         start once with repair to fetch it from peers"
    )]
    Missing {
        /// The partition of the node's storage.
        partition: String,
        /// The first one missing.
        missing: u64,
        /// Height of the last block that was applied.
        applied: u64,
    },
    /// The disk cannot be read or written. Mend what the cause says.
    #[error("storage of the ledger")]
    Storage(#[from] commonware_runtime::Error),
    /// The checkpoint in the configuration is not believed. Take one from another node.
    #[error("checkpoint refused")]
    Checkpoint(#[source] voltmesh_ledger::Error),
    /// The runtime is being stopped.
    #[error("stopped while starting")]
    Stopped,
    /// The archive's blocks do not follow from what is before them: it belongs to another chain, or is damaged.
    #[error("archived block {height} does not follow")]
    Replay {
        /// Which block.
        height: u64,
        /// Why.
        #[source]
        source: voltmesh_ledger::Error,
    },
}

impl StartError {
    /// [`Self::Damaged`] for that reason.
    pub(crate) fn damaged(
        what: &'static str,
        partition: &str,
        place: impl Into<String>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Damaged { partition: partition.into(), place: place.into(), what, source }
    }
}
