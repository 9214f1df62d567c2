//! What replicas of all three protocols have: key, chain, mempool, listeners, counters.

use crate::{
    PublicKey,
    common::{
        chain::Chain,
        mempool::{Mempool, SubmitError},
        replica::Final,
        watch,
    },
};
use commonware_utils::{channel::mpsc, sync::Mutex};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::debug;
use voltmesh_ledger::{AuthoritySet, Block, Checked, Digest, Roster, State, Transaction};

/// Latencies kept for percentiles.
const LATENCIES: usize = 1_024;

/// Height and epoch of the newest final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub height: u64,
    pub epoch: u64,
    /// The node has ended, there will be no other.
    pub stopped: bool,
}

/// Counters for status pages.
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

/// State that the tasks of a replica share, whatever its protocol. Each field has a lock of its own; no two are held at once
/// here.
pub(crate) struct ReplicaCore {
    pub me: PublicKey,
    pub chain_id: Digest,
    pub chain: Mutex<Chain>,
    pub pool: Mutex<Mempool>,
    pub counts: Mutex<Counts>,
    /// Rosters by the first epoch in which their sets serve; each until the next entry.
    pub rosters: Mutex<BTreeMap<u64, Arc<Roster>>>,
    /// Who listens to final blocks.
    listeners: Mutex<Vec<mpsc::UnboundedSender<Final>>>,
    /// Counts up when the pool has something new.
    pub pooled: watch::Sender<u64>,
    /// The newest final block.
    pub tip: watch::Sender<Tip>,
    /// Milliseconds since the Unix epoch, by the node's clock.
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl ReplicaCore {
    pub fn new(me: PublicKey, chain: Chain, clock: Box<dyn Fn() -> u64 + Send + Sync>) -> Self {
        let state = chain.finalized();
        let tip = Tip { height: state.height().get(), epoch: state.epoch().get(), stopped: false };
        Self {
            me,
            chain_id: state.chain(),
            chain: Mutex::new(chain),
            pool: Mutex::default(),
            counts: Mutex::default(),
            rosters: Mutex::default(),
            listeners: Mutex::default(),
            pooled: watch::Sender::new(0),
            tip: watch::Sender::new(tip),
            clock,
        }
    }

    /// Ends all that wait for news.
    pub fn stop(&self) {
        self.tip.send_modify(|tip| tip.stopped = true);
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

    pub fn finalized(&self) -> Arc<State> {
        self.chain.lock().finalized()
    }

    pub fn height(&self) -> u64 {
        self.tip.borrow().height
    }

    /// Which anchors of a block had their signatures checked when they came to the pool.
    pub fn checked(&self, block: &Block) -> Checked {
        let pool = self.pool.lock();
        let anchors = block.transactions().iter().map(|transaction| pool.knows(transaction)).collect();
        drop(pool);
        Checked { votes: false, anchors }
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

    /// Notes who serves in the epochs that a final state knows. Returns the roster of the next-but-one epoch if its sets are
    /// others than before.
    pub fn note_rosters(&self, state: &State) -> Option<Arc<Roster>> {
        let mut rosters = self.rosters.lock();
        let mut change = None;
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
                change = Some(roster.clone());
            }
        }
        change
    }

    /// Takes a transaction into the pool and repeats it to the others until it is final.
    pub fn submit(&self, transaction: Transaction) -> Result<(), SubmitError> {
        let state = self.finalized();
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
}

/// Tells everyone who watches a counter that it went up.
pub(crate) fn bump(counter: &watch::Sender<u64>) {
    counter.send_modify(|count| *count = count.wrapping_add(1));
}
