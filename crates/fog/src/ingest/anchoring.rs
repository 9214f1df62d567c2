//! From durable batches to evidence: anchors are submitted, seen in final blocks, and turned into receipts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use voltmesh_consensus::Finalized;
use voltmesh_control::MAX_RECEIPTS;
use voltmesh_ledger::{Anchor, AnchorProof, RegistryProof, SEQUENCE_WINDOW, State, Transaction};
use voltmesh_mqtt::SessionId;
use voltmesh_telemetry::{BatchId, Digest, VehicleId};

use super::{
    core::Ingest,
    entry::{Entry, EvidenceEntry},
    io::{Output, Topic},
    payload::encode_receipts,
    refusal::Refusal,
    state::{
        anchors::{SKIPPED, UNDER_WAY, UnderWay},
        disk::Then,
    },
};

/// Bytes of receipts in one message: half of the bound.
const RECEIPT_BYTES: usize = 512 * 1024;

/// Entries of the log that name one batch and that the cloud is told of: one of each node that a vehicle has offered it to.
/// What is beyond is not explained by the archive itself, only by the log's leaves (`voltmesh chain leaves`).
const MAX_ENTRIES: usize = 16;

impl Ingest {
    pub(super) fn ledger_state(&mut self, state: Arc<State>, caught_up: bool) {
        if self.ledger.state.as_ref().is_none_or(|known| known.height() < state.height()) {
            self.set_state(state);
        }
        if caught_up && !self.ledger.caught_up {
            self.ledger.caught_up = true;
            self.anchor_restored();
        }
    }

    fn set_state(&mut self, state: Arc<State>) {
        let sequence = state.next_sequence(&self.authority);
        if self.ledger.state.is_none() {
            self.ledger.next_sequence = sequence + SKIPPED;
        }
        self.ledger.next_sequence = self.ledger.next_sequence.max(sequence);
        let root = state.header().registry_root;
        let epoch = state.next_epoch();
        self.ledger.serves = state.authorities_for(epoch).is_some_and(|set| set.contains(&self.authority));
        self.ledger.state = Some(state);
        if self.ledger.registry_root.replace(root) != Some(root) {
            self.recheck_sessions();
        }
    }

    pub(super) fn batch_durable(&mut self, batch: BatchId) {
        let Some(held) = self.held.get(&batch) else { return };
        if !held.sources.is_empty() {
            let sources = held.sources.clone();
            self.sources_sealed(&sources);
        }
        // Until the ledger has caught up, `anchor_restored` knows what is open.
        if self.ledger.caught_up {
            self.ledger.queue.push_back(batch);
        }
    }

    /// Something goes into the next anchor, once the ledger has caught up.
    pub(super) fn anchor_soon(&mut self, leaf: BatchId) {
        self.ledger.queue.push_back(leaf);
    }

    /// Whether a batch may be in the log soon: an anchor of this node that names it is not final.
    pub(super) fn is_submitted(&self, batch: &BatchId) -> bool {
        self.ledger.under_way.values().any(|under| under.batches.contains(batch))
    }

    /// Submits what is due.
    pub(super) fn anchors_due(&mut self) {
        if !self.ledger.caught_up {
            return;
        }
        self.resubmit();
        let settings = self.settings.anchors;
        while self.ledger.under_way.len() < UNDER_WAY {
            let full = self.ledger.queue.len() >= settings.batches;
            let due =
                !self.ledger.queue.is_empty() && self.ledger.last.plus_millis(settings.every_ms) <= self.now;
            if !(full || due) {
                return;
            }
            self.submit();
        }
    }

    fn submit(&mut self) {
        let (mut batches, mut records) = (Vec::new(), 0);
        let mut once = BTreeSet::new(); // an anchor that names a batch twice is invalid
        while batches.len() < self.settings.anchors.batches {
            let Some(batch) = self.ledger.queue.pop_front() else { break };
            if self.is_needless(&batch) {
                self.archived(batch);
                continue;
            }
            let count = match self.held.get(&batch).filter(|held| held.evidence.is_none()) {
                Some(held) => held.count,
                None if self.statements.is_open(&batch) => 0,
                None => continue,
            };
            if once.insert(batch) {
                records += u64::from(count);
                batches.push(batch);
            }
        }
        if batches.is_empty() {
            return;
        }
        let sequence = self.ledger.next_sequence;
        self.ledger.next_sequence += 1;
        let anchor =
            Anchor::sign(&self.settings.chain, &self.settings.key, sequence, records, batches.clone());
        let transaction = Transaction::Anchor(anchor);
        self.outputs.push(Output::Submit(Box::new(transaction.clone())));
        self.ledger.under_way.insert(sequence, UnderWay { transaction, batches, submitted: self.now });
        self.ledger.last = self.now;
    }

    /// Anchors that are not final in time: again, or under a new number if theirs is about to be too old.
    fn resubmit(&mut self) {
        let (now, wait) = (self.now, self.settings.anchors.resubmit_ms);
        let due = self.ledger.under_way.iter().filter(|(_, under)| under.submitted.plus_millis(wait) <= now);
        let due: Vec<u64> = due.map(|(sequence, _)| *sequence).collect();
        for sequence in due {
            self.counters.anchors_resubmitted += 1;
            let too_old = self.ledger.next_sequence - sequence > SEQUENCE_WINDOW / 2;
            if too_old {
                self.requeue(sequence, &[]);
            } else if let Some(under) = self.ledger.under_way.get_mut(&sequence) {
                under.submitted = now;
                self.outputs.push(Output::Submit(Box::new(under.transaction.clone())));
            }
        }
    }

