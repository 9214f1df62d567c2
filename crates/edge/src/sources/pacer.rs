//! How fast recorded time passes.

use std::time::{Duration, Instant};

/// Speed of a replay or simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many seconds of recording in one second; 1 is real time.
    Times(f64),
    /// As fast as possible.
    Unlimited,
}

/// Tells when a sample is due.
#[derive(Debug)]
pub struct Pacer {
    pace: Pace,
    start: Option<(Instant, u64)>,
    late: Duration,
}

/// A pause in a recording is not waited for longer than this, in milliseconds of its own time.
const MAX_GAP_MS: u64 = 10_000;

impl Pacer {
    /// A pacer that starts with the first sample.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, start: None, late: Duration::ZERO }
    }

    /// How long the last sample had been due when it was asked for; at most 5 s, where counting starts again.
    #[must_use]
    pub fn late(&self) -> Duration {
        self.late
    }

    /// How long to wait at `now` until a sample of `time_ms` (its own time) is due.
    pub fn wait(&mut self, now: Instant, time_ms: u64) -> Duration {
        let Pace::Times(times) = self.pace else { return Duration::ZERO };
        let (start, origin) = *self.start.get_or_insert((now, time_ms));
        let own = Duration::from_millis(time_ms.saturating_sub(origin));
        let due = start + own.div_f64(times.max(1e-6));
        let wait = due.saturating_duration_since(now);
        self.late = now.saturating_duration_since(due);
        let most = Duration::from_millis(MAX_GAP_MS).div_f64(times.max(1e-6));
        // A long gap, a step back, or a machine that slept: start counting again here.
        if time_ms < origin || wait > most || now.saturating_duration_since(due) > Duration::from_secs(5) {
            let wait = wait.min(most);
            self.start = Some((now + wait, time_ms));
            return wait;
        }
        wait
    }
}
