//! Messages between vehicles, fog nodes and the controller, as their sessions carry them.

use bytes::Bytes;
use voltmesh_telemetry::{Boot, Sample};

/// Samples of a vehicle with what its twin says of them. In production they are sealed and signed, and a fog node's ingest has
/// checked and kept them before functions see them; here they come as they are.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Boot of the vehicle's agent.
    pub boot: Boot,
    /// In the order of their time.
    pub samples: Vec<Sample>,
    /// JSON of the report beside them.
    pub report: Option<Vec<u8>>,
}

/// Vehicle → fog node.
#[derive(Clone, Debug)]
pub enum FromVehicle {
    /// Samples.
    Batch(Batch),
    /// JSON of an answer to a command.
    Answer(Bytes),
}

/// Controller → fog node.
#[derive(Clone, Debug)]
pub enum FromController {
    /// JSON of an order.
    Order(Bytes),
    /// A signed package.
    Release(Bytes),
}

/// Fog node → controller.
#[derive(Clone, Debug)]
pub enum Up {
    /// JSON of a report that is not an event.
    Report(Bytes),
    /// JSON of an event, and its position in the node's journal.
    Event(u64, Bytes),
    /// JSON of summaries.
    Summaries(Bytes),
}
