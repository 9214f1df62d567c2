//! What is on disk and what waits for it: positions, bytes, answers.

use std::collections::VecDeque;

use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Digest};

use crate::ingest::{
    claim::{Answer, Claim, Rejection},
    feed::Feed,
    io::Output,
};

/// Something that waits until all entries below a position are durable.
#[derive(Debug)]
pub struct Waiting {
    pub below: Position,
    pub what: Then,
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
    pub next: Position,
    pub durable: Position,
    /// Bytes of entries that are needed.
    pub used: u64,
    /// Bytes that the spool counted at its last sync.
    pub pinned: u64,
    pub free: u64,
    pub inflight: u64,
    pub waiting: VecDeque<Waiting>,
    pub answers: Vec<Answer>,
    pub answers_bytes: u64,
    /// Released before they were durable.
    pub release_later: Vec<Position>,
    pub release_now: Vec<Position>,
    pub quarantine_next: Position,
    pub refusals: VecDeque<(Position, Rejection)>,
    pub failing: Option<String>,
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
