//! Decides what is archived: pure, so that its laws are tested in memory.
//!
//! Laws: nothing is archived twice; nothing unfinalised is archived; a fog node gets its PUBACK and a vehicle its
//! notice only after the commit that holds the batch, or when the batch was archived before; what fails a check is
//! in the quarantine table before it is rejected, or counted as beyond the share of whoever it is of.

mod batch;
mod group;
mod holdings;
mod keeping;
mod places;
mod room;
mod vocabulary;

pub use batch::{Entry, Verified, reopen};
pub use group::Grouping;
pub use holdings::{Gap, Marks};
pub use keeping::QuarantineRoom;
pub use vocabulary::{Answer, Commit, Input, Output, Quarantined, Question, Token};

use crate::check::{About, Checked, Delivery, Refusal, Stage};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use group::{Group, Member};
use holdings::{Finding, Holdings};
use room::{Line, Room, Waiting};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_control::{ArchiveNotice, ArchivedBatch, Handovers, MAX_NOTICE_BATCHES};
use voltmesh_ledger::{Handover, Trust};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records archived.
    pub records: u64,
    /// Batches archived.
    pub batches: u64,
    /// Batches that came again.
    pub duplicates: u64,
    /// Deliveries refused for good.
    pub quarantined: u64,
    /// Of these, deliveries beyond the share of whoever they are of: refused and not kept.
    pub quarantine_dropped: u64,
    /// Deliveries held off.
    pub refused: u64,
    /// Commits.
    pub commits: u64,
    /// Commits that failed or met another writer.
    pub retries: u64,
}

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

