//! The block tree: which chain counts, what is final in it, and what a change of mind undoes. No clock, no network.
//!
//! The chain with the most work counts; of equally heavy ones the one whose last block has the smaller digest, so that
//! the choice depends on the blocks alone and not on the order in which they came. Seals are checked before.

mod serving;

use crate::pow::{history::History, orphans::Orphans, puzzle::Sealed};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tracing::warn;
use voltmesh_ledger::{Block, Digest, Error, PublicKey, State};

/// How many final blocks a reorganisation can undo: states are held for them. A partition of a minute at one block a
/// second.
pub const MAX_UNDONE: u64 = 64;

/// Blocks on abandoned branches that are held, with their states; of more, the branch with the least work goes.
const MAX_BESIDE: usize = 256;

/// Blocks by which the oldest state held moves on at a time.
const PRUNE: u64 = 16;

/// Reason why a block is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The ledger refuses it. Whoever sent it did not check it.
    #[error("the ledger refuses it")]
    Ledger(#[source] Box<Error>),
    /// Who sealed it is no authority of its epoch. Whoever sent it did not check it.
    #[error("{0} is no authority of its epoch")]
    Miner(PublicKey),
    /// It is on a branch that leaves the chain below the oldest state held here. Nothing can be done about it.
    #[error("block {height} is on a branch from below {root}, the oldest state held")]
    TooDeep {
        /// The block's height.
        height: u64,
        /// Height of the oldest state.
        root: u64,
    },
}

/// Block that became final.
#[derive(Debug)]
pub(crate) struct Settled {
    pub block: Arc<Block>,
    pub digest: Digest,
    /// After it.
    pub state: Arc<State>,
}

/// Change of the tree by a new block.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Blocks that are in the tree now: the new one and those that waited for it.
    pub connected: usize,
    /// The ancestor that the new block waits for.
    pub missing: Option<Digest>,
    /// Blocks that were on the chain that counts and are not any more, the newest first.
    pub abandoned: Vec<Arc<Block>>,
    /// Blocks that are on the chain that counts since now, the oldest first.
    pub adopted: Vec<Arc<Block>>,
    /// Final blocks among the abandoned, and the state before them.
    pub undone: Option<(u64, Arc<State>)>,
    /// What is final since now, in order.
    pub finals: Vec<Settled>,
}

struct Node {
    parent: Digest,
    height: u64,
    /// Of the chain that ends here, in hashes.
    work: u128,
    /// Decoded, while it is not yet final or beside what is.
    block: Option<Arc<Block>>,
    /// With its seal, as it travels; empty for genesis.
    bytes: Bytes,
    state: Arc<State>,
}

/// Tree of blocks, and the branch with the most work.
pub(crate) struct Tree {
    confirmations: u64,
    nodes: BTreeMap<Digest, Node>,
    /// The oldest block whose state is held; all others descend from it.
    root: Digest,
    /// Last block of the chain that counts, as last told in a [`Change`].
    head: Digest,
    /// The same, with what came since.
    best: Digest,
    /// The newest final block; an ancestor of `head`, or `head`.
    last_final: Digest,
    orphans: Orphans,
    history: History,
    forks: u64,
}

impl Tree {
    /// A tree of nothing but this state's block. A block is final when so many stand on it.
    pub fn new(state: State, confirmations: u64) -> Self {
        let root = state.block();
        let node = Node {
            parent: state.header().parent,
            height: state.height().get(),
            work: 0,
            block: None,
            bytes: Bytes::new(),
            state: Arc::new(state),
        };
        Self {
            confirmations,
            nodes: BTreeMap::from([(root, node)]),
            root,
            head: root,
            best: root,
            last_final: root,
            orphans: Orphans::default(),
            history: History::default(),
            forks: 0,
        }
    }

    /// The state after the chain that counts.
    pub fn head(&self) -> Arc<State> {
        self.node(&self.head).state.clone()
    }

    /// Blocks at a height at which the tree had another one.
    pub fn forks(&self) -> u64 {
        self.forks
    }

    /// Whether this block needs not come again: it is in the tree, waits for its parent, or was in the chain long ago.
    pub fn knows(&self, digest: &Digest) -> bool {
        self.is_connected(digest) || self.orphans.contains(digest)
    }

    /// Whether this block and all before it are here.
    pub fn is_connected(&self, digest: &Digest) -> bool {
        self.nodes.contains_key(digest) || self.history.height(digest).is_some()
    }

    /// Takes a block whose seal holds.
    pub fn insert(&mut self, sealed: Sealed) -> Result<Change, Refusal> {
        if self.is_connected(&sealed.digest) {
            return Ok(Change::default());
        }
        let header = sealed.block.header();
        if !self.nodes.contains_key(&header.parent) {
            let (height, root) = (header.height.get(), self.node(&self.root).height);
            if height <= root {
                return Err(Refusal::TooDeep { height, root });
            }
            let missing = self.orphans.add(sealed);
            return Ok(Change { missing: Some(missing), ..Change::default() });
        }
        let state = self.execute(&sealed)?;
        Ok(self.insert_executed(sealed, state))
    }

    /// Takes a block that this node built on the tree's head, and the state that it leads to.
    pub fn insert_built(&mut self, sealed: Sealed, state: State) -> Change {
        if self.is_connected(&sealed.digest) {
            return Change::default();
        }
        assert!(
            self.nodes.contains_key(&sealed.block.header().parent),
            "a block is built on one that is here"
        );
        self.insert_executed(sealed, state)
    }

