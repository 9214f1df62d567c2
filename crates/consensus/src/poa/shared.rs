//! What the tasks of a proof-of-authority node, its handle and its subscriptions have in common.

use crate::{
    PublicKey,
    common::{
        chain::Chain,
        core::{ReplicaCore, bump},
        watch,
    },
    poa::{
        engine::justifications::JustificationCache,
        gossip::{
            censorship::CensorshipReports, root_signatures::Roots, round_trips::RoundTripTimes,
            seal_signatures::Seals,
        },
        replacement::tracker::Decrees,
        retention::Retention,
    },
};
use commonware_consensus::marshal::{core::Mailbox, standard::Standard};
use commonware_utils::sync::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_ledger::{
    AuthoritySet, Block, Certificate, Checked, EpochEnd, EpochOpening, Handover, Header, Height, Replacement,
    Roster, Scheme, Seal, State,
};

/// Marshal, as this node uses it.
pub(crate) type Marshal = Mailbox<Scheme, Standard<Block>>;

/// Certificates fetched from peers that are kept: one per epoch change, and those that subscribers need.
const MAX_CERTIFICATES: usize = 4_096;

/// Age at which a peer that says nothing counts as gone.
pub(crate) const SILENT_MS: u64 = 5_000;

/// A peer as it last said about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub height: u64,
    pub at_ms: u64,
    /// First block that it still holds.
    pub oldest: u64,
}

/// A change of authorities or voters.
#[derive(Clone)]
pub(crate) enum Change {
    /// An epoch's last header, and whom it named.
    Epoch(Header, Arc<Roster>),
    /// A decree in force.
    Decree(Box<Replacement>),
}

/// Certificates of blocks that marshal holds without one of their own.
#[derive(Default)]
pub(crate) struct Certificates {
    pub known: BTreeMap<u64, Certificate>,
    pub wanted: BTreeSet<u64>,
}

/// State of a proof-of-authority node that its tasks, its handle and its subscriptions share: a replica's core, and what only
/// proof of authority keeps.
///
/// **Lock order.** Each field has a lock of its own, and almost always one alone is held. Where two are, they are taken in
/// this order, in all of the crate: `decrees` before `core.chain`; `core.pool` before `overdue`. In `Schemes`: `abstains`,
/// `by_epoch`, `pinned`. In a miner: `offers` before `core.chain` and `core.pool`. No lock is held across an `await`.
pub(crate) struct Shared {
    /// What replicas of all protocols have.
    pub core: Arc<ReplicaCore>,
    pub roots: Mutex<Roots>,
    /// Of the last blocks of epochs, where a committee votes.
    pub seals: Mutex<Seals>,
    /// By which operators replace a committee.
    pub decrees: Mutex<Decrees>,
    /// Hand-overs whose certificates are known, in order; on disk as well.
    pub known_handovers: Mutex<Vec<Handover>>,
    /// Changes of authorities and voters by height of the block that made them; without those known.
    pub handovers: Mutex<BTreeMap<u64, Change>>,
    /// Certificates that blocks may embed.
    pub votes: Mutex<JustificationCache>,
    /// Transactions that others, or this node, wait for in vain.
    pub overdue: Mutex<CensorshipReports>,
    /// Round trips to the other authorities.
    pub round_trips: Mutex<RoundTripTimes>,
    pub peers: Mutex<BTreeMap<PublicKey, Heard>>,
    pub certificates: Mutex<Certificates>,
    /// Height that was final when this process started.
    pub restored: u64,
    /// Blocks that this process executed to get there.
    pub replayed: u64,
    /// Height of the first block of those without a gap up to the newest one.
    pub oldest: Mutex<u64>,
    /// What must not be pruned.
    pub holds: Mutex<Retention>,
    /// Counts up when root signatures or certificates arrived.
    pub signed: watch::Sender<u64>,
    /// Counts up when signatures of a seal arrived, or there is news of a decree.
    pub sealed: watch::Sender<u64>,
}

impl Shared {
    pub fn new(me: PublicKey, chain: Chain, clock: Box<dyn Fn() -> u64 + Send + Sync>) -> Self {
        let core = ReplicaCore::new(me, chain, clock);
        let (state, chain_id) = (core.finalized(), core.chain_id);
        Self {
            roots: Mutex::new(Roots::new(state.genesis())),
            seals: Mutex::new(Seals::new(chain_id)),
            decrees: Mutex::default(),
            votes: Mutex::default(),
            overdue: Mutex::new(CensorshipReports::new(chain_id)),
            round_trips: Mutex::default(),
            known_handovers: Mutex::default(),
            handovers: Mutex::default(),
            peers: Mutex::default(),
            certificates: Mutex::default(),
            restored: core.height(),
            replayed: 0,
            oldest: Mutex::new(1),
            holds: Mutex::default(),
            signed: watch::Sender::new(0),
            sealed: watch::Sender::new(0),
            core: Arc::new(core),
        }
    }

    /// Ends all that wait for news.
    pub fn stop(&self) {
        self.core.stop();
        bump(&self.signed);
    }

