//! The log as the state knows it: sizes, sequence numbers of anchors, places of batches.

use crate::{state::State, types::PublicKey};
use voltmesh_telemetry::{
    BatchId,
    merkle::{Inclusion, leaf_hash},
};

/// Entry of the log: a batch, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The batch. The same one may be in the log several times, if several fog nodes received it: each place is a
    /// proof of its own, the earliest says the most.
    pub batch: BatchId,
    /// Who anchored it.
    pub authority: PublicKey,
    /// Its place in the log at the size in the block's header; the leaf's index is `inclusion.index`.
    pub inclusion: Inclusion,
}

impl State {
    /// Batches in the log.
    pub fn log_size(&self) -> u64 {
        self.log.size()
    }

    /// Records in them, as their authorities say.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The sequence number that `authority` can surely use next: above all that were applied.
    pub fn next_sequence(&self, authority: &PublicKey) -> u64 {
        self.windows.get(authority).map_or(0, |window| window.end)
    }

    /// Whether an anchor of `authority` with this number was applied (or is too old to tell).
    pub fn is_applied(&self, authority: &PublicKey, sequence: u64) -> bool {
        self.windows.get(authority).is_some_and(|window| window.contains(sequence))
    }

    /// Places of batches that follow this state's log, in the log that they lead to together. For blocks that are final
    /// only through a later one: the paths of all of them lead to that one's root.
    pub fn place(&self, anchored: impl IntoIterator<Item = (BatchId, PublicKey)>) -> Vec<LogEntry> {
        let anchored: Vec<_> = anchored.into_iter().collect();
        let leaves: Vec<_> = anchored.iter().map(|(batch, _)| leaf_hash(batch.as_bytes())).collect();
        let inclusions = self.log.clone().append(&leaves);
        anchored
            .into_iter()
            .zip(inclusions)
            .map(|((batch, authority), inclusion)| LogEntry { batch, authority, inclusion })
            .collect()
    }
}
