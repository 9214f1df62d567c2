//! From durable batches to summaries of vehicles and to what functions do.
//!
//! **Invariants.** Each event is on the ledger once ([`lists`]). No command leaves before what its function said before it is durable, nor before the command's own number is,
//! so that no number is used twice; events of a function have numbers without gaps, also across a crash.
//!
//! **Provided**: summaries ([`Watch`]), reports and samples as functions read them ([`decode`]), the terms in which orders are taken ([`terms`]). **Not provided**: plausibility of
//! samples, which the vehicle's own twin judges and says.

pub mod decode;
pub mod journal;
pub mod lists;
pub mod terms;
mod watch;

pub use watch::Watch;
