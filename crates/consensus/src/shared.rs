//! What the node's tasks, its handle and its subscriptions have in common.

use crate::{
    PublicKey,
    chain::Chain,
    decrees::Decrees,
    hold::Holds,
    overdue::OverdueList,
    pool::{Pool, SubmitError},
    protocol::Final,
    roots::Roots,
    round_trips::RoundTripTimes,
    seals::Seals,
    votes::Votes,
    watch,
};
use commonware_consensus::marshal::{core::Mailbox, standard::Standard};
use commonware_utils::{channel::mpsc, sync::Mutex};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::debug;
use voltmesh_ledger::{
    AuthoritySet, Block, Certificate, Checked, Digest, EpochEnd, Handover, Header, Height, Mandate,
    Replacement, Roster, Scheme, Seal, State, Transaction,
};

/// Marshal, as this node uses it.
pub(crate) type Marshal = Mailbox<Scheme, Standard<Block>>;

/// Latencies kept for percentiles.
const LATENCIES: usize = 1_024;

/// Certificates fetched from peers that are kept: one per epoch change, and those that subscribers need.
const MAX_CERTIFICATES: usize = 4_096;

/// How far this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub height: u64,
    pub epoch: u64,
    /// The node has ended, there will be no other.
    pub stopped: bool,
}

/// A peer as it last said about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub height: u64,
    pub at_ms: u64,
    /// First block that it still holds.
    pub oldest: u64,
}

/// Numbers for status pages.
#[derive(Default)]
pub(crate) struct Counts {
    /// View of the last certificate seen.
    pub view: u64,
    /// Views that ended without a block.
    pub nullified: u64,
    /// Conflicting votes seen, by whom. Bounded by the number of authorities.
    pub misbehaviour: BTreeMap<PublicKey, u64>,
    /// Proposals whose time was too far ahead of this node's clock, so that its vote had to wait.
    pub clock_ahead: u64,
    /// Anchors left out of a block that this node built, since their authority had used up its share of it.
    pub over_quota: u64,
    /// Proposals that left out what f + 1 authorities wait for, so that this node's vote was withheld.
    pub censored: u64,
    /// Milliseconds from submission at this node to finality.
    pub latencies: VecDeque<u64>,
}

impl Counts {
    pub fn latency(&mut self, ms: u64) {
        if self.latencies.len() == LATENCIES {
            self.latencies.pop_front();
        }
        self.latencies.push_back(ms);
    }
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

pub(crate) struct Shared {
    pub me: PublicKey,
    pub chain_id: Digest,
    pub chain: Mutex<Chain>,
    pub pool: Mutex<Pool>,
    pub roots: Mutex<Roots>,
    /// Of the last blocks of epochs, where a committee votes.
    pub seals: Mutex<Seals>,
    /// By which operators replace a committee.
    pub decrees: Mutex<Decrees>,
    /// Rosters by the first epoch in which their sets serve; each until the next entry.
    pub rosters: Mutex<BTreeMap<u64, Arc<Roster>>>,
    /// Hand-overs whose certificates are known, in order; on disk as well.
    pub known_handovers: Mutex<Vec<Handover>>,
    /// Changes of authorities and voters by height of the block that made them; without those known.
    pub handovers: Mutex<BTreeMap<u64, Change>>,
    /// Certificates that blocks may embed.
    pub votes: Mutex<Votes>,
    /// Transactions that others, or this node, wait for in vain.
    pub overdue: Mutex<OverdueList>,
    /// Round trips to the other authorities.
    pub round_trips: Mutex<RoundTripTimes>,
    pub peers: Mutex<BTreeMap<PublicKey, Heard>>,
    pub counts: Mutex<Counts>,
    pub certificates: Mutex<Certificates>,
    /// Who listens to final blocks.
    pub listeners: Mutex<Vec<mpsc::UnboundedSender<Final>>>,
    /// Height that was final when this process started.
    pub restored: u64,
    /// Blocks that this process executed to get there.
    pub replayed: u64,
    /// Height of the first block of those without a gap up to the newest one.
    pub oldest: Mutex<u64>,
    /// What must not be pruned.
    pub holds: Mutex<Holds>,
    /// Counts up when the pool has something new.
    pub pooled: watch::Sender<u64>,
    /// Counts up when root signatures or certificates arrived.
    pub signed: watch::Sender<u64>,
    /// Counts up when signatures of a seal arrived, or there is news of a decree.
    pub sealed: watch::Sender<u64>,
    /// The newest final block.
    pub tip: watch::Sender<Tip>,
    /// Milliseconds since the Unix epoch, by the node's clock.
    pub clock: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Shared {
    pub fn new(me: PublicKey, chain: Chain, clock: Box<dyn Fn() -> u64 + Send + Sync>) -> Self {
        let state = chain.finalised();
        let chain_id = state.chain();
        let tip = Tip { height: state.height().get(), epoch: state.epoch().get(), stopped: false };
        Self {
            me,
            chain_id,
            chain: Mutex::new(chain),
            pool: Mutex::default(),
            roots: Mutex::new(Roots::new(state.genesis())),
            seals: Mutex::new(Seals::new(chain_id)),
            decrees: Mutex::default(),
            rosters: Mutex::default(),
            votes: Mutex::default(),
            overdue: Mutex::new(OverdueList::new(chain_id)),
            round_trips: Mutex::default(),
            known_handovers: Mutex::default(),
            handovers: Mutex::default(),
            peers: Mutex::default(),
            counts: Mutex::default(),
            certificates: Mutex::default(),
            listeners: Mutex::default(),
            restored: tip.height,
            replayed: 0,
            oldest: Mutex::new(1),
            holds: Mutex::default(),
            pooled: watch::Sender::new(0),
            signed: watch::Sender::new(0),
            sealed: watch::Sender::new(0),
            tip: watch::Sender::new(tip),
            clock,
        }
    }

    /// Ends all that wait for news.
    pub fn stop(&self) {
        self.tip.send_modify(|tip| tip.stopped = true);
        bump(&self.signed);
        bump(&self.pooled);
    }

    pub fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// Blocks that become final from now on.
    pub fn listen(&self) -> mpsc::UnboundedReceiver<Final> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.lock().push(sender);
        receiver
    }

