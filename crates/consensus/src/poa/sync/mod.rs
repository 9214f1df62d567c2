//! Snapshots: written, served to peers, and fetched from them.

pub(crate) mod kept;
pub(crate) mod serve;
pub(crate) mod snapshot_offer;
pub(crate) mod snapshots;
pub(crate) mod state_sync;
