//! From samples to durable batches: gathered, sealed, spooled; and when to take no more of them.

use super::{Agent, Held, Output, Report};
use crate::{entry, sources::Cursor};
use voltmesh_battery::watch::Event;
use voltmesh_spool::Position;
use voltmesh_telemetry::{
    Error as TelemetryError, Place, Record, RecordNumber, Sample, SealedBatch, Signer, Timestamp, seal_with,
};

/// Bytes that wait for the disk before samples are paused: a few large batches.
const MAX_UNSYNCED: usize = 4 << 20;
/// How often the twin's memory is written down.
const REMEMBER_MS: u64 = 60_000;
/// How often the log is told that the disk fails, which is tried five times a second.
const SAY_FAILURE_MS: u64 = 10_000;
/// A batch of the largest size must fit when samples are taken.
const RESERVE: u64 = 2 << 20;

impl Agent {
    pub(super) fn sample(&mut self, now: Timestamp, sample: Sample, cursor: Cursor, out: &mut Vec<Output>) {
        if self.paused {
            self.counters.refused += 1;
            return;
        }
        if let Err(error) = sample.check() {
            self.counters.invalid += 1;
            out.push(Output::Warn {
                message: format!("a sample of the source is not valid and not taken: {error}"),
            });
            return;
        }
        if self.open.is_empty() {
            self.opened = now;
        }
        if let Some(twin) = &mut self.twin {
            out.extend(twin.adjust(now).map(|message| Output::Warn { message }));
            out.extend(twin.see(&sample).iter().map(|event| Output::Warn { message: described(event) }));
        }
        self.obeyed(now, &sample, out);
        self.open.push(Record { number: self.next_number, sample });
        self.next_number = RecordNumber::new(self.next_number.get() + 1);
        self.cursor = cursor;
        self.counters.sampled += 1;
        if self.open.len() >= self.rules.max_records {
            self.seal_open(now, out);
        }
    }

    pub(super) fn end(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.ending = true;
        self.seal_open(now, out);
    }

    pub(super) fn seal_open(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let records = std::mem::take(&mut self.open);
        if !records.is_empty() {
            let doubts = &self.rules.accepted_doubts;
            let report = self.twin.as_mut().and_then(|twin| twin.report(doubts));
            let report = report.or_else(|| Report::of_doubts(doubts));
            self.seal(now, &records, report.as_deref(), out);
            self.remember(now, out);
        }
        self.open = records;
        self.open.clear();
    }

    /// The twin's memory, now and then and at the end.
    fn remember(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let due = self.ending || now >= self.remembered.plus_millis(REMEMBER_MS);
        if let Some(twin) = self.twin.as_ref().filter(|_| due)
            && let Ok(json) = serde_json::to_string(&twin.memory())
        {
            self.remembered = now;
            out.push(Output::SaveTwin { json });
        }
    }

    fn seal(&mut self, now: Timestamp, records: &[Record], report: Option<&[u8]>, out: &mut Vec<Output>) {
        let place = Place {
            vehicle: self.rules.vehicle.clone(),
            boot: self.rules.boot,
            previous: self.previous,
            signer: Signer::Vehicle,
        };
        match seal_with(&place, records, report, &self.credentials.secret, &self.credentials.signing) {
            Ok(batch) => self.persist(now, &batch, out),
            Err(TelemetryError::Oversized { .. }) if records.len() > 1 => {
                let (first, second) = records.split_at(records.len() / 2);
                let doubts = Report::of_doubts(&self.rules.accepted_doubts);
                self.seal(now, first, doubts.as_deref(), out);
                self.seal(now, second, report, out);
            }
            // Every sample was checked and the numbers are ours.
            Err(error) => panic!("checked samples make a batch: {error}"),
        }
    }

    fn persist(&mut self, now: Timestamp, batch: &SealedBatch, out: &mut Vec<Output>) {
        let entry = entry::encode(now, &self.cursor, batch);
        let position = self.next_position;
        let held = Held::new(position, now, batch.header(), batch.id(), entry.len());
        self.previous = Some(batch.id());
        self.next_position = position.next();
        self.unsynced_bytes += entry.len();
        self.unsynced.push_back(held);
        out.push(Output::Persist { position, entry });
    }

    pub(super) fn synced(&mut self, now: Timestamp, durable: Position, bytes: u64) {
        self.failing = false;
        self.spool_bytes = bytes;
        self.durable = self.durable.max(durable);
        while let Some(held) = self.unsynced.pop_front_if(|held| held.position < durable) {
            self.unsynced_bytes -= held.bytes;
            self.counters.spooled += u64::from(held.count);
            self.counters.batches += 1;
            self.window.offer(now, held);
        }
    }

    /// The disk has failed; the spool tries again by itself. An agent that was told to stop does not wait for that.
    pub(super) fn sync_failed(&mut self, now: Timestamp, reason: &str, out: &mut Vec<Output>) {
        self.counters.sync_failures += 1;
        self.failing = true;
        self.unsynced_given_up |= self.stopping;
        if self.failure_said.is_none_or(|said| now >= said.plus_millis(SAY_FAILURE_MS)) {
            self.failure_said = Some(now);
            out.push(Output::Warn {
                message: format!("the spool cannot be written, no samples are taken: {reason}"),
            });
        }
    }

    /// Stops the source while the spool is full or the disk is behind.
    pub(super) fn throttle(&mut self, out: &mut Vec<Output>) {
        let used = self.spool_bytes + self.unsynced_bytes as u64;
        let full = used + RESERVE > self.rules.max_spool_bytes;
        // A margin keeps it from switching with every batch.
        let behind = self.unsynced_bytes > if self.paused { MAX_UNSYNCED / 2 } else { MAX_UNSYNCED };
        let pause = full || behind || self.failing;
        if pause && !self.paused {
            let max = self.rules.max_spool_bytes;
            let reason = match (full, self.failing) {
                (true, _) => {
                    format!("the spool is full ({used} of {max} bytes): connect to a fog node or enlarge it")
                }
                (_, true) => "the spool cannot be written: check the disk".to_owned(),
                _ => "the disk does not keep up".to_owned(),
            };
            out.push(Output::Pause { reason });
        } else if !pause && self.paused {
            out.push(Output::Resume);
        }
        self.paused = pause;
    }
}

fn described(event: &Event) -> String {
    let Event { kind, stage, over, cells, residual, value, limit, .. } = event;
    let end = if *over { "over" } else { "found" };
    format!("battery: {kind} {end} ({stage:?}), cells {cells:?}: {residual} is {value:.3}, limit {limit}")
}
