//! Evidence that a batch has come further: PUBACKs, receipts and archive notices are checked against the trust file and
//! counted, and at the stage to wait for the batch is forgotten.

use super::{Agent, FogIndex, Output, Stage};
use bytes::Bytes;
use voltmesh_control::{ArchiveNotice, CLOCK_TOLERANCE_MS, Handovers, Receipts};
use voltmesh_ledger::{AnchorProof, Handover, Stage as Part, verifying_key};
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Timestamp, error_chain};

/// Receipts that were refused and may hold after the next hand-over. Past it the oldest goes, and its batch gets its
/// receipt when it is offered again.
pub(super) const MAX_DEFERRED: usize = 64;
/// Least time between two lines of the log about the clock: an hour.
const SAY_CLOCK_MS: u64 = 3_600_000;

impl Agent {
    pub(super) fn answered(
        &mut self,
        now: Timestamp,
        fog: FogIndex,
        position: Position,
        code: u8,
        out: &mut Vec<Output>,
    ) {
        self.links.heard(now, fog);
        let again_at = |offers: u32| now.plus_millis(self.rules.offer_again(offers));
        let Some(held) = self.window.answered(position, again_at) else { return };
        if code >= 0x80 {
            // The fog node will never take it; another one may. It is kept until a notice comes.
            self.counters.rejected += 1;
            let (id, fog) = (held.id, self.rules.fog_name(fog));
            let message = format!(
                "{fog} rejects batch {id} with MQTT reason 0x{code:02x}; it is kept and offered again"
            );
            out.push(Output::Warn { message });
            return;
        }
        self.reach(now, position, Stage::Received, out);
    }

    pub(super) fn receipts(&mut self, now: Timestamp, message: &Bytes, out: &mut Vec<Output>) {
        match Receipts::decode(message) {
            Ok(receipts) => {
                for item in receipts.items {
                    self.receipt(now, item.batch, item.evidence, out);
                }
            }
            Err(error) => {
                self.counters.receipts_refused += 1;
                out.push(Output::Warn { message: format!("receipts refused: {error}") });
            }
        }
    }

    fn receipt(&mut self, now: Timestamp, batch: BatchId, evidence: Bytes, out: &mut Vec<Output>) {
        let Some(position) = self.window.position(&batch) else { return };
        let checked = AnchorProof::from_bytes(&evidence)
            .and_then(|evidence| evidence.verify(&self.credentials.trust, &batch, &self.commitment));
        match checked {
            Ok(anchored) => {
                self.compare_clock(now, position, anchored.time, out);
                self.reach(now, position, Stage::Anchored, out);
            }
            Err(error) => {
                self.counters.receipts_refused += 1;
                out.push(Output::Warn {
                    message: format!("receipt for batch {batch} refused: {}", error_chain(&error)),
                });
                // Only a hand-over that this vehicle has not heard of yet may make it hold.
                if error.stage == Part::Authorities {
                    self.deferred.push_back((batch, evidence));
                }
                if self.deferred.len() > MAX_DEFERRED {
                    self.deferred.pop_front();
                }
            }
        }
    }

    /// The ledger's time against this vehicle's: a batch is sealed before its block is made, and its receipt is read after.
    fn compare_clock(&mut self, now: Timestamp, position: Position, block: Timestamp, out: &mut Vec<Output>) {
        let sealed = self.window.get(position).map_or(block, |held| held.spooled);
        let (ahead, behind) = (sealed.millis_since(block), block.millis_since(now));
        let off = ahead.max(behind);
        if off <= CLOCK_TOLERANCE_MS {
            self.clock_off_ms = 0;
            return;
        }
        self.clock_off_ms = off;
        self.counters.clock_off += 1;
        if self.clock_said.is_none_or(|said| now >= said.plus_millis(SAY_CLOCK_MS)) {
            self.clock_said = Some(now);
            let way = if ahead > behind { "ahead of" } else { "behind" };
            let message = format!(
                "this vehicle's clock is {} s {way} the ledger's: set it; times of its samples are wrong by as much",
                off / 1000
            );
            out.push(Output::Warn { message });
        }
    }

