//! What the policy says of one function: needs, bounds of its commands, and what of it may be tuned.

use serde::{Deserialize, Serialize};
use voltmesh_control::{ActionKind, Allowed};

/// Latency class of a function: how old what it sees may be, and how long its command may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// It protects at once: a round trip of 20 ms at most.
    Immediate,
    /// It controls within a second: 200 ms.
    Second,
    /// It observes, or acts within a minute: 2 s.
    Minute,
}

impl Latency {
    /// Longest round trip between vehicle and fog node in µs that does its work no harm.
    #[must_use]
    pub const fn round_trip_us(self) -> u64 {
        match self {
            Self::Immediate => 20_000,
            Self::Second => 200_000,
            Self::Minute => 2_000_000,
        }
    }
}

/// Bounds of the commands that a function may give; what is absent it may not command at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Bounds {
    /// Least and most of a charge limit in A.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_limit_a: Option<[f64; 2]>,
    /// Least and most of a discharge limit in A.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discharge_limit_a: Option<[f64; 2]>,
    /// Lowest and highest target temperature in °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_temperature_c: Option<[f64; 2]>,
    /// Most groups that are bled at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance_groups: Option<u16>,
    /// Least and most samples a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling_rate_hz: Option<[f64; 2]>,
    /// Least and most share of its own limits that the vehicle is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derate: Option<[f64; 2]>,
    /// Whether charging may be ended.
    pub stop_charging: bool,
}

/// Name of a bound, its range where one is stated, and what no range may leave.
type NamedRange = (&'static str, Option<[f64; 2]>, [f64; 2]);

impl Bounds {
    /// The ranges with their names and what no range may leave.
    fn ranges(&self) -> [NamedRange; 5] {
        [
            ("charge-limit-a", self.charge_limit_a, [0.0, 5_000.0]),
            ("discharge-limit-a", self.discharge_limit_a, [0.0, 5_000.0]),
            ("target-temperature-c", self.target_temperature_c, [-20.0, 60.0]),
            ("sampling-rate-hz", self.sampling_rate_hz, [0.001, 1_000.0]),
            ("derate", self.derate, [0.0, 1.0]),
        ]
    }

    /// Whether every range is one, and within what none may leave.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, range, [least, most]) in self.ranges() {
            let Some([from, to]) = range else { continue };
            if !(least <= from && from <= to && to <= most) {
                return Err(format!(
                    "bounds: {name} is [least, most] within {least}..{most}, not [{from}, {to}]"
                ));
            }
        }
        Ok(())
    }

    /// As leases have them, in the units of commands: what a range cuts to is inside it.
    #[must_use]
    pub fn allowed(&self, commands_per_min: u32) -> Allowed {
        let range = |kind, bounds: Option<[f64; 2]>, factor: f64| {
            let whole =
                |[least, most]: [f64; 2]| ((least * factor).ceil() as i64, (most * factor).floor() as i64);
            bounds.map(|bounds| (kind, whole(bounds)))
        };
        let groups = self.balance_groups.map(|most| (ActionKind::Balance, (0, i64::from(most))));
        let stop = self.stop_charging.then_some((ActionKind::StopCharging, (0, 0)));
        let ranges = [
            range(ActionKind::ChargeLimit, self.charge_limit_a, 1e3),
            range(ActionKind::DischargeLimit, self.discharge_limit_a, 1e3),
            range(ActionKind::TargetTemperature, self.target_temperature_c, 100.0),
            groups,
            range(ActionKind::SamplingRate, self.sampling_rate_hz, 1e3),
            range(ActionKind::Derate, self.derate, 1e6),
            stop,
        ];
        Allowed { ranges: ranges.into_iter().flatten().collect(), commands_per_min }
    }
}

/// What a function is to know of a vehicle's battery, by its key in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatteryKey {
    /// Charge of one parallel group when new, in Ah. Who needs it gets no configuration without it.
    CapacityAh,
    /// Chemistry of the cells. Who needs it gets no configuration without it: limits of the wrong one are worse than none.
    Chemistry,
    /// Cells in series; left out where it is unknown.
    Cells,
}

impl BatteryKey {
    /// As configurations have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CapacityAh => "capacity_ah",
            Self::Chemistry => "chemistry",
            Self::Cells => "cells",
        }
    }
}

/// Direction in which a tuned value makes a function act more strongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stronger {
    /// A larger value acts more strongly.
    Higher,
    /// A smaller value does.
    Lower,
}

/// A number of a function's configuration that outcomes may tune, with its bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tunable {
    /// Key in the configuration.
    pub key: String,
    /// Least value.
    pub least: f64,
    /// Largest value.
    pub most: f64,
    /// By how much one step changes it.
    pub step: f64,
    /// Which way acts more strongly.
    pub stronger: Stronger,
    /// Outcomes that a step needs.
    pub evidence: u32,
}

/// A function as the policy knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Function {
    /// Name, as its manifest has it.
    pub name: String,
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
    /// Shortest time in s that it runs: a condition that comes and goes does not start and end it each time.
    pub minimum_stay_s: u32,
    /// Commands a minute that it may give.
    pub commands_per_min: u32,
    /// Bounds of its commands.
    pub bounds: Bounds,
    /// What of its configuration is the vehicle's battery's, unless it is written.
    pub from_battery: Vec<BatteryKey>,
    /// Configuration, unless an entry says otherwise.
    pub configuration: serde_json::Map<String, serde_json::Value>,
    /// What outcomes may tune.
    pub tune: Vec<Tunable>,
    /// What takes its place where it does not help, in this order.
    pub instead: Vec<String>,
    /// Whether it may be withdrawn where it does not help and nothing takes its place.
    pub withdraw: bool,
}
