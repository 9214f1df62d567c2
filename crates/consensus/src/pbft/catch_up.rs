//! What was lost or missed: status messages make peers repeat what they have said (as in TOCS), and committed blocks come with
//! their certificates, which prove themselves, from whoever has them.

use super::{
    certificate::{Ballot, Certificate, Phase, Seat},
    log::Standing,
    message::{MAX_ANSWER, MAX_ANSWER_BYTES, Message, Status},
    replica::{Core, To},
};
use commonware_codec::EncodeSize as _;
use commonware_cryptography::Digestible as _;
use std::{collections::BTreeMap, ops::Bound, sync::Arc};
use tracing::debug;
use voltmesh_ledger::{Block, Digest, Height, Timestamp};

/// Milliseconds without a new block, while one is under way, after which a replica says how far it is. It doubles up to
/// [`LAST_STATUS_MS`].
const FIRST_STATUS_MS: u64 = 500;

/// Longest time between two status messages.
const LAST_STATUS_MS: u64 = 2_000;

/// Time in milliseconds after which another peer is asked.
const ASK_AGAIN_MS: u64 = 500;

/// Peers that are asked for a block at a time.
const ASKED: usize = 2;

/// Most committed blocks kept for peers: 400 s at ten a second.
const HISTORY_BLOCKS: usize = 4_096;

/// Bytes of blocks kept for peers beyond [`RECENT_BLOCKS`].
const HISTORY_BYTES: usize = 64 * 1024 * 1024;

/// Blocks that are in memory anyhow, see [`crate::chain`].
const RECENT_BLOCKS: usize = 256;

/// Heights beyond what a peer names, which may be any number.
fn after(height: Height) -> (Bound<Height>, Bound<Height>) {
    (Bound::Excluded(height), Bound::Unbounded)
}

/// Committed blocks, the newest of them without a gap.
#[derive(Default)]
pub(super) struct History {
    blocks: BTreeMap<Height, (Arc<Block>, Certificate)>,
    bytes: usize,
}

impl History {
    pub fn push(&mut self, block: Arc<Block>, certificate: Certificate) {
        self.bytes += block.encode_size();
        self.blocks.insert(block.header().height, (block, certificate));
    }

    /// Forgets what is too much, but nothing after `stable`, the newest stable checkpoint.
    pub fn prune(&mut self, stable: Height) {
        while let Some(entry) = self.blocks.first_entry() {
            let many = self.bytes > HISTORY_BYTES;
            let size = entry.get().0.encode_size();
            let (first, count) = (*entry.key(), self.blocks.len());
            if first >= stable || !(count > HISTORY_BLOCKS || many && count > RECENT_BLOCKS) {
                return;
            }
            self.blocks.remove(&first);
            self.bytes -= size;
        }
    }

    pub fn digest(&self, height: Height) -> Option<Digest> {
        self.certificate(height).map(|certificate| certificate.ballot.digest)
    }

    pub fn certificate(&self, height: Height) -> Option<&Certificate> {
        self.blocks.get(&height).map(|(_, certificate)| certificate)
    }

    pub fn newest(&self) -> Option<&Certificate> {
        self.blocks.last_key_value().map(|(_, (_, certificate))| certificate)
    }

    fn block(&self, height: Height) -> Option<&Arc<Block>> {
        self.blocks.get(&height).map(|(block, _)| block)
    }

    /// An answer's blocks from `from` on.
    fn answer(&self, from: Height) -> Vec<(Certificate, Block)> {
        let mut out = Vec::new();
        let mut bytes = 0;
        // A gap at the beginning must not be skipped.
        let known = self.blocks.contains_key(&from);
        for (block, certificate) in self.blocks.range(from..).filter(|_| known).map(|(_, entry)| entry) {
            bytes += block.encode_size() + certificate.encode_size();
            if out.len() == MAX_ANSWER || (!out.is_empty() && bytes > MAX_ANSWER_BYTES) {
                break;
            }
            out.push((certificate.clone(), block.as_ref().clone()));
        }
        out
    }
}

/// What this replica has asked for and what others are said to have.
pub(super) struct Catcher {
    /// How far each peer is, as it says.
    heard: BTreeMap<Seat, Height>,
    status_at: Timestamp,
    wait_ms: u64,
    /// Until when an answer to a fetch is waited for.
    fetching: Option<Timestamp>,
    /// Blocks asked for, and when they are asked for again.
    wanted: BTreeMap<(Height, Digest), Timestamp>,
    /// Counts questions, so that each goes to the next peers.
    turn: usize,
}

