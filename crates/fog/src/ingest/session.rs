//! Connected peers and what they publish: topics bound to the certificate, hellos, batches.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use voltmesh_control::{Hello, MAX_HELLO_BYTES, Opening, commitment};
use voltmesh_identity::{Peer, Role};
use voltmesh_mqtt::SessionId;
use voltmesh_telemetry::{BatchId, Digest, SealedBatch, Signer, VehicleId, batch::MAX_WIRE_BYTES};

use super::{
    Feed, FeedContent, Ingest, Output, Topic,
    chain::{Fit, Link},
    durable::{Held, Then},
    entry::{BatchEntry, Entry},
    job::Job,
    refusal::{Delay, Refusal},
};

/// Receipts of earlier batches that a vehicle is given after its hello; the rest follow when it offers them again.
const RECEIPTS_AT_HELLO: usize = 256;

/// A publish that waits for its answer. `token` and `arrived_us` are the shell's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub session: SessionId,
    /// Which of that session.
    pub token: u64,
    /// When it arrived, for the latency of its answer.
    pub arrived_us: u64,
}

/// What a peer may publish under `v1/<its id>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hello,
    Batch,
    Sample,
    Answer,
}

/// A presented and enrolled key.
#[derive(Debug, Clone)]
struct Enrolled {
    opening: Opening,
    commitment: Digest,
    key: VerifyingKey,
    key_id: Digest,
    /// Height of its revocation.
    revoked: Option<u64>,
}

#[derive(Debug)]
struct Session {
    peer: Peer,
    /// The certificate's id as a vehicle's name.
    vehicle: VehicleId,
    enrolled: Option<Enrolled>,
}

impl Session {
    /// The topic's kind, if it is one of the peer's own.
    fn kind(&self, topic: &str) -> Option<Kind> {
        let name = topic.strip_prefix("v1/")?.strip_prefix(self.vehicle.as_str())?.strip_prefix('/')?;
        match (self.peer.identity.role, name) {
            (Role::Edge, "hello") => Some(Kind::Hello),
            (Role::Edge, "batch") => Some(Kind::Batch),
            (Role::Edge, "answer") => Some(Kind::Answer),
            (Role::Edge | Role::Client, "sample") => Some(Kind::Sample),
            _ => None,
        }
    }

    /// Whether samples may come without a signature: from a client by its certificate, from a vehicle once its key is
    /// presented, and as long as the registry has not revoked it.
    fn may_sample(&self) -> Result<(), Reject> {
        match (self.peer.identity.role, &self.enrolled) {
            (Role::Edge, None) => Err(Delay::NoHello.into()),
            (Role::Edge, Some(Enrolled { revoked: Some(height), .. })) => {
                Err(Refusal::Revoked { height: *height }.into())
            }
            _ => Ok(()),
        }
    }
}

/// A batch whose signature is being checked.
#[derive(Debug)]
struct Verifying {
    ticket: u64,
    claim: Claim,
    batch: SealedBatch,
    enrolled: Enrolled,
    result: Option<Result<(), String>>,
}

/// All sessions, and the batches under verification, which are taken in the order in which they came.
#[derive(Debug, Default)]
pub struct Sessions {
    all: BTreeMap<SessionId, Session>,
    by_vehicle: BTreeMap<VehicleId, SessionId>,
    verifying: VecDeque<Verifying>,
    tickets: u64,
}

impl Sessions {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn remove(&mut self, session: SessionId) {
        if let Some(gone) = self.all.remove(&session)
            && self.by_vehicle.get(&gone.vehicle) == Some(&session)
        {
            self.by_vehicle.remove(&gone.vehicle);
        }
    }

    /// Removes a session; false if it was gone.
    pub fn end(&mut self, session: SessionId) -> bool {
        let there = self.all.contains_key(&session);
        self.remove(session);
        there
    }

    pub fn name(&self, session: SessionId) -> String {
        self.all.get(&session).map_or_else(|| "a closed session".into(), |s| s.peer.identity.to_string())
    }

    /// The session of a vehicle that has said hello.
    pub fn of_vehicle(&self, vehicle: &VehicleId) -> Option<SessionId> {
        self.by_vehicle.get(vehicle).copied()
    }

