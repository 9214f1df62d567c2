//! A command of a function: signed for its vehicle, and what became of it.

use bytes::Bytes;
use voltmesh_telemetry::VehicleId;

/// A signed command.
#[derive(Debug)]
pub struct Signed {
    pub vehicle: VehicleId,
    pub function: String,
    pub number: u64,
    pub message: Bytes,
    /// When the record arrived that it follows, by the thread's clock.
    pub arrived_us: Option<u64>,
}

/// What became of a command.
#[derive(Debug)]
pub struct Sent {
    pub vehicle: VehicleId,
    pub function: String,
    pub number: u64,
    pub arrived_us: Option<u64>,
    /// Whether the vehicle's agent has it, or why not.
    pub delivered: Result<(), String>,
}
