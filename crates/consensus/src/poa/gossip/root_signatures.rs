//! Signatures of log roots: which there are, which are missing.

use crate::PublicKey;
use commonware_cryptography::Signer as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_ledger::{AuthoritySet, Digest, Genesis, Header, PrivateKey, RootReceipt};

/// Roots kept: at ten blocks a second, 13 minutes. 8,192 × 43 signatures × 112 B = 38 MiB with 128 authorities, twice
/// that where a committee votes.
const MAX_ROOTS: usize = 8_192;

/// How far ahead of our own final block others' signatures are kept.
const MAX_EARLY: u64 = 64;

/// Time that signatures have to arrive by themselves before they are asked for, in milliseconds.
const GRACE_MS: u64 = 400;

/// Signers beyond those needed that sign without being asked.
const SPARE: usize = 2;

/// Heights asked for in one message.
pub(crate) const MAX_ASKED: usize = 64;

#[derive(Debug)]
struct Root {
    header: Header,
    authorities: Arc<AuthoritySet>,
    receipts: BTreeMap<PublicKey, RootReceipt>,
    /// How many are needed.
    needed: usize,
    ask_at_ms: u64,
}

/// Signatures by height.
#[derive(Debug)]
pub(crate) struct Roots {
    chain: Digest,
    genesis: Genesis,
    known: BTreeMap<u64, Root>,
    /// Heights in `known` with too few signatures.
    missing: BTreeSet<u64>,
    /// Signatures of blocks that are not final here yet, by signer, so that nobody takes another's place.
    early: BTreeMap<u64, BTreeMap<PublicKey, RootReceipt>>,
}

impl Roots {
    pub fn new(genesis: &Genesis) -> Self {
        Self {
            chain: genesis.digest(),
            genesis: genesis.clone(),
            known: BTreeMap::new(),
            missing: BTreeSet::new(),
            early: BTreeMap::new(),
        }
    }

    /// From now on signatures of this final block's root are collected.
    pub fn open(&mut self, header: &Header, authorities: Arc<AuthoritySet>, now_ms: u64) {
        let height = header.height.get();
        if self.known.contains_key(&height) {
            return;
        }
        let root = Root {
            header: header.clone(),
            needed: self.genesis.root_quorum(&authorities),
            authorities,
            receipts: BTreeMap::new(),
            ask_at_ms: now_ms + GRACE_MS,
        };
        self.known.insert(height, root);
        self.missing.insert(height);
        while self.known.len() > MAX_ROOTS {
            if let Some((oldest, _)) = self.known.pop_first() {
                self.missing.remove(&oldest);
            }
        }
        let early = self.early.remove(&height).unwrap_or_default();
        for receipt in early.into_values() {
            self.add(receipt, height);
        }
        self.early = self.early.split_off(&height);
    }

    /// Whether `key` signs the root at `height` without being asked: as many as are `needed` do, and two more in case that
    /// some are away.
    pub fn in_turn(authorities: &AuthoritySet, needed: usize, key: &PublicKey, height: u64) -> bool {
        let n = authorities.len();
        let first = (height % n as u64) as usize;
        let place = authorities.as_set().position(key);
        place.is_some_and(|place| (place + n - first) % n < needed + SPARE)
    }

    /// Takes a signature, checking it if its block is final here. `tip` is the height of our newest final block.
    pub fn add(&mut self, receipt: RootReceipt, tip: u64) -> bool {
        let height = receipt.height.get();
        let Some(root) = self.known.get_mut(&height) else {
            if height > tip && height <= tip + MAX_EARLY {
                let signers = self.early.entry(height).or_default();
                if signers.len() < voltmesh_ledger::MAX_AUTHORITIES {
                    signers.insert(receipt.authority.clone(), receipt);
                }
            }
            return false;
        };
        // More than enough need not be checked.
        if root.receipts.len() >= root.needed
            || root.receipts.contains_key(&receipt.authority)
            || !root.authorities.contains(&receipt.authority)
            || receipt.verify(&self.chain, &root.header).is_err()
        {
            return false;
        }
        root.receipts.insert(receipt.authority.clone(), receipt);
        if root.receipts.len() >= root.needed {
            self.missing.remove(&height);
        }
        true
    }

