//! n events within t: one bad sample is no fault.

use std::collections::VecDeque;

/// Counts events of the last seconds.
#[derive(Debug, Clone)]
pub struct Debounce {
    needed: usize,
    within_s: f64,
    times: VecDeque<f64>,
}

impl Debounce {
    /// So many (1 or more) within so many seconds.
    #[must_use]
    pub fn new(needed: usize, within_s: f64) -> Self {
        Self { needed: needed.max(1), within_s, times: VecDeque::new() }
    }

    /// Takes whether a sample shows it. Returns since when, if enough of the last ones did.
    pub fn push(&mut self, time_s: f64, shows: bool) -> Option<f64> {
        while self.times.front().is_some_and(|first| time_s - first > self.within_s) {
            self.times.pop_front();
        }
        if shows {
            self.times.push_back(time_s);
            if self.times.len() > self.needed {
                self.times.pop_front();
            }
        }
        if self.times.len() >= self.needed { self.times.front().copied() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_n_within_t() {
        let mut debounce = Debounce::new(3, 10.0);
        assert_eq!(debounce.push(0.0, true), None);
        assert_eq!(debounce.push(9.0, true), None);
        assert_eq!(debounce.push(11.0, true), None, "the first is too old");
        assert_eq!(debounce.push(12.0, true), Some(9.0));
        assert_eq!(debounce.push(30.0, false), None);
    }
}
