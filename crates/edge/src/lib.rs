//! The vehicle's agent: sources → signed batches → spool → uplink.
//!
//! **Invariant.** A record is on the vehicle's disk before it is sent, and stays there until the cloud's signed archive
//! notice for its very batch has been checked (or, if so configured, the ledger's receipt, or the PUBACK). A boot
//! number is never used twice, record numbers of a boot are contiguous, each batch names the one before it. A killed
//! agent goes on in its source exactly where its spool ends.
//!
//! **When the spool is full** no more samples are taken, `refused` counts those of live sources, replays wait; what is
//! in the spool is never dropped.
//!
//! **Not here:** encryption of the spool (use an encrypted disk).
//!
//! [`agent`] decides and touches nothing; [`run()`] owns sockets, disk and clock.
//!
//! ```
//! use voltmesh_edge::sources::{Cursor, Source};
//! use voltmesh_edge::Config;
//!
//! let text = r#"
//!     data = "data"
//!     credentials = "pki/edge-car-1"
//!     crl = "pki/crl.pem"
//!     trust = "trust.toml"
//!     opening = "opening.toml"
//!     secret = "secret"
//!     fogs = ["fog-1.example:8883", "fog-2.example:8883"]
//!     [source]
//!     kind = "sim"
//!     cycle = "udds"
//! "#;
//! let config = Config::parse(text, std::path::Path::new("/etc/voltmesh"))?;
//! let mut source = config.source.open(Cursor::default(), 1_700_000_000_000)?;
//! let first = source.next()?.expect("the cycle has a first second");
//! assert_eq!(first.sample.cells.len(), 96);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod agent;
pub mod boot;
pub mod commands;
pub mod config;
pub mod entry;
pub mod keys;
pub mod run;
pub mod sources;

mod error;
mod folder;
mod http;
mod twin;
mod uplink;

pub use agent::{Agent, FogIndex, Input, KeepUntil, Output, Rules};
pub use config::Config;
pub use error::Error;
pub use folder::{FolderLock, hold, waiting};
pub use run::{Start, Summary, run};

#[cfg(test)]
mod tests;
