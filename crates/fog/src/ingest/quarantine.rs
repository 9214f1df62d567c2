//! Permanent rejections: kept with their reason, then answered.

use bytes::Bytes;
use voltmesh_spool::Position;
use voltmesh_telemetry::{Digest, Timestamp};

use super::{
    claim::{Claim, Rejection},
    core::Ingest,
    io::Output,
    refusal::{Delay, Refusal},
};

/// Most bytes of a rejected payload that the quarantine keeps.
const QUARANTINED_BYTES: usize = 64 * 1024;

impl Ingest {
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
