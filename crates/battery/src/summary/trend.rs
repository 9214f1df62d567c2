//! Trends: slopes over the last seconds and minutes, with their standard errors.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Bins of a window: each holds the mean of a tenth of it.
const BINS: usize = 10;

/// Bins from which on a slope is said: with three, one outlier decides.
const FEWEST: usize = 4;

/// Slope of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// Per minute.
    pub per_min: f64,
    /// Standard error of the least-squares slope, from the residuals.
    pub sd: f64,
}

/// Bins of one window: times and values, at most [`BINS`] that are closed and one that is open.
#[derive(Debug, Clone)]
pub(super) struct Window {
    seconds: f64,
    closed: VecDeque<(f64, f64)>,
    open: Option<Bin>,
}

#[derive(Debug, Clone, Copy)]
struct Bin {
    index: f64,
    time: f64,
    value: f64,
    count: f64,
}

impl Window {
    pub fn new(seconds: f64) -> Self {
        Self { seconds, closed: VecDeque::with_capacity(BINS), open: None }
    }

    /// Takes a value. Times rise; what is no number is left out.
    pub fn push(&mut self, time_s: f64, value: f64) {
        if !(time_s.is_finite() && value.is_finite()) {
            return;
        }
        let index = (time_s / (self.seconds / BINS as f64)).floor();
        match &mut self.open {
            Some(bin) if bin.index == index => {
                bin.time += time_s;
                bin.value += value;
                bin.count += 1.0;
            }
            open => {
                if let Some(bin) = open.take() {
                    self.closed.push_back((bin.time / bin.count, bin.value / bin.count));
                }
                *open = Some(Bin { index, time: time_s, value, count: 1.0 });
            }
        }
        while self.closed.len() > BINS
            || self.closed.front().is_some_and(|(time, _)| time_s - time > self.seconds)
        {
            self.closed.pop_front();
        }
    }

    /// Slope over what lies in the window.
    pub fn slope(&self) -> Option<Slope> {
        let open = self.open.map(|bin| (bin.time / bin.count, bin.value / bin.count));
        let points = || self.closed.iter().copied().chain(open);
        let n = points().count();
        if n < FEWEST {
            return None;
        }
        let mean = |of: fn((f64, f64)) -> f64| points().map(of).sum::<f64>() / n as f64;
        let (time, value) = (mean(|point| point.0), mean(|point| point.1));
        let sxx: f64 = points().map(|point| (point.0 - time).powi(2)).sum();
        if sxx <= 0.0 {
            return None;
        }
        let slope = points().map(|point| (point.0 - time) * (point.1 - value)).sum::<f64>() / sxx;
        let rest: f64 = points().map(|point| (point.1 - value - slope * (point.0 - time)).powi(2)).sum();
        let sd = (rest / (n - 2) as f64 / sxx).sqrt();
        Some(Slope { per_min: 60.0 * slope, sd: 60.0 * sd })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A line's slope is found exactly, whatever its sampling, and its error is none.
        #[test]
        fn a_line_has_its_slope(per_min in -100.0..100.0f64, level in -50.0..50.0f64, step in 0.05..0.9f64) {
            let mut window = Window::new(10.0);
            for k in 0..200 {
                let time = f64::from(k) * step;
                window.push(time, level + per_min * time / 60.0);
            }
            let slope = window.slope().expect("enough bins");
            prop_assert!((slope.per_min - per_min).abs() < 1e-6 && slope.sd < 1e-5, "{slope:?}");
        }

        /// What is older than the window is forgotten, and a window never holds more than its bins.
        #[test]
        fn old_values_are_forgotten(jump in 1.0..1_000.0f64) {
            let mut window = Window::new(60.0);
            for k in 0..300 {
                window.push(f64::from(k), if k < 150 { jump } else { 0.0 });
                prop_assert!(window.closed.len() <= BINS);
            }
            prop_assert_eq!(window.slope().map(|slope| slope.per_min), Some(0.0));
        }
    }

    #[test]
    fn few_values_have_no_slope() {
        let mut window = Window::new(10.0);
        for k in 0..3 {
            window.push(f64::from(k), 1.0);
            assert_eq!(window.slope(), None);
        }
        window.push(3.0, f64::NAN);
        assert_eq!(window.slope(), None);
    }
}
