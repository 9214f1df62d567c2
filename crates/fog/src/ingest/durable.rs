//! What is on disk, what waits for it, and how much of it there may be.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use voltmesh_mqtt::SessionId;
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Boot, Digest, RecordNumber, Timestamp, VehicleId};

use super::{
    Answer, Feed, Ingest, Output, Rejection,
    refusal::{Delay, Refusal},
    session::Claim,
};

/// Part of the spool that ingest leaves to evidence, copies and attested batches of what was taken: a sixteenth.
const OWN_SHARE: u64 = 16;

/// Most bytes of a rejected payload that the quarantine keeps.
const QUARANTINED_BYTES: usize = 64 * 1024;

/// A batch that waits for its archive notice.
#[derive(Debug, Clone)]
pub struct Held {
    pub vehicle: VehicleId,
    pub boot: Boot,
    pub first: RecordNumber,
    pub count: u32,
    /// Whose registry entry the evidence proves.
    pub commitment: Digest,
    /// Its entry and the entry's size.
    pub entry: (Position, u32),
    /// The entry of its evidence, once it is anchored, and its size.
    /// What goes to the cloud, or went last.
    pub evidence: Option<(Position, u32)>,
    /// Evidence of further entries of the log that name it: each goes to the cloud once the one before is answered.
    pub further: VecDeque<(Position, u32)>,
    /// The entries of the log whose evidence is, or was, among these.
    pub entries: Vec<u64>,
    /// This node's height when it was received.
    pub height: u64,
    /// For attested batches: where the records came from.
    pub sources: Vec<(Position, u32)>,
}

/// Batches that wait for their archive notice, by name.
pub type HeldBatches = BTreeMap<BatchId, Held>;

/// Something that waits until all entries below a position are durable.
#[derive(Debug)]
struct Waiting {
    below: Position,
    what: Then,
}

/// What follows durability.
#[derive(Debug)]
pub enum Then {
    /// Answer publishes that together had so many bytes.
    Answer(Vec<Answer>, u64),
    /// A batch can be anchored.
    Anchor(BatchId),
    /// Evidence can be forwarded.
    Forward(BatchId),
    /// Samples can be attested.
    Attest(Position),
    /// A copy can be confirmed.
    Held(Digest),
    /// Records can be looked into.
    Feed(Feed),
}

/// Positions, bytes and what waits for them.
#[derive(Debug)]
pub struct Disk {
    next: Position,
    durable: Position,
    /// Bytes of entries that are needed.
    used: u64,
    /// Bytes that the spool counted at its last sync.
    pinned: u64,
    free: u64,
    inflight: u64,
    waiting: VecDeque<Waiting>,
    answers: Vec<Answer>,
    answers_bytes: u64,
    /// Released before they were durable.
    release_later: Vec<Position>,
    release_now: Vec<Position>,
    quarantine_next: Position,
    refusals: VecDeque<(Position, Rejection)>,
    failing: Option<String>,
}

impl Disk {
    pub fn new(next: Position) -> Self {
        Self {
            next,
            durable: next,
            used: 0,
            pinned: 0,
            free: u64::MAX,
            inflight: 0,
            waiting: VecDeque::new(),
            answers: Vec::new(),
            answers_bytes: 0,
            release_later: Vec::new(),
            release_now: Vec::new(),
            quarantine_next: Position(0),
            refusals: VecDeque::new(),
            failing: None,
        }
    }

    pub fn set_free(&mut self, free: u64) {
        self.free = free;
    }

    pub fn set_pinned(&mut self, pinned: u64) {
        self.pinned = pinned;
    }

    /// Bytes that count against the spool's bound.
    pub fn used(&self) -> u64 {
        self.used.max(self.pinned)
    }

    pub fn inflight(&self) -> u64 {
        self.inflight
    }

    /// Bytes of a publish that is under way.
    pub fn enter(&mut self, bytes: usize) {
        self.inflight += bytes as u64;
    }

    /// Bytes of a publish that was answered or given up.
    pub fn leave(&mut self, bytes: u64) {
        self.inflight = self.inflight.saturating_sub(bytes);
    }

    pub fn count_restored(&mut self, size: usize) {
        self.used += size as u64;
    }

    /// Answers a publish after everything appended so far is durable.
    pub fn answer(&mut self, claim: Claim, reason: u8, bytes: usize) {
        self.answers.push(Answer { claim, reason });
        self.answers_bytes += bytes as u64;
    }

    /// Bytes of publishes that were answered by name only.
    pub fn answered_bytes(&mut self, bytes: usize) {
        self.answers_bytes += bytes as u64;
    }

    pub fn then(&mut self, what: Then) {
        self.waiting.push_back(Waiting { below: self.next, what });
    }

