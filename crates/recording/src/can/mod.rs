//! Controller area network: logs of frames, DBC files, and the rows that both together give.

mod codes;
pub mod dbc;
mod decoder;
pub mod diagnostics;
pub mod frame;
mod guess;
mod item;
mod j1939;
pub mod log;
mod sampler;
pub mod signals;
mod values;
mod wanted;

pub use dbc::Dbc;
pub use decoder::{Counted, Decoder};
pub use frame::{Bus, Direction, Frame, Kind};
pub use guess::{Guess, guess};
pub(crate) use j1939::Assembler;
pub use log::Log;
pub(crate) use log::Stated;
pub use sampler::Sampler;
pub use signals::Signals;
