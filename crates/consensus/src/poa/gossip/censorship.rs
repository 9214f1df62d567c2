//! Against censorship: transactions that have waited too long, by the word of f + 1 authorities.
//!
//! Whoever holds a transaction that no block has taken signs its name. With f + 1 signatures, so at least one honest
//! one, every voter withholds its vote from blocks that leave it out although they could hold it. A vote is withheld,
//! never cast against: what one node calls overdue another may not have heard of yet, so there must be no verdict.

use crate::PublicKey;
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use commonware_cryptography::{Signer as _, Verifier as _};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_ledger::{AuthoritySet, Digest, NAMESPACE, PrivateKey, Signature};

/// How long a transaction waits in the pool before its holder calls it overdue, in milliseconds: some thirty blocks.
pub(crate) const PATIENCE_MS: u64 = 3_000;

/// From f + 1 signatures until votes are withheld, in milliseconds: time for the leader to hear of it and to get it.
pub(crate) const GRACE_MS: u64 = 1_500;

/// How long signatures wait for their transaction, in milliseconds.
const FORGET_MS: u64 = 30_000;

/// Signatures of one authority that are kept: 128 × 128 × 96 B = 1.5 MiB with 128 authorities.
const MAX_PER_AUTHORITY: usize = 128;

/// Signatures in one message.
pub(crate) const MAX_OVERDUE: usize = 32;

/// Signature of an authority: "this transaction waits at my node for too long".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overdue {
    pub transaction: Digest,
    pub authority: PublicKey,
    pub signature: Signature,
}

fn namespace(chain: &Digest) -> Vec<u8> {
    [NAMESPACE, b"-overdue-", chain.as_ref()].concat()
}

impl Overdue {
    pub fn sign(chain: &Digest, key: &PrivateKey, transaction: Digest) -> Self {
        let signature = key.sign(&namespace(chain), transaction.as_ref());
        Self { transaction, authority: key.public_key(), signature }
    }

    fn verify(&self, chain: &Digest) -> bool {
        self.authority.verify(&namespace(chain), self.transaction.as_ref(), &self.signature)
    }
}

impl Write for Overdue {
    fn write(&self, buf: &mut impl BufMut) {
        self.transaction.write(buf);
        self.authority.write(buf);
        self.signature.write(buf);
    }
}

impl FixedSize for Overdue {
    const SIZE: usize = 32 + 32 + 64;
}

impl Read for Overdue {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            transaction: Digest::read(buf)?,
            authority: PublicKey::read(buf)?,
            signature: Signature::read(buf)?,
        })
    }
}

#[derive(Debug, Default)]
struct Claim {
    first_ms: u64,
    signers: BTreeSet<PublicKey>,
    /// When f + 1 had signed.
    certain_since_ms: Option<u64>,
}

/// Signatures by transaction.
#[derive(Debug)]
pub(crate) struct CensorshipReports {
    chain: Digest,
    claims: BTreeMap<Digest, Claim>,
    per_authority: BTreeMap<PublicKey, usize>,
}

impl CensorshipReports {
    pub fn new(chain: Digest) -> Self {
        Self { chain, claims: BTreeMap::new(), per_authority: BTreeMap::new() }
    }

    /// Takes a signature by one of `authorities`.
    pub fn add(&mut self, overdue: &Overdue, authorities: &AuthoritySet, now_ms: u64) {
        let by = &overdue.authority;
        let known = self.claims.get(&overdue.transaction).is_some_and(|claim| claim.signers.contains(by));
        let full = self.per_authority.get(by).is_some_and(|count| *count >= MAX_PER_AUTHORITY);
        if known || full || !authorities.contains(by) || !overdue.verify(&self.chain) {
            return;
        }
        let claim = self.claims.entry(overdue.transaction).or_default();
        if claim.signers.is_empty() {
            claim.first_ms = now_ms;
        }
        claim.signers.insert(by.clone());
        *self.per_authority.entry(by.clone()).or_default() += 1;
        if claim.certain_since_ms.is_none() && claim.signers.len() >= authorities.honest() {
            claim.certain_since_ms = Some(now_ms);
        }
    }

    /// Whether `by` has signed it here.
    pub fn has_signed(&self, transaction: &Digest, by: &PublicKey) -> bool {
        self.claims.get(transaction).is_some_and(|claim| claim.signers.contains(by))
    }

    /// What f + 1 have called overdue at least `grace_ms` ago.
    pub fn certain(&self, now_ms: u64, grace_ms: u64) -> BTreeSet<Digest> {
        let old = |claim: &Claim| claim.certain_since_ms.is_some_and(|since| since + grace_ms <= now_ms);
        self.claims.iter().filter(|(_, claim)| old(claim)).map(|(digest, _)| *digest).collect()
    }

    /// Forgets transactions that are final, or that have not come to this node in [`FORGET_MS`].
    pub fn retain(&mut self, now_ms: u64, waits: impl Fn(&Digest) -> bool) {
        let per_authority = &mut self.per_authority;
        self.claims.retain(|digest, claim| {
            let keep = now_ms < claim.first_ms + FORGET_MS || waits(digest);
            if !keep {
                for by in &claim.signers {
                    if let Some(count) = per_authority.get_mut(by) {
                        *count -= 1;
                    }
                }
            }
            keep
        });
        per_authority.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::{Hasher as _, Sha256};
    use voltmesh_ledger::testing::Network;

    #[test]
    fn f_plus_one_make_it_certain_after_some_grace() {
        let network = Network::new(7);
        let (chain, set) = (network.genesis().digest(), &network.genesis().authorities);
        let transaction = Sha256::hash(&[b"tx"]);
        let mut list = CensorshipReports::new(chain);
        let by = |index: usize| Overdue::sign(&chain, network.authority(index), transaction);
        list.add(&by(0), set, 100);
        list.add(&by(0), set, 100);
        let mut forged = by(1);
        forged.authority = by(2).authority;
        list.add(&forged, set, 100);
        list.add(&Overdue::sign(&chain, Network::new(9).operator(0), transaction), set, 100);
        list.add(&by(1), set, 100);
        assert!(list.certain(10_000, 0).is_empty(), "two of seven may both be faulty");
        list.add(&by(5), set, 200);
        assert!(list.certain(1_000, 1_000).is_empty());
        assert_eq!(list.certain(1_200, 1_000), BTreeSet::from([transaction]));
        list.retain(1_000, |_| false);
        assert_eq!(list.certain(1_200, 1_000).len(), 1, "the transaction may still come");
        list.retain(100_000, |_| false);
        assert!(list.certain(10_000, 0).is_empty() && list.per_authority.is_empty());
    }
}
