//! Batches that wait for their archive notice.

use std::collections::{BTreeMap, VecDeque};

use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Boot, Digest, RecordNumber, VehicleId};

/// A batch that waits for its archive notice.
#[derive(Debug, Clone)]
pub struct Held {
    pub vehicle: VehicleId,
    pub boot: Boot,
    pub first: RecordNumber,
    pub count: u32,
    /// Whose registry entry the evidence proves.
    pub commitment: Digest,
    /// Its entry and the entry's size.
    pub entry: (Position, u32),
    /// The entry of its evidence, once it is anchored, and its size.
    /// What goes to the cloud, or went last.
    pub evidence: Option<(Position, u32)>,
    /// Evidence of further entries of the log that name it: each goes to the cloud once the one before is answered.
    pub further: VecDeque<(Position, u32)>,
    /// The entries of the log whose evidence is, or was, among these.
    pub entries: Vec<u64>,
    /// This node's height when it was received.
    pub height: u64,
    /// For attested batches: where the records came from.
    pub sources: Vec<(Position, u32)>,
}

/// Batches that wait for their archive notice, by name.
pub type HeldBatches = BTreeMap<BatchId, Held>;
