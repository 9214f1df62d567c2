//! What outlives a process of one function: enough to go on as if nothing had been.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use voltmesh_control::{Action, Epoch, FleetShare};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

/// Most bytes of a snapshot's JSON: two states in hexadecimal, two configurations, a lease,
/// commands in force (masks of 1,024 groups), conditions and numbers.
pub const MAX_SNAPSHOT_BYTES: usize =
    2 * 2 * crate::MAX_STATE_BYTES + 2 * super::bounds::MAX_CONFIGURATION_BYTES + (32 << 10);

/// Snapshot of one function of one vehicle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// Term and number of the last order that this node carried out.
    pub order: (u32, u64),
    /// Term and count of the last lease.
    pub epoch: (u32, u32),
    /// End of the last lease in ms.
    pub until_ms: u64,
    /// What runs; nothing after the function's end.
    pub running: Option<Running>,
}

/// What runs, within a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// SHA-256 of the component.
    pub release: Digest,
    /// Its configuration.
    pub configuration: serde_json::Value,
    /// The signed lease in hexadecimal.
    pub lease: String,
    /// The last exported state.
    pub state: State,
    /// Number of the next event within the lease.
    pub next_event: u64,
    /// Number from which on no command was sent.
    pub next_command: u64,
    /// Commands that may be in force.
    pub commands: Vec<Sent>,
    /// Conditions that are the case.
    pub conditions: BTreeMap<String, bool>,
    /// What ran before the last upgrade, to roll back to.
    pub previous: Option<Previous>,
    /// Whether it failed too often and is off.
    pub failed: bool,
    /// The node's share of the fleet's commands, and the term and number of the order that said it.
    #[serde(default)]
    pub fleet: (FleetShare, (u32, u64)),
}

/// Command that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Its number.
    pub number: u64,
    /// What was asked.
    pub action: Action,
    /// Term and count of its lease.
    pub epoch: (u32, u32),
    /// When it is over, in ms.
    pub expires_ms: u64,
}

/// Exported state of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of its format.
    pub version: u32,
    /// The state in hexadecimal.
    #[serde(with = "hexadecimal")]
    pub bytes: Vec<u8>,
}

/// Release that an upgrade took the place of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// SHA-256 of the component.
    pub release: Digest,
    /// Its configuration.
    pub configuration: serde_json::Value,
    /// Its state at the upgrade.
    pub state: State,
}

impl Snapshot {
    /// JSON of at most [`MAX_SNAPSHOT_BYTES`].
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads [`encode`](Self::encode)'s bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_SNAPSHOT_BYTES {
            return Err(format!(
                "a function's snapshot has {} bytes, at most {MAX_SNAPSHOT_BYTES}",
                bytes.len()
            ));
        }
        serde_json::from_slice(bytes)
            .map_err(|error| format!("a function's snapshot cannot be read: {error}"))
    }

    /// Whether nothing runs any more.
    pub const fn ended(&self) -> bool {
        self.running.is_none()
    }

    /// End of the last lease: what has ended may be forgotten then.
    pub const fn until(&self) -> Timestamp {
        Timestamp::from_millis(self.until_ms)
    }

    /// The last lease's epoch.
    pub const fn lease_epoch(&self) -> Epoch {
        Epoch { term: self.epoch.0, count: self.epoch.1 }
    }
}

mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