    /// An entry is not needed any more.
    pub fn release(&mut self, (position, size): (Position, u32)) {
        self.used = self.used.saturating_sub(size.into());
        if position < self.durable {
            self.release_now.push(position);
        } else {
            self.release_later.push(position);
        }
    }

    /// Ends a group: its answers wait for all of its entries.
    pub fn flush(&mut self, outputs: &mut Vec<Output>) {
        if !self.answers.is_empty() {
            let answers = std::mem::take(&mut self.answers);
            let bytes = std::mem::take(&mut self.answers_bytes);
            if self.durable >= self.next {
                self.leave(bytes);
                outputs.push(Output::Answer(answers));
            } else {
                self.then(Then::Answer(answers, bytes));
            }
        }
        if !self.release_now.is_empty() {
            outputs.push(Output::Release(std::mem::take(&mut self.release_now)));
        }
    }
}

impl Ingest {
    /// Appends an entry; its position and size.
    pub(super) fn append(&mut self, entry: Bytes) -> (Position, u32) {
        let (position, size) = (self.disk.next, entry.len() as u32);
        self.disk.next = position.next();
        self.disk.used += u64::from(size);
        self.outputs.push(Output::Append(entry));
        (position, size)
    }

    /// Whether `bytes` more may be taken in.
    pub(super) fn room(&self, bytes: usize) -> Result<(), Delay> {
        self.ledger.serves()?;
        let bytes = bytes as u64;
        let disk = &self.disk;
        if let Some(why) = &disk.failing {
            return Err(Delay::SpoolFailing { why: why.clone() });
        }
        let capacity = self.settings.spool.capacity_bytes;
        let left = (capacity - capacity / OWN_SHARE).saturating_sub(disk.used());
        let left = left.min(disk.free.saturating_sub(self.settings.spool.reserve_bytes));
        if left < bytes {
            return Err(Delay::DiskFull { free: left });
        }
        if disk.inflight + bytes > self.settings.limits.inflight_bytes {
            return Err(Delay::Busy { what: "too many bytes are on their way to the disk" });
        }
        if self.held.len() >= self.settings.limits.held_batches {
            return Err(Delay::Busy { what: "too many batches wait for the cloud" });
        }
        Ok(())
    }

    pub(super) fn durable(&mut self, below: Position) {
        self.disk.failing = None;
        self.disk.durable = self.disk.durable.max(below);
        let durable = self.disk.durable;
        let mut later = std::mem::take(&mut self.disk.release_later);
        later.retain(|position| {
            let wait = *position >= durable;
            if !wait {
                self.disk.release_now.push(*position);
            }
            wait
        });
        self.disk.release_later.append(&mut later);
        let (mut all, mut feeds) = (Vec::new(), Vec::new());
        while self.disk.waiting.front().is_some_and(|waiting| waiting.below <= durable) {
            let Some(waiting) = self.disk.waiting.pop_front() else { break };
            match waiting.what {
                Then::Answer(answers, bytes) => {
                    self.disk.leave(bytes);
                    if all.is_empty() {
                        all = answers;
                    } else {
                        all.extend(answers);
                    }
                }
                Then::Anchor(batch) => self.batch_durable(batch),
                Then::Forward(batch) => self.evidence_durable(batch),
                Then::Attest(source) => self.attest(source),
                Then::Held(digest) => self.copy_durable(digest),
                Then::Feed(feed) => feeds.push(feed),
            }
        }
        if !all.is_empty() {
            self.outputs.push(Output::Answer(all));
        }
        // Answers first: nobody waits for these.
        self.outputs.extend(feeds.into_iter().map(Output::Feed));
        self.offers_durable();
    }

    pub(super) fn durable_below(&self) -> Position {
        self.disk.durable
    }

    /// Nothing that waits is acknowledged; the entries may still become durable and are then forwarded.
    pub(super) fn storage_failed(&mut self, why: String) {
        let mut sessions = Vec::new();
        let mut bytes = std::mem::take(&mut self.disk.answers_bytes);
        sessions.extend(std::mem::take(&mut self.disk.answers).iter().map(|answer| answer.claim.session));
        for waiting in &mut self.disk.waiting {
            if let Then::Answer(answers, size) = &mut waiting.what {
                bytes += std::mem::take(size);
                sessions.extend(answers.drain(..).map(|answer| answer.claim.session));
            }
        }
        sessions.extend(self.disk.refusals.drain(..).map(|(_, rejection)| rejection.claim.session));
        self.disk.leave(bytes);
        sessions.extend(self.drop_offers());
        self.disk.failing = Some(why.clone());
        let delay = Delay::SpoolFailing { why };
        self.end_sessions(sessions, &delay);
    }

