//! Logs of one cell.

use crate::{
    Error, Sample,
    fit::{LoggedRun, Role},
};

/// Rows of one file at most: a year at 1 Hz.
pub const MAX_ROWS: usize = 32_000_000;

/// A step in time above which a log has a gap, in s.
pub const GAP_S: f64 = 5.0;

/// A log of one cell. What a sensor did not say is no number in voltage and current, and `None` in temperatures.
#[derive(Debug, Clone)]
pub struct Log {
    /// The file's name.
    pub name: String,
    /// Its rows, in order.
    pub samples: Vec<Sample>,
    /// The charge counter in Ah, 0 when full, where there is one.
    pub counter_ah: Option<Vec<f64>>,
}

impl Log {
    /// Without all that comes before the last gap: rests and charges there are often logged now and then only.
    #[must_use]
    pub fn after_last_gap(mut self) -> Self {
        let gap = self.samples.windows(2).rposition(|pair| pair[1].time_s - pair[0].time_s > GAP_S);
        if let Some(before) = gap {
            self.samples.drain(..=before);
            if let Some(counts) = &mut self.counter_ah {
                counts.drain(..=before);
            }
        }
        self
    }

    /// As a run to fit to.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there is no charge counter.
    pub fn into_run(self, role: Role) -> Result<LoggedRun, Error> {
        let Some(mut counter_ah) = self.counter_ah else {
            return Err(Error::data(
                &self.name,
                "a fit needs the charge counter: no column is it (--map charge_counter=NAME, or name it ah)",
            ));
        };
        if role == Role::Slow {
            // A slow discharge starts full, whatever the counter said before it.
            let before = counter_ah.first().copied().unwrap_or(0.0);
            counter_ah.iter_mut().for_each(|ah| *ah -= before);
        }
        Ok(LoggedRun { name: self.name, role, samples: self.samples, counter_ah })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(counter_ah: Option<Vec<f64>>) -> Log {
        let sample =
            |time_s| Sample { time_s, voltage_v: 4.0, current_a: -1.0, cell_temp_c: None, ambient_c: None };
        Log { name: "a".into(), samples: [0.0, 1.0, 70.0, 71.0].map(sample).to_vec(), counter_ah }
    }

    #[test]
    fn what_comes_before_the_last_gap_is_left_out() {
        let log = log(Some(vec![0.0, -0.1, -0.2, -0.3])).after_last_gap();
        assert_eq!((log.samples.len(), log.counter_ah), (2, Some(vec![-0.2, -0.3])));
    }

    #[test]
    fn a_fit_needs_the_counter_and_a_slow_discharge_begins_full() {
        let error = log(None).into_run(Role::Slow).expect_err("no counter").to_string();
        assert!(error.contains("charge counter"), "{error}");
        let run = log(Some(vec![0.5, 0.4, 0.3, 0.2])).into_run(Role::Slow).expect("a run");
        assert!((run.counter_ah[3] + 0.3).abs() < 1e-12, "{:?}", run.counter_ah);
    }
}
