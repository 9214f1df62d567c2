//! Blocks whose parent has not arrived yet.

use crate::pow::puzzle::Sealed;
use std::collections::{BTreeMap, VecDeque};
use voltmesh_ledger::Digest;

/// How many are held: what miners find while a node that starts late fetches the chain, a minute at one block a second.
/// The oldest goes first; it is fetched when a later one needs it. 64 × 1 MiB.
const MAX_ORPHANS: usize = 64;

/// Blocks whose parents are not here yet.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    blocks: BTreeMap<Digest, Sealed>,
    /// In the order of arrival. Holds every digest in `blocks` once, and nothing else.
    arrived: VecDeque<Digest>,
}

impl Orphans {
    /// Holds a block, and returns the ancestor that is missing.
    pub fn add(&mut self, sealed: Sealed) -> Digest {
        let digest = sealed.digest;
        let parent = sealed.block.header().parent;
        if self.blocks.insert(digest, sealed).is_none() {
            self.arrived.push_back(digest);
        }
        if self.arrived.len() > MAX_ORPHANS
            && let Some(oldest) = self.arrived.pop_front()
        {
            self.blocks.remove(&oldest);
        }
        // A digest names its parent's, so there is no way round in a circle.
        let mut missing = parent;
        while let Some(held) = self.blocks.get(&missing) {
            missing = held.block.header().parent;
        }
        missing
    }

    /// Takes out those whose parent is this one, in the order of their digests.
    pub fn take_children(&mut self, parent: &Digest) -> Vec<Sealed> {
        let children: Vec<Digest> = self
            .blocks
            .iter()
            .filter(|(_, sealed)| sealed.block.header().parent == *parent)
            .map(|(digest, _)| *digest)
            .collect();
        self.arrived.retain(|digest| !children.contains(digest));
        children.iter().filter_map(|digest| self.blocks.remove(digest)).collect()
    }

    /// Whether this block is held.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.blocks.contains_key(digest)
    }

    /// Drops those that are too low to ever be connected.
    pub fn prune(&mut self, root: u64) {
        self.blocks.retain(|_, sealed| sealed.block.header().height.get() > root);
        self.arrived.retain(|digest| self.blocks.contains_key(digest));
    }
}
