//! Records of clients that are not ours: plain JSON in, batches attested by this node out.
//!
//! A record goes through two entries of the spool: first with all that came in the same wakeup, which is what its
//! PUBACK waits for, then in a batch of its client, signed by this node a tenth of a second later.

use std::collections::BTreeMap;

use bytes::Bytes;
use voltmesh_spool::Position;
use voltmesh_telemetry::{Record, SealedBatch, Timestamp, VehicleId, vss};

use super::{
    Answer, Ingest, Output,
    anchors::after,
    chain::Link,
    copies::MAX_BLOCK,
    durable::Then,
    entry::{Block, Entry, SamplesEntry, Unreadable},
    job::{Job, SealJob},
    marks::{Known, Mark, Marks},
    refusal::{Delay, Refusal},
    session::{Claim, Reject, malformed, oversized},
};
use crate::config::Foreign;

/// Records that wait for their attested batch, all clients together: 6 s at 40,000 a second.
const MAX_PENDING: usize = 262_144;

/// Most records in one attested batch.
const MAX_RECORDS: usize = 4_096;

/// A spool entry whose records are not all archived.
#[derive(Debug, Clone, Copy, Default)]
pub struct Source {
    size: u32,
    records: u32,
    /// Records that are not in a durable batch.
    unsealed: u32,
    /// Records that are not archived.
    open: u32,
    /// The offer that its second copy went with.
    pub offer: Option<voltmesh_telemetry::Digest>,
}

/// Records of one client that wait for a batch.
#[derive(Debug)]
struct Client {
    records: Vec<(Record, Position)>,
    since: Timestamp,
}

/// Samples that were accepted in this wakeup.
#[derive(Debug, Default)]
struct Gathering {
    block: Block,
    answers: Vec<Answer>,
    marks: Vec<Mark>,
    bytes: usize,
    records: Vec<(VehicleId, Record)>,
}

/// Records on their way into batches, and those seen lately.
#[derive(Debug, Default)]
pub struct Pending {
    gathering: Gathering,
    /// Records of entries that are not durable.
    undurable: BTreeMap<Position, Vec<(VehicleId, Record)>>,
    clients: BTreeMap<VehicleId, Client>,
    /// When the client that waits longest began to, and whether some client has enough for a batch.
    oldest: Option<Timestamp>,
    full: bool,
    pending: usize,
    sources: BTreeMap<Position, Source>,
    /// Numbers that are taken, under way or remembered.
    pub marks: Marks,
    /// Records of the spool that this version does not take: they go to the quarantine with the first tick.
    pub unreadable: Vec<Unreadable>,
}

impl Pending {
    /// Records that wait for their attested batch.
    pub fn pending(&self) -> usize {
        self.pending
    }

    pub fn deadline(&self, settings: &Foreign) -> Option<Timestamp> {
        self.oldest.map(|oldest| after(oldest, if self.full { 0 } else { settings.attest_ms }))
    }

    pub fn source_mut(&mut self, position: Position) -> Option<&mut Source> {
        self.sources.get_mut(&position)
    }
}

impl Ingest {
    pub(super) fn sample(&mut self, claim: Claim, payload: &Bytes) -> Result<(), Reject> {
        oversized("sample", payload, self.settings.limits.sample_bytes)?;
        self.attests()?;
        let sample = vss::parse(payload).map_err(|error| malformed("sample", error))?;
        let Some(client) = self.sessions.client(claim.session) else { return Ok(()) };
        let client = client.clone();
        let (record, content) = Record::foreign_with_content(sample);
        let mark = self.foreign.marks.of(&client, &record, &content);
        match self.foreign.marks.look(&mark) {
            Known::Acknowledged => {
                self.counters.duplicates += 1;
                self.disk.answer(claim, 0, 0);
                return Ok(());
            }
            Known::Taken => {
                return Err(Reject::For(Refusal::NumberTaken {
                    client: client.to_string(),
                    number: record.number,
                    time_ms: record.sample.time.as_millis(),
                }));
            }
            // Under way: it is kept once more, and answered when this one is durable.
            Known::New | Known::UnderWay => {}
        }
        self.room(2 * payload.len())?;
        if self.foreign.pending >= MAX_PENDING {
            return Err(Delay::Busy { what: "too many samples wait for their batch" }.into());
        }
        self.disk.enter(payload.len());
        self.foreign.pending += 1;
        let gathering = &mut self.foreign.gathering;
        gathering.block.push(&client, &record);
        gathering.answers.push(Answer { claim, reason: 0 });
        gathering.marks.push(mark);
        self.foreign.marks.take(mark);
        gathering.bytes += payload.len();
        gathering.records.push((client, record));
        if gathering.block.size() >= MAX_BLOCK / 2 {
            self.flush_samples();
        }
        Ok(())
    }

