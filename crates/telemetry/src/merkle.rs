//! RFC 9162 Merkle trees over SHA-256: roots, inclusion proofs, and a growing log.
//!
//! Provided: second-preimage safety by the leaf and node prefixes; inclusion proofs checked against size and index.
//! Not provided: consistency proofs (every block header carries size and root, finalised by the authorities).

mod frontier;
mod lanes;
mod leaf;
mod node;
mod proof;

pub use frontier::Frontier;
pub use leaf::{LeafHasher, leaf_hash, root_of_records};
pub(crate) use leaf::{Leaves, salt};
pub use node::node_hash;
pub(crate) use node::root_in_place;
pub use proof::{Inclusion, MAX_PATH};

use crate::Digest;
use node::fold;

/// The root over leaf hashes in order. RFC 9162 2.1.1.
pub fn root(leaves: &[Digest]) -> Digest {
    let mut level = leaves.to_vec();
    root_in_place(&mut level)
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