    /// The signatures of the block at `height`, if they are enough ([`Genesis::root_quorum`]).
    pub fn enough(&self, height: u64) -> Option<Vec<RootReceipt>> {
        let root = self.known.get(&height)?;
        (root.receipts.len() >= root.needed).then(|| root.receipts.values().cloned().collect())
    }

    /// The newest heights with enough signatures, at most `count`.
    pub fn newest_enough(&self, count: usize) -> Vec<u64> {
        let enough = self.known.iter().rev().filter(|(_, root)| root.receipts.len() >= root.needed);
        enough.map(|(height, _)| *height).take(count).collect()
    }

    /// What there is for a peer that asks, no more than are enough.
    pub fn known(&self, height: u64) -> Vec<RootReceipt> {
        self.known
            .get(&height)
            .map_or_else(Vec::new, |root| root.receipts.values().take(root.needed).cloned().collect())
    }

    /// Signs the root at `height`, if the holder of `key` is an authority there and has not signed it.
    pub fn sign(&mut self, height: u64, key: &PrivateKey) -> Option<RootReceipt> {
        let root = self.known.get(&height)?;
        let me = key.public_key();
        if root.receipts.contains_key(&me) || !root.authorities.contains(&me) {
            return None;
        }
        let receipt = RootReceipt::sign(&self.chain, key, &root.header);
        self.add(receipt.clone(), height).then_some(receipt)
    }

    /// Heights to ask others for now, oldest first; asked for again after `again_ms`.
    pub fn ask(&mut self, now_ms: u64, again_ms: u64) -> Vec<u64> {
        let mut out = Vec::new();
        for height in &self.missing {
            if out.len() == MAX_ASKED {
                break;
            }
            if let Some(root) = self.known.get_mut(height)
                && root.ask_at_ms <= now_ms
            {
                root.ask_at_ms = now_ms + again_ms;
                out.push(*height);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_ledger::{Height, State, testing::Network};

    fn header(height: u64) -> Header {
        let network = Network::new(4);
        let mut header = State::new(network.genesis()).header().clone();
        header.height = Height::new(height);
        header
    }

    fn receipt(network: &Network, authority: usize, height: u64) -> RootReceipt {
        RootReceipt::sign(&network.genesis().digest(), network.authority(authority), &header(height))
    }

    #[test]
    fn two_of_four_are_enough_and_early_ones_wait() {
        let network = Network::new(4);
        let authorities = Arc::new(network.genesis().authorities.clone());
        let mut roots = Roots::new(network.genesis());
        assert!(!roots.add(receipt(&network, 0, 3), 2));
        assert!(!roots.add(receipt(&network, 0, 3 + MAX_EARLY), 2));
        roots.open(&header(3), authorities, 1_000);
        assert!(roots.enough(3).is_none());
        assert!(roots.ask(1_000, 1_000).is_empty(), "others have time to send by themselves");
        assert_eq!(roots.ask(1_000 + GRACE_MS, 1_000), vec![3]);
        assert!(!roots.add(receipt(&network, 0, 3), 3), "twice");
        assert!(!roots.add(receipt(&Network::new(5), 4, 3), 3), "no authority");
        let mut forged = receipt(&network, 1, 3);
        forged.signature = receipt(&network, 2, 3).signature;
        assert!(!roots.add(forged, 3), "forged");
        assert!(roots.add(receipt(&network, 1, 3), 3));
        assert_eq!(roots.enough(3).map(|receipts| receipts.len()), Some(2));
        assert!(roots.ask(100_000, 1_000).is_empty());
        roots.open(&header(4), Arc::new(network.genesis().authorities.clone()), 1_000);
        assert_eq!(roots.newest_enough(2), [3], "4 has none yet");
    }
}
