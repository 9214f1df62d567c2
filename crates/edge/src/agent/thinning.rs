//! How many samples the twin sees: all of them, or one of 2, 4, … while the vehicle is behind its source.
//!
//! Records are evidence and none is left out; the twin estimates, and can do so from fewer samples. Its full filter takes
//! some 180 µs a sample of 96 cells, so that one of 16 leaves 12 µs.

use voltmesh_telemetry::Timestamp;

/// At most one of so many is seen: at 1 Hz a sample each 16 s, far below a gap (600 s).
const MOST: u64 = 16;

/// While the vehicle is behind, half as many are seen after each time of this length.
const THIN_EVERY_MS: u64 = 1_000;

/// A vehicle that was not behind for so long sees twice as many.
const RESTORE_AFTER_MS: u64 = 10_000;

/// Which samples the twin sees.
#[derive(Debug)]
pub(super) struct Thinning {
    /// One of so many.
    every: u64,
    /// Samples since the last that was seen.
    passed: u64,
    behind: bool,
    /// When `every` or `behind` changed last.
    changed: Timestamp,
}

impl Thinning {
    pub fn new() -> Self {
        Self { every: 1, passed: 0, behind: false, changed: Timestamp::default() }
    }

    /// The vehicle is behind its source from now on, or is not.
    pub fn set_behind(&mut self, now: Timestamp, behind: bool) {
        if behind != self.behind {
            self.behind = behind;
            self.changed = now;
        }
    }

    /// Sees more or fewer samples if it is time; returns one of how many from now on, if that changed.
    pub fn adjust(&mut self, now: Timestamp) -> Option<u64> {
        let (after, every) = match self.behind {
            true => (THIN_EVERY_MS, (self.every * 2).min(MOST)),
            false => (RESTORE_AFTER_MS, (self.every / 2).max(1)),
        };
        if every == self.every || now < self.changed.plus_millis(after) {
            return None;
        }
        self.every = every;
        self.changed = now;
        Some(every)
    }

    /// Whether the twin sees the next sample.
    pub fn sees(&mut self) -> bool {
        self.passed += 1;
        let sees = self.passed >= self.every;
        if sees {
            self.passed = 0;
        }
        sees
    }

    /// One of how many is seen.
    pub fn every(&self) -> u64 {
        self.every
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_while_behind_and_all_again_after() {
        let at = Timestamp::from_millis;
        let mut thinning = Thinning::new();
        assert!((0..10).all(|_| thinning.sees()));
        assert_eq!(thinning.adjust(at(100_000)), None);
        thinning.set_behind(at(100_000), true);
        assert_eq!(thinning.adjust(at(100_999)), None);
        let changes: Vec<u64> = (1..20).filter_map(|s| thinning.adjust(at(100_000 + 1_000 * s))).collect();
        assert_eq!(changes, [2, 4, 8, 16]);
        assert_eq!((0..160).filter(|_| thinning.sees()).count(), 10);
        thinning.set_behind(at(120_000), false);
        assert_eq!(thinning.adjust(at(129_999)), None);
        let changes: Vec<u64> = (0..60).filter_map(|s| thinning.adjust(at(120_000 + 1_000 * s))).collect();
        assert_eq!(changes, [8, 4, 2, 1]);
        assert!((0..10).all(|_| thinning.sees()));
    }
}
