//! The core: what a replica does with what it hears. No clock, socket or entropy. What it knows and its final blocks are here;
//! the normal case is in [`super::normal`], checkpoints in [`super::checkpoint`], view changes in [`super::view_change`], and
//! what was missed in [`super::catch_up`].

use crate::{
    common::chain::Executed,
    pbft::{
        MAX_PIPELINE, Settings,
        certificate::{Certificate, Seat, Voters},
        history::{Catcher, History},
        log::{Slot, Votes},
        message::{Message, NewView, Proofs, ViewChange, WINDOW_PIPELINES},
        vocabulary::{Input, Output, To},
    },
};
use commonware_consensus::types::View;
use commonware_cryptography::Signer as _;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use voltmesh_ledger::{Block, Checked, Digest, Genesis, Height, PrivateKey, Signature, State, Timestamp};

/// Blocks whose checked signatures are remembered until they are executed: more than the widest window.
const MAX_CHECKED: usize = 256;

/// State machine of a replica.
pub(super) struct Core {
    pub voters: Voters,
    pub me: Seat,
    pub key: PrivateKey,
    pub settings: Settings,
    pub max_drift_ms: u64,
    pub now: Timestamp,

    /// The view that this replica is in or wants to enter.
    pub view: View,
    /// The newest view that it has entered.
    pub entered: View,
    /// The first height that this view's primary is free to fill; before it comes what the new view repeats.
    pub first: Height,
    /// The last height that this replica has proposed for in this view, or what the new view repeats.
    pub top: Height,
    /// Heights after the executed one; at most [`Self::window`] of them.
    pub slots: BTreeMap<Height, Slot>,
    /// Blocks not executed yet, of proposals and asked for.
    pub blocks: BTreeMap<Digest, Arc<Block>>,
    /// What was checked of blocks on their way.
    pub checked: BTreeMap<Digest, Checked>,
    /// Executed, not final yet.
    pub open: BTreeMap<Digest, Executed>,
    /// Pre-prepares of views that this replica has not entered, at most [`Settings::pipeline`] of each sender.
    pub early: BTreeMap<Seat, Vec<(View, Block, Signature)>>,

    /// After the newest final block.
    pub tip: Arc<State>,
    pub history: History,
    /// The newest stable checkpoint; none is the genesis.
    pub stable: Option<Certificate>,
    pub checkpoints: BTreeMap<Height, Votes>,

    /// The newest view change of each replica that is for a later view than the one entered.
    pub changes: BTreeMap<Seat, (ViewChange, Proofs)>,
    /// What began the view entered, for those who have missed it.
    pub new_view: Option<NewView>,
    /// View changes since the last block.
    pub failures: u32,
    pub catcher: Catcher,

    /// When this replica asks for the next view.
    pub progress_at: Option<Timestamp>,
    /// When a proposal that is ahead of this clock may be voted for.
    pub held_until: Option<Timestamp>,
    pub out: Vec<Output>,
}

