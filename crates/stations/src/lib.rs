//! Charging stations: what was observed of them, on one grid of time, whatever a network calls its statuses; who is
//! coupled with whom; and how good a forecast was.
//!
//! **Invariants.** Nothing is filled in where nothing was observed for more than one sampling interval. A reading that is
//! too old is unknown, not free. Nothing from outside makes it panic.
//!
//! **Not yet here:** models better than the baselines, and recommendations. **Not here at all:** a clock, a file, a socket: a caller
//! opens files and asks networks.
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

mod error;
pub mod evaluate;
pub mod feeds;
pub mod history;
pub mod models;
mod network;
pub mod place;
mod status;
mod table;

pub use error::Error;
pub use history::{Builder, History, Oddities, parse_time};
pub use network::Network;
pub use place::{Place, Places, Plug, Position, read_places};
pub use status::{Labels, Mapping, Meaning};
