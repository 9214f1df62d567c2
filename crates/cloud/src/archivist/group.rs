//! Deliveries that are committed together, and answered together once that is durable.
//!
//! **When.** A commit costs two files and two log entries whatever it holds, so a group waits for more: as long as
//! readers may have to wait ([`Grouping::interval_ms`]), longer while it holds little, and not at all once it is full or
//! holds an event that a vehicle's twin has found. It is full when it holds so many records, or so many deliveries of one
//! fog node that the node's window would soon be used up, or when half of the room for what waits is used.

use super::{Commit, Entry, Marks, Quarantined, Token};
use crate::verify::Verified;
use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_telemetry::{SealedBatch, Timestamp};

/// A batch with an event of the twin waits so long for others, so that one fault in many vehicles is one commit.
const URGENT_MS: u64 = 200;

/// Rules by which batches are grouped into commits. Each field's default is in [`Grouping::default`]; the cloud's
/// configuration has longer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// A commit waits so long for more, in milliseconds (default 1000).
    pub interval_ms: u64,
    /// Or so long if it holds less than `few_records`, in milliseconds (default 1000). Vehicles and fog nodes offer a
    /// batch again that is not answered for 60 s.
    pub few_interval_ms: u64,
    /// Fewer records than these are few (default 0: none are).
    pub few_records: usize,
    /// A commit does not wait once it holds so many records, and holds at most one batch more (default 50,000).
    pub max_records: usize,
    /// Or so many deliveries of one fog node (default 128: half of its window).
    pub max_deliveries: usize,
    /// Bytes of deliveries that may wait for a commit or an answer, as they came and unpacked (default 128 MiB). A commit
    /// does not wait once half of them is used. One vehicle's may take a quarter. Beyond, deliveries wait packed, as many
    /// bytes again, and are not taken from fog nodes once half of these are used.
    pub max_pending_bytes: usize,
}