    /// An anchor is not under way any more; what is not in `settled` waits for the next one.
    fn requeue(&mut self, sequence: u64, settled: &[BatchId]) {
        let Some(under) = self.ledger.under_way.remove(&sequence) else { return };
        for batch in under.batches.into_iter().rev().filter(|batch| !settled.contains(batch)) {
            self.ledger.queue.push_front(batch);
            self.release_noticed(&batch);
        }
    }

    pub(super) fn finalized(&mut self, finalized: &Finalized) {
        // A block can be final through a later one: `header` and `state` are that one's, and so is the evidence.
        let height = finalized.header.height;
        if height.get() > self.ledger.height() {
            self.set_state(finalized.state.clone());
        }
        self.ledger.delivered = Some(finalized.block.header().height.get());
        if !finalized.replayed {
            self.block_time(finalized.header.time);
        }
        let anchors = finalized.block.transactions().iter().filter_map(|transaction| match transaction {
            Transaction::Anchor(anchor) if anchor.authority == self.authority => Some(anchor),
            _ => None,
        });
        let own: Vec<_> = anchors.collect();
        for anchor in &own {
            self.requeue(anchor.sequence, &anchor.batches);
        }
        self.statements_final(finalized);
        let mut proofs: BTreeMap<Digest, Option<RegistryProof>> = BTreeMap::new();
        let mut receipts: BTreeMap<VehicleId, Vec<(BatchId, Bytes)>> = BTreeMap::new();
        let mut uncounted = 0u64;
        for entry in &finalized.entries {
            let Some(held) = self.held.get(&entry.batch) else { continue };
            let index = entry.inclusion.index;
            if held.entries.contains(&index) || held.entries.len() >= MAX_ENTRIES {
                continue;
            }
            let proof =
                proofs.entry(held.commitment).or_insert_with(|| finalized.state.prove(&held.commitment));
            let Some(proof) = proof.clone().filter(|proof| proof.entry.counts_at(height)) else {
                uncounted += 1;
                continue;
            };
            let evidence = AnchorProof::new(
                finalized.header.clone(),
                finalized.certificate.clone(),
                finalized.root_signatures.clone(),
                entry.inclusion.clone(),
                proof,
            );
            let evidence = evidence.to_bytes();
            let first = held.evidence.is_none();
            self.counters.anchored_records += if first { u64::from(held.count) } else { 0 };
            if first && !held.boot.is_foreign() {
                receipts.entry(held.vehicle.clone()).or_default().push((entry.batch, evidence.clone()));
            }
            let stored = EvidenceEntry { batch: entry.batch, height: height.get(), evidence };
            let at = self.append(Entry::Evidence(stored).encode());
            if let Some(held) = self.held.get_mut(&entry.batch) {
                held.entries.push(index);
                match first {
                    true => held.evidence = Some(at),
                    false => held.further.push_back(at),
                }
            }
            self.disk.then(Then::Forward(entry.batch));
        }
        for batch in own.iter().flat_map(|anchor| &anchor.batches) {
            self.release_noticed(batch);
        }
        if uncounted > 0 {
            self.log(format!(
                "{uncounted} batches were anchored after their keys were revoked: they do not count"
            ));
            self.drop_revoked();
        }
        for (vehicle, items) in receipts {
            if let Some(session) = self.sessions.of_vehicle(&vehicle) {
                self.send_receipts(session, &vehicle, items);
            }
        }
    }

    fn send_receipts(&mut self, session: SessionId, vehicle: &VehicleId, items: Vec<(BatchId, Bytes)>) {
        let each = items.first().map_or(1, |(_, evidence)| evidence.len() + 64);
        let per_message = (RECEIPT_BYTES / each).clamp(1, MAX_RECEIPTS);
        for part in items.chunks(per_message) {
            let payload = encode_receipts(part.to_vec());
            let (vehicle, topic) = (vehicle.clone(), Topic::Receipt);
            self.outputs.push(Output::ToVehicle { session, vehicle, topic, payload });
        }
    }

    /// Batches of revoked keys that no evidence can be made for: quarantined, and not held any longer.
    fn drop_revoked(&mut self) {
        let Some(state) = self.ledger.state.clone() else { return };
        let revoked =
            self.held.iter().filter(|(_, held)| held.evidence.is_none()).filter_map(|(id, held)| {
                let height = state.registry().get(&held.commitment)?.revoked_at?.get();
                Some((*id, held.vehicle.clone(), held.entry.0, height))
            });
        let revoked: Vec<_> = revoked.collect();
        for (id, vehicle, entry, height) in revoked {
            let refusal = Refusal::Revoked { height };
            self.quarantine_entry(&refusal, "this fog node", &format!("v1/{vehicle}/batch"), entry);
            self.archived(id);
            self.counters.archived_batches -= 1;
        }
    }

    pub(super) fn handovers(&mut self, handovers: Bytes) {
        if self.ledger.handovers.as_ref() == Some(&handovers) {
            return;
        }
        self.ledger.handovers = Some(handovers.clone());
        let all: Vec<_> =
            self.sessions.vehicles().map(|(vehicle, session)| (vehicle.clone(), session)).collect();
        for (vehicle, session) in all {
            let (topic, payload) = (Topic::Trust, handovers.clone());
            self.outputs.push(Output::ToVehicle { session, vehicle, topic, payload });
        }
        self.outputs.push(Output::TrustToCloud(handovers));
    }
}
