//! Forecasts of a status: probabilities of every label at a later slot.
//!
//! The baselines are what any model has to beat; they learn from slots before the end of training and know of the moment of
//! the forecast only the status in force.

mod baselines;

pub use baselines::{Baseline, Kind};

/// What a forecast may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Which EVSE.
    pub evse: usize,
    /// The label in force.
    pub now: usize,
    /// The slot to forecast.
    pub target: usize,
}

/// Something that forecasts.
pub trait Model {
    /// The name in tables and files.
    fn name(&self) -> &'static str;

    /// Writes the probability of each label, which sum to 1.
    ///
    /// # Panics
    /// If `out` is not as long as there are labels.
    fn predict(&self, moment: Moment, out: &mut [f32]);
}
