//! Judging what came: each delivery is checked when there is room for it, and held against what is archived or about to be.

use super::{
    Answer, Archivist, Asked, Output, Quarantined, Question, group::Member, holdings::Finding, room::Waiting,
};
use crate::verify::Checked;
use bytes::Bytes;
use std::sync::Arc;
use voltmesh_telemetry::{Digest, Timestamp};

/// Deliveries whose epoch's authorities are not known, or that the table contradicts, are held off so often.
const HELD_OFF_TRIES: u32 = 5;
/// So many such deliveries are remembered: 1,024 × 40 B.
const MAX_HELD_OFF: usize = 1024;

impl Archivist {
    /// Checks and judges a delivery that there is room for.
    pub(super) fn unpack(&mut self, now: Timestamp, waiting: Waiting, out: &mut Vec<Output>) {
        let Waiting { token, fog, delivery, raw } = waiting;
        match delivery.check(&self.trust) {
            Checked::Passed(batch) => {
                let member = Member { token, fog, batch: Arc::new(*batch), raw };
                let vehicle = member.batch.header.vehicle.clone();
                self.room.take(&vehicle, member.bytes());
                self.admit(now, member, None, out);
                if self.room.is_scarce_for(&vehicle) {
                    self.open.fill();
                }
            }
            Checked::Failed { perhaps_later: true, .. } if self.hold_off(&raw) => {
                self.counters.refused += 1;
                out.push(Output::Defer(token, "no hand-over leads to the authorities of its epoch yet"));
            }
            Checked::Failed { rejection, about, .. } => {
                self.quarantine(now, token, Quarantined::new(now, fog, about, rejection, raw), out);
            }
        }
    }

    /// Judges a verified batch against what is archived or about to be.
    pub(super) fn admit(
        &mut self,
        now: Timestamp,
        member: Member,
        answer: Option<&Answer>,
        out: &mut Vec<Output>,
    ) {
        match self.holdings.admit(&member.batch, answer) {
            Finding::New { kept, collisions } => {
                self.keep_collisions(now, &member, &collisions, out);
                self.holdings.hold_place(&member.batch);
                self.open.append(now, member, kept);
            }
            Finding::Known { collisions } => {
                self.keep_collisions(now, &member, &collisions, out);
                self.repeat(now, member, out);
            }
            Finding::Wrong(rejection) => self.expel(now, member, rejection, out),
            Finding::Unclear(about) => self.ask(member, about, out),
            Finding::Contradiction(_) if self.hold_off(&member.raw) => {
                self.forget(&member);
                self.counters.refused += 1;
                out.push(Output::Defer(member.token, "the archive's tables contradict their watermarks"));
            }
            Finding::Contradiction(rejection) => self.expel(now, member, rejection, out),
        }
    }

    /// A batch that is archived, or will be once the groups under way are: say so then, not before. If it was anchored
    /// again, its evidence is kept: it explains that entry of the ledger's log.
    fn repeat(&mut self, now: Timestamp, member: Member, out: &mut Vec<Output>) {
        self.counters.duplicates += 1;
        if self.holdings.hold_place(&member.batch) {
            self.open.copy(now, member);
        } else if self.committing.is_none() && self.open.is_empty() {
            self.answer(now, vec![member], out);
        } else {
            self.open.wait(now, member);
        }
    }

    fn ask(&mut self, member: Member, about: Question, out: &mut Vec<Output>) {
        let question = self.next_question;
        self.next_question += 1;
        self.asked.insert(question, Asked { member, commits: self.holdings.commits() });
        out.push(Output::Ask { question, about });
    }

    pub(super) fn answered(&mut self, now: Timestamp, question: u64, answer: Answer, out: &mut Vec<Output>) {
        let Some(Asked { member, commits }) = self.asked.remove(&question) else { return };
        if answer == Answer::Failed {
            self.forget(&member);
            self.counters.refused += 1;
            out.push(Output::Defer(member.token, "the archive cannot be read"));
        } else {
            let usable = self.holdings.complements(commits);
            self.admit(now, member, usable.then_some(&answer), out);
        }
        self.holdings.settle(self.oldest_asked());
    }

    /// Commits when the oldest look-up under way was asked.
    pub(super) fn oldest_asked(&self) -> Option<u64> {
        // Look-ups are numbered in the order in which they are asked, and commits only grow.
        self.asked.first_key_value().map(|(_, asked)| asked.commits)
    }

    /// Whether a delivery that may pass later is held off once more. A fog node sends hand-overs when it connects, so
    /// evidence of a set that we do not know is held off a few times; so is a batch that the table contradicts, which
    /// may be behind. Then it goes to quarantine: it would block what comes behind it.
    fn hold_off(&mut self, bytes: &Bytes) -> bool {
        let digest = Digest::of(bytes);
        if self.held_off.len() >= MAX_HELD_OFF && !self.held_off.contains_key(&digest) {
            self.held_off.pop_first();
        }
        let tries = self.held_off.entry(digest).or_default();
        *tries += 1;
        *tries <= HELD_OFF_TRIES
    }
}