    pub(super) fn notice(&mut self, now: Timestamp, message: &Bytes, out: &mut Vec<Output>) {
        let notice = match self.check_notice(message) {
            Ok(notice) => notice,
            Err(error) => {
                self.counters.notices_refused += 1;
                out.push(Output::Warn { message: format!("archive notice refused: {error}") });
                return;
            }
        };
        for archived in &notice.batches {
            let matches = self.window.position(&archived.id).filter(|position| {
                self.window
                    .get(*position)
                    .is_some_and(|held| held.is(archived.boot, archived.first, archived.count))
            });
            if let Some(position) = matches {
                self.reach(now, position, Stage::Archived, out);
            } else if self.window.contradicts(archived.boot, archived.first, &archived.id) {
                self.counters.notices_refused += 1;
                let (boot, first, id) = (archived.boot, archived.first, archived.id);
                let message = format!(
                    "archive notice refused: it names {id} for record {boot}/{first}, the spool holds another batch there"
                );
                out.push(Output::Warn { message });
            } else {
                self.counters.notices_unmatched += 1; // an old notice: forgotten already
            }
        }
    }

    fn check_notice(&self, message: &Bytes) -> Result<ArchiveNotice, String> {
        let keys = self.credentials.trust.cloud_keys();
        let mut refused =
            "the trust file names no cloud key: make it with `voltmesh chain trust` and its option --cloud"
                .to_owned();
        for key in keys {
            let key = verifying_key(key).map_err(|e| error_chain(&e))?;
            match ArchiveNotice::verify(message, &key) {
                Ok(notice) if notice.vehicle == self.rules.vehicle => return Ok(notice),
                Ok(notice) => return Err(format!("it is for vehicle {}", notice.vehicle)),
                Err(error) => refused = error_chain(&error),
            }
        }
        Err(refused)
    }

    pub(super) fn trust(&mut self, now: Timestamp, message: &Bytes, out: &mut Vec<Output>) {
        let mut changed = false;
        let followed = Handovers::decode(message).map_err(|e| error_chain(&e)).and_then(|handovers| {
            for item in &handovers.items {
                let handover = Handover::from_bytes(item).map_err(|e| error_chain(&e))?;
                changed |= self.credentials.trust.extend(&handover).map_err(|e| error_chain(&e))?;
            }
            Ok(())
        });
        if let Err(error) = followed {
            self.counters.trust_refused += 1;
            out.push(Output::Warn { message: format!("hand-over of authorities refused: {error}") });
        }
        if changed {
            out.push(Output::SaveTrust { toml: self.credentials.trust.to_toml() });
            for (batch, evidence) in std::mem::take(&mut self.deferred) {
                self.receipt(now, batch, evidence, out);
            }
        }
    }

    /// A batch has reached a stage; forgets it if that is the stage to wait for.
    fn reach(&mut self, now: Timestamp, position: Position, stage: Stage, out: &mut Vec<Output>) {
        let Some(held) = self.window.get_mut(position) else { return };
        let count = u64::from(held.count);
        let waited = now.millis_since(held.spooled) * 1000;
        // A later stage includes those before it, whose news may still be on their way.
        if stage >= Stage::Received && held.stage < Stage::Received {
            self.counters.received += count;
        }
        if stage >= Stage::Anchored && held.stage < Stage::Anchored {
            self.counters.anchored += count;
            self.latencies.anchor_us.saturating_record(waited);
        }
        if stage >= Stage::Archived && held.stage < Stage::Archived {
            self.counters.archived += count;
            self.latencies.archive_us.saturating_record(waited);
        }
        held.stage = held.stage.max(stage);
        if held.stage >= self.rules.keep_until.stage() {
            self.window.forget(position);
            self.counters.forgotten += count;
            out.push(Output::Forget { position });
        }
    }
}
