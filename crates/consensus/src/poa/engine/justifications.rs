//! Certificates that this node has seen and may embed in a block: votes of others for blocks on the way.

use std::collections::BTreeMap;
use voltmesh_ledger::{Digest, Justification};

/// Certificates kept: four times the ancestors that a block may embed votes for. 64 × 8 KiB with 128 authorities.
const MAX_VOTES: usize = 64;

/// Checked certificates, the first seen of each view.
#[derive(Debug, Default)]
pub(crate) struct JustificationCache(BTreeMap<(u64, u64), Justification>);

impl JustificationCache {
    /// Keeps a certificate whose signatures consensus has checked.
    pub fn keep(&mut self, votes: Justification) {
        self.0.entry((votes.epoch().get(), votes.view())).or_insert(votes);
        while self.0.len() > MAX_VOTES {
            self.0.pop_first();
        }
    }

    /// The certificate of the first of `blocks` that has one.
    pub fn newest(&self, mut blocks: impl Iterator<Item = Digest>) -> Option<Justification> {
        blocks.find_map(|block| {
            let found = self.0.values().rev().find(|votes| votes.block() == block);
            found.cloned()
        })
    }

    /// Whether exactly these votes were checked.
    pub fn knows(&self, votes: &Justification) -> bool {
        self.0.get(&(votes.epoch().get(), votes.view())) == Some(votes)
    }
}