    /// The session that a vehicle takes commands by, and whether its key is revoked.
    pub fn commanded(&self, vehicle: &VehicleId) -> Option<(SessionId, bool)> {
        let session = self.of_vehicle(vehicle)?;
        let enrolled = self.all.get(&session)?.enrolled.as_ref()?;
        Some((session, enrolled.revoked.is_some()))
    }

    /// All vehicles that have said hello.
    pub fn vehicles(&self) -> impl Iterator<Item = (&VehicleId, SessionId)> {
        self.by_vehicle.iter().map(|(vehicle, session)| (vehicle, *session))
    }

    pub fn client(&self, session: SessionId) -> Option<&VehicleId> {
        self.all.get(&session).map(|session| &session.vehicle)
    }
}

impl Ingest {
    pub(super) fn connected(&mut self, session: SessionId, peer: Peer) {
        if self.sessions.len() >= self.settings.limits.sessions {
            let why = format!("{} sessions are open, try another fog node", self.sessions.len());
            self.outputs.push(Output::Disconnect { session, reason: 0x97, why });
            return;
        }
        // The same rules bind both names, so this fails only for what could own no topic anyway.
        let Ok(vehicle) = peer.identity.id().parse() else {
            let why = format!("{} cannot name a vehicle", peer.identity);
            self.outputs.push(Output::Disconnect { session, reason: 0x87, why });
            return;
        };
        match peer.identity.role {
            Role::Client if self.is_of_a_vehicle(&vehicle) => {
                self.counters.clients_with_vehicles_ids += 1;
                let why =
                    format!("{vehicle} is a vehicle's id: a client needs a certificate with one of its own");
                self.outputs.push(Output::Disconnect { session, reason: 0x87, why });
                return;
            }
            Role::Edge => self.end_clients_of(&vehicle),
            _ => {}
        }
        self.sessions.all.insert(session, Session { peer, vehicle, enrolled: None });
    }

    /// Whether this node knows a vehicle of that id: by a session, or by its batches.
    fn is_of_a_vehicle(&self, id: &VehicleId) -> bool {
        let mut sessions = self.sessions.all.values();
        self.chains.knows(id)
            || sessions.any(|one| one.peer.identity.role == Role::Edge && one.vehicle == *id)
    }

    /// An id belongs to one role. Where a vehicle has it, a client that has its certificate, too, would write into the
    /// vehicle's history.
    fn end_clients_of(&mut self, vehicle: &VehicleId) {
        let clients = self.sessions.all.iter();
        let clients =
            clients.filter(|(_, one)| one.peer.identity.role == Role::Client && one.vehicle == *vehicle);
        for session in clients.map(|(session, _)| *session).collect::<Vec<_>>() {
            self.sessions.end(session);
            self.counters.clients_with_vehicles_ids += 1;
            let why = format!("{vehicle} is a vehicle's id, and the vehicle has come");
            self.outputs.push(Output::Disconnect { session, reason: 0x87, why });
        }
    }

    pub(super) fn publish(&mut self, claim: Claim, topic: &str, payload: Bytes) {
        match self.take_publish(claim, topic, &payload) {
            Ok(()) => {}
            Err(Reject::For(refusal)) => self.refuse(claim, &refusal, topic, &payload),
            Err(Reject::Now(delay)) => self.delay(claim.session, &delay),
        }
    }

    fn take_publish(&mut self, claim: Claim, topic: &str, payload: &Bytes) -> Result<(), Reject> {
        let Some(session) = self.sessions.all.get(&claim.session) else { return Ok(()) };
        match session.kind(topic) {
            Some(Kind::Sample) => session.may_sample().and_then(|()| self.sample(claim, payload)),
            Some(Kind::Batch) => self.batch(claim, payload),
            Some(Kind::Hello) => self.hello(claim, payload),
            Some(Kind::Answer) => {
                session.may_sample()?;
                let vehicle = session.vehicle.clone();
                self.answered(claim, vehicle, payload)
            }
            None => Err(Reject::For(Refusal::ForeignTopic {
                topic: topic.chars().take(128).collect(),
                peer: session.peer.identity.to_string(),
            })),
        }
    }