impl Default for Grouping {
    fn default() -> Self {
        Self {
            interval_ms: 1000,
            few_interval_ms: 1000,
            few_records: 0,
            max_records: 50_000,
            max_deliveries: 128,
            max_pending_bytes: 128 << 20,
        }
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

impl Member {
    /// Bytes that it takes while it waits.
    pub fn bytes(&self) -> usize {
        self.raw.len() + self.batch.decoded_bytes()
    }
}

/// Content of one commit, and the deliveries that wait for it.
#[derive(Debug, Default)]
pub(super) struct Group {
    since: Option<Timestamp>,
    /// When a batch came that holds an event.
    urgent: Option<Timestamp>,
    /// Whether it is to be committed as it is.
    filled: bool,
    deliveries: BTreeMap<String, usize>,
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
        if self.urgent.is_none() && holds_event(&member.batch) {
            self.urgent = Some(now);
        }
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
        self.count(now, &member.fog);
        self.members.push(member);
    }

    /// Adds a refused delivery, or a refused record of another delivery, to keep.
    pub fn keep_refused(&mut self, now: Timestamp, token: Option<Token>, row: Quarantined) {
        self.count(now, &row.fog);
        self.quarantine.push((token, row));
    }

    fn count(&mut self, now: Timestamp, fog: &str) {
        self.since.get_or_insert(now);
        match self.deliveries.get_mut(fog) {
            Some(deliveries) => *deliveries += 1,
            None => drop(self.deliveries.insert(fog.to_owned(), 1)),
        }
    }

    /// Makes it be committed without waiting for more: there is little room left for what waits.
    pub fn fill(&mut self) {
        self.filled = true;
    }

    /// When it is to be committed, full or not.
    pub fn deadline(&self, grouping: &Grouping) -> Option<Timestamp> {
        let few = self.records < grouping.few_records;
        let wait =
            if few { grouping.few_interval_ms.max(grouping.interval_ms) } else { grouping.interval_ms };
        let urgent = self.urgent.map(|at| at.plus_millis(URGENT_MS));
        self.since.map(|since| since.plus_millis(wait)).into_iter().chain(urgent).min()
    }

    pub fn is_due(&self, now: Timestamp, grouping: &Grouping) -> bool {
        let full = self.records >= grouping.max_records
            || self.filled
            || self.deliveries.values().any(|deliveries| *deliveries >= grouping.max_deliveries);
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

/// Whether the twin's report beside the records names an event. A report that is none of ours names none.
fn holds_event(batch: &Verified) -> bool {
    #[derive(Deserialize)]
    struct Report {
        events: Vec<IgnoredAny>,
    }
    if batch.header.report.is_none() {
        return false;
    }
    let report = SealedBatch::parse(batch.wire.clone()).and_then(|sealed| sealed.report());
    let report = report.ok().flatten().and_then(|json| serde_json::from_slice::<Report>(&json).ok());
    report.is_some_and(|report| !report.events.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archivist::reopen,
        testing::{Fleet, id_of, key_of},
    };
    use voltmesh_telemetry::{Boot, Secret, Signer, batch::Place, seal_with};

    const GROUPING: Grouping = Grouping {
        interval_ms: 10_000,
        few_interval_ms: 30_000,
        few_records: 100,
        max_records: 1_000,
        max_deliveries: 8,
        max_pending_bytes: 1 << 20,
    };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_780_300_000_000 + ms)
    }

    /// A batch of so many records, with a report.
    fn member(fog: &str, count: u32, report: Option<&str>) -> Member {
        let records = Fleet::new(1).batch(0, 1, 0, count, None).open().unwrap();
        let place =
            Place { vehicle: id_of("ev-0"), boot: Boot::new(1), previous: None, signer: Signer::Vehicle };
        let (secret, report) = (Secret::new([0; 32]), report.map(str::as_bytes));
        let sealed = seal_with(&place, &records, report, &secret, &key_of("ev-0")).unwrap();
        let wire = sealed.wire().clone();
        let entry = reopen(wire.clone(), vec![], Bytes::new(), 1, fog.to_owned(), None).unwrap();
        Member { token: Token(0), fog: fog.to_owned(), batch: entry.batch, raw: wire }
    }

    /// When a group is committed that these batches have come to, a second apart.
    fn due(batches: &[Member]) -> u64 {
        let mut group = Group::default();
        let mut now = 0;
        for batch in batches {
            group.append(at(now), batch.clone(), None);
            if group.is_due(at(now), &GROUPING) {
                return now;
            }
            now += 1000;
        }
        let deadline = group.deadline(&GROUPING).unwrap();
        assert!(group.is_due(deadline, &GROUPING));
        deadline.millis_since(at(0))
    }

    #[test]
    fn little_waits_longer_much_as_long_as_readers_may_and_a_full_group_not_at_all() {
        let quiet = Some(r#"{"state":null,"events":[]}"#);
        assert_eq!(due(&[member("fog-0", 10, quiet)]), 30_000);
        assert_eq!(due(&[member("fog-0", 60, None), member("fog-0", 40, Some("no report of ours"))]), 10_000);
        assert_eq!(due(&vec![member("fog-0", 250, quiet); 4]), 3_000);
        assert_eq!(due(&vec![member("fog-0", 1, quiet); 9]), 7_000, "the fog node's window is half used");
        let mut group = Group::default();
        group.append(at(0), member("fog-0", 10, quiet), None);
        assert!(!group.is_due(at(0), &GROUPING));
        group.fill();
        assert!(group.is_due(at(0), &GROUPING), "there is little room left");
    }

    #[test]
    fn an_event_is_committed_at_once() {
        let event = Some(r#"{"events":[{"kind":"sensor-freeze","stage":"warning"}]}"#);
        assert_eq!(due(&[member("fog-0", 10, event)]), 200);
        assert_eq!(due(&[member("fog-0", 10, None), member("fog-1", 10, event)]), 1_200);
    }
}
