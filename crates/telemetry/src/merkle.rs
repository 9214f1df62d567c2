//! RFC 9162 Merkle trees over SHA-256: roots, inclusion proofs, and a growing log.
//!
//! Provided: second-preimage safety by the leaf and node prefixes; inclusion proofs checked against size and index.
//! Not provided: consistency proofs (every block header carries size and root, finalised by the authorities).

mod frontier;
mod hash;
mod lanes;
mod proof;

pub use frontier::Frontier;
pub use hash::{LeafHasher, leaf_hash, node_hash, root_of_records};
pub(crate) use hash::{Leaves, salt};
pub use proof::{Inclusion, MAX_PATH};

use crate::Digest;

/// The root over leaf hashes in order. RFC 9162 2.1.1.
pub fn root(leaves: &[Digest]) -> Digest {
    let mut level = leaves.to_vec();
    root_in_place(&mut level)
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
fn fold(level: &mut [Digest], len: usize) -> usize {
    let pairs = len / 2;
    hash::parents(level, pairs);
    if len % 2 == 1 {
        level[pairs] = level[len - 1];
    }
    pairs + len % 2
}

/// The proof that leaf `index` is in the tree over `leaves`; `None` if there is no such leaf. RFC 9162 2.1.3.1.
pub fn prove(leaves: &[Digest], index: usize) -> Option<Inclusion> {
    if index >= leaves.len() {
        return None;
    }
    let mut level = leaves.to_vec();
    let mut len = level.len();
    let mut at = index;
    let mut path = Vec::with_capacity(MAX_PATH);
    while len > 1 {
        if (at ^ 1) < len {
            path.push(level[at ^ 1]);
        }
        len = fold(&mut level, len);
        at /= 2;
    }
    Some(Inclusion { size: leaves.len() as u64, index: index as u64, path })
}

#[cfg(test)]
mod tests;
