//! Looks for what goes wrong: first whether samples can be believed, then whether cells behave like their neighbours and
//! like the model. What is found has a stage, is debounced, and carries its evidence.

mod check;
mod coverage;
mod debounce;
mod detect;
mod frozen;
mod plausibility;
mod residual;
mod rules;
mod warming;

pub use check::{Check, Checker, Verdict};
pub use coverage::{Coverage, Look};
pub use debounce::Debounce;
pub use detect::{Finding, Watch};
pub use plausibility::Plausibility;

pub use crate::FaultKind as Kind;

use serde::{Deserialize, Serialize};

/// Version of the detectors, which goes wherever an event goes.
pub const VERSION: &str = "watch/2";

/// Urgency of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// To look at when the vehicle is serviced.
    Information,
    /// To look at soon; use is restricted.
    Warning,
    /// Stop and disconnect.
    Protect,
}

/// Something that is found, or is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// How urgent; where it is over, how urgent it was.
    pub stage: Stage,
    /// Whether it is over.
    pub over: bool,
    /// When it was found, in the samples' time in s.
    pub at_s: f64,
    /// When the first of the samples that led to it was.
    pub since_s: f64,
    /// Groups of cells, from 0; empty if it is of the whole pack.
    pub cells: Vec<usize>,
    /// Which residual, and in which unit.
    pub residual: String,
    /// Its value.
    pub value: f64,
    /// What it was allowed to be.
    pub limit: f64,
}

#[cfg(test)]
mod tests;
