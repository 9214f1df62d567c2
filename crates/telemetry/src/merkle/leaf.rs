//! Leaf hashes, salted for records, without per-call allocation, many at a time where there are many.

use super::{
    lanes::{Block, LANES, digest_all, digest_one},
    node::root_in_place,
};
use crate::Digest;

/// First byte of a leaf's hash input. RFC 9162 2.1.1.
const LEAF: u8 = 0;
/// SHA-256(0x00 ‖ `data`).
pub fn leaf_hash(data: &[u8]) -> Digest {
    LeafHasher::default().hash(&[], data)
}

/// Hashes leaves one after the other through the same buffer.
#[derive(Clone, Debug, Default)]
pub struct LeafHasher {
    blocks: Vec<Block>,
}

impl LeafHasher {
    /// SHA-256(0x00 ‖ `salt` ‖ `record`).
    pub fn hash(&mut self, salt: &[u8], record: &[u8]) -> Digest {
        self.blocks.resize(leaf_blocks(salt, record), [0; 64]);
        fill_leaf(&mut self.blocks, salt, record);
        digest_one(&self.blocks)
    }
}

/// Blocks of a leaf's padded message.
fn leaf_blocks(salt: &[u8], record: &[u8]) -> usize {
    (1 + salt.len() + record.len() + 9).div_ceil(64)
}

/// The padded message of a leaf into exactly its blocks.
fn fill_leaf(blocks: &mut [Block], salt: &[u8], record: &[u8]) {
    let len = 1 + salt.len() + record.len();
    let bytes = blocks.as_flattened_mut();
    bytes[0] = LEAF;
    bytes[1..1 + salt.len()].copy_from_slice(salt);
    bytes[1 + salt.len()..len].copy_from_slice(record);
    bytes[len] = 0x80;
    bytes[len + 1..].fill(0);
    let end = bytes.len();
    bytes[end - 8..].copy_from_slice(&(8 * len as u64).to_be_bytes());
}

/// A record's salt: half of SHA-256(`batch_salt` ‖ `index / 2` as u32 big-endian).
///
/// A pseudo-random function of the index under the key `batch_salt`: the input has one fixed length, so that SHA-256's
/// length extension has no grip, and a quarter of an HMAC's work is enough.
pub(crate) fn salt(batch_salt: &[u8; 32], index: u32) -> Salt {
    let pair = digest_one(&[salt_block(batch_salt, index / 2)]);
    pair.as_bytes().as_chunks().0[index as usize % 2]
}

/// Salt that is hashed before a record.
type Salt = [u8; 16];

fn salt_block(batch_salt: &[u8; 32], pair: u32) -> Block {
    let mut block = [0; 64];
    block[..32].copy_from_slice(batch_salt);
    block[32..36].copy_from_slice(&pair.to_be_bytes());
    block[36] = 0x80;
    block[62..].copy_from_slice(&(36u16 * 8).to_be_bytes());
    block
}

/// Leaf hashes of a batch's records in order, each under its salt; no allocation per record.
pub(crate) struct Leaves {
    batch_salt: [u8; 32],
    salts: [Salt; 2 * LANES],
    /// Messages of `stride` blocks that wait to be hashed together.
    blocks: Vec<Block>,
    stride: usize,
    waiting: usize,
    /// Leaves that were folded into roots.
    folded: usize,
    hashes: Vec<Digest>,
}

impl Leaves {
    pub(crate) fn new(batch_salt: &[u8; 32], capacity: usize) -> Self {
        let (batch_salt, salts) = (*batch_salt, [[0; 16]; 2 * LANES]);
        Self {
            batch_salt,
            salts,
            blocks: Vec::new(),
            stride: 0,
            waiting: 0,
            folded: 0,
            hashes: Vec::with_capacity(capacity),
        }
    }

    pub(crate) fn push(&mut self, record: &[u8]) {
        let index = self.folded + self.hashes.len() + self.waiting;
        if index.is_multiple_of(self.salts.len()) {
            self.next_salts(index as u32 / 2);
        }
        let salt = self.salts[index % self.salts.len()];
        let stride = leaf_blocks(&salt, record);
        if stride != self.stride || self.waiting == LANES {
            self.flush();
            self.stride = stride;
            self.blocks.resize(stride * LANES, [0; 64]);
        }
        fill_leaf(&mut self.blocks[stride * self.waiting..][..stride], &salt, record);
        self.waiting += 1;
    }

    pub(crate) fn finish(mut self) -> Vec<Digest> {
        self.flush();
        self.hashes
    }

    /// The root over the leaves since the last call; the next leaf's index goes on.
    fn fold(&mut self) -> Digest {
        self.flush();
        let root = root_in_place(&mut self.hashes);
        self.folded += self.hashes.len();
        self.hashes.clear();
        root
    }

    fn next_salts(&mut self, pair: u32) {
        let blocks: [Block; LANES] =
            std::array::from_fn(|lane| salt_block(&self.batch_salt, pair + lane as u32));
        let mut pairs = [Digest::ZERO; LANES];
        digest_all(&blocks, 1, &mut pairs);
        for (two, pair) in self.salts.as_chunks_mut::<2>().0.iter_mut().zip(&pairs) {
            two.as_flattened_mut().copy_from_slice(pair.as_bytes());
        }
    }

    fn flush(&mut self) {
        if self.waiting == 0 {
            return;
        }
        let done = self.hashes.len();
        self.hashes.resize(done + self.waiting, Digest::ZERO);
        digest_all(&self.blocks[..self.stride * self.waiting], self.stride, &mut self.hashes[done..]);
        self.waiting = 0;
    }
}

/// Leaves folded together while they are in the first cache: 16 KiB. A power of two, so that each group is a subtree of
/// RFC 9162 2.1.1, and a multiple of what is hashed at once.
const SUBTREE: usize = 512;

/// The root over records: each leaf is SHA-256(0x00 ‖ salt ‖ record), the salts derived from `batch_salt`.
/// For bulk work: no allocation per record, and none that grows with them but a hash for each 512.
pub fn root_of_records<'a>(batch_salt: &[u8; 32], records: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut leaves = Leaves::new(batch_salt, SUBTREE);
    let mut subtrees = Vec::new();
    for record in records {
        if leaves.hashes.len() + leaves.waiting == SUBTREE {
            subtrees.push(leaves.fold());
        }
        leaves.push(record);
    }
    subtrees.push(leaves.fold());
    root_in_place(&mut subtrees)
}
