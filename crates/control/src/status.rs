//! The state of any role, as its `/status` answers.

use crate::Error;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Most bytes of a status: 64 KiB.
pub const MAX_STATUS_BYTES: usize = 64 << 10;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// In the vehicle.
    Edge,
    /// Roadside unit.
    Fog,
    /// SDN controller.
    Controller,
    /// Archive.
    Cloud,
}

impl Role {
    /// The role's name in commands and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Edge => "edge",
            Role::Fog => "fog",
            Role::Controller => "controller",
            Role::Cloud => "cloud",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        [Role::Edge, Role::Fog, Role::Controller, Role::Cloud]
            .into_iter()
            .find(|role| role.as_str() == s)
            .ok_or_else(|| Error::Status(format!("{s:?} is no role")))
    }
}

/// Percentiles of one latency since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Median in microseconds.
    pub p50_us: u64,
    /// 99th percentile in microseconds.
    pub p99_us: u64,
    /// Values counted.
    pub count: u64,
}

impl From<&Histogram<u64>> for Latency {
    /// Percentiles of values in microseconds.
    fn from(microseconds: &Histogram<u64>) -> Self {
        Self {
            p50_us: microseconds.value_at_quantile(0.5),
            p99_us: microseconds.value_at_quantile(0.99),
            count: microseconds.len(),
        }
    }
}

/// What a role tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// What it is.
    pub role: Role,
    /// Which one.
    pub id: String,
    /// Whether it does its main job now.
    pub ready: bool,
    /// Counts since the process started, and gauges such as `height`.
    pub counters: BTreeMap<String, u64>,
    /// Latencies by name.
    pub latencies: BTreeMap<String, Latency>,
}

impl Status {
    /// A status without figures.
    pub fn new(role: Role, id: impl Into<String>) -> Self {
        Self { role, id: id.into(), ready: false, counters: BTreeMap::new(), latencies: BTreeMap::new() }
    }

    /// A counter; 0 if it is not there.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("maps with text keys are JSON")
    }

    /// Reads JSON of at most [`MAX_STATUS_BYTES`].
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Error::limit("status", json.len(), MAX_STATUS_BYTES)?;
        serde_json::from_slice(json).map_err(|error| Error::Status(error.to_string()))
    }
}
