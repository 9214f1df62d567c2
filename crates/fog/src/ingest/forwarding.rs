//! To the cloud and back: envelopes leave in order, within a window, and are kept until the cloud's signed notice.
//!
//! **Invariant.** Of every entry of the log that names a batch the cloud hears as long as this node holds the batch, whoever
//! put it there: one envelope for each entry, one after the other. A notice that another node's copy has brought releases a
//! batch only when the cloud has answered these, and no anchor of this node that names it is under way. So the archive can
//! account for each index of the log. A batch that no anchor names yet is released at once, and never anchored.

use bytes::Bytes;
use voltmesh_control::ArchiveNotice;
use voltmesh_telemetry::BatchId;

use super::{
    core::Ingest,
    io::{Output, Topic},
    refusal::{Delay, Refusal},
    state::uplink::{ANSWER_MS, Kept},
};

impl Ingest {
    /// A batch whose evidence is durable goes to the cloud in its turn.
    pub(super) fn enqueue_forward(&mut self, batch: BatchId) {
        if self.held.contains_key(&batch)
            && !self.uplink.under_way.contains_key(&batch)
            && self.uplink.queued.insert(batch)
        {
            self.uplink.queue.push_back(batch);
        }
    }

    /// Evidence of an entry that names this batch is durable.
    pub(super) fn evidence_durable(&mut self, batch: BatchId) {
        if !self.forward_further(&batch) {
            self.enqueue_forward(batch);
        }
    }

    /// Once an envelope is answered, the next entry of the log that names its batch has its turn. False if there is none.
    fn forward_further(&mut self, batch: &BatchId) -> bool {
        let durable = self.durable_below();
        if !self.uplink.answered.contains(batch) {
            return false;
        }
        let Some(held) = self.held.get_mut(batch) else { return false };
        let Some(next) = held.further.pop_front_if(|(at, _)| *at < durable) else { return false };
        if let Some(told) = held.evidence.replace(next) {
            self.disk.release(told);
        }
        self.uplink.answered.remove(batch);
        self.enqueue_forward(*batch);
        true
    }

    pub(super) fn forward_due(&mut self) {
        self.forward_again();
        let settings = self.settings.forward;
        while self.uplink.up
            && self.uplink.under_way.len() < settings.window
            && (self.uplink.under_way_bytes < settings.window_bytes || self.uplink.under_way.is_empty())
        {
            let Some(batch) = self.uplink.queue.pop_front() else { return };
            self.uplink.queued.remove(&batch);
            let Some(held) = self.held.get(&batch) else { continue };
            let Some((evidence, evidence_size)) = held.evidence else { continue };
            let bytes = u64::from(held.entry.1) + u64::from(evidence_size);
            self.uplink.under_way.insert(batch, (self.now, bytes));
            self.uplink.under_way_bytes += bytes;
            self.outputs.push(Output::Forward { batch, entry: held.entry.0, evidence });
        }
    }

    /// What was not answered, or answered but not followed by a notice, is sent again.
    fn forward_again(&mut self) {
        let (now, notice_ms) = (self.now, self.settings.forward.notice_ms);
        let late = self.uplink.under_way.iter().filter(|(_, (at, _))| at.plus_millis(ANSWER_MS) <= now);
        let late: Vec<_> = late.map(|(batch, _)| *batch).collect();
        for batch in late {
            self.not_under_way(&batch);
            self.counters.forwarded_again += 1;
            self.enqueue_forward(batch);
        }
        self.release_unanchored();
        let held = &self.held;
        while self.uplink.acknowledged.pop_front_if(|(_, batch)| !held.contains_key(batch)).is_some() {}
        while self.uplink.acknowledged.front().is_some_and(|(at, _)| at.plus_millis(notice_ms) <= now) {
            let Some((_, batch)) = self.uplink.acknowledged.pop_front() else { break };
            if self.held.contains_key(&batch) {
                self.counters.forwarded_again += 1;
                self.enqueue_forward(batch);
            }
        }
    }

    fn not_under_way(&mut self, batch: &BatchId) -> bool {
        let Some((_, bytes)) = self.uplink.under_way.remove(batch) else { return false };
        self.uplink.under_way_bytes -= bytes;
        true
    }

    pub(super) fn cloud_up(&mut self) {
        self.uplink.up = true;
        if let Some(handovers) = self.ledger.handovers() {
            self.outputs.push(Output::TrustToCloud(handovers));
        }
        self.tell_anchored();
    }

