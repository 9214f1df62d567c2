//! How often and how fast: waits after failures, and the rates of what a function may say and ask.

use voltmesh_telemetry::Timestamp;

/// Wait after the first failure in ms; each further one doubles it.
const FIRST_WAIT_MS: u64 = 100;
/// Longest wait in ms.
const LONGEST_WAIT_MS: u64 = 60_000;
/// Failures in a row after which a function is off.
pub(super) const MOST_FAILURES: u32 = 6;
/// Time in ms without a failure after which the earlier ones are forgotten.
const FORGIVEN_MS: u64 = 600_000;

/// Failures of one function in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// Counts one; the time at which to start again, or none when the function is off from now on.
    pub fn record(&mut self, now: Timestamp) -> Option<Timestamp> {
        if now.millis_since(self.last) >= FORGIVEN_MS {
            self.count = 0;
        }
        self.count += 1;
        self.last = now;
        if self.count >= MOST_FAILURES {
            return None;
        }
        Some(now.plus_millis((FIRST_WAIT_MS << (self.count - 1)).min(LONGEST_WAIT_MS)))
    }
}

/// Rate with a burst: a bucket that refills.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    /// In parts of a minute's ms, so that ms refill whole numbers.
    left: u64,
    burst: u64,
    per_min: u64,
    at: Timestamp,
}

/// Parts of one.
const PARTS: u64 = 60_000;

impl Rate {
    pub const fn new(burst: u64, per_s: u64) -> Self {
        Self::per_min(burst, 60 * per_s)
    }

    pub const fn per_min(burst: u64, per_min: u64) -> Self {
        Self { left: burst * PARTS, burst, per_min, at: Timestamp::from_millis(0) }
    }

    /// Another rate from now on; what is left stays, within the new burst.
    pub fn set(&mut self, burst: u64, per_min: u64) {
        // A rate of nothing had nothing left.
        self.left = if self.burst == 0 { burst * PARTS } else { self.left.min(burst * PARTS) };
        (self.burst, self.per_min) = (burst, per_min);
    }

    /// Takes `count`, or nothing and says no.
    pub fn take(&mut self, now: Timestamp, count: usize) -> bool {
        let refill = now.millis_since(self.at).saturating_mul(self.per_min);
        self.left = self.left.saturating_add(refill).min(self.burst * PARTS);
        self.at = now;
        let wanted = count as u64 * PARTS;
        let enough = wanted <= self.left;
        if enough {
            self.left -= wanted;
        }
        enough
    }
}
