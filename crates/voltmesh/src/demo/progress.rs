//! Whether a run still gets on, or has failed.

use std::time::{Duration, Instant};

use super::watch::{STAGES, Watch};

/// Progress of a run: whether it still gets on.
pub struct Progress {
    patience: Duration,
    begun: Instant,
    since: Instant,
    reached: u64,
}

/// From an offer of a batch to its notice: a commit that holds little waits 30 s.
const ANSWER: Duration = Duration::from_secs(60);

impl Progress {
    /// Nothing has happened yet.
    pub fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Progress { patience, begun: now, since: now, reached: 0 }
    }

    /// How long nothing may happen before the run has failed. A vehicle whose notice was lost offers its batch again after
    /// twice the time each time: the next offer may take as long again as all before it.
    pub fn patience(&self) -> Duration {
        self.patience.max(self.since.duration_since(self.begun) + ANSWER)
    }

    /// Whether a record came further within the time that is waited for one; faults to come are waited for.
    pub fn is_made(&mut self, watch: &Watch, faults_to_come: bool) -> bool {
        let reached = STAGES.iter().map(|stage| watch.sum("edge-", stage)).sum();
        if faults_to_come || reached > self.reached {
            self.since = Instant::now();
            self.reached = self.reached.max(reached);
        }
        self.since.elapsed() < self.patience()
    }
}
