//! Signatures of anchors, many in one equation.

use crate::{
    batch_rng::seeded,
    block::{anchor::Anchor, transaction::Transaction},
    types::{Digest, PublicKey},
};
use commonware_cryptography::{BatchEntry, BatchVerifier as _, Hasher, Sha256};
use commonware_parallel::Sequential;
use rand::rngs::StdRng;

/// Whose anchor's signature does not verify, if any; those that are `known` to be good, by place, are not checked again.
pub(crate) fn first_forged(
    transactions: &[Transaction],
    chain: &Digest,
    known: &[bool],
) -> Option<PublicKey> {
    let is_new = |place: usize| !known.get(place).copied().unwrap_or(false);
    let new: Vec<&Transaction> =
        transactions.iter().enumerate().filter(|(place, _)| is_new(*place)).map(|(_, new)| new).collect();
    let forged = forged_anchors(new.iter().copied(), chain);
    new.into_iter().zip(forged).find_map(|(transaction, forged)| match transaction {
        Transaction::Anchor(anchor) if forged => Some(anchor.authority.clone()),
        _ => None,
    })
}

/// For each transaction, whether it is an anchor whose signature does not verify. All are checked in one equation;
/// only if that fails, one by one.
pub(crate) fn forged_anchors<'a>(
    transactions: impl Iterator<Item = &'a Transaction> + Clone,
    chain: &Digest,
) -> Vec<bool> {
    let namespace = Anchor::namespace(chain);
    let anchors: Vec<(&Anchor, Vec<u8>)> = transactions
        .clone()
        .filter_map(|transaction| match transaction {
            Transaction::Anchor(anchor) => Some((anchor, anchor.signed())),
            _ => None,
        })
        .collect();
    let all_valid = anchors.is_empty()
        || PublicKey::verify_batch(
            &mut batch_rng(&anchors),
            &anchors,
            |_, (anchor, message)| BatchEntry {
                namespace: &namespace,
                message,
                public_key: &anchor.authority,
                signature: &anchor.signature,
            },
            &Sequential,
        );
    transactions
        .map(|transaction| match transaction {
            Transaction::Anchor(anchor) => !all_valid && !anchor.verify(chain),
            _ => false,
        })
        .collect()
}

/// The coefficients of the batch equation: from everything that goes into it, so that nobody can choose signatures
/// after knowing them, and the result is the same everywhere.
fn batch_rng(anchors: &[(&Anchor, Vec<u8>)]) -> StdRng {
    let mut hasher = Sha256::default();
    for (anchor, message) in anchors {
        hasher.update(message);
        hasher.update(anchor.signature.as_ref());
    }
    seeded(&hasher.finalize().1)
}
