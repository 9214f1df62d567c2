//! Features that a forecast has of an EVSE: one row of numbers, each with a name.

mod clock;
mod habits;
mod row;
mod tracker;

pub use clock::Clock;
pub use row::Layout;
pub use tracker::{NONE, Tracker};
