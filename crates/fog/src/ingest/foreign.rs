//! Records of clients that are not ours: plain JSON in, batches attested by this node out.
//!
//! A record goes through two entries of the spool: first with all that came in the same wakeup, then in a batch of its
//! client, signed by this node at most a tenth of a second later. Its PUBACK waits for the first, and where second copies
//! are kept for the batch and its copy (`offering.rs`).

use std::collections::BTreeMap;

use bytes::Bytes;
use voltmesh_control::Opening;
use voltmesh_spool::Position;
use voltmesh_telemetry::{Digest, Record, Sample, SealedBatch, Timestamp, VehicleId, vss};

use super::{
    block::Unreadable,
    claim::{Answer, Claim},
    copies::MAX_BLOCK,
    core::Ingest,
    entry::{Entry, SamplesEntry},
    feed::{Feed, FeedContent},
    io::Output,
    job::{Job, SealJob},
    refusal::{Delay, Refusal, Reject, malformed, oversized},
    state::{
        chain::Link,
        disk::Then,
        marks::Known,
        offers::Claims,
        pending::{Client, Fresh, Gathering, Source},
    },
};

/// Records that wait for their attested batch, all clients together: 6 s at 40,000 a second.
const MAX_PENDING: usize = 262_144;

/// Highest voltage of a pack, in mV: no vehicle's or vessel's has a tenth of 10 kV, and a value in millivolts is above it.
const MAX_VOLTAGE_MV: u32 = 10_000_000;

/// Highest current of a pack in either direction, in mA: megawatt charging takes 3,000 A.
const MAX_CURRENT_MA: u32 = 10_000_000;

/// Coldest temperature, in hundredths of a degree: absolute zero.
const MIN_TEMPERATURE: i16 = -27_315;

/// The paths of a pack's temperatures begin so.
const TEMPERATURES: &str = "Vehicle.Powertrain.TractionBattery.Temperature";

/// Most records in one attested batch.
const MAX_RECORDS: usize = 4_096;

/// Refuses what no battery has: a client that states it means another unit.
fn believable(sample: &Sample) -> Result<(), Reject> {
    let refuse = |field: &str, why: String| {
        let field = field.to_owned();
        Err(malformed("sample", voltmesh_telemetry::Error::Field { field, why }))
    };
    match (sample.pack_voltage.reading(), sample.pack_current.reading()) {
        (Ok(mv), _) if mv > MAX_VOLTAGE_MV => {
            return refuse(
                vss::CURRENT_VOLTAGE,
                format!("{} V is no battery's: the path is in volts", mv / 1000),
            );
        }
        (_, Ok(ma)) if ma.unsigned_abs() > MAX_CURRENT_MA => {
            return refuse(
                vss::CURRENT_CURRENT,
                format!("{} A is no battery's: the path is in amperes", ma / 1000),
            );
        }
        _ => {}
    }
    let cold = sample.temperatures.iter().find_map(|one| one.reading().ok().filter(|t| *t < MIN_TEMPERATURE));
    match cold {
        Some(cold) => refuse(TEMPERATURES, format!("{} °C is below absolute zero", cold / 100)),
        None => Ok(()),
    }
}

impl Ingest {
    pub(super) fn sample(&mut self, claim: Claim, payload: &Bytes) -> Result<(), Reject> {
        oversized("sample", payload, self.settings.limits.sample_bytes)?;
        self.attests()?;
        let sample = vss::parse(payload).map_err(|error| malformed("sample", error))?;
        believable(&sample)?;
        if let Some(ahead_ms) = self.clock.ahead(self.now, sample.time) {
            let now_ms = self.now.as_millis();
            return Err(Refusal::Ahead { ahead_s: ahead_ms / 1000, now_ms }.into());
        }
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
        self.foreign.marks.take(mark);
        let gathering = &mut self.foreign.gathering;
        gathering.block.push(&client, &record);
        let claim = Some((Answer { claim, reason: 0 }, mark, payload.len() as u32));
        gathering.records.push((client, Fresh { record, claim }));
        if gathering.block.size() >= MAX_BLOCK / 2 {
            self.flush_samples();
        }
        Ok(())
    }

