//! The closed loop in simulated time: vehicles whose twins report, fog nodes with functions, a controller, and commands back.
//!
//! Every deciding part is the product's: the vehicle's twin and its core of commands, the fog node's summaries, functions (the
//! shipped components, run by the same host) and their journal, the controller with its shipped rules and policy. Leases, releases
//! and commands are really signed and checked. Clock, disks and messages are simulated and follow one seed.
//!
//! **Not here:** sealing and ingest of batches, which the simulation of the whole system has; sockets and TLS; the ledger.

mod build;
mod checker;
mod controller_node;
pub mod drives;
mod fog_disk;
mod fog_node;
mod messages;
mod needed;
mod pack;
mod plan;
pub mod scenario;
pub mod seed;
mod shipped;
mod vehicle;
mod world;

pub use pack::Point;

#[cfg(test)]
mod tests;
