//! Files and buses to rows of readings: CAN logs by DBC files, tables of any spelling, clocks and units.
//!
//! The invariant: a value that comes out is what the file says, in the unit that its name states, or it is unknown with
//! its cause ([`Unknown`]). What is not read is counted by reason ([`Skipped`]), never dropped without a trace.
//!
//! Deliberately absent: what a row means for a battery (crate `battery`), and how it is signed (crate `telemetry`).
#![forbid(unsafe_code)]

mod battery;
pub mod can;
pub mod clock;
mod error;
mod gps;
mod options;
mod quantity;
mod reading;
mod recording;
pub mod report;
mod row;
mod skipped;
pub mod table;
pub mod unit;
mod wall;

pub use battery::{Battery, Chemistry};
pub use error::Error;
pub use options::Options;
pub use quantity::Quantity;
pub use reading::{Reading, Unknown};
pub use recording::{Recording, dbc};
pub use row::{Row, Stamp, is_usable};
pub use skipped::Skipped;