impl Catcher {
    pub fn new(now: Timestamp) -> Self {
        Self {
            heard: BTreeMap::new(),
            status_at: now.plus_millis(FIRST_STATUS_MS),
            wait_ms: FIRST_STATUS_MS,
            fetching: None,
            wanted: BTreeMap::new(),
            turn: 0,
        }
    }

    /// A peer is at least so far.
    pub fn heard(&mut self, from: Seat, height: Height) {
        let heard = self.heard.entry(from).or_insert(height);
        *heard = height.max(*heard);
    }

    /// A block was executed.
    pub fn progress(&mut self, now: Timestamp, height: Height) {
        self.wait_ms = FIRST_STATUS_MS;
        self.status_at = now.plus_millis(self.wait_ms);
        self.wanted.retain(|(other, _), _| *other > height);
    }

    /// When there is something to ask or to say.
    pub fn deadline(&self) -> Timestamp {
        let wanted = self.wanted.values().min().copied();
        wanted.map_or(self.status_at, |at| at.min(self.status_at))
    }
}

impl Core {
    /// Says and asks what is due.
    pub fn repeat(&mut self) {
        let due: Vec<_> =
            self.catcher.wanted.iter().filter(|(_, at)| **at <= self.now).map(|(what, _)| *what).collect();
        for (height, digest) in due {
            self.ask(height, digest);
        }
        if self.catcher.status_at > self.now {
            return;
        }
        let executed = self.tip.height();
        let behind = self.catcher.heard.values().any(|height| *height > executed);
        let unstable = self.checkpoints.range(..=executed).next().is_some();
        if behind || unstable || !self.is_active() || self.slots.values().any(|slot| slot.is_open()) {
            self.send(To::All, Message::Status(self.status()));
            if let Some((change, proofs)) = self.changes.get(&self.me).filter(|_| !self.is_active()).cloned()
            {
                self.send(To::All, Message::ViewChange(change, proofs));
            }
            self.catcher.wait_ms = (self.catcher.wait_ms * 2).min(LAST_STATUS_MS);
        }
        self.catcher.status_at = self.now.plus_millis(self.catcher.wait_ms);
        self.fetch();
    }

    fn status(&self) -> Status {
        let executed = self.tip.height();
        let mut accepted = executed;
        while let Some(proposal) = self.slots.get(&accepted.next()).and_then(|slot| slot.proposal.as_ref())
            && (proposal.standing != Standing::Open || self.blocks.contains_key(&proposal.ballot.digest))
        {
            accepted = accepted.next();
        }
        Status { view: self.view, active: self.is_active(), executed, accepted, stable: self.stable_height() }
    }

    /// Repeats to `to` what it does not seem to have.
    pub fn answer_status(&mut self, to: Seat, status: Status) {
        self.catcher.heard.insert(to, status.executed);
        let executed = self.tip.height();
        if (status.view < self.entered || (status.view == self.entered && !status.active))
            && let Some(new_view) = self.new_view.clone()
        {
            self.send(To::One(to), Message::NewView(new_view));
        }
        if status.executed < executed {
            // So that it asks us for what it lacks. Only who is behind is answered so, so the two do not answer for ever.
            self.send(To::One(to), Message::Status(self.status()));
        }
        if status.stable < self.stable_height()
            && let Some(certificate) = self.stable.clone()
        {
            self.send(To::One(to), Message::Stable(certificate));
        }
        let checkpoints = self.checkpoints.range(after(status.stable));
        let ours: Vec<_> = checkpoints.filter_map(|(_, votes)| votes.of(self.me)).collect();
        for (ballot, signature) in ours {
            self.send(To::One(to), Message::Vote { ballot, signature });
        }
        if status.view == self.entered && status.active && self.is_active() {
            self.repeat_votes(to, &status);
        }
    }