    /// Ends a group of samples: one entry of the spool, one answer for all.
    pub(super) fn flush_samples(&mut self) {
        if self.foreign.gathering.answers.is_empty() {
            return;
        }
        let Gathering { mut block, answers, marks, bytes, records } =
            std::mem::take(&mut self.foreign.gathering);
        let count = block.records();
        let block = block.take();
        let entry = Entry::Samples(SamplesEntry { received: self.now, block: block.clone() });
        let (position, size) = self.append(entry.encode());
        let source = Source { size, records: count, unsealed: count, open: count, offer: None };
        self.foreign.sources.insert(position, source);
        self.foreign.undurable.insert(position, records);
        self.disk.then(Then::Attest(position));
        self.counters.received_records += u64::from(count);
        if self.settings.foreign.second_copy {
            self.offer(block, answers, marks, bytes, position);
        } else {
            for answer in answers {
                self.disk.answer(answer.claim, 0, 0);
            }
            self.disk.answered_bytes(bytes);
            self.foreign.marks.acknowledged(marks, self.settings.foreign.remembered);
        }
    }

    /// An entry with samples is durable: its records wait for their batches.
    pub(super) fn attest(&mut self, source: Position) {
        let records = self.foreign.undurable.remove(&source).unwrap_or_default();
        self.add_pending(source, records);
    }

    /// Records of a durable entry wait for their batches.
    fn add_pending(&mut self, source: Position, records: Vec<(VehicleId, Record)>) {
        let now = self.now;
        for (client, record) in records {
            let waiting = match self.foreign.clients.get_mut(&client) {
                Some(waiting) => waiting,
                None => {
                    self.foreign.clients.entry(client).or_insert(Client { records: Vec::new(), since: now })
                }
            };
            waiting.records.push((record, source));
            self.foreign.full |= waiting.records.len() >= self.settings.foreign.attest_records;
            self.foreign.oldest.get_or_insert(now);
        }
    }

    /// Takes over the records of a durable entry that was not this node's own so far, or was restored.
    pub(super) fn adopt(&mut self, position: Position, size: u32, records: Vec<(VehicleId, Record)>) {
        let count = records.len() as u32;
        let source = Source { size, records: count, unsealed: count, open: count, offer: None };
        self.foreign.sources.insert(position, source);
        self.foreign.pending += records.len();
        self.add_pending(position, records);
    }

    /// Marks records that the spool holds as acknowledged.
    pub(super) fn remember_restored(&mut self, records: &[(VehicleId, Record)]) {
        let marks = &mut self.foreign.marks;
        let marked =
            records.iter().map(|(client, record)| marks.of(client, record, &record.sample.content()));
        let marked: Vec<_> = marked.collect();
        marks.acknowledged(marked, self.settings.foreign.remembered);
    }

    /// Keeps what the spool holds and this version does not take: each record for itself, never those beside it.
    pub(super) fn quarantine_unreadable(&mut self) {
        for Unreadable { client, record, why } in std::mem::take(&mut self.foreign.unreadable) {
            let refusal = Refusal::Malformed { what: "sample of the spool", why };
            self.quarantine(&refusal, "this fog node", &format!("v1/{client}/sample"), &record);
            self.log(format!("a sample of {client} goes to the quarantine: {refusal}"));
        }
    }

    /// Without its own place in the registry there is no evidence for what this node attests.
    pub(super) fn attests(&self) -> Result<(), Delay> {
        match self.ledger.lookup(&self.own_commitment)? {
            None => Ok(()),
            Some(height) => Err(Delay::NotEnrolled { commitment: self.own_commitment, height }),
        }
    }

    /// Sends the records that have waited long enough to be sealed.
    pub(super) fn seal_due(&mut self) {
        if self.attests().is_err() {
            return;
        }
        let (now, settings) = (self.now, &self.settings.foreign);
        if self.foreign.deadline(settings).is_none_or(|due| due > now) {
            return;
        }
        let due = self.foreign.clients.iter().filter(|(_, client)| {
            client.records.len() >= settings.attest_records || after(client.since, settings.attest_ms) <= now
        });
        let due: Vec<_> = due.map(|(client, _)| client.clone()).collect();
        for name in due {
            let Some(client) = self.foreign.clients.remove(&name) else { continue };
            for mut records in layers(client.records) {
                while !records.is_empty() {
                    let rest = records.split_off(records.len().min(MAX_RECORDS));
                    self.seal(&name, std::mem::replace(&mut records, rest));
                }
            }
        }
        self.foreign.full = false;
        self.foreign.oldest = self.foreign.clients.values().map(|client| client.since).min();
    }

