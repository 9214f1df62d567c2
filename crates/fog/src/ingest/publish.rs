//! What peers publish under their own topics: who may, hellos, wills.

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use voltmesh_control::{Hello, MAX_HELLO_BYTES, commitment};
use voltmesh_identity::Peer;
use voltmesh_mqtt::SessionId;
use voltmesh_telemetry::{Digest, VehicleId};

use super::{
    claim::Claim,
    core::Ingest,
    io::{Output, Topic},
    refusal::{Refusal, Reject, malformed, oversized},
    state::session::{Enrolled, Kind, Session},
};

/// Receipts of earlier batches that a vehicle is given after its hello; the rest follow when it offers them again.
const RECEIPTS_AT_HELLO: usize = 256;

impl Ingest {
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
}
