//! Packs that get into trouble: seven ways, each with what its battery management overlooks; and what a run did to the pack.
//!
//! A [`Run`] drives a simulated pack, second by second, as its own management would, within what is asked of it from outside
//! ([`Asked`]). A [`Tally`] looks at the true cells, not at what sensors say: time outside the safe area, heat, charge that may
//! have plated, imbalance, ageing, and how long charging took.

mod run;
mod script;
mod tally;

pub use run::{Asked, Run, Second};
pub use script::{Management, OPENS, Script, Sees, Trouble, Work};
pub use tally::{HOTTEST_C, MARGIN_V, Tally, Toll};

#[cfg(test)]
mod tests;
