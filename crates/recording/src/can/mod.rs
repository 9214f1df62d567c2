//! Controller area network: logs of frames, DBC files, and the rows that both together give.

pub mod dbc;
mod decoder;
pub mod frame;
pub mod log;
pub mod signals;

pub use dbc::Dbc;
pub use decoder::{Counted, Decoder};
pub use frame::{Bus, Direction, Frame, Kind};
pub use log::Log;
pub use signals::Signals;
