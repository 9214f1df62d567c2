//! Leaf and node hashes without per-call allocation.

use crate::Digest;
use sha2::block_api::compress256;

/// First bytes of a leaf's and a node's hash input. RFC 9162 2.1.1.
const LEAF: u8 = 0;
const NODE: u8 = 1;

/// FIPS 180-4 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

fn digest(state: &[u32; 8]) -> Digest {
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
    // 65 bytes and padding: always two blocks.
    let mut blocks = [[0; 64]; 2];
    blocks[0][0] = NODE;
    blocks[0][1..33].copy_from_slice(left.as_bytes());
    blocks[0][33..].copy_from_slice(&right.as_bytes()[..31]);
    blocks[1][0] = right.as_bytes()[31];
    blocks[1][1] = 0x80;
    blocks[1][62..].copy_from_slice(&(65u16 * 8).to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    digest(&state)
}

/// Hashes leaves one after the other through one buffer.
#[derive(Clone, Debug)]
pub struct LeafHasher {
    blocks: Vec<[u8; 64]>,
}

impl Default for LeafHasher {
    fn default() -> Self {
        Self { blocks: vec![[0; 64]; 8] }
    }
}

impl LeafHasher {
    /// SHA-256(0x00 ‖ `salt` ‖ `record`).
    pub fn hash(&mut self, salt: &[u8], record: &[u8]) -> Digest {
        let len = 1 + salt.len() + record.len();
        let blocks = (len + 9).div_ceil(64);
        if self.blocks.len() < blocks {
            self.blocks.resize(blocks, [0; 64]);
        }
        let used = &mut self.blocks[..blocks];
        let bytes = used.as_flattened_mut();
        bytes[0] = LEAF;
        bytes[1..1 + salt.len()].copy_from_slice(salt);
        bytes[1 + salt.len()..len].copy_from_slice(record);
        bytes[len] = 0x80;
        bytes[len + 1..].fill(0);
        let end = bytes.len();
        bytes[end - 8..].copy_from_slice(&(8 * len as u64).to_be_bytes());
        let mut state = INITIAL;
        compress256(&mut state, used);
        digest(&state)
    }
}

/// Salts of a batch's records: two for each SHA-256(`batch_salt` ‖ `i / 2` as u32 big-endian), 16 bytes each.
///
/// A pseudo-random function of the index under the key `batch_salt`: the input has one fixed length, so that SHA-256's
/// length extension has no grip, and half an HMAC's quarter of the work is enough.
pub(crate) struct Salts {
    block: [u8; 64],
    pair: [u8; 32],
    of: Option<u32>,
}

impl Salts {
    pub(crate) fn new(batch_salt: &[u8; 32]) -> Self {
        let mut block = [0; 64];
        block[..32].copy_from_slice(batch_salt);
        block[36] = 0x80;
        block[62..].copy_from_slice(&(36u16 * 8).to_be_bytes());
        Self { block, pair: [0; 32], of: None }
    }

    pub(crate) fn get(&mut self, index: u32) -> [u8; 16] {
        let pair = index / 2;
        if self.of != Some(pair) {
            self.block[32..36].copy_from_slice(&pair.to_be_bytes());
            let mut state = INITIAL;
            compress256(&mut state, &[self.block]);
            self.pair = digest(&state).to_bytes();
            self.of = Some(pair);
        }
        let mut salt = [0; 16];
        salt.copy_from_slice(if index.is_multiple_of(2) { &self.pair[..16] } else { &self.pair[16..] });
        salt
    }
}

/// The root over records: each leaf is SHA-256(0x00 ‖ salt ‖ record), the salts derived from `batch_salt`.
/// For bulk work: no allocation per record.
pub fn root_of_records<'a>(batch_salt: &[u8; 32], records: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = LeafHasher::default();
    let mut salts = Salts::new(batch_salt);
    let mut leaves: Vec<Digest> =
        records.into_iter().zip(0..).map(|(record, i)| hasher.hash(&salts.get(i), record)).collect();
    super::root_in_place(&mut leaves)
}