    /// Ends a group of samples: one entry of the spool.
    pub(super) fn flush_samples(&mut self) {
        if self.foreign.gathering.records.is_empty() {
            return;
        }
        let Gathering { mut block, mut records } = std::mem::take(&mut self.foreign.gathering);
        let count = block.records();
        let block = block.take();
        let entry = Entry::Samples(SamplesEntry { received: self.now, block: block.clone() });
        let (position, size) = self.append(entry.encode());
        if self.feeding {
            let claims = records.iter().filter_map(|(_, fresh)| fresh.claim.as_ref());
            let arrived_us = claims.map(|(answer, ..)| answer.claim.arrived_us).min().unwrap_or_default();
            self.disk.then(Then::Feed(Feed { arrived_us, content: FeedContent::Samples(block) }));
        }
        let source = Source { size, records: count, unsealed: count, open: count };
        self.foreign.sources.insert(position, source);
        if !self.settings.foreign.second_copy {
            // One answer for all, once the entry is durable.
            let claims = records.iter_mut().filter_map(|(_, fresh)| fresh.claim.take());
            let (mut marks, mut bytes) = (Vec::with_capacity(count as usize), 0);
            for (answer, mark, size) in claims {
                self.disk.answer(answer.claim, 0, 0);
                marks.push(mark);
                bytes += size as usize;
            }
            self.disk.answered_bytes(bytes);
            self.foreign.marks.acknowledged(marks, self.settings.foreign.remembered);
        }
        self.foreign.undurable.insert(position, records);
        self.disk.then(Then::Attest(position));
        self.counters.received_records += u64::from(count);
    }

    /// An entry with samples is durable: its records wait for their batches.
    pub(super) fn attest(&mut self, source: Position) {
        let records = self.foreign.undurable.remove(&source).unwrap_or_default();
        self.add_pending(source, records);
    }

    /// Records of a durable entry wait for their batches. Where publishes wait for the batch, a client's first record is
    /// sealed at once and those that follow it `attest_ms` later, so that slow clients do not wait.
    pub(super) fn add_pending(&mut self, source: Position, records: Vec<(VehicleId, Fresh)>) {
        let (now, settings) = (self.now, &self.settings.foreign);
        let foreign = &mut self.foreign;
        for (client, fresh) in records {
            let waiting = match foreign.clients.get_mut(&client) {
                Some(waiting) => waiting,
                None => {
                    let last = foreign.sealed_at.get(&client).copied();
                    let due = match (settings.second_copy, last) {
                        (true, None) => now,
                        (true, Some(last)) => last.plus_millis(settings.attest_ms).max(now),
                        (false, _) => now.plus_millis(settings.attest_ms),
                    };
                    foreign.clients.entry(client).or_insert(Client { records: Vec::new(), since: now, due })
                }
            };
            waiting.records.push((fresh, source));
            if waiting.records.len() >= settings.attest_records {
                waiting.due = now;
            }
            foreign.due = Some(foreign.due.map_or(waiting.due, |due| due.min(waiting.due)));
        }
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
        let now = self.now;
        if self.attests().is_err() {
            // Nobody waits for a batch longer than for a copy.
            let copy_ms = self.settings.foreign.copy_ms;
            if let Some(before) = now.as_millis().checked_sub(copy_ms).map(Timestamp::from_millis) {
                let claims = self.foreign.take_claims(Some(before));
                self.give_up(claims);
            }
            return;
        }
        if self.foreign.due.is_none_or(|due| due > now) {
            return;
        }
        let attest_ms = self.settings.foreign.attest_ms;
        self.foreign.sealed_at.retain(|_, at| at.plus_millis(attest_ms) > now);
        let due = self.foreign.clients.iter().filter(|(_, client)| client.due <= now);
        let due: Vec<_> = due.map(|(client, _)| client.clone()).collect();
        for name in due {
            let Some(client) = self.foreign.clients.remove(&name) else { continue };
            for mut records in layers(client.records) {
                while !records.is_empty() {
                    let rest = records.split_off(records.len().min(MAX_RECORDS));
                    self.seal(&name, std::mem::replace(&mut records, rest));
                }
            }
            self.foreign.sealed_at.insert(name, now);
        }
        self.foreign.due = self.foreign.clients.values().map(|client| client.due).min();
    }

