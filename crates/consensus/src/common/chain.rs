//! What this node knows of the chain's states: the final one, those just before it, and those of proposals.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use voltmesh_ledger::{Block, Digest, LogEntry, State};

/// Final blocks whose states and log entries stay in memory for subscribers that follow closely: 25 s of blocks at the
/// fastest pace.
const RECENT: usize = 256;

/// Blocks between two states kept for subscribers that start far behind.
const CHECKPOINT: u64 = 4_096;

/// States kept that way; when there are more, every other one goes and the distance doubles.
const MAX_CHECKPOINTS: usize = 64;

/// States of proposals that are not final yet: views of one epoch that may be open at once, with room for equivocation.
const MAX_PROPOSALS: usize = 256;

/// A block and what it led to.
#[derive(Clone, Debug)]
pub(crate) struct Executed {
    pub block: Arc<Block>,
    pub digest: Digest,
    /// After the block.
    pub state: Arc<State>,
    /// What the block put into the log, with paths to the block's own log root.
    pub entries: Arc<Vec<LogEntry>>,
}

/// Chain in memory: the final state, recent blocks, and proposals that are not final yet.
pub(crate) struct Chain {
    finalized: Arc<State>,
    digest: Digest,
    recent: BTreeMap<u64, Executed>,
    checkpoints: BTreeMap<u64, Arc<State>>,
    thinned: u32,
    proposals: HashMap<Digest, Executed>,
    /// The last block before each of the newest epochs.
    last_before: BTreeMap<u64, Digest>,
}

impl Chain {
    /// Starts with the state after block 0.
    pub fn new(state: Arc<State>, digest: Digest) -> Self {
        let checkpoints = BTreeMap::from([(state.height().get(), state.clone())]);
        let last_before = BTreeMap::from([(state.epoch().get(), digest)]);
        Self {
            finalized: state,
            digest,
            recent: BTreeMap::new(),
            checkpoints,
            thinned: 0,
            proposals: HashMap::new(),
            last_before,
        }
    }

    /// Starts with a state of later; `epoch_start` is the last block before the epoch of the next one.
    pub fn resume(state: Arc<State>, epoch_start: Digest) -> Self {
        let digest = state.block();
        let epoch = state.genesis().epoch_of(state.height().next());
        let last_before = BTreeMap::from([(epoch.get(), epoch_start)]);
        Self { last_before, ..Self::new(state, digest) }
    }

    /// Keeps a state for subscribers that start far behind.
    pub fn keep(&mut self, state: Arc<State>) {
        self.checkpoints.insert(state.height().get(), state);
    }

    /// Forgets states from which nobody can go on, since the blocks before `oldest` are gone.
    pub fn forget_before(&mut self, oldest: u64) {
        self.checkpoints.retain(|height, _| height + 1 >= oldest);
    }

    /// The newest final state.
    pub fn finalized(&self) -> Arc<State> {
        self.finalized.clone()
    }

    /// Replaces the newest final state: a node whose memory is wrong.
    #[cfg(test)]
    pub fn corrupt(&mut self, state: State) {
        self.finalized = Arc::new(state);
        self.proposals.clear();
        self.recent.clear();
    }

    /// Height of the newest final block.
    pub fn height(&self) -> u64 {
        self.finalized.height().get()
    }

    /// The state after the block with this digest, if it is final and recent, or a known proposal.
    pub fn state_after(&self, digest: &Digest) -> Option<Arc<State>> {
        if *digest == self.digest {
            return Some(self.finalized.clone());
        }
        if let Some(executed) = self.proposals.get(digest) {
            return Some(executed.state.clone());
        }
        self.recent
            .values()
            .rev()
            .find(|executed| executed.digest == *digest)
            .map(|executed| executed.state.clone())
    }

    /// Digest of the last block before the epoch that the next block belongs to.
    pub fn last_before_epoch(&self) -> Digest {
        match self.last_before.last_key_value() {
            Some((_, digest)) => *digest,
            None => unreachable!("the map begins with genesis"),
        }
    }

    /// A final block of the recent past.
    pub fn recent(&self, height: u64) -> Option<Executed> {
        self.recent.get(&height).cloned()
    }

    /// The states after the final block at `height` and after the one that follows it, if both are recent.
    pub fn around(&self, height: u64) -> Option<[Arc<State>; 2]> {
        let after = |height| self.recent.get(&height).map(|executed| executed.state.clone());
        let first = after(height).or_else(|| self.checkpoints.get(&height).cloned())?;
        Some([first, after(height + 1)?])
    }

    /// The newest state kept at or below `height`.
    pub fn checkpoint(&self, height: u64) -> Option<Arc<State>> {
        if let Some(executed) = self.recent.get(&height) {
            return Some(executed.state.clone());
        }
        self.checkpoints.range(..=height).next_back().map(|(_, state)| state.clone())
    }

    /// Whether the chain that ends with the proposal `digest` has transactions that are not final yet.
    pub fn has_open_transactions(&self, digest: &Digest) -> bool {
        let mut cursor = *digest;
        while let Some(executed) = self.proposals.get(&cursor) {
            if !executed.block.transactions().is_empty() {
                return true;
            }
            cursor = executed.block.header().parent;
        }
        false
    }

    /// Remembers a proposal that was built or verified.
    pub fn propose(&mut self, executed: Executed) {
        if executed.block.header().height.get() <= self.height() {
            return;
        }
        if self.proposals.len() >= MAX_PROPOSALS {
            let lowest = self
                .proposals
                .iter()
                .min_by_key(|(digest, executed)| (executed.block.header().height, **digest))
                .map(|(digest, _)| *digest);
            if let Some(lowest) = lowest {
                self.proposals.remove(&lowest);
            }
        }
        self.proposals.insert(executed.digest, executed);
    }

    /// The next final block as executed before, if it was proposed to this node.
    pub fn proposal(&self, digest: &Digest) -> Option<Executed> {
        self.proposals.get(digest).cloned()
    }

    /// Appends the next final block.
    pub fn finalize(&mut self, executed: Executed) {
        let height = executed.block.header().height.get();
        assert_eq!(height, self.height() + 1, "final blocks come one after the other");
        // An epoch begins after the last one has ended, or by a decree after any block.
        let state = &executed.state;
        if state.epoch() != self.finalized.epoch() {
            self.last_before.insert(state.epoch().get(), self.digest);
        }
        if state.begins_epoch() {
            self.last_before.insert(state.next_epoch().get(), executed.digest);
        }
        while self.last_before.len() > 2 {
            self.last_before.pop_first();
        }
        self.finalized = executed.state.clone();
        self.digest = executed.digest;
        if height.is_multiple_of(CHECKPOINT << self.thinned) {
            self.checkpoints.insert(height, executed.state.clone());
        }
        if self.checkpoints.len() > MAX_CHECKPOINTS {
            self.thinned += 1;
            let step = CHECKPOINT << self.thinned;
            let first = self.checkpoints.first_key_value().map(|(height, _)| *height);
            self.checkpoints.retain(|height, _| Some(*height) == first || height.is_multiple_of(step));
        }
        self.recent.insert(height, executed);
        while self.recent.len() > RECENT {
            self.recent.pop_first();
        }
        self.proposals.retain(|_, proposal| proposal.block.header().height.get() > height);
    }
}
