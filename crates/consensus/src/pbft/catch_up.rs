//! What was lost or missed: status messages make peers repeat what they have said (as in TOCS), and committed blocks come with
//! their certificates, which prove themselves, from whoever has them.

use crate::pbft::{
    certificate::{Ballot, Certificate, Phase, Seat},
    log::Standing,
    message::{Message, Status},
    replica::Core,
    vocabulary::To,
};
use commonware_cryptography::Digestible as _;
use std::{ops::Bound, sync::Arc};
use tracing::debug;
use voltmesh_ledger::{Block, Digest, Height};

/// Longest time between two status messages.
const LAST_STATUS_MS: u64 = 2_000;

/// Time in milliseconds after which another peer is asked.
const ASK_AGAIN_MS: u64 = 500;

/// Peers that are asked for a block at a time.
const ASKED: usize = 2;

/// Heights beyond what a peer names, which may be any number.
fn after(height: Height) -> (Bound<Height>, Bound<Height>) {
    (Bound::Excluded(height), Bound::Unbounded)
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
                Some(executed) => self.finalize(executed, certificate),
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
