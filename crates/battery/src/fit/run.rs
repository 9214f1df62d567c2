//! Measurements with a charge counter.

use crate::{Error, Sample};

/// Purpose of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// So slow that its voltage is almost that at rest (C/20).
    Slow,
    /// Pulses with rests between them. Steps in between may be missing from the log, but not from the counter.
    Pulses,
    /// Load as on the road, logged without gaps.
    Drive,
}

/// A run from a full cell on.
#[derive(Debug, Clone)]
pub struct LoggedRun {
    /// File or other name.
    pub name: String,
    /// What it is good for.
    pub role: Role,
    /// Time may stand still, where a tester wrote twice, but not go back.
    pub samples: Vec<Sample>,
    /// The tester's charge counter at each sample in Ah, 0 when full, falling with discharge.
    pub counter_ah: Vec<f64>,
}

/// Fewest samples that say anything.
const LEAST: usize = 20;

impl LoggedRun {
    /// Whether it can be used.
    ///
    /// # Errors
    ///
    /// [`Error::Data`].
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::data(&self.name, what));
        if self.samples.len() < LEAST || self.counter_ah.len() != self.samples.len() {
            return wrong(format!(
                "{} samples with {} counts, want {LEAST} of both",
                self.samples.len(),
                self.counter_ah.len()
            ));
        }
        for (row, (sample, ah)) in self.samples.iter().zip(&self.counter_ah).enumerate() {
            let Sample { time_s, voltage_v, current_a, .. } = *sample;
            if ![time_s, voltage_v, current_a, *ah].iter().all(|value| value.is_finite()) {
                return wrong(format!("sample {row} is not a number"));
            }
            if !(0.5..6.0).contains(&voltage_v) {
                return wrong(format!(
                    "sample {row} has {voltage_v} V, want 0.5 to 6: is it in another unit?"
                ));
            }
        }
        match self.samples.windows(2).position(|pair| pair[1].time_s < pair[0].time_s) {
            Some(row) => wrong(format!("time goes back after sample {row}")),
            None => Ok(()),
        }
    }

    /// State of charge at each sample, with a counter that is 0 when full.
    #[must_use]
    pub fn soc(&self, capacity_ah: f64) -> Vec<f64> {
        self.counter_ah.iter().map(|ah| 1.0 + ah / capacity_ah).collect()
    }
}