    pub(super) fn cloud_down(&mut self) {
        self.uplink.up = false;
        self.uplink.under_way_bytes = 0;
        let under_way = std::mem::take(&mut self.uplink.under_way);
        for batch in under_way.into_keys().rev() {
            if self.uplink.queued.insert(batch) {
                self.uplink.queue.push_front(batch);
            }
        }
    }

    pub(super) fn cloud_answer(&mut self, batch: BatchId, reason: u8) {
        if !self.not_under_way(&batch) {
            return;
        }
        if reason < 0x80 {
            self.counters.forwarded += 1;
            if !self.held.contains_key(&batch) {
                return;
            }
            self.uplink.answered.insert(batch);
            if !self.forward_further(&batch) && !self.release_noticed(&batch) {
                self.uplink.acknowledged.push_back((self.now, batch));
            }
            return;
        }
        // The cloud keeps what it rejects in its own quarantine; the vehicle still has the batch.
        let Some(held) = self.held.get(&batch) else { return };
        let (entry, vehicle) = (held.entry.0, held.vehicle.clone());
        let refusal = Refusal::Cloud { code: reason };
        self.quarantine_entry(&refusal, "the cloud", &format!("v1/{vehicle}/batch"), entry);
        self.log(format!("batch {batch} of {vehicle}: {refusal}"));
        self.archived(batch);
        self.counters.archived_batches -= 1;
    }

    pub(super) fn cloud_notice(&mut self, payload: &Bytes) {
        let notice = match ArchiveNotice::verify_any(payload, &self.settings.cloud_keys) {
            Ok(notice) => notice,
            Err(error) => {
                self.counters.notices_forged += 1;
                self.log(format!("an archive notice is not taken: {error}; check cloud.notice_key"));
                return;
            }
        };
        self.cloud_clock(notice.archived);
        let mut foreign = false;
        for batch in &notice.batches {
            foreign |= batch.boot.is_foreign();
            let held = self.held.get(&batch.id).is_some_and(|held| {
                (&held.vehicle, held.boot, held.first, held.count)
                    == (&notice.vehicle, batch.boot, batch.first, batch.count)
            });
            if !held {
                self.counters.notices_stale += 1;
            } else if self.owes_envelope(&batch.id) {
                self.uplink.noticed.insert(batch.id);
            } else {
                self.not_under_way(&batch.id);
                self.archived(batch.id);
            }
        }
        if foreign {
            return; // a foreign client has no spool that waits for it
        }
        let session = self.sessions.of_vehicle(&notice.vehicle);
        if let Some(session) = session {
            let (vehicle, topic) = (notice.vehicle.clone(), Topic::Notice);
            self.outputs.push(Output::ToVehicle { session, vehicle, topic, payload: payload.clone() });
        }
        let kept = Kept {
            vehicle: notice.vehicle,
            batches: notice.batches.iter().map(|batch| batch.id).collect(),
            payload: payload.clone(),
            delivered: session.is_some(),
        };
        self.uplink.keep(kept, self.settings.limits.notice_bytes);
    }

    /// An archived batch that is to be anchored again is not: it is released instead.
    pub(super) fn is_needless(&self, batch: &BatchId) -> bool {
        self.uplink.noticed.contains(batch) && self.held.get(batch).is_none_or(|held| held.evidence.is_none())
    }

    /// A node that is no authority any more puts nothing into the log: archived batches whose anchors were not final by
    /// then are released.
    fn release_unanchored(&mut self) {
        if self.uplink.noticed.is_empty() || !matches!(self.ledger.serves(), Err(Delay::NotAuthority { .. }))
        {
            return;
        }
        let noticed: Vec<_> = self.uplink.noticed.iter().copied().collect();
        for batch in noticed.into_iter().filter(|batch| self.is_needless(batch)).collect::<Vec<_>>() {
            self.archived(batch);
        }
    }

    /// Whether the log has or may get an entry that names this held batch and that the cloud has not heard of from this
    /// node.
    fn owes_envelope(&self, batch: &BatchId) -> bool {
        let Some(held) = self.held.get(batch) else { return false };
        let unanswered = held.evidence.is_some() && !self.uplink.answered.contains(batch);
        unanswered || !held.further.is_empty() || self.is_submitted(batch)
    }

    /// Releases a batch that is archived by its notice and of which nothing is owed any more.
    pub(super) fn release_noticed(&mut self, batch: &BatchId) -> bool {
        self.uplink.noticed.contains(batch) && !self.owes_envelope(batch) && self.archived(*batch)
    }
}