impl Core {
    /// # Panics
    ///
    /// If the key is not that of an authority, or the settings are out of range.
    pub fn new(
        genesis: &Genesis,
        key: PrivateKey,
        settings: Settings,
        max_clock_drift: Duration,
        now: Timestamp,
    ) -> Self {
        assert!((1..=MAX_PIPELINE).contains(&settings.pipeline), "pipeline is out of range");
        assert!(settings.checkpoint >= settings.pipeline, "a checkpoint is due within the pipeline");
        let voters = Voters::new(genesis);
        let Some(me) = voters.seat(&key.public_key()) else {
            panic!("a replica of PBFT must be an authority of the genesis");
        };
        let mut this = Self {
            voters,
            me,
            key,
            settings,
            max_drift_ms: u64::try_from(max_clock_drift.as_millis()).unwrap_or(u64::MAX),
            now,
            view: View::zero(),
            entered: View::zero(),
            first: Height::new(1),
            top: Height::zero(),
            slots: BTreeMap::new(),
            blocks: BTreeMap::new(),
            checked: BTreeMap::new(),
            open: BTreeMap::new(),
            early: BTreeMap::new(),
            tip: Arc::new(State::new(genesis)),
            history: History::default(),
            stable: None,
            checkpoints: BTreeMap::new(),
            changes: BTreeMap::new(),
            new_view: None,
            failures: 0,
            catcher: Catcher::new(now),
            progress_at: None,
            held_until: None,
            out: Vec::new(),
        };
        this.progress_at = Some(this.patience());
        this
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::Checked(block, checked) => {
                self.checked.insert(block, checked);
                while self.checked.len() > MAX_CHECKED {
                    self.checked.pop_first();
                }
            }
            Input::Propose(executed) => self.propose(executed),
            Input::Message(from, message) => self.receive(from, message),
        }
        self.advance();
        self.expire();
        std::mem::take(&mut self.out)
    }

    /// When to be woken with [`Input::Tick`]. Always some time: a replica looks about when nothing happens.
    pub fn deadline(&self) -> Timestamp {
        let others = [self.progress_at, self.held_until].into_iter().flatten();
        others.fold(self.catcher.deadline(), Timestamp::min)
    }

    /// The state on which this replica shall build the next block: `None` unless it is the primary and has room.
    pub fn parent(&self) -> Option<Arc<State>> {
        let executed = self.tip.height();
        if !self.is_active() || self.voters.primary(self.view) != self.me || self.top < executed {
            return None;
        }
        let ahead = self.top.get() - executed.get();
        if ahead >= self.settings.pipeline || self.top >= self.high_watermark() {
            return None;
        }
        if ahead == 0 {
            return Some(self.tip.clone());
        }
        let proposal = self.slots.get(&self.top)?.proposal.as_ref()?;
        self.open.get(&proposal.ballot.digest).map(|executed| executed.state.clone())
    }

    /// Whether this replica is in a view, and not on its way to the next.
    pub fn is_active(&self) -> bool {
        self.view == self.entered
    }

    /// How many heights after the executed one are dealt with.
    pub fn window(&self) -> u64 {
        WINDOW_PIPELINES * self.settings.pipeline
    }

    fn receive(&mut self, from: Seat, message: Message) {
        if from == self.me {
            return;
        }
        match message {
            Message::PrePrepare { view, block, signature } => self.pre_prepare(from, view, block, signature),
            Message::Vote { ballot, signature } => self.vote(from, ballot, signature),
            Message::Stable(certificate) => self.learn_checkpoint(from, certificate),
            Message::ViewChange(change, proofs) => self.view_change(from, change, proofs),
            Message::NewView(new_view) => self.learn_new_view(new_view),
            Message::Status(status) => self.answer_status(from, status),
            Message::Fetch(height) => self.answer_fetch(from, height),
            Message::Committed(blocks) => self.learn_committed(from, blocks),
            Message::Want(height, digest) => self.answer_want(from, height, digest),
            Message::Block(block) => self.learn_block(block),
        }
    }

    /// Does all that what was heard allows.
    fn advance(&mut self) {
        loop {
            self.held_until = None;
            if self.is_active() {
                self.accept();
                self.commit();
            }
            self.settle();
            if !self.execute() {
                return;
            }
        }
    }

    /// Executes the next block if it is committed and here.
    fn execute(&mut self) -> bool {
        let height = self.tip.height().next();
        let Some(certificate) = self.slots.get(&height).and_then(|slot| slot.committed.clone()) else {
            return false;
        };
        let digest = certificate.ballot.digest;
        if let Some(executed) = self.open.get(&digest).cloned() {
            self.finalize(executed, certificate);
        } else if let Some(block) = self.blocks.get(&digest).cloned() {
            self.execute_final(block, certificate);
        } else {
            return false;
        }
        true
    }

    /// Executes a block that has its commit certificate.
    ///
    /// # Panics
    ///
    /// If the block does not follow: more than f authorities are faulty then, and to go on would hide it.
    pub fn execute_final(&mut self, block: Arc<Block>, certificate: Certificate) {
        match self.tip.execute_final(&block) {
            Ok((state, entries)) => {
                let digest = certificate.ballot.digest;
                let executed = Executed { block, digest, state: Arc::new(state), entries: Arc::new(entries) };
                self.finalize(executed, certificate);
            }
            Err(error) => panic!("a committed block does not follow: {error}"),
        }
    }

    /// Appends a committed block.
    pub fn finalize(&mut self, executed: Executed, certificate: Certificate) {
        let header = executed.block.header();
        assert_eq!(header.parent, self.tip.block(), "two committed blocks contradict each other");
        let height = header.height;
        self.tip = executed.state.clone();
        self.slots.remove(&height);
        self.history.push(executed.block.clone(), certificate.clone());
        self.blocks.retain(|_, block| block.header().height > height);
        self.open.retain(|_, open| open.block.header().height > height);
        self.failures = 0;
        if self.is_active() {
            self.progress_at = Some(self.patience());
        }
        self.catcher.progress(self.now, height);
        let digest = executed.digest;
        self.out.push(Output::Final(executed, certificate));
        if height.get().is_multiple_of(self.settings.checkpoint) {
            self.cast_checkpoint(height, digest);
        }
        self.stabilise();
    }

    /// Does what is due at this time.
    fn expire(&mut self) {
        if self.progress_at.is_some_and(|at| at <= self.now) {
            self.start_view_change(self.view.next());
        }
        self.repeat();
    }

    /// When patience with the present view ends, from now on. It doubles with each view that fails; at most 64-fold, 2.5 min.
    pub fn patience(&self) -> Timestamp {
        let doublings = self.failures.saturating_sub(1).min(6);
        let timeout = u64::try_from(self.settings.view_timeout.as_millis()).unwrap_or(u64::MAX);
        self.now.plus_millis(timeout.saturating_mul(1 << doublings))
    }

    pub fn send(&mut self, to: To, message: Message) {
        self.out.push(Output::Send(to, message));
    }
}
