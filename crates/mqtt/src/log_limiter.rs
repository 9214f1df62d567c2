//! Bounds on lines of the log that outsiders can cause.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets through one line for each subject (a source address, an identity) and time, and counts the others.
///
/// At most `most` subjects have lines of their own within that time; what comes from others only counts. With the defaults
/// of [`LogLimiter::default`] that is at most 2 × 200 lines of some 200 bytes in 10 s, 8 kB/s.
///
/// ```
/// use std::time::Duration;
/// use voltmesh_mqtt::LogLimiter;
///
/// let refusals = LogLimiter::default();
/// for attempt in 0..215 {
///     if refusals.may_write("10.0.0.7") {
///         assert_eq!(attempt, 0); // Write a line that says what is refused, and why.
///     }
/// }
/// // Each second or so, write a line for each of those that have become due:
/// for counted in refusals.due() {
///     println!("{counted}"); // 10.0.0.7: and 214 more in the last 10 s
/// }
/// ```
pub struct LogLimiter<K> {
    every: Duration,
    most: usize,
    started: Instant,
    state: Mutex<State<K>>,
}

struct State<K> {
    /// When the window of each began, and what was not written since.
    open: BTreeMap<K, (Duration, u64)>,
    /// Of subjects without a window of their own.
    others: (Duration, u64),
}

/// Count of lines that were not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritten<K> {
    /// Who caused it; `None` for all that had no lines of their own.
    pub subject: Option<K>,
    /// How often.
    pub count: u64,
    /// In how long.
    pub within: Duration,
}

impl<K: fmt::Display> fmt::Display for Unwritten<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Some(subject) => subject.fmt(f)?,
            None => f.write_str("others")?,
        }
        write!(f, ": and {} more in the last {} s", self.count, self.within.as_secs())
    }
}

impl<K: Ord + Clone> Default for LogLimiter<K> {
    /// A line for each of 200 subjects in 10 s.
    fn default() -> Self {
        LogLimiter::new(Duration::from_secs(10), 200)
    }
}

impl<K: Ord + Clone> LogLimiter<K> {
    /// A line for each of so many subjects in so long.
    pub fn new(every: Duration, most: usize) -> Self {
        let state = State { open: BTreeMap::new(), others: (Duration::ZERO, 0) };
        LogLimiter { every, most: most.max(1), started: Instant::now(), state: Mutex::new(state) }
    }

    /// Whether to write a line now. If not, it is counted.
    pub fn may_write(&self, subject: K) -> bool {
        self.lock().may_write(self.started.elapsed(), self.every, self.most, subject)
    }

    /// What was counted and is due to be told.
    pub fn due(&self) -> Vec<Unwritten<K>> {
        self.lock().due(self.started.elapsed(), self.every)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> State<K> {
    fn may_write(&mut self, now: Duration, every: Duration, most: usize, subject: K) -> bool {
        if let Some((since, count)) = self.open.get_mut(&subject) {
            // Past its time, and not told yet: still counted, so that no count is lost.
            if now < *since + every || *count > 0 {
                *count += 1;
                return false;
            }
        } else if self.open.len() >= most {
            if self.others.1 == 0 {
                self.others.0 = now;
            }
            self.others.1 += 1;
            return false;
        }
        self.open.insert(subject, (now, 0));
        true
    }

    fn due(&mut self, now: Duration, every: Duration) -> Vec<Unwritten<K>> {
        let mut due = Vec::new();
        self.open.retain(|subject, (since, count)| {
            let within = now.saturating_sub(*since);
            if within < every {
                return true;
            }
            let unwritten = Unwritten { subject: Some(subject.clone()), count: *count, within };
            // Counted: it goes on in a new window, so that a flood has one line in each.
            (*since, *count) = (now, 0);
            let flood = unwritten.count > 0;
            due.extend(flood.then_some(unwritten));
            flood
        });
        let (since, count) = self.others;
        if count > 0 && now.saturating_sub(since) >= every {
            due.push(Unwritten { subject: None, count, within: now.saturating_sub(since) });
            self.others.1 = 0;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    #[test]
    fn a_flood_has_one_line_a_window_and_its_count_is_told() {
        let mut state = State { open: BTreeMap::new(), others: (Duration::ZERO, 0) };
        let (mut written, mut told, mut counted) = (0, 0, 0);
        for millis in 0..60_000 {
            let now = Duration::from_millis(millis);
            written += u64::from(state.may_write(now, EVERY, 100, "flood"));
            if millis % 1000 == 999 {
                let due = state.due(now, EVERY);
                told += due.len();
                counted += due.iter().map(|due| due.count).sum::<u64>();
            }
        }
        assert!(written == 1 && (5..=6).contains(&told), "{written} {told}");
        counted += state.due(Duration::from_secs(100), EVERY).iter().map(|due| due.count).sum::<u64>();
        assert_eq!(written + counted, 60_000, "each occurrence is written or counted");
    }

    #[test]
    fn one_who_has_gone_quiet_has_a_line_again_and_is_forgotten() {
        let mut state = State { open: BTreeMap::new(), others: (Duration::ZERO, 0) };
        assert!(state.may_write(Duration::ZERO, EVERY, 100, 1));
        assert!(state.due(EVERY, EVERY).is_empty() && state.open.is_empty());
        assert!(state.may_write(EVERY, EVERY, 100, 1));
    }

    #[test]
    fn subjects_are_bounded_and_what_others_cause_is_counted() {
        let mut state = State { open: BTreeMap::new(), others: (Duration::ZERO, 0) };
        let lines = (0..10_000).filter(|subject| state.may_write(Duration::ZERO, EVERY, 100, *subject));
        assert_eq!(lines.count(), 100);
        assert_eq!(state.open.len(), 100);
        let due = state.due(EVERY, EVERY);
        assert_eq!(due, [Unwritten { subject: None, count: 9_900, within: EVERY }]);
        assert_eq!(due[0].to_string(), "others: and 9900 more in the last 10 s");
    }
}
