//! What is to be placed, and where it can be.

use super::cost::Weights;
use crate::policy::{Latency, Wanted};
use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_telemetry::VehicleId;

/// A fog node with its room for functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it can do beyond every node.
    pub capabilities: Vec<String>,
    /// Millionths of one core that all functions together may take.
    pub load_ppm: u32,
    /// Memory in MiB that all functions together may take.
    pub memory_mib: u32,
    /// Functions that may run.
    pub instances: u32,
    /// Millionths of one core that its other work takes now.
    pub busy_ppm: u32,
}

/// A fog node as a vehicle sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Name of the node.
    pub node: String,
    /// Measured round trip in µs.
    pub round_trip_us: u64,
    /// Whether the vehicle has its session there now.
    pub session: bool,
}

/// A vehicle's function by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
}

/// A function that is to run somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub key: Key,
    /// Millionths of one core that its calls take.
    pub load_ppm: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// What a node must be able to do.
    pub capabilities: Vec<String>,
    /// Functions of the same vehicle that may not run on the same node; holds both ways.
    pub apart_from: Vec<String>,
    /// Latency class.
    pub latency: Latency,
    /// Which is served first where room is short, 0..100.
    pub priority: u8,
    /// Node that it runs on now. One that is not among the nodes is dead.
    pub at: Option<String>,
    /// The only node that it may be at, if it may not be at any that its vehicle reaches.
    pub only: Option<String>,
}

impl Item {
    /// What placing a wanted function needs; `at` is the node that it runs on now.
    #[must_use]
    pub fn of(wanted: &Wanted, at: Option<String>) -> Self {
        Self {
            key: Key { vehicle: wanted.vehicle.clone(), function: wanted.function.clone() },
            load_ppm: wanted.load_ppm,
            memory_mib: wanted.memory_mib,
            capabilities: wanted.capabilities.clone(),
            apart_from: wanted.apart_from.clone(),
            latency: wanted.latency,
            priority: wanted.priority,
            at,
            only: None,
        }
    }
}

/// Everything that a placement is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// Nodes that are alive, each name once.
    pub nodes: Vec<Node>,
    /// Nodes that each vehicle reaches: no others can run its functions.
    pub reach: BTreeMap<VehicleId, Vec<Reach>>,
    /// What is to run, each key once.
    pub items: Vec<Item>,
    /// What counts how much.
    pub weights: Weights,
}

/// Why a function runs nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyNowhere {
    /// No fog node that is alive knows the vehicle.
    Unreached,
    /// No node that the vehicle reaches has the capabilities.
    NoCapability,
    /// Those that have them are full, or hold what it must be apart from.
    NoRoom,
}

/// A function that has another node than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// Which.
    pub key: Key,
    /// Where it ran, if anywhere; a dead node too.
    pub from: Option<String>,
    /// Where it is to run; nowhere if its node is dead or wanted for others, and no other has room.
    pub to: Option<String>,
}

/// Where everything runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Placement {
    /// Cost of the whole, as `Weights` says, with what its moves cost.
    pub cost: u64,
    /// Node of each function that runs, with what its place costs.
    pub places: Vec<(Key, String, u64)>,
    /// What runs nowhere.
    pub nowhere: Vec<(Key, WhyNowhere)>,
    /// What is not where it was.
    pub moves: Vec<Move>,
    /// Whether something is not at the cheapest of its nodes, for want of room: then other choices may cost less.
    pub is_crowded: bool,
}

impl Placement {
    /// Node of a function.
    #[must_use]
    pub fn node(&self, key: &Key) -> Option<&str> {
        let found = self.places.binary_search_by(|(other, ..)| other.cmp(key)).ok()?;
        self.places.get(found).map(|(_, node, _)| node.as_str())
    }
}
