//! The chain's older blocks, encoded, for nodes that start late.

use bytes::Bytes;
use std::{collections::BTreeMap, ops::RangeInclusive};
use voltmesh_ledger::Digest;

/// Bytes of blocks that are held; the oldest go first, and then nobody can start at genesis any more. At 100 KiB a block
/// and one block a second: ten minutes.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Blocks that are held, if they are small: 18 hours at one block a second.
const MAX_BLOCKS: usize = 65_536;

/// Encoded blocks of the final chain, for peers that ask.
#[derive(Debug, Default)]
pub(crate) struct History {
    blocks: BTreeMap<u64, (Digest, Bytes)>,
    heights: BTreeMap<Digest, u64>,
    bytes: usize,
}

impl History {
    /// Appends the next block of the chain.
    pub fn push(&mut self, height: u64, digest: Digest, bytes: Bytes) {
        self.bytes += bytes.len();
        self.heights.insert(digest, height);
        self.blocks.insert(height, (digest, bytes));
        while self.bytes > MAX_BYTES || self.blocks.len() > MAX_BLOCKS {
            let Some((_, (digest, bytes))) = self.blocks.pop_first() else { break };
            self.bytes -= bytes.len();
            self.heights.remove(&digest);
        }
    }

    /// The height of a block that is held.
    pub fn height(&self, digest: &Digest) -> Option<u64> {
        self.heights.get(digest).copied()
    }

    /// Blocks of the chain in order.
    pub fn range(&self, heights: RangeInclusive<u64>) -> impl Iterator<Item = &Bytes> {
        // A range that ends before it starts is empty here, and a panic in the map.
        let heights = (heights.start() <= heights.end()).then_some(heights);
        heights.into_iter().flat_map(|heights| self.blocks.range(heights)).map(|(_, (_, bytes))| bytes)
    }

    /// Digests ever farther back, the distance doubling, and the oldest.
    pub fn samples(&self) -> Vec<Digest> {
        let (Some((first, _)), Some((last, _))) =
            (self.blocks.first_key_value(), self.blocks.last_key_value())
        else {
            return Vec::new();
        };
        let mut heights: Vec<u64> = (0..u64::BITS)
            .map_while(|step| last.checked_sub((1 << step) - 1))
            .take_while(|height| height > first)
            .collect();
        heights.push(*first);
        heights.iter().filter_map(|height| self.blocks.get(height)).map(|(digest, _)| *digest).collect()
    }
}
