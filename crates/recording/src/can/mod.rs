//! Controller area network: logs of frames, DBC files, and the rows that both together give.

pub mod dbc;
pub mod frame;
pub mod log;

pub use dbc::Dbc;
pub use frame::{Bus, Direction, Frame, Kind};
pub use log::Log;
