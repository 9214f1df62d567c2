//! The roadside unit: ingest, anchor, authority of the ledger.

#![forbid(unsafe_code)]

pub mod ingest;

mod config;

pub use config::{Cloud, Config, Foreign, Ledger, Limits, Listen, Peer, Spool};

/// A configuration file with every key at its default, explained.
pub const DEFAULTS: &str = include_str!("../fog.toml");

/// Why a fog node does not start or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong: change the file.
    #[error("configuration: {what}")]
    Config {
        /// What is wrong, and where.
        what: String,
    },
}
