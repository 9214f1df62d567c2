//! Measures agreements beside each other: proof of authority, PBFT, proof of work.
//!
//! What makes it fair: all of them have the same blocks, transactions, keys, signatures, pool, channels and runtime;
//! load, links and faults are drawn from one seed, before and apart from the agreement; what is sent is counted where it
//! is sent; a transaction's latency is from its submission to finality at the node where it was submitted, whatever
//! finality means to that agreement; and transactions that never become final are reported, not left out.
//!
//! [`simulate`] runs in virtual time and repeats exactly, [`measure_on_sockets`] on this machine's sockets and cores.
//!
//! **Not provided:** batches and their hashing (the same for all, and the fog node's), clients, disks that cost time in
//! a simulation.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use voltmesh_consensus::harness::{Load, Plan, Progress, Protocol, simulate};
//!
//! let mut plan = Plan::new(Protocol::Poa);
//! (plan.authorities, plan.load) = (4, Load::Poisson(20.0));
//! (plan.warm_up, plan.window) = (Duration::from_secs(1), Duration::from_secs(2));
//! let quiet: Progress = Arc::new(|_| {});
//! let measured = simulate(&plan, &quiet)?;
//! assert!(measured.transactions > 10 && measured.conflicting_finals == 0);
//! # Ok::<(), voltmesh_consensus::harness::Error>(())
//! ```

pub(crate) mod adversary;
mod book;
mod cpu;
mod energy;
mod fault;
pub(crate) mod load;
mod measure;
mod plan;
mod profile;
mod protocols;
mod reads;
mod real;
mod report;
mod simulated;
pub(crate) mod simulated_network;
pub mod sockets;
mod stage;
mod traffic;

pub use cpu::CpuClock;
pub use energy::EnergyModel;
pub use fault::Fault;
pub use plan::{Error, Load, Plan, Protocol, RECORDS_PER_BATCH};
pub use profile::{Class, Links, MAX_PROFILE_BYTES, Pair, Profile};
pub use real::measure_on_sockets;
pub use report::{Measured, Moment, Percentiles, Recovery};
pub use simulated::simulate;
pub use stage::Progress;
pub use traffic::{AGREEMENT, CHANNELS, Counted, Sent, Traffic};

#[cfg(test)]
mod tests;
