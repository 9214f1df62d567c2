//! This node's clock against the ledger's and the vehicles': nothing is decided by it, a difference is said.
//!
//! A block's time is at most that of a majority's clocks, so a block from the future shows that this clock is behind. A
//! block from the past may be an old one that is caught up with; if blocks come at the pace of the clock and stay as far
//! behind it, the clock is ahead.

use voltmesh_control::CLOCK_TOLERANCE_MS;
use voltmesh_telemetry::Timestamp;

/// How long blocks must come at the clock's own pace, milliseconds: a minute.
const PACE_MS: u64 = 60_000;

/// Least time between two lines of the log about this node's clock: an hour.
const SAY_MS: u64 = 3_600_000;

/// What is known of this node's clock.
#[derive(Debug, Default)]
pub struct Clock {
    /// The clock and the newest block's time, a minute ago at most.
    since: Option<(Timestamp, Timestamp)>,
    off_ms: u64,
    /// The newest block's time: the true time is not before it.
    newest: Timestamp,
    said: Option<Timestamp>,
    cloud_said: Option<Timestamp>,
}

impl Clock {
    /// How far the clock is off, as far as blocks show; 0 within the tolerance.
    pub fn off_ms(&self) -> u64 {
        self.off_ms
    }

    /// How far a time lies ahead of this node's clock and of what the ledger knows has passed, if further than clocks may
    /// differ.
    pub fn ahead(&self, now: Timestamp, time: Timestamp) -> Option<u64> {
        let ahead = time.millis_since(now.max(self.newest));
        (ahead > CLOCK_TOLERANCE_MS).then_some(ahead)
    }

    /// Whether a difference to the cloud's clock is to be said: once in [`SAY_MS`].
    pub fn says_of_cloud(&mut self, now: Timestamp) -> bool {
        let due = self.cloud_said.is_none_or(|said| now.millis_since(said) >= SAY_MS);
        if due {
            self.cloud_said = Some(now);
        }
        due
    }

    /// A block of this time is final now. The difference to be said: milliseconds, and whether the clock is ahead.
    pub fn block(&mut self, now: Timestamp, block: Timestamp) -> Option<(u64, bool)> {
        self.newest = self.newest.max(block);
        let (behind, ahead) = (block.millis_since(now), now.millis_since(block));
        if behind <= CLOCK_TOLERANCE_MS && ahead <= CLOCK_TOLERANCE_MS {
            (self.since, self.off_ms) = (None, 0);
            return None;
        }
        if ahead > 0 {
            let (then, first) = *self.since.get_or_insert((now, block));
            let (passed, made) = (now.millis_since(then), block.millis_since(first));
            if passed < PACE_MS {
                return None;
            }
            self.since = None;
            if made.abs_diff(passed) > passed / 5 {
                return None; // catching up, or standing still
            }
        }
        self.off_ms = behind.max(ahead);
        let due = self.said.is_none_or(|said| now.millis_since(said) >= SAY_MS);
        due.then(|| {
            self.said = Some(now);
            (self.off_ms, ahead > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_clock_an_hour_behind_is_said_at_once_and_one_ahead_after_a_minute() {
        let mut clock = Clock::default();
        assert_eq!(clock.block(at(HOUR), at(2 * HOUR)), Some((HOUR, false)));
        assert_eq!(clock.block(at(HOUR + 1_000), at(2 * HOUR + 1_000)), None, "once an hour");
        assert_eq!(clock.off_ms(), HOUR);
        assert_eq!(clock.block(at(2 * HOUR), at(2 * HOUR)), None);
        assert_eq!(clock.off_ms(), 0);
        let mut clock = Clock::default();
        let said: Vec<_> =
            (0..=60).filter_map(|s| clock.block(at(3 * HOUR + 1000 * s), at(HOUR + 1000 * s))).collect();
        assert_eq!(said, [(2 * HOUR, true)]);
    }

    #[test]
    fn a_time_ahead_of_a_clock_that_is_behind_is_measured_by_the_ledger() {
        let mut clock = Clock::default();
        assert_eq!(clock.ahead(at(HOUR), at(HOUR + CLOCK_TOLERANCE_MS)), None);
        assert_eq!(clock.ahead(at(HOUR), at(3 * HOUR)), Some(2 * HOUR));
        clock.block(at(HOUR), at(3 * HOUR));
        assert_eq!(clock.ahead(at(HOUR), at(3 * HOUR)), None, "this node's clock is behind");
    }

    #[test]
    fn a_node_that_catches_up_has_no_wrong_clock() {
        let mut clock = Clock::default();
        for second in 0..600 {
            // Blocks of an hour come within ten minutes.
            assert_eq!(clock.block(at(5 * HOUR + 1000 * second), at(HOUR + 6000 * second)), None);
        }
        assert_eq!(clock.off_ms(), 0);
    }
}
