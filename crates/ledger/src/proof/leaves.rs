//! A piece of the log as leaf hashes: what a list of batches is compared with to find those that are missing.
//!
//! The bytes are those of `voltmesh chain leaves` and of a fog node's `/chain/leaves`: `VMLEAVES`, the index of the first
//! leaf as u64 little-endian, then leaf hashes of 32 bytes in the log's order, to the end.

use crate::{block::Block, error::Error};
use voltmesh_telemetry::{
    Digest as Hash,
    merkle::{Frontier, leaf_hash},
};

/// What a file of leaf hashes begins with.
pub const LEAVES_MAGIC: &[u8; 8] = b"VMLEAVES";

/// Consecutive leaf hashes of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// Index of the first one.
    pub first: u64,
    /// RFC 9162 leaf hashes of batch ids and of statements' digests.
    pub hashes: Vec<Hash>,
}

impl Leaves {
    /// Bytes before the first hash.
    pub const HEAD: usize = 16;

    /// What a block appends to a log that had `first` leaves before it.
    pub fn of(block: &Block, first: u64) -> Self {
        Self { first, hashes: block.anchored().map(|batch| leaf_hash(batch.as_bytes())).collect() }
    }

    /// Index after the last one.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.hashes.len() as u64)
    }

    /// The root over the log, if these are its leaves from the first one on.
    pub fn root(&self) -> Option<Hash> {
        let mut log = Frontier::new();
        log.extend(&self.hashes);
        (self.first == 0).then(|| log.root())
    }

    /// What the bytes begin with when the first leaf has this index.
    pub fn head(first: u64) -> [u8; Self::HEAD] {
        let mut head = [0; Self::HEAD];
        head[..8].copy_from_slice(LEAVES_MAGIC);
        head[8..].copy_from_slice(&first.to_le_bytes());
        head
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::HEAD + 32 * self.hashes.len());
        out.extend_from_slice(&Self::head(self.first));
        self.hashes.iter().for_each(|hash| out.extend_from_slice(hash.as_bytes()));
        out
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else; the caller bounds their number.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Text { what: "leaf hashes", why: why.into() };
        let rest =
            bytes.strip_prefix(LEAVES_MAGIC).ok_or_else(|| wrong("they do not begin with VMLEAVES"))?;
        let (first, rest) =
            rest.split_first_chunk::<8>().ok_or_else(|| wrong("no index of the first leaf"))?;
        let (hashes, []) = rest.as_chunks::<32>() else { return Err(wrong("the last hash is cut")) };
        let first = u64::from_le_bytes(*first);
        first.checked_add(hashes.len() as u64).ok_or_else(|| wrong("more than 2^64 leaves"))?;
        Ok(Self { first, hashes: hashes.iter().map(|hash| Hash::new(*hash)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Chain;
    use voltmesh_telemetry::BatchId;

    #[test]
    fn leaves_of_all_blocks_lead_to_the_root_in_the_header() {
        let mut chain = Chain::new(4);
        let mut all = Leaves { first: 0, hashes: Vec::new() };
        for n in 0..7u8 {
            let batches: Vec<_> = (0..n).map(|m| BatchId::from([16 * n + m; 32])).collect();
            if batches.is_empty() {
                chain.push(Vec::new())
            } else {
                chain.anchor(&batches)
            };
        }
        for block in &chain.blocks {
            let piece = Leaves::of(&block.block, all.end());
            assert_eq!(piece.end(), block.block.header().log_size);
            all.hashes.extend(piece.hashes);
            assert_eq!(all.root(), Some(block.block.header().log_root));
        }
        assert_eq!(all.hashes.len(), 21);
        assert_eq!(Leaves::decode(&all.encode()).expect("own bytes"), all);
        assert_eq!(Leaves { first: 1, ..all }.root(), None);
    }

    #[test]
    fn the_bytes_are_pinned_and_others_are_refused() {
        let leaves = Leaves { first: 3, hashes: vec![Hash::new([7; 32])] };
        let bytes = leaves.encode();
        assert_eq!(bytes, [b"VMLEAVES\x03\0\0\0\0\0\0\0".as_slice(), &[7; 32]].concat());
        for (broken, why) in [
            (bytes[..47].to_vec(), "cut"),
            (bytes[..12].to_vec(), "no index"),
            (b"VMLEAVEs".to_vec(), "begin"),
            ([Leaves::head(u64::MAX).as_slice(), &[7; 32]].concat(), "more than"),
        ] {
            let error = Leaves::decode(&broken).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
