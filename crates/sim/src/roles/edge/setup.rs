//! Setup of a vehicle.

use crate::{
    checker::Checker,
    net::{Net, NodeAddress},
};
use ed25519_dalek::SigningKey;
use std::time::SystemTime;
use voltmesh_ledger::Trust;
use voltmesh_telemetry::VehicleId;

/// Setup of a vehicle.
#[derive(Clone)]
pub struct Setup {
    /// Where it is.
    pub place: NodeAddress,
    /// Its name.
    pub vehicle: VehicleId,
    /// Signs its batches.
    pub key: SigningKey,
    /// Of its enrolment.
    pub salt: [u8; 32],
    /// The chain and the cloud it believes.
    pub trust: Trust,
    /// The fog nodes it may use.
    pub fogs: Vec<(NodeAddress, String)>,
    /// What connects it with the others.
    pub net: Net,
    /// Sees all.
    pub checker: Checker,
    /// Between two readings of the source, milliseconds.
    pub sample_ms: u64,
    /// Samples of a reading, a millisecond apart.
    pub samples: u64,
    /// A batch holds at most so many records.
    pub batch_records: usize,
    /// No samples are taken from then on.
    pub ends: SystemTime,
    /// Counts its boots from 1; else the first is the clock's seconds.
    pub new_vehicle: bool,
    /// Of its back-off.
    pub seed: u64,
}
