//! Commands whose answers are awaited.

use voltmesh_control::Action;
use voltmesh_telemetry::Timestamp;

/// Most commands whose answers are awaited: the burst that is allowed, and two minutes.
pub(super) const MAX_SENT: usize = 256;

/// Command whose answer or expiry is awaited.
pub(super) struct Awaited {
    pub(super) action: Action,
    pub(super) epoch: (u32, u32),
    pub(super) expires: Timestamp,
    /// Whether a later one of its kind took its place.
    pub(super) replaced: bool,
    pub(super) answered: bool,
}