    fn repeat_votes(&mut self, to: Seat, status: &Status) {
        let leads = self.voters.primary(self.view) == self.me;
        let mut messages = Vec::new();
        for (height, slot) in self.slots.range(after(status.executed)) {
            if let Some(proposal) = slot.proposal.as_ref().filter(|_| leads && *height > status.accepted)
                && let Some(open) = self.open.get(&proposal.ballot.digest)
            {
                messages.push(Message::PrePrepare {
                    view: self.view,
                    block: open.block.as_ref().clone(),
                    signature: proposal.signature.clone(),
                });
            }
            for votes in [&slot.prepares, &slot.commits] {
                let ours = votes.of(self.me).filter(|(ballot, _)| ballot.view == self.view);
                messages.extend(ours.map(|(ballot, signature)| Message::Vote { ballot, signature }));
            }
        }
        messages.into_iter().for_each(|message| self.send(To::One(to), message));
    }

    /// Asks one peer that is further for committed blocks, unless an answer is on its way.
    pub fn fetch(&mut self) {
        let executed = self.tip.height();
        if self.catcher.fetching.is_some_and(|until| until > self.now) {
            return;
        }
        let ahead = self.catcher.heard.iter().filter(|(_, height)| **height > executed);
        let ahead: Vec<Seat> = ahead.map(|(seat, _)| *seat).collect();
        if ahead.is_empty() {
            return;
        }
        self.catcher.turn = self.catcher.turn.wrapping_add(1);
        let seat = ahead[self.catcher.turn % ahead.len()];
        self.catcher.fetching = Some(self.now.plus_millis(ASK_AGAIN_MS));
        self.send(To::One(seat), Message::Fetch(executed.next()));
    }

    pub fn answer_fetch(&mut self, to: Seat, from: Height) {
        let blocks = self.history.answer(from);
        let answer =
            if blocks.is_empty() { Message::Status(self.status()) } else { Message::Committed(blocks) };
        self.send(To::One(to), answer);
    }

    /// Takes committed blocks that follow the newest one here.
    pub fn learn_committed(&mut self, from: Seat, blocks: Vec<(Certificate, Block)>) {
        let before = self.tip.height();
        for (certificate, block) in blocks {
            let Ballot { phase, height, digest, .. } = certificate.ballot;
            if height != self.tip.height().next() {
                continue;
            }
            let matches =
                phase == Phase::Commit && block.header().height == height && block.digest() == digest;
            if !matches || !self.voters.certifies(&certificate) {
                debug!(?from, %height, "a peer's block is not committed");
                self.catcher.heard.remove(&from);
                break;
            }
            match self.open.get(&digest).cloned() {
                Some(executed) => self.finalise(executed, certificate),
                None => self.execute_final(Arc::new(block), certificate),
            }
        }
        if self.tip.height() > before {
            self.catcher.heard(from, self.tip.height());
            self.catcher.fetching = None;
            self.fetch();
        }
    }

    /// Asks for a block unless it has been asked for.
    pub fn want(&mut self, height: Height, digest: Digest) {
        if !self.catcher.wanted.contains_key(&(height, digest)) {
            self.ask(height, digest);
        }
    }

    fn ask(&mut self, height: Height, digest: Digest) {
        self.catcher.wanted.insert((height, digest), self.now.plus_millis(ASK_AGAIN_MS));
        let me = self.me;
        let others: Vec<Seat> = self.voters.seats().filter(|seat| *seat != me).collect();
        for _ in 0..ASKED {
            self.catcher.turn = self.catcher.turn.wrapping_add(1);
            let seat = others[self.catcher.turn % others.len()];
            self.send(To::One(seat), Message::Want(height, digest));
        }
    }

    pub fn answer_want(&mut self, to: Seat, height: Height, digest: Digest) {
        let open = self.open.get(&digest).map(|executed| &executed.block);
        let past = || self.history.block(height).filter(|block| block.digest() == digest);
        if let Some(block) = open.or_else(|| self.blocks.get(&digest)).or_else(past) {
            let block = block.as_ref().clone();
            self.send(To::One(to), Message::Block(block));
        }
    }

    pub fn learn_block(&mut self, block: Block) {
        if self.catcher.wanted.remove(&(block.header().height, block.digest())).is_some() {
            self.keep(block);
        }
    }

    /// Forgets blocks that no height refers to any more.
    pub fn discard(&mut self) {
        let needed: Vec<Digest> = self.slots.values().flat_map(|slot| slot.digests()).collect();
        self.blocks.retain(|digest, _| needed.contains(digest));
        self.open.retain(|digest, _| needed.contains(digest));
        self.catcher.wanted.retain(|(_, digest), _| needed.contains(digest));
    }
}