    /// Ends sessions whose publishes cannot be acknowledged now.
    pub(super) fn end_sessions(&mut self, mut sessions: Vec<SessionId>, delay: &Delay) {
        sessions.sort_unstable();
        sessions.dedup();
        for session in sessions {
            self.delay(session, delay);
        }
    }

    /// A transient failure: no PUBACK, DISCONNECT 0x97.
    pub(super) fn delay(&mut self, session: SessionId, delay: &Delay) {
        self.counters.delay(delay);
        if self.sessions.end(session) {
            self.outputs.push(Output::Disconnect { session, reason: 0x97, why: delay.to_string() });
        }
    }

    /// A permanent rejection: kept in the quarantine, then answered with its reason code. A peer that has used its share
    /// of the quarantine gets no answer, and its session ends.
    pub(super) fn refuse(&mut self, claim: Claim, refusal: &Refusal, topic: &str, payload: &Bytes) {
        let peer = self.sessions.name(claim.session);
        let head = quarantined(self.now, refusal, &peer, topic, payload);
        if !self.allowance.take(self.now, &peer, head.len() as u64) {
            let share = self.allowance.share();
            return self.delay(claim.session, &Delay::QuarantineUsed { share, refusal: refusal.to_string() });
        }
        self.push_quarantine(refusal, head, None);
        let position = self.disk.quarantine_next;
        let rejection = Rejection { claim, reason: refusal.reason(), why: refusal.to_string() };
        self.disk.refusals.push_back((position, rejection));
        let text = format!("rejected from {peer} on {topic}: {refusal}");
        self.outputs.push(Output::LogRejection { peer, why: refusal.counter(), text });
    }

    /// Keeps what was rejected, with the reason.
    pub(super) fn quarantine(&mut self, refusal: &Refusal, peer: &str, topic: &str, payload: &Bytes) {
        let head = quarantined(self.now, refusal, peer, topic, payload);
        self.push_quarantine(refusal, head, None);
    }

    /// Keeps an entry of the spool that turned out not to count, with the reason.
    pub(super) fn quarantine_entry(&mut self, refusal: &Refusal, peer: &str, topic: &str, entry: Position) {
        let head = quarantined(self.now, refusal, peer, topic, &Bytes::new());
        self.push_quarantine(refusal, head, Some(entry));
    }

    fn push_quarantine(&mut self, refusal: &Refusal, head: Bytes, entry: Option<Position>) {
        self.counters.refuse(refusal);
        self.counters.quarantined += 1;
        self.disk.quarantine_next = self.disk.quarantine_next.next();
        self.outputs.push(Output::Quarantine { head, entry });
    }

    pub(super) fn quarantine_durable(&mut self, below: Position) {
        let mut rejections = Vec::new();
        while self.disk.refusals.front().is_some_and(|(position, _)| *position <= below) {
            rejections.extend(self.disk.refusals.pop_front().map(|(_, rejection)| rejection));
        }
        if !rejections.is_empty() {
            self.outputs.push(Output::Reject(rejections));
        }
    }

    /// Tells the core where the quarantine's next entry goes.
    pub fn quarantine_at(&mut self, next: Position) {
        self.disk.quarantine_next = next;
    }

    /// A batch is archived: nothing of it is needed any more. False if it is not held.
    pub(super) fn archived(&mut self, batch: BatchId) -> bool {
        let Some(held) = self.held.remove(&batch) else { return false };
        self.uplink.forget(&batch);
        self.counters.archived_batches += 1;
        self.disk.release(held.entry);
        for evidence in held.evidence.into_iter().chain(held.further) {
            self.disk.release(evidence);
        }
        self.chains.release(&held.vehicle, held.boot, held.first, self.settings.limits.remembered);
        self.sources_archived(&held.sources);
        self.batch_settled(&batch);
        true
    }
}

/// A quarantine entry: one line of JSON, a line feed, then the payload, cut at 64 KiB. For people to read; nothing
/// parses it.
fn quarantined(at: Timestamp, refusal: &Refusal, peer: &str, topic: &str, payload: &Bytes) -> Bytes {
    let kept = payload.len().min(QUARANTINED_BYTES);
    let head = serde_json::json!({
        "time_ms": at.as_millis(),
        "peer": peer,
        "topic": topic.chars().take(256).collect::<String>(),
        "reason": refusal.counter(),
        "why": refusal.to_string(),
        "payload_bytes": payload.len(),
        "payload_sha256": Digest::of(payload).to_string(),
    });
    let mut out = head.to_string().into_bytes();
    out.push(b'\n');
    out.extend_from_slice(&payload[..kept]);
    Bytes::from(out)
}
