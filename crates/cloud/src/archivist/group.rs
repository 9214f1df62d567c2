//! Deliveries that are committed together, and answered together once that is durable.

use super::{Commit, Entry, Marks, Quarantined, Token, Verified};
use bytes::Bytes;
use std::sync::Arc;
use voltmesh_telemetry::Timestamp;

/// How batches are grouped into commits. Each field's default is in [`Grouping::default`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// A commit waits so long for more, in milliseconds (default 1000).
    pub interval_ms: u64,
    /// Or until it holds so many records (default 50,000).
    pub max_records: usize,
    /// Bytes of deliveries that may wait for a commit or an answer; beyond, fog nodes are held off (default 128 MiB).
    pub max_pending_bytes: usize,
}

impl Default for Grouping {
    fn default() -> Self {
        Self { interval_ms: 1000, max_records: 50_000, max_pending_bytes: 128 << 20 }
    }
}

/// A delivery whose batch passed every check.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub token: Token,
    pub fog: String,
    pub batch: Arc<Verified>,
    pub raw: Bytes,
}

/// What goes into one commit, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Group {
    since: Option<Timestamp>,
    pub entries: Vec<Entry>,
    /// Repeats that prove another entry of the ledger's log.
    pub copies: Vec<Arc<Verified>>,
    /// Deliveries that are answered once this group is durable: of its entries, and repeats of them.
    pub members: Vec<Member>,
    /// Refused deliveries with what answers them, and refused records of a delivery that is answered as a member.
    pub quarantine: Vec<(Option<Token>, Quarantined)>,
    pub records: usize,
}

impl Group {
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.quarantine.is_empty()
    }

    /// Adds a batch, or those of its records that are `kept`.
    pub fn append(&mut self, now: Timestamp, member: Member, kept: Option<Vec<u32>>) {
        let entry = Entry { batch: member.batch.clone(), kept };
        self.records += entry.kept_records().count();
        self.entries.push(entry);
        self.wait(now, member);
    }

    /// Adds a repeat whose evidence is new.
    pub fn copy(&mut self, now: Timestamp, member: Member) {
        self.copies.push(member.batch.clone());
        self.wait(now, member);
    }

    /// Adds a delivery that is answered with the others and brings nothing new.
    pub fn wait(&mut self, now: Timestamp, member: Member) {
        self.since.get_or_insert(now);
        self.members.push(member);
    }

    /// Adds a refused delivery, or a refused record of another delivery, to keep.
    pub fn keep_refused(&mut self, now: Timestamp, token: Option<Token>, row: Quarantined) {
        self.since.get_or_insert(now);
        self.quarantine.push((token, row));
    }

    /// When it is to be committed, full or not.
    pub fn deadline(&self, grouping: &Grouping) -> Option<Timestamp> {
        self.since.map(|since| since.plus_millis(grouping.interval_ms))
    }

    pub fn is_due(&self, now: Timestamp, grouping: &Grouping) -> bool {
        let full = self.records >= grouping.max_records;
        self.deadline(grouping).is_some_and(|deadline| full || now >= deadline)
    }

    pub fn commit(&self, ticket: u64, time: Timestamp, marks: Marks) -> Commit {
        Commit {
            ticket,
            time,
            entries: self.entries.clone(),
            copies: self.copies.clone(),
            quarantine: self.quarantine.iter().map(|(_, row)| row.clone()).collect(),
            marks,
        }
    }
}
