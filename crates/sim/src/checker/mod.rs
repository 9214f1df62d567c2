//! Watches everything and believes nobody: the invariants, checked as the simulation runs.
//!
//! | invariant | how it is checked |
//! |---|---|
//! | nothing acknowledged is lost | every record spooled on a vehicle, and every batch a fog node gave a PUBACK for, is archived in the end |
//! | nothing is archived twice | a record enters the archive once, with the content the vehicle spooled |
//! | nothing unfinalised is archived | its batch is in a final block, and its evidence verifies, at that moment |
//! | replicas never disagree | one block digest per height, whoever says so |
//! | a vehicle forgets only what is archived | at the moment of forgetting |
//!
//! It also digests all events in order: the trace, the same for the same seed.

use crate::net::NodeAddress;
use commonware_utils::sync::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_ledger::Digest as BlockDigest;
use voltmesh_telemetry::{BatchHeader, BatchId, Boot, Digest, Record, VehicleId};

/// Problems named in a verdict; there may be more.
const MAX_NAMED: usize = 8;

/// Whose records.
type Source = (VehicleId, Boot);

/// Sees all that matters. Clones are the same checker.
#[derive(Clone, Default)]
pub struct Checker(Arc<Mutex<Book>>);

/// Counters of what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Records durable on vehicles.
    pub spooled: u64,
    /// Batches that fog nodes gave a PUBACK for, repeats included.
    pub acknowledged: u64,
    /// Records that clients without a spool got a PUBACK for.
    pub accepted: u64,
    /// Blocks final on at least one node.
    pub blocks: u64,
    /// Batches in final blocks.
    pub anchored: u64,
    /// Records archived.
    pub archived: u64,
    /// Records that vehicles forgot.
    pub forgotten: u64,
    /// Deliveries the cloud put into quarantine.
    pub quarantined: u64,
}

#[derive(Default)]
struct Book {
    /// Canonical digests of what is durable on vehicles, by number.
    spooled: BTreeMap<Source, BTreeMap<u64, Digest>>,
    /// The same of clients without a spool, once acknowledged.
    accepted: BTreeMap<Source, BTreeMap<u64, Digest>>,
    archived: BTreeMap<Source, BTreeMap<u64, Digest>>,
    acknowledged: BTreeMap<BatchId, Acknowledged>,
    blocks: BTreeMap<u64, (BlockDigest, NodeAddress)>,
    anchored: BTreeSet<BatchId>,
    counters: Counters,
    problems: Vec<String>,
    trace: Digest,
    /// Every event as text, if asked for.
    events: Option<Vec<String>>,
}

struct Acknowledged {
    by: NodeAddress,
    source: Source,
    first: u64,
    count: u64,
}

impl Checker {
    /// A record is durable on its vehicle.
    pub fn spooled(&self, vehicle: &VehicleId, boot: Boot, record: &Record) {
        let mut book = self.0.lock();
        let digest = Digest::of(&record.to_canonical());
        book.note("spooled", digest.as_bytes());
        let number = record.number.get();
        match book.spooled.entry((vehicle.clone(), boot)).or_default().insert(number, digest) {
            None => book.counters.spooled += 1,
            // Found again after a restart.
            Some(known) if known == digest => {}
            Some(_) => book.problem(format!("{vehicle}/{boot}/{number} names two records")),
        }
    }

    /// A client without a spool got a PUBACK for a record.
    pub fn accepted(&self, client: &VehicleId, record: &Record) {
        let mut book = self.0.lock();
        let digest = Digest::of(&record.to_canonical());
        book.note("accepted", digest.as_bytes());
        let source = (client.clone(), Boot::FOREIGN);
        if book.accepted.entry(source).or_default().insert(record.number.get(), digest).is_none() {
            book.counters.accepted += 1;
        }
    }

    /// A fog node gave a PUBACK for a batch.
    pub fn acknowledged(&self, by: NodeAddress, header: &BatchHeader, id: BatchId) {
        let mut book = self.0.lock();
        book.note("acknowledged", id.as_bytes());
        book.counters.acknowledged += 1;
        let source = (header.vehicle.clone(), header.boot);
        let first = header.first.get();
        book.acknowledged.entry(id).or_insert(Acknowledged { by, source, first, count: header.count.into() });
    }

    /// A node holds a block to be final.
    pub fn finalised(
        &self,
        by: NodeAddress,
        height: u64,
        block: BlockDigest,
        batches: impl IntoIterator<Item = BatchId>,
    ) {
        let mut book = self.0.lock();
        book.note("final", block.as_ref());
        match book.blocks.get(&height).copied() {
            Some((known, _)) if known == block => {}
            Some((known, other)) => {
                book.problem(format!("{by} has {block} at height {height}, {other} has {known}"))
            }
            None => {
                book.blocks.insert(height, (block, by));
                book.counters.blocks += 1;
                let before = book.anchored.len();
                book.anchored.extend(batches);
                book.counters.anchored += (book.anchored.len() - before) as u64;
            }
        }
    }

