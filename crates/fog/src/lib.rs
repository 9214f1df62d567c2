//! The roadside unit: ingest, anchor, authority of the ledger.
//!
//! A fog node takes batches from vehicles and samples from foreign clients over mutual TLS, checks them, makes them
//! durable, and only then acknowledges; it anchors them in the ledger, of which it is an authority, gives vehicles
//! their receipts, and forwards everything to the cloud until the cloud's signed notice says that it is archived. Where it has
//! a feed of charging stations ([`stations`]), it forecasts them and says where to charge.
//!
//! **Invariant.** Nothing is acknowledged before it is durable (foreign records: on two nodes), and nothing that is
//! acknowledged is forgotten before it is archived. What is rejected for good is kept in a quarantine with the reason.
//!
//! **Not here:** the check of a vehicle's whole chain and the removal of doubles (cloud), agreement (`consensus`), and
//! plausibility of values.
//!
//! [`ingest::Ingest`] decides and is pure; [`run()`] is the node around it.
//!
//! ```no_run
//! use commonware_runtime::{Runner as _, tokio};
//!
//! use voltmesh_http::Process;
//!
//! let config = voltmesh_fog::Config::load("fog.toml".as_ref())?;
//! let runner = tokio::Runner::new(tokio::Config::default().with_storage_directory(&config.data));
//! runner.start(|context| voltmesh_fog::run(context, config, Process::default()))?;
//! # Ok::<(), voltmesh_fog::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod answers;
pub mod config;
pub mod functions;
pub mod ingest;
pub mod osrm;
pub mod stations;

mod error;
mod no_answer;
mod run;

pub use config::Config;
pub use error::Error;
pub use osrm::Osrm;
pub use run::{
    Addresses, Answered, Fog, Relay, Undelivered, own_opening, policy::Topics as TopicPolicy, run,
};
