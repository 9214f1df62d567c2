//! Connected peers, their enrolled keys, and the batches whose signatures are being checked.

use std::collections::{BTreeMap, VecDeque};

use ed25519_dalek::VerifyingKey;
use voltmesh_control::Opening;
use voltmesh_identity::{Peer, Role};
use voltmesh_mqtt::SessionId;
use voltmesh_telemetry::{Digest, SealedBatch, VehicleId};

use crate::ingest::{
    claim::Claim,
    refusal::{Delay, Refusal, Reject},
};

/// What a peer may publish under `v1/<its id>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hello,
    Batch,
    Sample,
    Answer,
}

/// A presented and enrolled key.
#[derive(Debug, Clone)]
pub struct Enrolled {
    pub opening: Opening,
    pub commitment: Digest,
    pub key: VerifyingKey,
    pub key_id: Digest,
    /// Height of its revocation.
    pub revoked: Option<u64>,
}

#[derive(Debug)]
pub struct Session {
    pub peer: Peer,
    /// The certificate's id as a vehicle's name.
    pub vehicle: VehicleId,
    pub enrolled: Option<Enrolled>,
}

impl Session {
    /// The topic's kind, if it is one of the peer's own.
    pub fn kind(&self, topic: &str) -> Option<Kind> {
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
    pub fn may_sample(&self) -> Result<(), Reject> {
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
pub struct Verifying {
    pub ticket: u64,
    pub claim: Claim,
    pub batch: SealedBatch,
    pub enrolled: Enrolled,
    pub result: Option<Result<(), String>>,
}

/// All sessions, and the batches under verification, which are taken in the order in which they came.
#[derive(Debug, Default)]
pub struct Sessions {
    pub all: BTreeMap<SessionId, Session>,
    pub by_vehicle: BTreeMap<VehicleId, SessionId>,
    pub verifying: VecDeque<Verifying>,
    pub tickets: u64,
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
