//! Inclusion proofs and their RFC 9942 encoding.

use super::node_hash;
use crate::{
    Digest, Error,
    cbor::{Reader, Writer},
};

/// Longest path: a tree of 2^63 leaves.
pub const MAX_PATH: usize = 63;

/// Inclusion proof: the place of a leaf in a tree, and the sibling hashes up to the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inclusion {
    /// Leaves in the tree.
    pub size: u64,
    /// The leaf's place, from 0.
    pub index: u64,
    /// Siblings, lowest first; at most [`MAX_PATH`].
    pub path: Vec<Digest>,
}

impl Inclusion {
    /// The root that this proof leads to from `leaf`; `None` if the path's length does not fit size and index.
    /// RFC 9162 2.1.3.2.
    pub fn root(&self, leaf: &Digest) -> Option<Digest> {
        if self.index >= self.size {
            return None;
        }
        let (mut at, mut last) = (self.index, self.size - 1);
        let mut hash = *leaf;
        for sibling in &self.path {
            if last == 0 {
                return None;
            }
            if at % 2 == 1 || at == last {
                hash = node_hash(sibling, &hash);
                while at % 2 == 0 && at != 0 {
                    (at, last) = (at / 2, last / 2);
                }
            } else {
                hash = node_hash(&hash, sibling);
            }
            (at, last) = (at / 2, last / 2);
        }
        (last == 0).then_some(hash)
    }

    /// Whether `leaf` is at this place of the tree with `root`.
    pub fn verify(&self, leaf: &Digest, root: &Digest) -> bool {
        self.root(leaf).as_ref() == Some(root)
    }

    /// CBOR `[size, index, [path…]]`: RFC 9942's inclusion proof for RFC 9162 trees.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(24 + 34 * self.path.len());
        writer.array(3).uint(self.size).uint(self.index).array(self.path.len());
        for sibling in &self.path {
            writer.bytes(sibling.as_bytes());
        }
        writer.finish()
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("inclusion proof", bytes);
        reader.array_of(3)?;
        let (size, index) = (reader.uint()?, reader.uint()?);
        let len = reader.array()?;
        Error::limit("inclusion path", len, MAX_PATH)?;
        let path = (0..len).map(|_| reader.digest()).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { size, index, path })
    }
}
