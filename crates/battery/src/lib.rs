//! One battery: how its cells and its pack behave, what state they are in, how they age, what they may be asked to do.
//!
//! Pure: no clock, no files, no threads, no entropy. Discharge current is negative, states of charge are fractions.

pub mod chemistry;
pub mod sample;

pub use chemistry::Chemistry;
pub use sample::Sample;
