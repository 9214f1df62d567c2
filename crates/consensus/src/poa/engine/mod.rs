//! Agreement on the next block: one simplex engine per epoch.

pub(crate) mod elector;
pub(crate) mod epocher;
pub(crate) mod epochs;
pub(crate) mod follower;
pub(crate) mod justifications;
pub(crate) mod observer;
pub(crate) mod proposer;
pub(crate) mod recipients;
pub(crate) mod schemes;
