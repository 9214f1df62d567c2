//! Payloads composed from entries of the spool: receipts for vehicles, envelopes for the cloud.

use bytes::Bytes;
use voltmesh_control::{BatchReceipt, Envelope, Receipts};
use voltmesh_telemetry::{BatchId, VehicleId};

use super::entry::{BatchEntry, Entry, EvidenceEntry};

/// Composes the payload for the topic `receipt` from evidence entries as they lie in the spool.
pub fn receipts(entries: impl IntoIterator<Item = Bytes>) -> Option<Bytes> {
    let items = entries.into_iter().filter_map(|entry| match Entry::decode(&entry) {
        Some(Entry::Evidence(entry)) => Some((entry.batch, entry.evidence)),
        _ => None,
    });
    let items: Vec<_> = items.collect();
    (!items.is_empty()).then(|| encode_receipts(items))
}

/// Composes the envelope for the cloud from the two entries as they lie in the spool.
pub fn envelope(fog: &VehicleId, batch: &Bytes, evidence: &Bytes) -> Option<Bytes> {
    let (Entry::Batch(batch), Entry::Evidence(evidence)) = (Entry::decode(batch)?, Entry::decode(evidence)?)
    else {
        return None;
    };
    Some(encode_envelope(fog.as_str(), batch, evidence))
}

pub(super) fn encode_receipts(items: Vec<(BatchId, Bytes)>) -> Bytes {
    let items = items.into_iter().map(|(batch, evidence)| BatchReceipt { batch, evidence }).collect();
    Receipts { items }.encode().into()
}

fn encode_envelope(fog: &str, entry: BatchEntry, evidence: EvidenceEntry) -> Bytes {
    let envelope = Envelope {
        fog: fog.to_owned(),
        opening: entry.opening(),
        batch: entry.wire,
        evidence: evidence.evidence,
        received: entry.received,
    };
    envelope.encode().into()
}
