//! How many commands are taken in a time.

/// Credit that one command costs: a minute in ms, so that the refill is the rate times the ms that have passed.
const COST: u64 = 60_000;

/// A rate with a burst, on a clock that only goes forward.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    per_minute: u64,
    most: u64,
    credit: u64,
    at: u64,
}

impl Pace {
    /// So many a minute in the long run, and so many at once.
    pub fn new(per_minute: u32, burst: u32) -> Self {
        let most = u64::from(burst.max(1)) * COST;
        Self { per_minute: u64::from(per_minute), most, credit: most, at: 0 }
    }

    /// Takes one at that time in ms, if there is room.
    pub fn take(&mut self, elapsed: u64) -> bool {
        let passed = elapsed.saturating_sub(self.at);
        self.at = self.at.max(elapsed);
        self.credit = self.credit.saturating_add(passed.saturating_mul(self.per_minute)).min(self.most);
        let enough = self.credit >= COST;
        if enough {
            self.credit -= COST;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut pace = Pace::new(60, 5);
        assert_eq!((0..20).filter(|_| pace.take(0)).count(), 5);
        assert_eq!((1..=100).filter(|n| pace.take(n * 100)).count(), 10, "one a second");
        assert!(!pace.take(0), "time that goes back gives nothing");
    }
}
