//! Decides what is archived: pure, so that its laws are tested in memory.
//!
//! Laws: nothing is archived twice; nothing unfinalised is archived; a fog node gets its PUBACK and a vehicle its
//! notice only after the commit that holds the batch, or when the batch was archived before; what fails a check is
//! in the quarantine table before it is rejected, or counted as beyond the share of whoever it is of.

mod committing;
mod counters;
mod entry;
mod group;
mod holdings;
mod judging;
mod keeping;
mod marks;
mod places;
mod quarantining;
mod room;
mod vocabulary;

pub use counters::Counters;
pub use entry::{Entry, reopen};
pub use group::Grouping;
pub use keeping::QuarantineRoom;
pub use marks::{Gap, Marks};
pub use vocabulary::{Answer, Commit, Input, Output, Quarantined, Question, Token};

use crate::verify::{Delivery, Stage};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use group::{Group, Member};
use holdings::Holdings;
use room::{Line, Room, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::Handovers;
use voltmesh_ledger::{Handover, Trust};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

/// A delivery that waits for a look-up.
struct Asked {
    member: Member,
    /// Commits when it was asked.
    commits: u64,
}

/// The core of the cloud.
pub struct Archivist {
    trust: Trust,
    key: SigningKey,
    grouping: Grouping,
    holdings: Holdings,
    open: Group,
    committing: Option<(u64, Group)>,
    asked: BTreeMap<u64, Asked>,
    next_ticket: u64,
    next_question: u64,
    room: Room,
    line: Line,
    quarantine: QuarantineRoom,
    counters: Counters,
    by_stage: BTreeMap<Stage, u64>,
    held_off: BTreeMap<Digest, u32>,
}

impl Archivist {
    /// Starts from what the archive holds. `key` signs notices.
    pub fn new(trust: Trust, key: SigningKey, grouping: Grouping, marks: &Marks) -> Self {
        Self {
            trust,
            key,
            grouping,
            holdings: Holdings::new(marks),
            open: Group::default(),
            committing: None,
            asked: BTreeMap::new(),
            next_ticket: 0,
            next_question: 0,
            room: Room::new(grouping.max_pending_bytes),
            line: Line::default(),
            quarantine: QuarantineRoom::default(),
            counters: Counters::default(),
            by_stage: BTreeMap::new(),
            held_off: BTreeMap::new(),
        }
    }

    /// The same with other room in the quarantine.
    pub fn with_quarantine(self, quarantine: QuarantineRoom) -> Self {
        Self { quarantine, ..self }
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Envelope { fog, token, bytes } => self.envelope(now, fog, token, bytes, &mut out),
            Input::Handovers(bytes) => self.extend_trust(&bytes),
            Input::Committed { ticket } => self.committed(now, ticket, &mut out),
            Input::Reloaded { ticket, marks } => self.reloaded(now, ticket, &marks, &mut out),
            Input::Answered { question, answer } => self.answered(now, question, answer, &mut out),
            Input::Tick => {}
        }
        loop {
            while self.open.records < self.grouping.max_records
                && let Some(waiting) = self.line.next(&self.room)
            {
                self.unpack(now, waiting, &mut out);
            }
            if !self.close_group(now, &mut out) {
                return out;
            }
        }
    }

    /// Whether more deliveries are to be handed in now. If not, leave them where they are until an input has made room:
    /// what comes regardless may be refused.
    pub fn has_room(&self) -> bool {
        self.line.bytes() < self.grouping.max_pending_bytes / 2
    }

    /// When to be woken with [`Input::Tick`].
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.committing.is_some() {
            return None;
        }
        self.open.deadline(&self.grouping)
    }

    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Refused deliveries by the check that failed.
    pub fn quarantined_by_stage(&self) -> &BTreeMap<Stage, u64> {
        &self.by_stage
    }

    /// Bytes of the quarantine that are used, and their bound.
    pub fn quarantine_bytes(&self) -> (u64, u64) {
        (self.quarantine.used(), self.quarantine.bound())
    }

    /// The trust as extended by hand-overs.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Makes every answer under way too old to be judged by, as too many commits do.
    #[cfg(test)]
    pub(crate) fn outdate_answers(&mut self) {
        self.holdings.outdate_answers();
    }

    /// Deliveries that wait for a commit, an answer or room.
    pub fn pending(&self) -> usize {
        let committing = self.committing.as_ref().map_or(0, |(_, group)| group.members.len());
        self.open.members.len() + committing + self.asked.len() + self.line.len()
    }

    /// Boots that have archived records; grows only.
    pub fn boots(&self) -> usize {
        self.holdings.boots()
    }

    /// Vehicles that have archived records, or will have with the next commit.
    pub fn vehicles(&self) -> BTreeSet<VehicleId> {
        self.holdings.vehicles()
    }

    /// Numbers that are missing below the highest archived one, of every boot.
    pub fn gaps(&self) -> Vec<Gap> {
        self.holdings.gaps()
    }

    fn extend_trust(&mut self, bytes: &Bytes) {
        // Whoever sends them: a hand-over proves itself, and one that does not is ignored.
        if let Ok(handovers) = Handovers::decode(bytes) {
            for item in &handovers.items {
                let extended = match Handover::from_bytes(item) {
                    Ok(handover) => self.trust.extend(&handover).err(),
                    Err(error) => Some(error),
                };
                if let Some(error) = extended {
                    tracing::warn!(%error, "a hand-over of the authorities does not verify: ignored");
                }
            }
        }
    }

    fn envelope(&mut self, now: Timestamp, fog: String, token: Token, bytes: Bytes, out: &mut Vec<Output>) {
        if self.line.bytes().saturating_add(bytes.len()) > self.grouping.max_pending_bytes {
            self.counters.refused += 1;
            return out.push(Output::Defer(token, "the archive is behind"));
        }
        match Delivery::read(&fog, &bytes) {
            Ok(delivery) => self.line.push(Waiting { token, fog, delivery, raw: bytes }),
            Err(rejection) => {
                let refused = Quarantined::new(now, fog, None, rejection, bytes);
                self.quarantine(now, token, refused, out);
            }
        }
    }
}
