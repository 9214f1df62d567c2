//! The whole system in one deterministic process: clock, links, disks, faults, checker.
//!
//! Vehicles, fog nodes with their authorities, and the cloud run as in production down to their
//! pure cores, MQTT state machines, spools, journals and consensus; below that everything is
//! simulated and follows one seed. Faults: power cuts with torn writes, full, slow and failing
//! disks, killed processes, partitions, loss, reordering, duplication, a wiped fog node, a wrong
//! clock, an authority that equivocates. All faults end; then everything must be archived.
//!
//! **Invariant.** Same seed, minutes and options: same trace, on any machine.
//!
//! **Not here:** TLS, sockets, and the Delta table (a model with the same commit rule stands for
//! it); they are tested with the real thing in their crates.
//!
//! ```
//! use voltmesh_sim::{Kinds, Options, run};
//!
//! let options = Options { vehicles: 1, faults: Kinds::NONE, ..Options::default() };
//! let report = run(7, 0.2, &options);
//! assert!(report.passed(), "{:?}\n{}", report.problems, report.replay());
//! assert_eq!(report.counters.archived, report.counters.spooled + report.counters.accepted);
//! ```

#![forbid(unsafe_code)]

pub mod disk;
pub mod link;
pub mod mesh;
pub mod node;

mod archive;
mod checker;
mod client;
mod cloud;
mod edge;
mod faults;
mod fog;
mod options;
mod run;
mod session;
mod world;

pub use checker::Counters;
pub use faults::Kinds;
pub use options::Options;
pub use run::{RangeReport, Report, run, run_range};

#[cfg(test)]
mod tests;
