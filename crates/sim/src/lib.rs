//! The whole system in one deterministic process: clock, links, disks, the archive's store, faults, checker.
//!
//! Vehicles, fog nodes with their authorities, and the cloud run as in production down to their pure cores, MQTT
//! state machines, spools, journals, consensus and the archive's Delta tables with their one writer; below that
//! everything is simulated and follows one seed. Faults: power cuts with torn writes, full, slow and failing disks,
//! killed processes, partitions, loss, reordering, duplication, roaming vehicles, a wiped fog node, a wrong clock, an
//! authority that equivocates, a store that is slow, fails before or after the effect or lists late, a second writer.
//! All faults end; then everything must be archived. `docs/simulation.md` says what is real, and how to replay a seed.
//!
//! **Invariant.** Same seed, minutes and options: same trace, on any machine.
//!
//! **Not here:** TLS, sockets, HTTP; they are tested with the real thing in their crates.
//!
//! ```
//! use voltmesh_sim::{Kinds, Options, SeedReport as _, run};
//!
//! let options = Options { vehicles: 1, faults: Kinds::NONE, ..Options::default() };
//! let report = run(7, 0.2, &options);
//! assert!(report.passed(), "{:?}\n{}", report.problems, report.replay());
//! assert_eq!(report.counters.archived, report.counters.spooled + report.counters.accepted);
//! ```

#![forbid(unsafe_code)]

pub mod closed_loop;
pub mod disk;
pub mod net;
pub mod node;
pub mod store;

mod audit;
mod checker;
mod faults;
mod options;
mod range;
mod roles;
mod run;
mod seeds;
mod world;

pub use checker::Counters;
pub use faults::Kinds;
pub use options::{Class, Options};
pub use range::{RangeReport, run_range};
pub use run::{Report, run};
pub use seeds::{SeedReport, SeedSum};

#[cfg(test)]
mod tests;
