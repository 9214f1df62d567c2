//! Transactions that wait for a block: bounded, none twice, offered again until they are final.

mod admission;

pub use admission::{MAX_REGISTRY, SubmitError};

use crate::PublicKey;
use admission::{check, may_apply};
use commonware_codec::EncodeSize as _;
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_ledger::{Digest, Lane, State, Transaction};

/// Anchors of one authority that wait. At one each 100 ms: 12.8 s without a block. 128 × 16 KiB = 2 MiB.
pub const MAX_ANCHORS: usize = 128;

/// Event lists of one authority that wait: at one each 250 ms, 16 s without a block. 64 × 8 KiB = 512 KiB.
pub const MAX_EVENT_LISTS: usize = 64;

/// Policy transactions of one controller that wait: four full blocks.
pub const MAX_POLICIES: usize = 4 * voltmesh_ledger::MAX_POLICIES_PER_BLOCK;

/// Pieces of evidence that wait: one for each of the most authorities that may be faulty, of any witness.
pub const MAX_EVIDENCE: usize = voltmesh_ledger::MAX_AUTHORITIES / 3;

/// First repetition of an offer that is not final, in milliseconds. It doubles up to [`LAST_REPEAT_MS`].
const FIRST_REPEAT_MS: u64 = 1_000;

/// Longest time between repetitions.
const LAST_REPEAT_MS: u64 = 8_000;

/// Place in the pool: an authority's anchors count together, and so do its event lists, a controller's policies and all
/// registry transactions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Registry(u64, Digest),
    Evidence(Digest),
    RoundTrips(PublicKey),
    Policy(PublicKey, u32, u64, Digest),
    Events(PublicKey, Lane, u64),
    Anchor(PublicKey, u64),
}

impl Key {
    /// What it counts with, and how many of that may wait.
    fn share(&self) -> (Share, usize) {
        match self {
            Self::Registry(..) => (Share::Registry, MAX_REGISTRY),
            Self::Evidence(_) => (Share::Evidence, MAX_EVIDENCE),
            // One waits for each authority; a newer one takes its place.
            Self::RoundTrips(by) => (Share::RoundTrips(by.clone()), usize::MAX),
            Self::Policy(by, ..) => (Share::Policies(by.clone()), MAX_POLICIES),
            Self::Events(by, ..) => (Share::Events(by.clone()), MAX_EVENT_LISTS),
            Self::Anchor(by, _) => (Share::Anchors(by.clone()), MAX_ANCHORS),
        }
    }
}

/// Transactions that share a bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    Registry,
    Evidence,
    RoundTrips(PublicKey),
    Policies(PublicKey),
    Events(PublicKey),
    Anchors(PublicKey),
}

#[derive(Debug)]
struct Entry {
    transaction: Transaction,
    digest: Digest,
    since_ms: u64,
    /// Set if this node was asked to get it into the ledger.
    offer: Option<Offer>,
}

#[derive(Debug)]
struct Offer {
    since_ms: u64,
    next_ms: u64,
    wait_ms: u64,
}

/// An offer to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub transaction: Transaction,
    /// Whether it was sent before and is not final yet.
    pub repeated: bool,
}

/// Mempool of transactions that wait for a block.
#[derive(Debug, Default)]
pub struct Mempool {
    entries: BTreeMap<Key, Entry>,
    /// How many wait of each share.
    counts: BTreeMap<Share, usize>,
    #[cfg(test)]
    pub censored: BTreeSet<PublicKey>,
}

impl Mempool {
    /// Takes a transaction that `state`, the newest final one, does not exclude. `offered` if this node shall repeat it
    /// to others until it is final. Returns whether it is new.
    pub fn insert(
        &mut self,
        transaction: Transaction,
        state: &State,
        now_ms: u64,
        offered: bool,
    ) -> Result<bool, SubmitError> {
        let digest = transaction.digest();
        let key = key(&transaction, digest);
        if let Some(entry) = self.entries.get_mut(&key) {
            if entry.digest == digest {
                if offered && entry.offer.is_none() {
                    entry.offer = Some(Offer::new(now_ms));
                }
                return Ok(false);
            }
            if let Key::Anchor(_, sequence) | Key::Events(_, _, sequence) = key {
                return Err(SubmitError::Conflict { sequence });
            }
        }
        // The bound first: checking costs a signature.
        let (share, bound) = key.share();
        let waiting = self.counts.get(&share).copied().unwrap_or(0);
        if waiting >= bound {
            return Err(SubmitError::Full { waiting });
        }
        check(&transaction, state, now_ms)?;
        self.remove(&key);
        *self.counts.entry(share).or_default() += 1;
        let offer = offered.then(|| Offer::new(now_ms));
        self.entries.insert(key, Entry { transaction, digest, since_ms: now_ms, offer });
        Ok(true)
    }

