//! When to ask again.

use std::time::Duration;

/// Longest pause after failures, unless the interval is longer: whoever is away for an hour is found within a quarter of one.
const LONGEST: Duration = Duration::from_secs(900);

/// Longest pause that a server may ask for: a mistake in it must not stop a feed for a day.
const MOST_ASKED: Duration = Duration::from_secs(3600);

/// Doublings of the pause: 2¹⁰ seconds are more than [`LONGEST`].
const MOST_DOUBLINGS: u32 = 10;

/// Share of a pause that is drawn at random, so that nodes that failed together do not come back together.
const JITTER: f64 = 0.1;

/// The pauses between polls.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    failures: u32,
}

impl Pace {
    /// Of a feed that is asked each interval.
    pub fn new(interval: Duration) -> Self {
        Self { interval, failures: 0 }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The pause after a poll that took so long and went well.
    pub fn after_success(&mut self, took: Duration) -> Duration {
        self.failures = 0;
        self.interval.saturating_sub(took)
    }

    /// The pause after a poll that failed: twice as long each time, or as the server asks. `random` is drawn from 0..1.
    pub fn after_failure(&mut self, asked: Option<Duration>, random: f64) -> Duration {
        let longest = LONGEST.max(self.interval);
        let doubled = self.interval.saturating_mul(1 << self.failures.min(MOST_DOUBLINGS)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let pause = doubled.max(asked.unwrap_or_default().min(MOST_ASKED));
        pause + pause.mul_f64(JITTER * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_end_with_success() {
        let mut pace = Pace::new(Duration::from_secs(60));
        let s = Duration::from_secs;
        assert_eq!(pace.after_success(s(5)), s(55));
        assert_eq!(pace.after_success(s(90)), s(0));
        let grown: Vec<u64> = (0..6).map(|_| pace.after_failure(None, 0.0).as_secs()).collect();
        assert_eq!((grown, pace.failures()), (vec![60, 120, 240, 480, 900, 900], 6));
        assert_eq!(pace.after_failure(None, 1.0), s(990));
        assert_eq!(pace.after_success(s(0)), s(60));
        // As the server says, within bounds.
        assert_eq!(pace.after_failure(Some(s(300)), 0.0), s(300));
        assert_eq!(pace.after_failure(Some(s(5)), 0.0), s(120));
        assert_eq!(pace.after_failure(Some(s(1 << 40)), 0.0), s(3600));
        // An interval of its own length is no shorter after a failure.
        assert_eq!(Pace::new(s(86_400)).after_failure(None, 0.0), s(86_400));
        let mut long = Pace::new(s(1));
        assert!((0..100).all(|_| long.after_failure(None, 0.5) <= s(1000)));
    }
}
