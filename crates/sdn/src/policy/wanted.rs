//! What a vehicle is to have: a function with all that placing and running it needs, and why.

use super::function::{BatteryKey, Bounds, Latency};
use crate::Condition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use voltmesh_battery::Chemistry;
use voltmesh_battery::watch::Stage;
use voltmesh_telemetry::{Timestamp, VehicleId};

/// What is known of a vehicle that decides which entries are for it.
#[derive(Debug, Clone, PartialEq)]
pub struct VehicleFacts {
    /// Which vehicle.
    pub vehicle: VehicleId,
    /// Chemistry of its cells, where it is known.
    pub chemistry: Option<Chemistry>,
    /// Groups that operators have put it into.
    pub groups: BTreeSet<String>,
    /// What the vehicle says of its battery.
    pub battery: Battery,
}

/// Nameplate of a battery, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Battery {
    /// Charge of one parallel group when new, in Ah.
    pub capacity_ah: Option<f64>,
    /// Cells in series.
    pub cells: Option<u32>,
}

/// A function that a vehicle would have, were more known of its battery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lacking {
    /// Name of the function.
    pub function: String,
    /// What is not known.
    pub key: BatteryKey,
}

/// Why a vehicle has a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Name of the policy's entry.
    pub entry: String,
    /// The condition; none for what every vehicle has.
    pub condition: Option<Condition>,
    /// How urgent it is.
    pub stage: Option<Stage>,
    /// Rule by which the vehicle is in the condition.
    pub rule: Option<String>,
    /// Whether the condition is over, and the function only stays for its minimum time.
    pub over: bool,
}

/// A function that a vehicle is to have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wanted {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// Its configuration.
    pub configuration: serde_json::Map<String, serde_json::Value>,
    /// Which is served first where room is short, 0..100.
    pub priority: u8,
    /// Latency class.
    pub latency: Latency,
    /// Millionths of one core that its calls take.
    pub load_ppm: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// What a fog node must be able to do.
    pub capabilities: Vec<String>,
    /// Functions of the same vehicle that may not run on the same fog node.
    pub apart_from: Vec<String>,
    /// Bounds of its commands.
    pub bounds: Bounds,
    /// Commands a minute that it may give.
    pub commands_per_min: u32,
    /// Since when it is wanted without a break.
    pub since: Timestamp,
    /// Why, the most urgent reason first; never empty.
    pub reasons: Vec<Reason>,
}
