//! Messages between nodes beside the engine: signatures of roots and seals, round trips, complaints.

mod answers;
pub(crate) mod censorship;
pub(crate) mod message;
mod orders;
mod requests;
pub(crate) mod root_signatures;
pub(crate) mod round_trips;
pub(crate) mod seal_signatures;
pub(crate) mod signatures;
mod status;