/// Deliveries whose epoch's authorities are not known, or that the table contradicts, are held off so often.
const HELD_OFF_TRIES: u32 = 5;
/// So many such deliveries are remembered: 1,024 × 40 B.
const MAX_HELD_OFF: usize = 1024;

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
            return out.push(Output::Refuse(token, "the archive is behind"));
        }
        match Delivery::read(&fog, &bytes) {
            Ok(delivery) => self.line.push(Waiting { token, fog, delivery, raw: bytes }),
            Err(refusal) => {
                let refused = Quarantined::new(now, fog, None, refusal, bytes);
                self.quarantine(now, token, refused, out);
            }
        }
    }

    /// Checks and judges a delivery that there is room for.
    fn unpack(&mut self, now: Timestamp, waiting: Waiting, out: &mut Vec<Output>) {
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
                out.push(Output::Refuse(token, "no hand-over leads to the authorities of its epoch yet"));
            }
            Checked::Failed { refusal, about, .. } => {
                self.quarantine(now, token, Quarantined::new(now, fog, about, refusal, raw), out);
            }
        }
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

    /// Quarantines a delivery whose author is not known: what its fog node has brought counts as its own.
    fn quarantine(&mut self, now: Timestamp, token: Token, refused: Quarantined, out: &mut Vec<Output>) {
        let whose = format!("fog {}", refused.fog);
        self.keep(now, Some(token), &whose, refused, out);
    }

    /// Puts what is refused into the open group's quarantine, if there is room for what is of `whose`.
    fn keep(
        &mut self,
        now: Timestamp,
        token: Option<Token>,
        whose: &str,
        mut refused: Quarantined,
        out: &mut Vec<Output>,
    ) {
        self.counters.quarantined += 1;
        *self.by_stage.entry(refused.refusal.stage).or_default() += 1;
        if !self.quarantine.take(now, whose, refused.bytes.len()) {
            self.counters.quarantine_dropped += 1;
            refused.refusal.reason += "; not kept here, since what is kept of its sender has its share";
            out.extend(token.map(|token| Output::Reject(token, refused.refusal)));
            return;
        }
        self.room.take_anonymous(refused.bytes.len());
        self.open.keep_refused(now, token, refused);
        if self.room.is_half_used() {
            self.open.fill();
        }
    }

    /// Judges a verified batch against what is archived or about to be.
    fn admit(&mut self, now: Timestamp, member: Member, answer: Option<&Answer>, out: &mut Vec<Output>) {
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
            Finding::Wrong(refusal) => self.expel(now, member, refusal, out),
            Finding::Unclear(about) => self.ask(member, about, out),
            Finding::Contradiction(_) if self.hold_off(&member.raw) => {
                self.forget(&member);
                self.counters.refused += 1;
                out.push(Output::Refuse(member.token, "the archive's tables contradict their watermarks"));
            }
            Finding::Contradiction(refusal) => self.expel(now, member, refusal, out),
        }
    }

    /// Quarantines records whose number is held with other content: they were acknowledged, and are not the same.
    fn keep_collisions(&mut self, now: Timestamp, member: &Member, positions: &[u32], out: &mut Vec<Output>) {
        for position in positions {
            let Some(record) = member.batch.records.get(*position as usize) else { continue };
            let (vehicle, number) = (&member.batch.header.vehicle, record.number.get());
            let reason = format!(
                "another sample of {vehicle} is archived under number {number}: the same millisecond and the same \
                 first 21 bits of their content's digest"
            );
            let refusal = Refusal { stage: Stage::Fork, reason };
            let about = About { first: number, count: 1, ..member.batch.about() };
            let bytes = record.to_canonical().into();
            let refused = Quarantined::new(now, member.fog.clone(), Some(about), refusal, bytes);
            self.keep(now, None, vehicle.as_str(), refused, out);
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

    /// Quarantines a delivery whose batch is signed: it counts as its vehicle's.
    fn expel(&mut self, now: Timestamp, member: Member, refusal: Refusal, out: &mut Vec<Output>) {
        self.forget(&member);
        let Member { token, fog, batch, raw } = member;
        let refused = Quarantined::new(now, fog, Some(batch.about()), refusal, raw);
        self.keep(now, Some(token), batch.header.vehicle.as_str(), refused, out);
    }

    fn ask(&mut self, member: Member, about: Question, out: &mut Vec<Output>) {
        let question = self.next_question;
        self.next_question += 1;
        self.asked.insert(question, Asked { member, commits: self.holdings.commits() });
        out.push(Output::Ask { question, about });
    }

    fn answered(&mut self, now: Timestamp, question: u64, answer: Answer, out: &mut Vec<Output>) {
        let Some(Asked { member, commits }) = self.asked.remove(&question) else { return };
        if answer == Answer::Failed {
            self.forget(&member);
            self.counters.refused += 1;
            out.push(Output::Refuse(member.token, "the archive cannot be read"));
        } else {
            let usable = self.holdings.complements(commits);
            self.admit(now, member, usable.then_some(&answer), out);
        }
        self.holdings.settle(self.oldest_asked());
    }

    /// Commits when the oldest look-up under way was asked.
    fn oldest_asked(&self) -> Option<u64> {
        // Look-ups are numbered in the order in which they are asked, and commits only grow.
        self.asked.first_key_value().map(|(_, asked)| asked.commits)
    }

    /// Commits what is open if it is due; false if it is not, or another commit is under way.
    fn close_group(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        if self.line.len() > 0 && !self.open.is_empty() {
            self.open.fill(); // what it holds takes the room that others wait for
        }
        if self.committing.is_some() || !self.open.is_due(now, &self.grouping) {
            return false;
        }
        let group = std::mem::take(&mut self.open);
        if group.entries.is_empty() && group.copies.is_empty() && group.quarantine.is_empty() {
            self.answer(now, group.members, out);
            return true;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let marks = self.holdings.marks_of(&group.entries);
        out.push(Output::Commit(group.commit(ticket, now, marks)));
        self.committing = Some((ticket, group));
        true
    }

    fn committed(&mut self, now: Timestamp, ticket: u64, out: &mut Vec<Output>) {
        let Some((_, group)) = self.committing.take_if(|(current, _)| *current == ticket) else { return };
        self.counters.commits += 1;
        self.counters.batches += group.entries.len() as u64;
        self.counters.records += group.records as u64;
        self.holdings.committed(&group.entries, self.oldest_asked());
        self.answer(now, group.members, out);
        for (token, row) in group.quarantine {
            self.room.give_back_anonymous(row.bytes.len());
            if let Some(token) = token {
                out.push(Output::Reject(token, row.refusal));
            }
        }
    }

    /// Starts over from what the archive really holds: every waiting delivery is judged again.
    fn reloaded(&mut self, now: Timestamp, ticket: u64, marks: &Marks, out: &mut Vec<Output>) {
        let Some((_, committing)) = self.committing.take_if(|(current, _)| *current == ticket) else {
            return;
        };
        self.counters.retries += 1;
        let open = std::mem::take(&mut self.open);
        self.holdings = Holdings::new(marks);
        for group in [committing, open] {
            for (token, row) in group.quarantine {
                if token.is_some() {
                    self.open.keep_refused(now, token, row);
                } else {
                    // A record of a member, which is judged again below.
                    self.room.give_back_anonymous(row.bytes.len());
                    self.quarantine.give_back(row.bytes.len());
                }
            }
            for member in group.members {
                self.admit(now, member, None, out);
            }
        }
        // Answers on their way are about the old state.
        for asked in std::mem::take(&mut self.asked).into_values() {
            self.admit(now, asked.member, None, out);
        }
    }

    /// Acknowledges deliveries of archived batches and tells their vehicles, by way of the node that brought them.
    fn answer(&mut self, now: Timestamp, members: Vec<Member>, out: &mut Vec<Output>) {
        let mut notices: BTreeMap<(String, VehicleId), BTreeSet<ArchivedBatch>> = BTreeMap::new();
        for member in members {
            self.forget(&member);
            out.push(Output::Accept(member.token));
            let header = &member.batch.header;
            // For a client that is not ours, the fog node itself reads it, and lets its batch go.
            let archived = ArchivedBatch::of(header, member.batch.id);
            notices.entry((member.fog, header.vehicle.clone())).or_default().insert(archived);
        }
        for ((fog, vehicle), batches) in notices {
            let batches: Vec<_> = batches.into_iter().collect();
            for batches in batches.chunks(MAX_NOTICE_BATCHES) {
                let notice =
                    ArchiveNotice { vehicle: vehicle.clone(), batches: batches.to_vec(), archived: now };
                let bytes = notice.sign(&self.key).into();
                out.push(Output::Notice { fog: fog.clone(), vehicle: vehicle.clone(), bytes });
            }
        }
    }

    fn forget(&mut self, member: &Member) {
        self.room.give_back(&member.batch.header.vehicle, member.bytes());
    }
}
