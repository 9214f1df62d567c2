//! Orders that wait for their releases, and ends that are remembered.

use super::{Snapshot, State};
use voltmesh_control::{Epoch, Lease};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

/// Time in ms after which a release is asked for again.
pub(super) const ASK_AGAIN_MS: u64 = 5_000;

/// Vehicle and function.
pub(super) type Key = (VehicleId, String);

/// End of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub epoch: Epoch,
    pub until: Timestamp,
}

/// What waits for a release, in order.
pub(super) enum Step {
    Restore(Box<Snapshot>, Lease, Option<u64>),
    Run(Box<Run>),
    Condition(u64, String, bool),
}

/// Checked order to run a function.
pub(super) struct Run {
    pub order: (u32, u64),
    pub release: Digest,
    pub configuration: serde_json::Value,
    pub lease: Lease,
    pub lease_bytes: Vec<u8>,
    pub state: Option<(State, Epoch)>,
}

impl Step {
    pub fn release(&self) -> Option<Digest> {
        match self {
            Self::Restore(snapshot, ..) => snapshot.running.as_ref().map(|running| running.release),
            Self::Run(run) => Some(run.release),
            Self::Condition(..) => None,
        }
    }
}
