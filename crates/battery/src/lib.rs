//! One battery: how its cells and its pack behave, what state they are in, how they age, what they may be asked to do.
//!
//! Invariants: a result does not depend on how time was cut into steps; every estimate has a standard deviation; nothing
//! panics on what sensors or files say.
//!
//! Pure: no clock, no files, no threads, no entropy. Discharge current is negative, states of charge are fractions.
#![forbid(unsafe_code)]

pub mod act;
pub mod ageing;
pub mod bpx;
pub mod cell;
mod chemistry;
pub mod drive;
mod error;
pub mod estimate;
pub mod fit;
mod kind;
pub mod log;
pub mod pack;
pub mod passport;
mod sample;
pub mod scenario;
pub mod summary;
pub mod trouble;
pub mod twin;
pub mod units;
pub mod vss;
pub mod watch;

pub use cell::{Cell, CellParams, CellState, Health};
pub use chemistry::Chemistry;
pub use error::Error;
pub use kind::FaultKind;
pub use sample::Sample;
pub use twin::Twin;