    fn insert_executed(&mut self, sealed: Sealed, state: State) -> Change {
        let mut open = vec![sealed.digest];
        self.connect(sealed, state);
        let mut connected = 1;
        while let Some(parent) = open.pop() {
            for child in self.orphans.take_children(&parent) {
                match self.execute(&child) {
                    Ok(state) => {
                        open.push(child.digest);
                        self.connect(child, state);
                        connected += 1;
                    }
                    Err(error) => warn!(block = %child.digest, %error, "a block that waited is refused"),
                }
            }
        }
        Change { connected, ..self.switch() }
    }

    fn execute(&self, sealed: &Sealed) -> Result<State, Refusal> {
        let header = sealed.block.header();
        let parent = &self.node(&header.parent).state;
        let miner = &sealed.seal.miner;
        // Execution holds the header to the epoch that its height is in.
        if !parent.authorities_for(header.epoch).is_some_and(|authorities| authorities.contains(miner)) {
            return Err(Refusal::Miner(miner.clone()));
        }
        match parent.execute(&sealed.block) {
            Ok((state, _)) => Ok(state),
            Err(error) => Err(Refusal::Ledger(Box::new(error))),
        }
    }

    fn connect(&mut self, sealed: Sealed, state: State) {
        let Sealed { block, digest, seal, bytes } = sealed;
        let parent = block.header().parent;
        let height = block.header().height.get();
        let work = self.node(&parent).work + seal.target.hashes();
        if self.nodes.values().any(|node| node.height == height) {
            self.forks += 1;
        }
        let best = self.node(&self.best);
        if work > best.work || (work == best.work && digest < self.best) {
            self.best = digest;
        }
        let node = Node { parent, height, work, block: Some(block), bytes, state: Arc::new(state) };
        self.nodes.insert(digest, node);
    }

    /// Moves the head to the best block.
    fn switch(&mut self) -> Change {
        let mut change = Change::default();
        let (mut old, mut new) = (self.head, self.best);
        let mut adopted = Vec::new();
        while old != new {
            if self.node(&old).height > self.node(&new).height {
                change.abandoned.push(self.block(&old));
                old = self.node(&old).parent;
            } else {
                adopted.push(self.block(&new));
                new = self.node(&new).parent;
            }
        }
        adopted.reverse();
        change.adopted = adopted;
        self.head = self.best;
        let fork = self.node(&new);
        let undone = self.node(&self.last_final).height.saturating_sub(fork.height);
        if undone > 0 {
            change.undone = Some((undone, fork.state.clone()));
            self.last_final = new;
        }
        self.settle(&mut change);
        self.prune();
        self.evict();
        change
    }

    /// Makes final what enough blocks stand on.
    fn settle(&mut self, change: &mut Change) {
        let before = self.node(&self.last_final).height;
        let until = self.node(&self.head).height.saturating_sub(self.confirmations);
        if until <= before {
            return;
        }
        let digests = self.path(until, before);
        for digest in digests.into_iter().rev() {
            let state = self.node(&digest).state.clone();
            change.finals.push(Settled { block: self.block(&digest), digest, state });
            self.last_final = digest;
        }
        // Blocks may be large; from here on their encoding is enough.
        for node in self.nodes.values_mut().filter(|node| node.height <= until) {
            node.block = None;
        }
    }

    /// Digests of the chain that counts, from `from` down to just above `to`.
    fn path(&self, from: u64, to: u64) -> Vec<Digest> {
        let mut out = Vec::new();
        let mut cursor = self.head;
        while self.node(&cursor).height > to {
            if self.node(&cursor).height <= from {
                out.push(cursor);
            }
            cursor = self.node(&cursor).parent;
        }
        out
    }

    /// Lets go of states that no reorganisation comes back to, and of the branches beside them.
    fn prune(&mut self) {
        let depth = self.confirmations.saturating_add(MAX_UNDONE);
        let root = self.node(&self.root).height;
        let floor = self.node(&self.head).height.saturating_sub(depth);
        if floor < root + PRUNE {
            return;
        }
        let mut below = self.path(floor, root);
        below.push(self.root);
        for digest in below.iter().skip(1).rev() {
            let Node { height, bytes, .. } = self.node(digest);
            self.history.push(*height, *digest, bytes.clone());
        }
        self.root = below[0];
        let mut by_height: Vec<(u64, Digest)> =
            self.nodes.iter().map(|(digest, node)| (node.height, *digest)).collect();
        by_height.sort_unstable();
        let mut kept = BTreeSet::from([self.root]);
        for (_, digest) in by_height {
            if kept.contains(&self.node(&digest).parent) {
                kept.insert(digest);
            }
        }
        self.nodes.retain(|digest, _| kept.contains(digest));
        self.orphans.prune(floor);
    }

    /// Drops ends of branches while there are too many beside the chain that counts.
    fn evict(&mut self) {
        let chain = self.node(&self.head).height - self.node(&self.root).height + 1;
        while self.nodes.len() as u64 > chain + MAX_BESIDE as u64 {
            let parents: BTreeSet<Digest> = self.nodes.values().map(|node| node.parent).collect();
            let worst = self
                .nodes
                .iter()
                .filter(|(digest, _)| **digest != self.head && !parents.contains(digest))
                .min_by_key(|(digest, node)| (node.work, std::cmp::Reverse(**digest)))
                .map(|(digest, _)| *digest);
            let Some(worst) = worst else { return };
            self.nodes.remove(&worst);
        }
    }

    fn node(&self, digest: &Digest) -> &Node {
        match self.nodes.get(digest) {
            Some(node) => node,
            None => unreachable!("all that descends from the root is here"),
        }
    }

    fn block(&self, digest: &Digest) -> Arc<Block> {
        let node = self.node(digest);
        if let Some(block) = &node.block {
            return block.clone();
        }
        match Sealed::decode(node.bytes.clone()) {
            Ok(sealed) => sealed.block,
            Err(error) => unreachable!("it was decoded before: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
