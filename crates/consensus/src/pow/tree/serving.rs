//! What the tree tells peers: what is here, and blocks that they lack.

use super::Tree;
use crate::pow::wire::{MAX_BLOCKS, MAX_BYTES, MAX_HAVE};
use bytes::Bytes;
use voltmesh_ledger::Digest;

/// Newest digests that a request names one by one.
const DENSE: usize = 10;

impl Tree {
    /// What a node that has this tree names when it asks for blocks: its chain, ever farther back.
    pub fn locator(&self) -> Vec<Digest> {
        let chain = self.path(u64::MAX, self.node(&self.root).height);
        let mut out: Vec<Digest> = chain.iter().take(DENSE).copied().collect();
        let mut step = 1;
        let mut next = DENSE;
        while let Some(digest) = chain.get(next) {
            out.push(*digest);
            step *= 2;
            next += step;
        }
        out.push(self.root);
        out.extend(self.history.samples());
        out.truncate(MAX_HAVE);
        out
    }

    /// Blocks that lead to `wanted` after the newest of `have` on the way, as many as an answer holds.
    pub fn blocks_to(&self, wanted: &Digest, have: &[Digest]) -> Vec<Bytes> {
        let mut above = Vec::new();
        let mut cursor = *wanted;
        let mut below = self.history.height(wanted);
        while let Some(node) = self.nodes.get(&cursor) {
            if have.contains(&cursor) {
                break;
            }
            above.push(&node.bytes);
            if cursor == self.root {
                below = node.height.checked_sub(1);
            }
            cursor = node.parent;
        }
        let known = have.iter().filter_map(|digest| self.history.height(digest)).max();
        let older = match (below, known) {
            // What the asking node has is on another chain than ours, or we no longer hold what follows it.
            (Some(_), None) => return Vec::new(),
            (Some(below), Some(known)) => known + 1..=below,
            #[allow(clippy::reversed_empty_ranges)]
            (None, _) => 1..=0,
        };
        let mut bytes = 0;
        self.history
            .range(older)
            .chain(above.into_iter().rev())
            .filter(|block| !block.is_empty())
            .take(MAX_BLOCKS)
            .enumerate()
            .take_while(|(index, block)| {
                bytes += block.len();
                *index == 0 || bytes <= MAX_BYTES
            })
            .map(|(_, block)| block.clone())
            .collect()
    }
}
