//! Moments at which a live source makes samples: multiples of a period of Unix time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now in Unix ms.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Moments of a live source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    every_ms: u64,
    next_ms: u64,
}

impl Period {
    /// A moment every so many ms, at least one; the first at once.
    pub fn new(every_ms: u64) -> Self {
        Self { every_ms: every_ms.max(1), next_ms: 0 }
    }

    /// Time until the next moment. A clock that was set back does not put it off by more than a period.
    pub fn left(&self, now_ms: u64) -> Duration {
        let left = self.next_ms.saturating_sub(now_ms);
        Duration::from_millis(if left > self.every_ms { 0 } else { left })
    }

    /// Whether the moment has come; then the next one counts.
    pub fn is_due(&mut self, now_ms: u64) -> bool {
        let due = self.left(now_ms).is_zero();
        if due {
            self.next_ms = (now_ms / self.every_ms + 1) * self.every_ms;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_multiples_and_a_clock_may_be_set() {
        let mut period = Period::new(1_000);
        assert!(period.is_due(5_300) && !period.is_due(5_999));
        assert_eq!(period.left(5_999), Duration::from_millis(1));
        assert!(period.is_due(6_000) && period.is_due(9_500), "one moment for all that were missed");
        assert!(!period.is_due(9_999));
        assert!(period.is_due(2_000), "set back");
        assert!(!period.is_due(2_500) && period.is_due(3_000));
    }
}