    /// Tells those who listen that a block became final at `at_ms`.
    pub fn announce(&self, block: &Arc<Block>, digest: Digest, at_ms: u64) {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms);
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| listener.send(Final { block: block.clone(), digest, at }).is_ok());
    }

    /// Height of the first block of those without a gap up to the newest one.
    pub fn oldest(&self) -> u64 {
        *self.oldest.lock()
    }

    pub fn finalised(&self) -> Arc<State> {
        self.chain.lock().finalised()
    }

    pub fn height(&self) -> u64 {
        self.tip.borrow().height
    }

    /// Which signatures of a block were checked when its transactions came to the pool, or by consensus.
    pub fn checked(&self, block: &Block) -> Checked {
        let votes = block.justification().is_some_and(|embedded| self.votes.lock().knows(embedded));
        let pool = self.pool.lock();
        let anchors = block.transactions().iter().map(|transaction| pool.knows(transaction)).collect();
        drop(pool);
        Checked { votes, anchors }
    }

    /// The roster of an epoch that this node has seen. Its leaders may be those of an earlier epoch.
    fn roster_of(&self, epoch: u64) -> Option<Arc<Roster>> {
        self.rosters.lock().range(..=epoch).next_back().map(|(_, roster)| roster.clone())
    }

    /// The authorities of an epoch that this node has seen.
    pub fn authorities_of(&self, epoch: u64) -> Option<Arc<AuthoritySet>> {
        self.roster_of(epoch).map(|roster| roster.authorities.clone())
    }

    /// Those of them that make blocks final.
    pub fn voters_of(&self, epoch: u64) -> Option<Arc<AuthoritySet>> {
        self.roster_of(epoch).map(|roster| roster.voters.clone())
    }

    /// Takes a transaction into the pool and repeats it to the others until it is final.
    pub fn submit(&self, transaction: Transaction) -> Result<(), SubmitError> {
        let state = self.finalised();
        let now_ms = self.now_ms();
        self.pool.lock().insert(transaction, &state, now_ms, true)?;
        bump(&self.pooled);
        Ok(())
    }

    /// Submits a transaction of this node's own making; one that the ledger has no use for is dropped.
    pub fn offer(&self, transaction: Transaction) {
        if let Err(error) = self.submit(transaction) {
            debug!(%error, "own transaction not taken");
        }
    }

    /// Notes what a final block settles about authorities.
    pub fn note_authorities(&self, state: &State) {
        let mut rosters = self.rosters.lock();
        let epoch = state.epoch();
        for epoch in [epoch, epoch.next(), epoch.next().next()] {
            let Some(roster) = state.roster_for(epoch) else { continue };
            let before = rosters.range(..=epoch.get()).next_back().map(|(_, before)| before);
            if before.is_some_and(|before| {
                before.authorities == roster.authorities && before.voters == roster.voters
            }) {
                continue;
            }
            rosters.insert(epoch.get(), roster.clone());
            if epoch == state.epoch().next().next() {
                let change = Change::Epoch(state.header().clone(), roster.clone());
                self.handovers.lock().insert(state.height().get(), change);
            }
        }
    }

    /// Notes what a final block says about them by a decree.
    pub fn note_decree(&self, block: &Block) {
        if let Some(Mandate::Decree(replacement)) = block.mandate() {
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
        if height >= self.height() {
            return None;
        }
        let next = marshal.get_block(Height::new(height + 1)).await?;
        match next.inner().mandate() {
            Some(Mandate::Decree(replacement)) => Some(Replacement::clone(replacement)),
            Some(Mandate::Seal(_)) | None => None,
        }
    }

    /// A change of authorities or voters at `height` with what makes it believable, if that is here.
    pub async fn handover(&self, marshal: &Marshal, height: u64, change: Change) -> Option<Handover> {
        let (header, roster) = match change {
            Change::Epoch(header, roster) => (header, roster),
            Change::Decree(replacement) => return Some(Handover::Decree(replacement)),
        };
        let certificate = self.certificate(marshal, height).await?;
        let seal = if self.finalised().genesis().has_committee() {
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
        let heard = |key: &&PublicKey| **key == self.me || peers.contains_key(key);
        authorities.keys().filter(heard).count() >= authorities.honest()
    }

    /// Whether f + 1 of `authorities` that were heard of in the last `silent_ms`, so at least one honest one, have a block
    /// after the newest one here.
    pub fn is_behind(&self, authorities: &AuthoritySet, silent_ms: u64) -> bool {
        let (now_ms, height) = (self.now_ms(), self.height());
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
        if height >= self.height() {
            return None;
        }
        let next = marshal.get_block(Height::new(height + 1)).await?;
        match next.inner().mandate() {
            Some(Mandate::Seal(seal)) => Some(seal.clone()),
            Some(Mandate::Decree(_)) | None => None,
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

/// Tells everyone who watches a counter that it went up.
pub(crate) fn bump(counter: &watch::Sender<u64>) {
    counter.send_modify(|count| *count = count.wrapping_add(1));
}
