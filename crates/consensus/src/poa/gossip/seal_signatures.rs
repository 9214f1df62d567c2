//! Seals of the last blocks of epochs, where a committee votes for the others: who has signed, who is missing.

use crate::PublicKey;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_ledger::{AuthoritySet, Digest, Header, Seal, SealSignature};

/// Seals kept: of the block that this node waits at, and of the one before for those who are a little behind. Older
/// ones are in the chain. 2 × 128 × 144 B = 36 KiB.
const KEPT: usize = 2;

/// Time that signatures have to arrive by themselves before they are asked for, in milliseconds.
const GRACE_MS: u64 = 400;

#[derive(Debug)]
struct Sealing {
    header: Header,
    authorities: Arc<AuthoritySet>,
    signatures: BTreeMap<PublicKey, SealSignature>,
    ask_at_ms: u64,
}

impl Sealing {
    fn complete(&self) -> bool {
        self.signatures.len() >= self.authorities.quorum()
    }
}

/// Signatures by height.
#[derive(Debug)]
pub(crate) struct Seals {
    chain: Digest,
    known: BTreeMap<u64, Sealing>,
    /// Signatures of a block that is not final here yet, the last of the running epoch: one of each authority.
    early: BTreeMap<PublicKey, SealSignature>,
}

impl Seals {
    pub fn new(chain: Digest) -> Self {
        Self { chain, known: BTreeMap::new(), early: BTreeMap::new() }
    }

    /// From now on signatures of this final block, the last of its epoch, are collected. False if they were before.
    pub fn open(&mut self, header: &Header, authorities: Arc<AuthoritySet>, now_ms: u64) -> bool {
        let height = header.height.get();
        if self.known.contains_key(&height) {
            return false;
        }
        let sealing = Sealing {
            header: header.clone(),
            authorities,
            signatures: BTreeMap::new(),
            ask_at_ms: now_ms + GRACE_MS,
        };
        self.known.insert(height, sealing);
        while self.known.len() > KEPT {
            self.known.pop_first();
        }
        for signature in std::mem::take(&mut self.early).into_values() {
            self.add(signature);
        }
        true
    }

    /// Takes a signature of a block that is final here. True if it is a new one.
    pub fn add(&mut self, signature: SealSignature) -> bool {
        let Some(sealing) = self.known.get_mut(&signature.height.get()) else { return false };
        let by = &signature.authority;
        if sealing.signatures.contains_key(by)
            || !sealing.authorities.contains(by)
            || (signature.epoch, signature.block) != (sealing.header.epoch, sealing.header.digest())
            || !signature.verify(&self.chain)
        {
            return false;
        }
        sealing.signatures.insert(by.clone(), signature);
        true
    }

    /// Keeps a signature until the block at `end`, the last of the running epoch, is final here. `authorities` are that
    /// epoch's.
    pub fn keep_early(&mut self, signature: SealSignature, end: u64, authorities: &AuthoritySet) {
        let by = &signature.authority;
        if signature.height.get() == end && authorities.contains(by) && signature.verify(&self.chain) {
            self.early.insert(by.clone(), signature);
        }
    }

    /// The seal of the block at `height`, if more than two thirds have signed.
    pub fn seal(&self, height: u64) -> Option<Seal> {
        let sealing = self.known.get(&height).filter(|sealing| sealing.complete())?;
        Some(Seal::new(sealing.signatures.values().cloned()))
    }

    /// What there is for a peer that asks.
    pub fn signatures(&self, height: u64) -> Vec<SealSignature> {
        self.known
            .get(&height)
            .map_or_else(Vec::new, |sealing| sealing.signatures.values().cloned().collect())
    }

    /// How many have signed the block at `height`, and how many must.
    pub fn progress(&self, height: u64) -> Option<(usize, usize)> {
        let sealing = self.known.get(&height)?;
        Some((sealing.signatures.len(), sealing.authorities.quorum()))
    }

    /// The height to ask others for now, if its seal is not complete; asked for again after `again_ms`.
    pub fn ask(&mut self, now_ms: u64, again_ms: u64) -> Option<u64> {
        let (height, sealing) = self.known.iter_mut().next_back()?;
        if sealing.complete() || sealing.ask_at_ms > now_ms {
            return None;
        }
        sealing.ask_at_ms = now_ms + again_ms;
        Some(*height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_ledger::{Height, testing::Network};

    fn header(network: &Network, height: u64) -> Header {
        let mut header = network.genesis().block().header().clone();
        header.height = Height::new(height);
        header
    }

    #[test]
    fn five_of_seven_are_enough_and_early_ones_wait() {
        let network = Network::new(7);
        let (chain, set) = (network.genesis().digest(), Arc::new(network.genesis().authorities.clone()));
        let sign =
            |by: usize, height| SealSignature::sign(&chain, network.authority(by), &header(&network, height));
        let mut seals = Seals::new(chain);
        assert!(!seals.add(sign(0, 9)), "not final here");
        seals.keep_early(sign(0, 9), 9, &set);
        seals.keep_early(sign(1, 8), 9, &set);
        assert!(seals.open(&header(&network, 9), set.clone(), 1_000));
        assert!(!seals.open(&header(&network, 9), set.clone(), 1_000));
        assert_eq!(seals.progress(9), Some((1, 5)));
        assert!(!seals.add(sign(0, 9)), "twice");
        let mut forged = sign(1, 9);
        forged.signature = sign(2, 9).signature;
        assert!(!seals.add(forged));
        let mut other = header(&network, 9);
        other.view = 7;
        assert!(!seals.add(SealSignature::sign(&chain, network.authority(1), &other)), "another block");
        assert!(
            !seals.add(SealSignature::sign(&chain, network.operator(0), &header(&network, 9))),
            "a stranger"
        );
        assert_eq!(seals.ask(1_000 + GRACE_MS - 1, 1_000), None, "others have time to send by themselves");
        assert_eq!(seals.ask(1_000 + GRACE_MS, 1_000), Some(9));
        assert_eq!(seals.ask(1_000 + GRACE_MS, 1_000), None);
        (1..4).for_each(|by| assert!(seals.add(sign(by, 9))));
        assert!(seals.seal(9).is_none());
        assert!(seals.add(sign(6, 9)));
        let seal = seals.seal(9).expect("five of seven");
        seal.verify(&chain, &set, &header(&network, 9)).expect("holds");
        assert_eq!(seals.ask(100_000, 1_000), None);
        seals.open(&header(&network, 19), set.clone(), 2_000);
        seals.open(&header(&network, 29), set, 3_000);
        assert!(seals.seal(9).is_none() && seals.signatures(9).is_empty());
    }
}