    fn seal(&mut self, client: &VehicleId, records: Vec<(Fresh, Position)>) {
        self.foreign.pending = self.foreign.pending.saturating_sub(records.len());
        let mut sources: BTreeMap<Position, u32> = BTreeMap::new();
        let mut claims = Claims::default();
        let mut sealing = Vec::with_capacity(records.len());
        for (fresh, source) in records {
            *sources.entry(source).or_default() += 1;
            if let Some((answer, mark, bytes)) = fresh.claim {
                claims.push(answer, mark, bytes);
            }
            sealing.push(fresh.record);
        }
        sealing.dedup(); // a redelivery; another content under the number is in another batch
        self.foreign.tickets += 1;
        let ticket = self.foreign.tickets;
        self.foreign.sealing.insert(ticket, claims);
        self.outputs.push(Output::Work(Job::Seal(Box::new(SealJob {
            ticket,
            fog: self.settings.fog.to_string(),
            client: client.clone(),
            records: sealing,
            sources: sources.into_iter().collect(),
            secret: self.settings.secret.clone(),
            key: self.signing.clone(),
        }))));
    }

    pub(super) fn sealed(
        &mut self,
        ticket: u64,
        batches: Vec<SealedBatch>,
        failed: Vec<(Record, String)>,
        client: VehicleId,
        sources: Vec<(Position, u32)>,
    ) {
        for (record, why) in failed {
            // It was checked when it came, so this is ours; the record is kept where people look.
            let refusal = Refusal::Unverified { why };
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
            let covered = if at == last { sources.clone() } else { Vec::new() };
            self.hold_attested(batch, commitment, &opening, covered);
        }
        if batches.is_empty() {
            self.sources_sealed(&sources);
            self.sources_archived(&sources);
        }
        let claims = self.foreign.sealing.remove(&ticket).unwrap_or_default();
        if !claims.is_empty() {
            self.offer(&batches, claims);
        }
    }

    /// Holds an attested batch, whoever attests it; the same batch again stands for more sources.
    pub(super) fn hold_attested(
        &mut self,
        batch: &SealedBatch,
        commitment: Digest,
        opening: &Opening,
        sources: Vec<(Position, u32)>,
    ) {
        let durable = self.durable_below();
        let Some(held) = self.held.get_mut(&batch.id()) else {
            let link = Link { id: batch.id(), count: batch.header().count, previous: None };
            return self.hold(batch, link, commitment, opening, sources);
        };
        held.sources.extend(&sources);
        if held.entry.0 < durable {
            self.sources_sealed(&sources);
        }
    }
}

/// Sorts records so that no batch holds two of one number and different content. Such can meet here past the bound of
/// `state/marks.rs`, or from another node's copy: each goes into a batch of its own and the cloud decides, since it knows what is
/// archived under the number; the other ends in its quarantine.
fn layers(mut records: Vec<(Fresh, Position)>) -> Vec<Vec<(Fresh, Position)>> {
    records.sort_unstable_by_key(|(fresh, source)| (fresh.record.number, *source));
    let mut layers: Vec<Vec<(Fresh, Position)>> = Vec::new();
    while !records.is_empty() {
        let (mut layer, mut later) = (Vec::<(Fresh, Position)>::with_capacity(records.len()), Vec::new());
        for item in records {
            let record = &item.0.record;
            let other = layer.last().is_some_and(|(last, _)| {
                last.record.number == record.number && last.record.sample != record.sample
            });
            if other { later.push(item) } else { layer.push(item) }
        }
        layers.push(layer);
        records = later;
    }
    layers
}