    /// Height of the first block of those without a gap up to the newest one.
    pub fn oldest(&self) -> u64 {
        *self.oldest.lock()
    }

    /// Which signatures of a block were checked when its transactions came to the pool, or by consensus.
    pub fn checked(&self, block: &Block) -> Checked {
        let votes = block.justification().is_some_and(|embedded| self.votes.lock().knows(embedded));
        Checked { votes, ..self.core.checked(block) }
    }

    /// Notes what a final block settles about authorities.
    pub fn note_authorities(&self, state: &State) {
        if let Some(roster) = self.core.note_rosters(state) {
            let change = Change::Epoch(state.header().clone(), roster);
            self.handovers.lock().insert(state.height().get(), change);
        }
    }

    /// Notes what a final block says about them by a decree.
    pub fn note_decree(&self, block: &Block) {
        if let Some(EpochOpening::Decree(replacement)) = block.mandate() {
            let change = Change::Decree(replacement.clone());
            self.handovers.lock().insert(block.header().height.get(), change);
        }
    }

    /// The decree after the block at `height`, with those who follow it: known here, or from the chain.
    pub async fn replacement(&self, marshal: &Marshal, height: u64) -> Option<Replacement> {
        if let Some(current) = self.decrees.lock().current()
            && current.decree.after.get() == height
        {
            return Some(current.clone());
        }
        if height >= self.core.height() {
            return None;
        }
        let next = marshal.get_block(Height::new(height + 1)).await?;
        match next.inner().mandate() {
            Some(EpochOpening::Decree(replacement)) => Some(Replacement::clone(replacement)),
            Some(EpochOpening::Seal(_)) | None => None,
        }
    }

    /// A change of authorities or voters at `height` with what makes it believable, if that is here.
    pub async fn handover(&self, marshal: &Marshal, height: u64, change: Change) -> Option<Handover> {
        let (header, roster) = match change {
            Change::Epoch(header, roster) => (header, roster),
            Change::Decree(replacement) => return Some(Handover::Decree(replacement)),
        };
        let certificate = self.certificate(marshal, height).await?;
        let seal = if self.core.finalized().genesis().has_committee() {
            Some(self.seal(marshal, height).await?)
        } else {
            None
        };
        let committee = roster.committee().map(|set| AuthoritySet::clone(set));
        let authorities = AuthoritySet::clone(&roster.authorities);
        Some(EpochEnd { header, certificate, authorities, committee, seal }.into())
    }

    /// Whether f + 1 of `authorities`, this node included, have said since its start how far they are.
    pub fn has_heard(&self, authorities: &AuthoritySet) -> bool {
        let peers = self.peers.lock();
        let heard = |key: &&PublicKey| **key == self.core.me || peers.contains_key(key);
        authorities.keys().filter(heard).count() >= authorities.honest()
    }

    /// Whether f + 1 of `authorities` that were heard of in the last `silent_ms`, so at least one honest one, have a block
    /// after the newest one here.
    pub fn is_behind(&self, authorities: &AuthoritySet, silent_ms: u64) -> bool {
        let (now_ms, height) = (self.core.now_ms(), self.core.height());
        let peers = self.peers.lock();
        let ahead = peers.iter().filter(|(key, heard)| {
            heard.height > height
                && now_ms.saturating_sub(heard.at_ms) < silent_ms
                && authorities.contains(key)
        });
        ahead.count() >= authorities.honest()
    }

    /// The certificate of the final block at `height`, or `None` if it is final only through a later one as far as
    /// this node knows.
    pub async fn certificate(&self, marshal: &Marshal, height: u64) -> Option<Certificate> {
        if let Some(certificate) = self.certificates.lock().known.get(&height) {
            return Some(certificate.clone());
        }
        marshal.get_finalization(Height::new(height)).await.map(Certificate::from)
    }

    /// The seal of the final block at `height`, the last of its epoch: collected here, or from the chain.
    pub async fn seal(&self, marshal: &Marshal, height: u64) -> Option<Seal> {
        if let Some(seal) = self.seals.lock().seal(height) {
            return Some(seal);
        }
        if height >= self.core.height() {
            return None;
        }
        let next = marshal.get_block(Height::new(height + 1)).await?;
        match next.inner().mandate() {
            Some(EpochOpening::Seal(seal)) => Some(seal.clone()),
            Some(EpochOpening::Decree(_)) | None => None,
        }
    }

    /// Asks peers for the certificate of the block at `height`.
    pub fn want_certificate(&self, height: u64) {
        let mut certificates = self.certificates.lock();
        if !certificates.known.contains_key(&height) && certificates.wanted.len() < MAX_CERTIFICATES {
            certificates.wanted.insert(height);
        }
    }

    /// Keeps a certificate that was asked for and checked.
    pub fn keep_certificate(&self, height: u64, certificate: Certificate) {
        let mut certificates = self.certificates.lock();
        if certificates.wanted.remove(&height) {
            certificates.known.insert(height, certificate);
            while certificates.known.len() > MAX_CERTIFICATES {
                certificates.known.pop_first();
            }
        }
    }
}