    /// Takes what a peer left for its end, also if this node has ended the session: as any publish, but a failure that will
    /// pass finds nobody who could send it again. That is said.
    pub(super) fn will(&mut self, claim: Claim, peer: Peer, topic: &str, payload: Bytes) {
        let session = claim.session;
        let gone = !self.sessions.all.contains_key(&session);
        if gone {
            let Ok(vehicle) = peer.identity.id().parse() else { return };
            self.sessions.all.insert(session, Session { peer: peer.clone(), vehicle, enrolled: None });
        }
        match self.take_publish(claim, topic, &payload) {
            Ok(()) => self.counters.wills += 1,
            Err(Reject::For(refusal)) => self.refuse(claim, &refusal, topic, &payload),
            Err(Reject::Now(delay)) => {
                self.counters.delay(&delay);
                self.counters.wills_lost += 1;
                self.log(format!("the will of {} is lost: {delay}", peer.identity));
            }
        }
        if gone {
            self.sessions.remove(session);
        }
    }

    fn hello(&mut self, claim: Claim, payload: &Bytes) -> Result<(), Reject> {
        oversized("hello", payload, MAX_HELLO_BYTES)?;
        let hello = Hello::decode(payload).map_err(|error| malformed("hello", error))?;
        let key =
            VerifyingKey::from_bytes(&hello.opening.key).map_err(|error| malformed("hello's key", error))?;
        let Some(session) = self.sessions.all.get_mut(&claim.session) else { return Ok(()) };
        let vehicle = session.vehicle.clone();
        let commitment = commitment(&vehicle, &hello.opening);
        let revoked = self.ledger.lookup(&commitment)?;
        self.ledger.serves()?;
        if let Some(height) = revoked {
            return Err(Reject::For(Refusal::Revoked { height }));
        }
        let key_id = Digest::of(&hello.opening.key);
        session.enrolled = Some(Enrolled { opening: hello.opening, commitment, key, key_id, revoked });
        self.sessions.by_vehicle.insert(vehicle.clone(), claim.session);
        self.disk.answer(claim, 0, 0);
        self.vehicle_clock(&vehicle, &hello);
        self.greet(claim.session, &vehicle);
        Ok(())
    }

    /// What a vehicle missed while it was away.
    fn greet(&mut self, session: SessionId, vehicle: &VehicleId) {
        if let Some(payload) = self.ledger.handovers() {
            let (vehicle, topic) = (vehicle.clone(), Topic::Trust);
            self.outputs.push(Output::ToVehicle { session, vehicle, topic, payload });
        }
        for payload in self.uplink.missed_notices(vehicle) {
            let (vehicle, topic) = (vehicle.clone(), Topic::Notice);
            self.outputs.push(Output::ToVehicle { session, vehicle, topic, payload });
        }
        let known = self.chains.latest(vehicle, RECEIPTS_AT_HELLO);
        let durable = self.durable_below();
        let evidence = known.iter().filter_map(|id| self.held.get(id)?.evidence);
        let entries: Vec<_> = evidence.map(|(at, _)| at).filter(|at| *at < durable).collect();
        if !entries.is_empty() {
            self.outputs.push(Output::ReceiptsFromSpool { session, vehicle: vehicle.clone(), entries });
        }
    }

    fn batch(&mut self, claim: Claim, payload: &Bytes) -> Result<(), Reject> {
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
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&opening.salt);
        bytes[32..].copy_from_slice(&opening.key);
        let entry = Entry::Batch(BatchEntry {
            received: self.now,
            height,
            opening: bytes,
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

    /// Notes which of the presented keys the registry has revoked meanwhile.
    pub(super) fn recheck_sessions(&mut self) {
        for session in self.sessions.all.values_mut() {
            if let Some(enrolled) = &mut session.enrolled {
                enrolled.revoked = self.ledger.lookup(&enrolled.commitment).unwrap_or_default();
            }
        }
    }
}

/// A publish that is not taken.
pub enum Reject {
    /// For good.
    For(Refusal),
    /// For now.
    Now(Delay),
}

impl From<Refusal> for Reject {
    fn from(refusal: Refusal) -> Self {
        Self::For(refusal)
    }
}

impl From<Delay> for Reject {
    fn from(delay: Delay) -> Self {
        Self::Now(delay)
    }
}

pub(super) fn malformed(what: &'static str, error: impl std::fmt::Display) -> Reject {
    Reject::For(Refusal::Malformed { what, why: error.to_string() })
}

pub(super) fn oversized(what: &'static str, payload: &Bytes, limit: usize) -> Result<(), Reject> {
    if payload.len() > limit {
        return Err(Reject::For(Refusal::Oversized { what, size: payload.len(), limit }));
    }
    Ok(())
}
