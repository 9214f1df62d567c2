//! Batches of vehicles: checked in the order in which they came, held until they are archived.

use std::collections::VecDeque;

use bytes::Bytes;
use voltmesh_control::Opening;
use voltmesh_telemetry::{BatchId, Digest, SealedBatch, Signer, VehicleId, batch::MAX_WIRE_BYTES};

use super::{
    claim::Claim,
    core::Ingest,
    entry::{BatchEntry, Entry},
    feed::{Feed, FeedContent},
    io::{Output, Topic},
    job::Job,
    refusal::{Delay, Refusal, Reject, malformed, oversized},
    state::{
        chain::{Fit, Link},
        disk::Then,
        held::Held,
        session::Verifying,
    },
};

impl Ingest {
    pub(super) fn batch(&mut self, claim: Claim, payload: &Bytes) -> Result<(), Reject> {
        oversized("batch", payload, MAX_WIRE_BYTES)?;
        let Some(session) = self.sessions.all.get(&claim.session) else { return Ok(()) };
        let Some(enrolled) = &session.enrolled else { return Err(Delay::NoHello.into()) };
        if let Some(height) = enrolled.revoked {
            return Err(Refusal::Revoked { height }.into());
        }
        let batch = SealedBatch::parse(payload.clone()).map_err(|error| malformed("batch", error))?;
        let header = batch.header();
        if header.signer != Signer::Vehicle || header.vehicle != session.vehicle {
            return Err(Reject::For(Refusal::WrongVehicle {
                batch: format!("{}/{}", header.vehicle, header.boot),
                peer: session.peer.identity.to_string(),
            }));
        }
        if header.key_id != enrolled.key_id {
            return Err(Reject::For(Refusal::WrongKey { expected: enrolled.key_id, found: header.key_id }));
        }
        let (vehicle, enrolled) = (session.vehicle.clone(), enrolled.clone());
        if self.again(claim, &vehicle, batch.id()) {
            return Ok(());
        }
        self.room(payload.len())?;
        self.disk.enter(payload.len());
        self.sessions.tickets += 1;
        let ticket = self.sessions.tickets;
        let job = Job::Verify { ticket, batch: Box::new(batch.clone()), key: enrolled.key };
        self.sessions.verifying.push_back(Verifying { ticket, claim, batch, enrolled, result: None });
        self.outputs.push(Output::Work(job));
        Ok(())
    }

    /// A batch that is known: acknowledged again, with what it has come to meanwhile.
    fn again(&mut self, claim: Claim, vehicle: &VehicleId, id: BatchId) -> bool {
        let session = claim.session;
        if let Some(held) = self.held.get(&id) {
            let durable = self.durable_below();
            if held.entry.0 >= durable {
                // It waits for the disk with the others of its group; so does this answer.
                self.disk.answer(claim, 0, 0);
            } else {
                let evidence = held.evidence.map(|(at, _)| at).filter(|at| *at < durable);
                self.disk.answer(claim, 0, 0);
                if let Some(at) = evidence {
                    let (vehicle, entries) = (vehicle.clone(), vec![at]);
                    self.outputs.push(Output::ReceiptsFromSpool { session, vehicle, entries });
                }
            }
        } else if let Some(payload) = self.uplink.notice_of(vehicle, &id) {
            self.disk.answer(claim, 0, 0);
            let (vehicle, topic) = (vehicle.clone(), Topic::Notice);
            self.outputs.push(Output::ToVehicle { session, vehicle, topic, payload });
        } else {
            return false;
        }
        self.counters.duplicates += 1;
        true
    }

    pub(super) fn verified(&mut self, ticket: u64, result: Result<(), String>) {
        let waiting = &mut self.sessions.verifying;
        if let Ok(at) = waiting.binary_search_by_key(&ticket, |verifying| verifying.ticket) {
            waiting[at].result = Some(result);
        }
        while self.sessions.verifying.front().is_some_and(|first| first.result.is_some()) {
            if let Some(first) = self.sessions.verifying.pop_front() {
                self.take(first);
            }
        }
    }

    /// A batch in its turn, whose signature was checked.
    fn take(&mut self, verifying: Verifying) {
        let Verifying { claim, batch, enrolled, result, .. } = verifying;
        let size = batch.wire().len();
        let header = batch.header();
        let link = Link { id: batch.id(), count: header.count, previous: header.previous };
        let fit = match result.unwrap_or_else(|| Err("it was not checked".into())) {
            Ok(()) => self.chains.fit(&header.vehicle, header.boot, header.first, &link),
            Err(why) => Err(Refusal::Unverified { why }),
        };
        let held = self.held.contains_key(&batch.id());
        match fit {
            Err(refusal) => {
                self.disk.leave(size as u64);
                let topic = format!("v1/{}/batch", header.vehicle);
                self.refuse(claim, &refusal, &topic, batch.wire());
            }
            Ok(Fit::Known) if held => {
                self.counters.duplicates += 1;
                self.disk.answer(claim, 0, size);
            }
            // Known, but neither held nor with a notice at hand: forwarded again, so that the cloud gives its notice.
            Ok(fit) => {
                if fit == Fit::Gap {
                    self.counters.gaps += 1;
                }
                self.disk.answer(claim, 0, size);
                self.hold(&batch, link, enrolled.commitment, &enrolled.opening, Vec::new());
                self.counters.received_records += u64::from(batch.header().count);
                if self.feeding && fit != Fit::Known {
                    let content = FeedContent::Batch(batch.wire().clone());
                    self.disk.then(Then::Feed(Feed { arrived_us: claim.arrived_us, content }));
                }
            }
        }
    }

    /// Puts a batch into the spool; it is anchored once it is durable.
    pub(super) fn hold(
        &mut self,
        batch: &SealedBatch,
        link: Link,
        commitment: Digest,
        opening: &Opening,
        sources: Vec<(voltmesh_spool::Position, u32)>,
    ) {
        let header = batch.header();
        let height = self.ledger.height();
        let entry = Entry::Batch(BatchEntry {
            received: self.now,
            height,
            opening: BatchEntry::opening_bytes(opening),
            sources: sources.clone(),
            wire: batch.wire().clone(),
        });
        let entry = self.append(entry.encode());
        if !header.boot.is_foreign() {
            self.chains.insert(&header.vehicle, header.boot, header.first, link);
        }
        let held = Held {
            vehicle: header.vehicle.clone(),
            boot: header.boot,
            first: header.first,
            count: header.count,
            commitment,
            entry,
            evidence: None,
            further: VecDeque::new(),
            entries: Vec::new(),
            height,
            sources,
        };
        self.held.insert(batch.id(), held);
        self.disk.then(Then::Anchor(batch.id()));
        self.counters.received_batches += 1;
    }

    /// A batch is archived: nothing of it is needed any more. False if it is not held.
    pub(super) fn archived(&mut self, batch: BatchId) -> bool {
        let Some(held) = self.held.remove(&batch) else { return false };
        self.uplink.forget(&batch);
        self.counters.archived_batches += 1;
        self.disk.release(held.entry);
        for evidence in held.evidence.into_iter().chain(held.further) {
            self.disk.release(evidence);
        }
        self.chains.release(&held.vehicle, held.boot, held.first, self.settings.limits.remembered);
        self.sources_archived(&held.sources);
        self.batch_settled(&batch);
        true
    }
}
