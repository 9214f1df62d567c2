//! Hashes of inner nodes, and roots over them, without per-call allocation, many at a time where there are many.

use super::lanes::{Block, LANES, digest_all, digest_one};
use crate::Digest;

/// First byte of a node's hash input. RFC 9162 2.1.1.
const NODE: u8 = 1;

/// SHA-256(0x01 ‖ `left` ‖ `right`).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut blocks = [[0; 64]; 2];
    fill_node(&mut blocks, left, right);
    digest_one(&blocks)
}

/// The root over `level`, which is used as working space.
///
/// Folding neighbours and carrying an odd last node up gives the tree of RFC 9162 2.1.1, whose split is at the
/// largest power of two below the size.
pub(crate) fn root_in_place(level: &mut [Digest]) -> Digest {
    let mut len = level.len();
    if len == 0 {
        // RFC 9162 2.1.1: the hash of an empty list is the hash of an empty string.
        return Digest::of(&[]);
    }
    while len > 1 {
        len = fold(level, len);
    }
    level[0]
}

/// Replaces the first `len` nodes by their parents and returns how many those are.
pub(super) fn fold(level: &mut [Digest], len: usize) -> usize {
    let pairs = len / 2;
    parents(level, pairs);
    if len % 2 == 1 {
        level[pairs] = level[len - 1];
    }
    pairs + len % 2
}

/// Replaces the first `pairs` pairs of `level` by their parents.
fn parents(level: &mut [Digest], pairs: usize) {
    let mut blocks = [[0; 64]; 2 * LANES];
    // Parents land at or before their children, so nothing is overwritten that is still to be read.
    for first in (0..pairs).step_by(LANES) {
        let count = LANES.min(pairs - first);
        let (nodes, _) = blocks.as_chunks_mut::<2>();
        for (node, at) in nodes[..count].iter_mut().zip(first..) {
            fill_node(node, &level[2 * at], &level[2 * at + 1]);
        }
        digest_all(&blocks[..2 * count], 2, &mut level[first..first + count]);
    }
}

/// 65 bytes and padding: always two blocks.
fn fill_node(blocks: &mut [Block; 2], left: &Digest, right: &Digest) {
    blocks[0][0] = NODE;
    blocks[0][1..33].copy_from_slice(left.as_bytes());
    blocks[0][33..].copy_from_slice(&right.as_bytes()[..31]);
    blocks[1][0] = right.as_bytes()[31];
    blocks[1][1] = 0x80;
    blocks[1][62..].copy_from_slice(&(65u16 * 8).to_be_bytes());
}
