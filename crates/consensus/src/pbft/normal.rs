//! The normal case (OSDI 4.2): pre-prepare, prepare, commit.

use crate::{
    common::chain::Executed,
    pbft::{
        certificate::{Ballot, Phase, Seat},
        log::{Proposal, Standing},
        message::Message,
        replica::Core,
        vocabulary::To,
    },
};
use commonware_consensus::types::View;
use commonware_cryptography::Digestible as _;
use std::sync::Arc;
use tracing::{debug, warn};
use voltmesh_ledger::{Block, Digest, Height, Signature, State, Timestamp};

impl Core {
    /// The primary's own pre-prepare.
    pub fn propose(&mut self, executed: Executed) {
        let header = executed.block.header().clone();
        if self.parent().is_none_or(|parent| parent.block() != header.parent) {
            debug!(height = %header.height, "built too late");
            return;
        }
        let height = header.height;
        let ballot = Ballot::new(Phase::PrePrepare, self.view, height, executed.digest);
        let signature = self.voters.sign(&self.key, &ballot.signed());
        let block = executed.block.as_ref().clone();
        let mut proposal = Proposal::new(self.view, header, signature.clone(), false);
        proposal.standing = Standing::Accepted;
        self.slots.entry(height).or_default().proposal = Some(proposal);
        self.open.insert(executed.digest, executed);
        self.top = height;
        self.send(To::All, Message::PrePrepare { view: self.view, block, signature });
    }

    /// OSDI 4.2: accepted if it is of the primary of this view, correctly signed, between the watermarks, and no other was
    /// accepted for this view and height. In order and executable it must be besides, see [`Self::accept`].
    pub fn pre_prepare(&mut self, from: Seat, view: View, block: Block, signature: Signature) {
        if from != self.voters.primary(view) || view < self.entered {
            return;
        }
        if view > self.entered {
            let early = self.early.entry(from).or_default();
            if early.len() < self.settings.pipeline as usize {
                early.push((view, block, signature));
            }
            return;
        }
        let digest = block.digest();
        let (height, executed) = (block.header().height, self.tip.height());
        if height <= executed
            || height.get() > executed.get() + self.window()
            || height > self.high_watermark()
        {
            return;
        }
        if let Some(proposal) = self.slots.get(&height).and_then(|slot| slot.proposal.as_ref()) {
            if proposal.ballot.digest == digest {
                self.keep(block);
            } else {
                debug!(%height, %view, "the primary proposes two blocks");
            }
            return;
        }
        if height < self.first {
            return;
        }
        let proposal = Proposal::new(view, block.header().clone(), signature, false);
        if !self.voters.verify(from, &proposal.ballot.signed(), &proposal.signature) {
            debug!(%height, "pre-prepare with a wrong signature");
            return;
        }
        self.slots.entry(height).or_default().proposal = Some(proposal);
        self.keep(block);
    }

    /// Repeats the pre-prepares that came before the view.
    pub fn recall_early(&mut self) {
        let entered = self.entered;
        for (from, messages) in std::mem::take(&mut self.early) {
            for (view, block, signature) in messages {
                if view >= entered {
                    self.pre_prepare(from, view, block, signature);
                }
            }
        }
    }

    /// A block that is proposed or was asked for.
    pub fn keep(&mut self, block: Block) {
        let digest = block.digest();
        if !self.open.contains_key(&digest) {
            self.blocks.entry(digest).or_insert_with(|| Arc::new(block));
        }
    }

    pub fn vote(&mut self, from: Seat, ballot: Ballot, signature: Signature) {
        if ballot.phase == Phase::Checkpoint {
            return self.checkpoint(from, ballot, signature);
        }
        let executed = self.tip.height();
        if ballot.view < self.entered || ballot.height <= executed {
            return;
        }
        if let Some(sure) =
            ballot.height.get().checked_sub(self.window()).filter(|sure| *sure > executed.get())
        {
            // Its sender accepts no block further than that from what it has executed.
            self.catcher.heard(from, Height::new(sure));
            return self.fetch();
        }
        if ballot.phase == Phase::Prepare && from == self.voters.primary(ballot.view) {
            return;
        }
        let slot = self.slots.entry(ballot.height).or_default();
        let votes = if ballot.phase == Phase::Prepare { &mut slot.prepares } else { &mut slot.commits };
        votes.insert(from, ballot, signature, false);
    }

