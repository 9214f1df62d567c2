//! The holding side of second copies: blocks that this node keeps for another.

use std::collections::{BTreeMap, BTreeSet};

use voltmesh_ledger::PublicKey;
use voltmesh_spool::Position;
use voltmesh_telemetry::{Digest, Timestamp};

/// What the first node has said when it was asked about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It was not asked since the last sign of it.
    No,
    /// Nothing yet.
    Silent,
    /// That it does not know of it.
    Disowned,
}

/// A block that this node holds for another.
#[derive(Debug)]
pub struct Holding {
    pub origin: PublicKey,
    pub entry: (Position, u32),
    /// Whether the first node signed what is in it.
    pub sealed: bool,
    /// When this node held it, or was restarted.
    pub since: Timestamp,
    pub due: Timestamp,
    pub asked: Asked,
    /// Whether the log says that nobody may attest it.
    pub told: bool,
}

/// State of the holding side.
#[derive(Debug, Default)]
pub struct Holdings {
    pub holding: BTreeMap<Digest, Holding>,
    pub due: BTreeSet<(Timestamp, Digest)>,
    pub held_bytes: BTreeMap<PublicKey, u64>,
    /// Being read for a take-over.
    pub loading: BTreeMap<Position, Digest>,
}

impl Holdings {
    pub fn deadline(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }
}