    fn seal(&mut self, client: &VehicleId, records: Vec<(Record, Position)>) {
        self.foreign.pending = self.foreign.pending.saturating_sub(records.len());
        let mut sources: BTreeMap<Position, u32> = BTreeMap::new();
        for (_, source) in &records {
            *sources.entry(*source).or_default() += 1;
        }
        let mut records: Vec<Record> = records.into_iter().map(|(record, _)| record).collect();
        records.dedup(); // a redelivery; another content under the number is in another batch
        self.outputs.push(Output::Work(Job::Seal(Box::new(SealJob {
            fog: self.settings.fog.to_string(),
            client: client.clone(),
            records,
            sources: sources.into_iter().collect(),
            secret: self.settings.secret.clone(),
            key: self.signing.clone(),
        }))));
    }

    pub(super) fn sealed(
        &mut self,
        batches: Vec<SealedBatch>,
        failed: Vec<(Record, String)>,
        client: VehicleId,
        sources: Vec<(Position, u32)>,
    ) {
        for (record, why) in failed {
            // It was checked when it came, so this is ours; the record is kept where people look.
            let refusal = super::Refusal::Unverified { why };
            self.quarantine(
                &refusal,
                "this fog node",
                &format!("v1/{client}/sample"),
                &record.to_canonical().into(),
            );
        }
        let opening = self.settings.opening;
        let commitment = self.own_commitment;
        let last = batches.len().wrapping_sub(1);
        for (at, batch) in batches.iter().enumerate() {
            let link = Link { id: batch.id(), count: batch.header().count, previous: None };
            let covered = if at == last { sources.clone() } else { Vec::new() };
            self.hold(batch, link, commitment, &opening, covered);
        }
        if batches.is_empty() {
            self.sources_sealed(&sources);
            self.sources_archived(&sources);
        }
    }

    /// The batches of these records are durable: their first entries are not needed any more.
    pub(super) fn sources_sealed(&mut self, sources: &[(Position, u32)]) {
        for (position, count) in sources {
            let Some(source) = self.foreign.sources.get_mut(position) else { continue };
            source.unsealed = source.unsealed.saturating_sub(*count);
            if source.unsealed == 0 && source.size > 0 {
                let size = std::mem::take(&mut source.size);
                self.disk.release((*position, size));
            }
        }
    }

    /// The batches of these records are archived: so are the entries they came from, in part or in whole.
    pub(super) fn sources_archived(&mut self, sources: &[(Position, u32)]) {
        for (position, count) in sources {
            let Some(source) = self.foreign.sources.get_mut(position) else { continue };
            source.open = source.open.saturating_sub(*count);
            if source.open > 0 {
                continue;
            }
            let offer = source.offer;
            self.foreign.sources.remove(position);
            if let Some(offer) = offer {
                self.offer_settled(offer);
            }
        }
    }

    /// While restoring: a batch of these records is in the spool.
    pub(super) fn sources_restored(&mut self, sources: &[(Position, u32)]) {
        for (position, count) in sources {
            if let Some(source) = self.foreign.sources.get_mut(position) {
                source.unsealed = source.unsealed.saturating_sub(*count);
            }
        }
    }

    /// After restoring: entries that are in batches as a whole are not needed; the others are sealed again.
    pub(super) fn resume_sources(&mut self, mut records: BTreeMap<Position, Vec<(VehicleId, Record)>>) {
        let all: Vec<_> =
            self.foreign.sources.iter().map(|(position, source)| (*position, *source)).collect();
        for (position, source) in all {
            let own = records.remove(&position).unwrap_or_default();
            if source.unsealed == 0 {
                self.disk.release((position, source.size));
                if let Some(source) = self.foreign.sources.get_mut(&position) {
                    source.size = 0;
                }
                continue;
            }
            // Partly sealed, or not at all: whole again; the archive keeps one of each record.
            if let Some(source) = self.foreign.sources.get_mut(&position) {
                source.open = 2 * source.records - source.unsealed;
                source.unsealed = source.records;
            }
            self.foreign.pending += own.len();
            self.add_pending(position, own);
        }
    }

    pub(super) fn restore_source(&mut self, position: Position, size: u32, records: u32) {
        let source = Source { size, records, unsealed: records, open: records, offer: None };
        self.foreign.sources.insert(position, source);
    }
}

/// Sorts records so that no batch holds two of one number and different content. Such can meet here past the bound of
/// [`Marks`], or from another node's copy: each goes into a batch of its own and the cloud decides, since it knows what is
/// archived under the number; the other ends in its quarantine.
fn layers(mut records: Vec<(Record, Position)>) -> Vec<Vec<(Record, Position)>> {
    records.sort_unstable_by_key(|(record, source)| (record.number, *source));
    let mut layers: Vec<Vec<(Record, Position)>> = Vec::new();
    while !records.is_empty() {
        let (mut layer, mut later) = (Vec::<(Record, Position)>::with_capacity(records.len()), Vec::new());
        for item in records {
            let other = layer.last().is_some_and(|(last, _)| last.number == item.0.number && *last != item.0);
            if other { later.push(item) } else { layer.push(item) }
        }
        layers.push(layer);
        records = later;
    }
    layers
}
