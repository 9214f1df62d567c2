//! Charging stations: what was observed of them, on one grid of time, whatever a network calls its statuses; forecasts of every
//! status and how good they were; and which station to drive to.
//!
//! A [`History`] is what was observed. A [`features::Tracker`] goes through it slot by slot and never back, and gives each
//! EVSE a row of features; [`models`] learn from such rows, and a [`Forecaster`] is a model with all it needs to be asked.
//! [`evaluate`] scores several of them on the same rows; [`recommend`] turns forecasts into advice.
//!
//! **Invariants.** Nothing is filled in where nothing was observed for longer than a file's kind allows. A reading that is
//! too old is unknown, not free. A word that is not understood is neither free nor out of order, nor a plug. A forecast made at a time depends on nothing later. Nothing from outside makes it panic.
//!
//! **Not here:** a clock, a file, a socket: a caller opens files and asks networks.
//!
//! ```
//! use voltmesh_stations::{History, Mapping, Meaning};
//!
//! let rows = "timestamp,evse_id,status
//! 2018-11-01T10:00:00+00:00,A/CCS,Available
//! 2018-11-01T10:05:00+00:00,A/CCS,Occ
//! 2018-11-01T10:10:00+00:00,A/CCS,Occ
//! ";
//! let history = History::from_csv(rows.as_bytes(), &Mapping::new())?;
//! let evse = history.evse("A/CCS").unwrap();
//! let label = history.in_force(1, evse).unwrap();
//! assert_eq!(history.labels().meanings()[label], Meaning::Busy);
//! # Ok::<(), voltmesh_stations::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod calibrate;
mod covariates;
mod error;
pub mod evaluate;
pub mod features;
pub mod feeds;
pub mod forecaster;
pub mod history;
pub mod hours;
pub mod ids;
pub mod models;
mod network;
pub mod place;
mod random;
pub mod recommend;
mod records;
pub mod samples;
mod status;
pub mod table;
pub mod times;
pub mod words;

pub use covariates::Covariates;
pub use error::Error;
pub use forecaster::Forecaster;
pub use history::{Builder, History, Oddities};
pub use network::Network;
pub use place::{Place, PlaceList, Places, Plug, Position, read_places};
pub use status::{Labels, Mapping, Meaning};
pub use times::parse_time;
