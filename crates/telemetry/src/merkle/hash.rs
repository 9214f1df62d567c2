//! Leaf and node hashes without per-call allocation, two at a time where there are many.

use super::lanes::{Block, compress_one, compress_two};
use crate::Digest;

/// First bytes of a leaf's and a node's hash input. RFC 9162 2.1.1.
const LEAF: u8 = 0;
const NODE: u8 = 1;

fn digest(state: [u32; 8]) -> Digest {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(state) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    Digest::new(bytes)
}

/// SHA-256(0x00 ‖ `data`).
pub fn leaf_hash(data: &[u8]) -> Digest {
    LeafHasher::default().hash(&[], data)
}

/// SHA-256(0x01 ‖ `left` ‖ `right`).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    digest(compress_one(&node_blocks(left, right)))
}

/// The parents of two pairs of neighbours.
pub(super) fn two_node_hashes(children: &[Digest; 4]) -> [Digest; 2] {
    let [a, b, c, d] = children;
    compress_two([&node_blocks(a, b), &node_blocks(c, d)]).map(digest)
}

/// 65 bytes and padding: always two blocks.
fn node_blocks(left: &Digest, right: &Digest) -> [Block; 2] {
    let mut blocks = [[0; 64]; 2];
    blocks[0][0] = NODE;
    blocks[0][1..33].copy_from_slice(left.as_bytes());
    blocks[0][33..].copy_from_slice(&right.as_bytes()[..31]);
    blocks[1][0] = right.as_bytes()[31];
    blocks[1][1] = 0x80;
    blocks[1][62..].copy_from_slice(&(65u16 * 8).to_be_bytes());
    blocks
}

/// Hashes leaves one after the other through the same buffers.
#[derive(Clone, Debug, Default)]
pub struct LeafHasher {
    lanes: [Vec<Block>; 2],
}

impl LeafHasher {
    /// SHA-256(0x00 ‖ `salt` ‖ `record`).
    pub fn hash(&mut self, salt: &[u8], record: &[u8]) -> Digest {
        digest(compress_one(fill(&mut self.lanes[0], salt, record)))
    }

    /// The hashes of two leaves, in the time of little more than one where the processor can.
    pub fn hash_two(&mut self, one: (&[u8], &[u8]), two: (&[u8], &[u8])) -> [Digest; 2] {
        let [first, second] = &mut self.lanes;
        let (first, second) = (fill(first, one.0, one.1), fill(second, two.0, two.1));
        if first.len() == second.len() {
            compress_two([first, second]).map(digest)
        } else {
            [first, second].map(|blocks| digest(compress_one(blocks)))
        }
    }
}

/// The padded message of a leaf.
fn fill<'a>(buffer: &'a mut Vec<Block>, salt: &[u8], record: &[u8]) -> &'a [Block] {
    let len = 1 + salt.len() + record.len();
    let blocks = (len + 9).div_ceil(64);
    if buffer.len() < blocks {
        buffer.resize(blocks, [0; 64]);
    }
    let used = &mut buffer[..blocks];
    let bytes = used.as_flattened_mut();
    bytes[0] = LEAF;
    bytes[1..1 + salt.len()].copy_from_slice(salt);
    bytes[1 + salt.len()..len].copy_from_slice(record);
    bytes[len] = 0x80;
    bytes[len + 1..].fill(0);
    let end = bytes.len();
    bytes[end - 8..].copy_from_slice(&(8 * len as u64).to_be_bytes());
    used
}

/// Salts of a batch's records: two for each SHA-256(`batch_salt` ‖ `i / 2` as u32 big-endian), 16 bytes each.
///
/// A pseudo-random function of the index under the key `batch_salt`: the input has one fixed length, so that SHA-256's
/// length extension has no grip, and a quarter of an HMAC's work is enough.
pub(crate) struct Salts {
    blocks: [Block; 2],
    four: [[u8; 16]; 4],
    of: Option<u32>,
}

impl Salts {
    pub(crate) fn new(batch_salt: &[u8; 32]) -> Self {
        let mut block = [0; 64];
        block[..32].copy_from_slice(batch_salt);
        block[36] = 0x80;
        block[62..].copy_from_slice(&(36u16 * 8).to_be_bytes());
        Self { blocks: [block; 2], four: [[0; 16]; 4], of: None }
    }

    pub(crate) fn get(&mut self, index: u32) -> [u8; 16] {
        let group = index / 4;
        if self.of != Some(group) {
            for (block, pair) in self.blocks.iter_mut().zip(2 * group..) {
                block[32..36].copy_from_slice(&pair.to_be_bytes());
            }
            let [one, two] = &self.blocks;
            let pairs = compress_two([std::slice::from_ref(one), std::slice::from_ref(two)]).map(digest);
            for (salt, half) in
                self.four.iter_mut().zip(pairs.iter().flat_map(|pair| pair.as_bytes().chunks(16)))
            {
                salt.copy_from_slice(half);
            }
            self.of = Some(group);
        }
        self.four[index as usize % 4]
    }
}

/// The root over records: each leaf is SHA-256(0x00 ‖ salt ‖ record), the salts derived from `batch_salt`.
/// For bulk work: no allocation per record.
pub fn root_of_records<'a>(batch_salt: &[u8; 32], records: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = LeafHasher::default();
    let mut salts = Salts::new(batch_salt);
    let mut records = records.into_iter().zip(0..);
    let mut leaves = Vec::with_capacity(records.size_hint().0);
    while let Some((one, i)) = records.next() {
        match records.next() {
            Some((two, j)) => {
                let salts = [salts.get(i), salts.get(j)];
                leaves.extend(hasher.hash_two((&salts[0], one), (&salts[1], two)));
            }
            None => leaves.push(hasher.hash(&salts.get(i), one)),
        }
    }
    super::root_in_place(&mut leaves)
}
