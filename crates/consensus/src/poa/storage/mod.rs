//! What is on disk, how a node starts from it, and how damage is repaired.

pub(crate) mod opening;
pub(crate) mod recovery;
pub(crate) mod repair;
pub(crate) mod snapshot_store;
pub(crate) mod vote_journal;
