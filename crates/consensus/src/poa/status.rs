//! Status of a node: how far it is, whom it hears, what waits.

use crate::{
    PublicKey,
    common::core::bump,
    poa::{handle::Handle, replacement::tracker::Offered, shared::SILENT_MS},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_ledger::{Decree, Epoch, Error, Height, Replacement};

/// Connected node, with the height that it says it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its key.
    pub key: PublicKey,
    /// Height of its newest final block, as it says.
    pub height: Height,
}

/// Latency: time from submission at this node to finality, over the last 1,024 transactions, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half were faster.
    pub p50_ms: u64,
    /// 99 of 100 were faster.
    pub p99_ms: u64,
    /// How many were measured.
    pub count: u64,
}

/// Progress of the seal of the block that the next epoch waits for, where a committee votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealProgress {
    /// Its height.
    pub height: Height,
    /// Authorities that have sealed it.
    pub signed: usize,
    /// How many must.
    pub needed: usize,
}

/// Progress of a decree about this node's newest final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecreeProgress {
    /// Height of the block after which it replaces the committee.
    pub after: Height,
    /// The epoch that it begins.
    pub epoch: Epoch,
    /// Authorities that follow it, as far as this node knows.
    pub followed: usize,
    /// How many must.
    pub needed: usize,
}

/// Reason why a node does not take a decree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecreeError {
    /// The chain has gone on. If it has stalled there, sign a decree after that block.
    #[error("the newest final block is at height {0}, after the one that the decree names")]
    Past(Height),
    /// It does not hold.
    #[error("no decree of this chain")]
    Refused(#[source] Error),
}

impl Handle {
    /// This node's name among authorities.
    pub fn public_key(&self) -> &PublicKey {
        &self.shared.core.me
    }

    /// Whether this node is an authority of the current epoch.
    pub fn is_authority(&self) -> bool {
        let state = self.shared.core.finalized();
        let epoch = state.next_epoch();
        state.authorities_for(epoch).is_some_and(|authorities| authorities.contains(&self.shared.core.me))
    }

    /// Height of the newest final block.
    pub fn height(&self) -> Height {
        Height::new(self.shared.core.height())
    }

    /// Epoch of the newest final block.
    pub fn epoch(&self) -> Epoch {
        Epoch::new(self.shared.core.tip.borrow().epoch)
    }

    /// How far the seal is that the next epoch waits for; `None` while an epoch runs.
    pub fn sealing(&self) -> Option<SealProgress> {
        let state = self.shared.core.finalized();
        state.needs_mandate().then_some(())?;
        let (signed, needed) = self.shared.seals.lock().progress(state.height().get())?;
        Some(SealProgress { height: state.height(), signed, needed })
    }

    /// Gives a decree to all nodes: operators replace a committee that has stalled, from the block on that is the newest
    /// final one at the furthest node. It is in force once more than two thirds of all authorities follow it, which they
    /// do when they have seen no new final block for 10 s. Forgotten when the process ends before anyone follows.
    pub fn decree(&self, decree: Decree) -> Result<(), DecreeError> {
        let state = self.shared.core.finalized();
        match self.shared.decrees.lock().submit(Replacement::new(decree), &state) {
            Offered::News | Offered::Known | Offered::Behind => {}
            Offered::Past => return Err(DecreeError::Past(state.height())),
            Offered::Refused(error) => return Err(DecreeError::Refused(error)),
        }
        bump(&self.shared.sealed);
        Ok(())
    }

    /// How far the decree is that waits to be in force, or for its first block.
    pub fn decreed(&self) -> Option<DecreeProgress> {
        let state = self.shared.core.finalized();
        let decrees = self.shared.decrees.lock();
        let current = decrees.current()?;
        Some(DecreeProgress {
            after: current.decree.after,
            epoch: current.decree.epoch,
            followed: current.acknowledgements.len(),
            needed: state.stalled().authorities.quorum(),
        })
    }

    /// The decree in force that lets a final block of this node count for nothing; the node has stopped. Wipe its ledger
    /// and come back under a rotated key.
    pub fn replaced(&self) -> Option<Arc<Decree>> {
        self.shared.decrees.lock().replaced().cloned()
    }

    /// View of the last certificate seen, in its epoch.
    pub fn view(&self) -> u64 {
        self.shared.core.counts.lock().view
    }

    /// Views since the start that ended without a block.
    pub fn nullified(&self) -> u64 {
        self.shared.core.counts.lock().nullified
    }

    /// Nodes heard of in the last 5 s.
    pub fn peers(&self) -> Vec<Peer> {
        let now_ms = self.shared.core.now_ms();
        let peers = self.shared.peers.lock();
        peers
            .iter()
            .filter(|(_, heard)| now_ms.saturating_sub(heard.at_ms) < SILENT_MS)
            .map(|(key, heard)| Peer { key: key.clone(), height: Height::new(heard.height) })
            .collect()
    }

    /// Whether this node knows what f + 1 others know, so at least one honest one.
    pub fn has_caught_up(&self) -> bool {
        let state = self.state();
        let faults = state.authorities_for(state.epoch()).map_or(0, |set| set.faults());
        self.peers().len() > faults && self.height().get() + 2 >= self.target().get()
    }

    /// The greatest height that f + 1 connected authorities reach, so at least one honest one: how far this node should
    /// be. Its own height if it is further.
    pub fn target(&self) -> Height {
        let state = self.shared.core.finalized();
        let authorities: BTreeSet<PublicKey> = [state.authorities_for(state.epoch())]
            .into_iter()
            .flatten()
            .flat_map(|set| set.keys().cloned())
            .collect();
        let honest = (authorities.len().saturating_sub(1)) / 3;
        let mut heights: Vec<Height> = self
            .peers()
            .into_iter()
            .filter(|peer| authorities.contains(&peer.key))
            .map(|peer| peer.height)
            .collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.get(honest).copied().unwrap_or(Height::zero()).max(state.height())
    }

    /// Transactions that wait for a block.
    pub fn pending(&self) -> usize {
        self.shared.core.pool.lock().len()
    }

    /// Time from submission at this node to finality.
    pub fn finality(&self) -> Latency {
        let mut sorted: Vec<u64> = self.shared.core.counts.lock().latencies.iter().copied().collect();
        sorted.sort_unstable();
        let at =
            |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        Latency {
            p50_ms: at(50).copied().unwrap_or(0),
            p99_ms: at(99).copied().unwrap_or(0),
            count: sorted.len() as u64,
        }
    }

    /// Conflicting votes seen since the start, by authority. For people: they are proof only with the votes themselves.
    pub fn misbehaviour(&self) -> BTreeMap<PublicKey, u64> {
        self.shared.core.counts.lock().misbehaviour.clone()
    }

    /// Proposals since the start whose time was too far ahead of this node's clock, so that its vote had to wait: the
    /// leader's clock or this one is wrong.
    pub fn clock_ahead(&self) -> u64 {
        self.shared.core.counts.lock().clock_ahead
    }

    /// Proposals since the start that left out what f + 1 authorities have waited for, so that this node withheld its
    /// vote: their leaders censor, or do not hear.
    pub fn censored(&self) -> u64 {
        self.shared.core.counts.lock().censored
    }

    /// Anchors since the start that a block of this node left out, since their authority had used up its share of it.
    /// They come with a later block.
    pub fn over_quota(&self) -> u64 {
        self.shared.core.counts.lock().over_quota
    }
}