    /// What a proposer offers to the block after `parent`, at most `bytes` of it: what is `overdue`, registry decisions by
    /// nonce, evidence, round trips, policies by number, then event lists and anchors by sequence, the authorities taking
    /// turns.
    pub fn candidates(&self, bytes: usize, parent: &State, overdue: &BTreeSet<Digest>) -> Vec<Transaction> {
        let mut left = bytes;
        let mut out = Vec::new();
        let mut push = |transaction: &Transaction, out: &mut Vec<Transaction>| {
            let size = transaction.encode_size();
            // What blocks that are not final yet hold already must not take room.
            if size <= left && may_apply(transaction, parent) {
                left -= size;
                out.push(transaction.clone());
            }
        };
        let (first, rest): (Vec<_>, Vec<_>) =
            self.offered().partition(|(_, entry)| overdue.contains(&entry.digest));
        first.into_iter().for_each(|(_, entry)| push(&entry.transaction, &mut out));
        // An authority's event lists come before its anchors: they are few and small, and commands wait for them.
        let mut turns: BTreeMap<&PublicKey, Vec<&Transaction>> = BTreeMap::new();
        for (key, entry) in rest {
            match key {
                Key::Registry(..) | Key::Evidence(_) | Key::RoundTrips(_) | Key::Policy(..) => {
                    push(&entry.transaction, &mut out)
                }
                Key::Events(authority, ..) | Key::Anchor(authority, _) => {
                    turns.entry(authority).or_default().push(&entry.transaction)
                }
            }
        }
        let longest = turns.values().map(Vec::len).max().unwrap_or(0);
        for turn in 0..longest {
            for anchors in turns.values() {
                if let Some(transaction) = anchors.get(turn) {
                    push(transaction, &mut out);
                }
            }
        }
        out
    }

    #[cfg(not(test))]
    fn offered(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// Without what this node, a censor in a test, keeps back.
    #[cfg(test)]
    fn offered(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        let kept_back = |key: &Key| matches!(key, Key::Anchor(by, _) if self.censored.contains(by));
        self.entries.iter().filter(move |(key, _)| !kept_back(key))
    }

    /// Those of `digests` that wait here.
    pub fn named(&self, digests: &BTreeSet<Digest>) -> Vec<Transaction> {
        let named = self.entries.values().filter(|entry| digests.contains(&entry.digest));
        named.map(|entry| entry.transaction.clone()).collect()
    }

    /// Names of what waits since `before_ms` or longer, and from now on repeated to the others by this node as well.
    pub fn overdue(&mut self, before_ms: u64, now_ms: u64) -> Vec<Digest> {
        let mut out = Vec::new();
        for entry in self.entries.values_mut().filter(|entry| entry.since_ms <= before_ms) {
            entry.offer.get_or_insert_with(|| Offer::new(now_ms));
            out.push(entry.digest);
        }
        out
    }

    /// Whether exactly this transaction waits, and so was checked.
    pub fn knows(&self, transaction: &Transaction) -> bool {
        let key = match transaction {
            Transaction::Anchor(anchor) => Key::Anchor(anchor.authority.clone(), anchor.sequence),
            _ => return false,
        };
        self.entries.get(&key).is_some_and(|entry| entry.transaction == *transaction)
    }

    /// Whether a transaction of this name waits.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.entries.values().any(|entry| entry.digest == *digest)
    }

    /// Drops what `state`, the newest final one, holds already or will never take. Returns how long ago, in
    /// milliseconds, this node was asked for those that it had offered and that `included` names.
    pub fn settle(&mut self, state: &State, included: &[Transaction], now_ms: u64) -> Vec<u64> {
        let mut waited = Vec::new();
        for transaction in included {
            let digest = transaction.digest();
            let key = key(transaction, digest);
            if let Some(entry) = self.remove(&key)
                && entry.digest == digest
                && let Some(offer) = entry.offer
            {
                waited.push(now_ms.saturating_sub(offer.since_ms));
            }
        }
        let stale: Vec<Key> = self
            .entries
            .iter()
            .filter(|(_, entry)| !may_apply(&entry.transaction, state))
            .map(|(key, _)| key.clone())
            .collect();
        for key in stale {
            self.remove(&key);
        }
        waited
    }

    /// Offers that are due to be sent, or sent again, to the other nodes at `now_ms`.
    pub fn due(&mut self, now_ms: u64) -> Vec<Due> {
        let mut out = Vec::new();
        for entry in self.entries.values_mut() {
            if let Some(offer) = &mut entry.offer
                && offer.next_ms <= now_ms
            {
                out.push(Due {
                    transaction: entry.transaction.clone(),
                    repeated: offer.wait_ms > FIRST_REPEAT_MS,
                });
                offer.next_ms = now_ms + offer.wait_ms;
                offer.wait_ms = (offer.wait_ms * 2).min(LAST_REPEAT_MS);
            }
        }
        out
    }

    /// Makes all offers anew: others propose from now on, who may not have heard of them.
    pub fn offer_anew(&mut self, now_ms: u64) {
        let offers = self.entries.values_mut().filter_map(|entry| entry.offer.as_mut());
        offers.for_each(|offer| *offer = Offer { since_ms: offer.since_ms, ..Offer::new(now_ms) });
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        let (share, _) = key.share();
        if let Some(count) = self.counts.get_mut(&share) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&share);
            }
        }
        Some(entry)
    }
}

impl Offer {
    fn new(now_ms: u64) -> Self {
        // Due at once: the first offer is sent like every repetition.
        Self { since_ms: now_ms, next_ms: now_ms, wait_ms: FIRST_REPEAT_MS }
    }
}

fn key(transaction: &Transaction, digest: Digest) -> Key {
    match transaction {
        Transaction::Anchor(anchor) => Key::Anchor(anchor.authority.clone(), anchor.sequence),
        Transaction::Registry(registry) => Key::Registry(registry.nonce, digest),
        Transaction::Evidence(_) => Key::Evidence(digest),
        Transaction::RoundTrips(report) => Key::RoundTrips(report.authority.clone()),
        Transaction::Events(list) => Key::Events(list.authority.clone(), list.lane, list.sequence),
        Transaction::Policy(policy) => {
            Key::Policy(policy.controller.clone(), policy.term, policy.number, digest)
        }
    }
}

#[cfg(test)]
mod tests;