    /// The archive has taken records of a batch.
    pub fn archived<'a>(
        &self,
        header: &BatchHeader,
        id: BatchId,
        records: impl IntoIterator<Item = &'a Record>,
    ) {
        let mut book = self.0.lock();
        book.note("archived", id.as_bytes());
        if !book.anchored.contains(&id) {
            book.problem(format!("batch {id} is archived but in no final block"));
        }
        let source = (header.vehicle.clone(), header.boot);
        let (vehicle, boot) = &source;
        for record in records {
            let number = record.number.get();
            let digest = Digest::of(&record.to_canonical());
            book.counters.archived += 1;
            if book.archived.entry(source.clone()).or_default().insert(number, digest).is_some() {
                book.problem(format!("{vehicle}/{boot}/{number} is archived twice"));
            }
            let known = book.spooled.get(&source).or_else(|| book.accepted.get(&source));
            let spooled = known.and_then(|records| records.get(&number)).copied();
            if spooled.is_some_and(|spooled| spooled != digest) {
                book.problem(format!("{vehicle}/{boot}/{number} is archived with another content"));
            }
        }
    }

    /// The cloud put a delivery into quarantine.
    pub fn quarantined(&self, why: &str) {
        let mut book = self.0.lock();
        book.note("quarantined", why.as_bytes());
        book.counters.quarantined += 1;
    }

    /// A vehicle forgets a batch.
    pub fn forgotten(&self, header: &BatchHeader) {
        let mut book = self.0.lock();
        let source = (header.vehicle.clone(), header.boot);
        let (vehicle, boot) = &source;
        let first = header.first.get();
        book.counters.forgotten += u64::from(header.count);
        let archived = book.archived.get(&source);
        let missing = (first..first + u64::from(header.count))
            .find(|number| !archived.is_some_and(|archived| archived.contains_key(number)));
        if let Some(number) = missing {
            book.problem(format!("{vehicle} forgets {vehicle}/{boot}/{number}, which is not archived"));
        }
        book.note("forgotten", &first.to_be_bytes());
    }

    /// Something that must not happen has happened.
    pub fn problem(&self, text: String) {
        self.0.lock().problem(text);
    }

    /// Any other event of the trace.
    pub fn note(&self, what: &str, data: &[u8]) {
        self.0.lock().note(what, data);
    }

    /// Whether an invariant is broken already.
    pub fn is_broken(&self) -> bool {
        !self.0.lock().problems.is_empty()
    }

    /// What is owed: records spooled or acknowledged and not archived yet, with examples.
    pub fn owed(&self) -> (u64, Vec<String>) {
        let book = self.0.lock();
        let (mut count, mut named) = (0, Vec::new());
        let mut owe = |source: &Source, number: u64, why: &str| {
            count += 1;
            if named.len() < MAX_NAMED {
                named.push(format!("{}/{}/{number} is {why} and not archived", source.0, source.1));
            }
        };
        let archived =
            |source: &Source, number: u64| book.archived.get(source).is_some_and(|a| a.contains_key(&number));
        for (source, records) in &book.spooled {
            for number in records.keys().filter(|number| !archived(source, **number)) {
                owe(source, *number, "spooled");
            }
        }
        for (source, records) in &book.accepted {
            for number in records.keys().filter(|number| !archived(source, **number)) {
                owe(source, *number, "acknowledged to its client");
            }
        }
        for acked in book.acknowledged.values() {
            let spooled = book.spooled.get(&acked.source);
            for number in acked.first..acked.first + acked.count {
                let counted = spooled.is_some_and(|records| records.contains_key(&number));
                if !counted && !archived(&acked.source, number) {
                    owe(&acked.source, number, &format!("acknowledged by {}", acked.by));
                }
            }
        }
        (count, named)
    }

    /// Broken invariants so far.
    pub fn problems(&self) -> Vec<String> {
        self.0.lock().problems.clone()
    }

    /// What happened.
    pub fn counters(&self) -> Counters {
        self.0.lock().counters
    }

    /// Keeps every event as text from now on.
    pub fn keep_events(&self) {
        self.0.lock().events = Some(Vec::new());
    }

    /// The events that were kept.
    pub fn take_events(&self) -> Vec<String> {
        self.0.lock().events.take().unwrap_or_default()
    }

    /// Digest of all events in order.
    pub fn trace(&self) -> Digest {
        self.0.lock().trace
    }
}

impl Book {
    fn note(&mut self, what: &str, data: &[u8]) {
        if let Some(events) = &mut self.events {
            let text = std::str::from_utf8(data).ok().filter(|text| text.chars().all(|c| !c.is_control()));
            let hex = || data.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
            events.push(format!("{what}: {}", text.map_or_else(hex, str::to_owned)));
        }
        self.trace = Digest::of(&[self.trace.as_bytes(), what.as_bytes(), data].concat());
    }

    fn problem(&mut self, text: String) {
        self.note("problem", text.as_bytes());
        if self.problems.len() < MAX_NAMED {
            self.problems.push(text);
        }
    }
}

#[cfg(test)]
mod tests;