    /// Executes proposals one after the other and votes for them: the prepare.
    pub fn accept(&mut self) {
        let mut parent = self.tip.clone();
        for height in self.tip.height().get() + 1.. {
            let height = Height::new(height);
            let Some(proposal) = self.slots.get(&height).and_then(|slot| slot.proposal.as_ref()) else {
                return;
            };
            let digest = proposal.ballot.digest;
            if proposal.standing == Standing::Refused {
                return;
            }
            if proposal.standing == Standing::Open {
                let acceptable = proposal.header.time.as_millis().saturating_sub(self.max_drift_ms);
                if !proposal.repeated && acceptable > self.now.as_millis() {
                    self.held_until = Some(Timestamp::from_millis(acceptable));
                    return;
                }
                let standing = self.try_execute(&parent, height, digest);
                if let Some(proposal) = self.slots.get_mut(&height).and_then(|slot| slot.proposal.as_mut()) {
                    proposal.standing = standing;
                }
                if standing != Standing::Accepted {
                    return;
                }
                if self.voters.primary(self.view) != self.me {
                    self.cast(Phase::Prepare, height, digest);
                }
            }
            let Some(executed) = self.open.get(&digest) else { return };
            parent = executed.state.clone();
        }
    }

    /// Executes a block that is not final on `parent`.
    fn try_execute(&mut self, parent: &State, height: Height, digest: Digest) -> Standing {
        if self.open.contains_key(&digest) {
            return Standing::Accepted;
        }
        let Some(block) = self.blocks.get(&digest).cloned() else {
            self.want(height, digest);
            return Standing::Open;
        };
        let checked = self.checked.remove(&digest).unwrap_or_default();
        match parent.execute_rest(&block, &checked) {
            Ok((state, entries)) => {
                self.blocks.remove(&digest);
                let executed = Executed { block, digest, state: Arc::new(state), entries: Arc::new(entries) };
                self.open.insert(digest, executed);
                Standing::Accepted
            }
            Err(error) => {
                warn!(%height, %error, "proposal refused");
                Standing::Refused
            }
        }
    }

    /// Sends the commit of each prepared block whose predecessors are all prepared too.
    pub fn commit(&mut self) {
        for height in self.tip.height().get() + 1.. {
            let height = Height::new(height);
            let Some(slot) = self.slots.get_mut(&height) else { return };
            slot.prepare(&self.voters);
            let Some(proposal) = slot.proposal.as_ref().filter(|_| slot.is_prepared_in(self.view)) else {
                return;
            };
            let digest = proposal.ballot.digest;
            if !slot.committing {
                slot.committing = true;
                self.cast(Phase::Commit, height, digest);
            }
        }
    }

    /// Signs and sends a vote.
    pub fn cast(&mut self, phase: Phase, height: Height, digest: Digest) {
        let ballot = Ballot::new(phase, self.view, height, digest);
        let signature = self.voters.sign(&self.key, &ballot.signed());
        if let Some(slot) = self.slots.get_mut(&height) {
            let votes = if phase == Phase::Prepare { &mut slot.prepares } else { &mut slot.commits };
            votes.insert(self.me, ballot, signature.clone(), true);
        }
        self.send(To::All, Message::Vote { ballot, signature });
    }

    /// Finds committed blocks, and asks for what is missing between them.
    pub fn settle(&mut self) {
        let mut missing = Vec::new();
        let mut witnesses = Vec::new();
        let mut gap = false;
        let mut next = self.tip.height().next();
        for (height, slot) in &mut self.slots {
            gap |= *height != next;
            next = height.next();
            slot.commit(&self.voters);
            let Some(certificate) = &slot.committed else {
                gap = true;
                continue;
            };
            let digest = certificate.ballot.digest;
            if !self.open.contains_key(&digest) && !self.blocks.contains_key(&digest) {
                missing.push((*height, digest));
            }
            if gap {
                // Commits are sent in order, so these have prepared all before it and will have executed it soon.
                witnesses.extend(certificate.signatures.iter().map(|signed| (signed.seat, *height)));
            }
        }
        for (height, digest) in missing {
            self.want(height, digest);
        }
        if !witnesses.is_empty() {
            witnesses.into_iter().for_each(|(seat, height)| self.catcher.heard(seat, height));
            self.fetch();
        }
    }
}
