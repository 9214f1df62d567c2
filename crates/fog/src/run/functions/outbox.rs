//! What waits for a controller's session: reports in order, and summaries of the last second.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Reports that wait while a controller is away: states of 1,000 functions and what became of some thousand commands. Beyond it the
/// oldest leave, which is counted: the controller asks again for what it still needs.
const MAX_REPORTS: usize = 4_096;

/// Messages of summaries that wait: a hundred a second, of two seconds.
const MAX_SUMMARIES: usize = 200;

/// How long summaries wait.
const SECOND: Duration = Duration::from_secs(1);

/// Bytes of them.
const MAX_BYTES: usize = 16 << 20;

/// Decisions on the ledger that wait to be told: of at most 12 KiB each, 3 MiB. A controller that misses one writes it down again.
const MAX_ACTS: usize = 256;

/// One controller's outbox.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the session has begun and its first reports are in the queue.
    greeted: bool,
    reports: VecDeque<Bytes>,
    bytes: usize,
    summaries: VecDeque<(Instant, Bytes)>,
    dropped: u64,
    skipped: u64,
    /// What each session begins with: hand-overs of the ledger, and who commands.
    standing: (Vec<Bytes>, Option<Bytes>),
    /// Of these, what this session has not been told.
    handovers: VecDeque<Bytes>,
    term: Option<Bytes>,
    acts: VecDeque<Bytes>,
}

/// What to send next.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    Report(Bytes),
    Summaries(Bytes),
    /// What the ledger says.
    Ledger(Bytes),
}

impl State {
    fn trim(&mut self) {
        while (self.reports.len() > MAX_REPORTS || self.bytes > MAX_BYTES)
            && let Some(oldest) = self.reports.pop_front()
        {
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
    }

    fn put_first(&mut self, reports: impl DoubleEndedIterator<Item = Bytes>) {
        for report in reports.rev() {
            self.bytes += report.len();
            self.reports.push_front(report);
        }
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session has begun, with these reports before all that wait.
    pub fn greet(&self, first: Vec<Bytes>) {
        let mut state = self.lock();
        state.put_first(first.into_iter());
        state.greeted = true;
        (state.handovers, state.term) = (state.standing.0.clone().into(), state.standing.1.clone());
        drop(state);
        self.changed.notify_one();
    }

    /// A session has ended or is about to begin; these reports were not acknowledged.
    pub fn down(&self, unacknowledged: impl DoubleEndedIterator<Item = Bytes>) {
        let mut state = self.lock();
        state.put_first(unacknowledged);
        state.trim();
        state.greeted = false;
        state.summaries.clear();
    }

    /// A report, in its turn.
    pub fn report(&self, report: Bytes) {
        let mut state = self.lock();
        state.bytes += report.len();
        state.reports.push_back(report);
        state.trim();
        drop(state);
        self.changed.notify_one();
    }

    /// All hand-overs of the ledger so far.
    pub fn handovers(&self, reports: Vec<Bytes>) {
        let mut state = self.lock();
        state.handovers = reports.clone().into();
        state.standing.0 = reports;
        drop(state);
        self.changed.notify_one();
    }

    /// Who commands now.
    pub fn term(&self, report: Bytes) {
        let mut state = self.lock();
        state.term = Some(report.clone());
        state.standing.1 = Some(report);
        drop(state);
        self.changed.notify_one();
    }

    /// A decision is on the ledger.
    pub fn act(&self, report: Bytes) {
        let mut state = self.lock();
        state.acts.push_back(report);
        if state.acts.len() > MAX_ACTS {
            state.acts.pop_front();
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Summaries; those that could not be sent within a second leave. Nothing is kept for one who is away.
    pub fn summaries(&self, now: Instant, summaries: Vec<Bytes>) {
        let mut state = self.lock();
        if !state.greeted {
            return;
        }
        while state.summaries.len() > MAX_SUMMARIES
            || state.summaries.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= SECOND)
        {
            state.summaries.pop_front();
            state.skipped += 1;
        }
        state.summaries.extend(summaries.into_iter().map(|one| (now, one)));
        drop(state);
        self.changed.notify_one();
    }

    /// Reports that left without being told, and summaries that a newer second replaced.
    pub fn lost(&self) -> (u64, u64) {
        let state = self.lock();
        (state.dropped, state.skipped)
    }

    /// What is to be sent, once there is something.
    pub async fn next(&self) -> Item {
        loop {
            {
                let mut state = self.lock();
                if state.greeted {
                    if let Some(report) = state.reports.pop_front() {
                        state.bytes -= report.len();
                        return Item::Report(report);
                    }
                    // What proves comes before what it proves, and acts before the term that says that their numbers are used.
                    let handover = state.handovers.pop_front();
                    let ledger = handover.or_else(|| state.acts.pop_front()).or_else(|| state.term.take());
                    if let Some(report) = ledger {
                        return Item::Ledger(report);
                    }
                    if let Some((_, summaries)) = state.summaries.pop_front() {
                        return Item::Summaries(summaries);
                    }
                }
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn report(n: usize) -> Bytes {
        Bytes::from(n.to_string())
    }

    fn next(outbox: &Outbox) -> Option<Item> {
        outbox.next().now_or_never()
    }

    #[test]
    fn a_session_begins_with_its_first_reports_and_goes_on_where_the_last_ended() {
        let outbox = Outbox::default();
        outbox.report(report(3));
        outbox.summaries(Instant::now(), vec![report(99)]);
        assert_eq!(next(&outbox), None, "nobody is there");
        outbox.greet(vec![report(1), report(2)]);
        outbox.summaries(Instant::now(), vec![report(4)]);
        for n in 1..=3 {
            assert_eq!(next(&outbox), Some(Item::Report(report(n))));
        }
        assert_eq!(next(&outbox), Some(Item::Summaries(report(4))));
        outbox.report(report(5));
        outbox.down([report(2), report(3)].into_iter());
        assert_eq!(next(&outbox), None);
        outbox.greet(vec![report(1)]);
        for n in [1, 2, 3, 5] {
            assert_eq!(next(&outbox), Some(Item::Report(report(n))));
        }
        assert_eq!((next(&outbox), outbox.lost()), (None, (0, 0)));
    }

    #[test]
    fn each_session_begins_with_who_commands() {
        let outbox = Outbox::default();
        outbox.term(report(1));
        outbox.handovers(vec![report(2), report(3)]);
        outbox.term(report(4));
        outbox.act(report(5));
        assert_eq!(next(&outbox), None, "nobody is there");
        for again in [true, false] {
            outbox.greet(Vec::new());
            let acts = again.then_some(5);
            for n in [2, 3].into_iter().chain(acts).chain([4]) {
                assert_eq!(next(&outbox), Some(Item::Ledger(report(n))), "{again}");
            }
            assert_eq!(next(&outbox), None);
            outbox.down(std::iter::empty());
        }
        (0..2 * MAX_ACTS).for_each(|n| outbox.act(report(n)));
        outbox.greet(Vec::new());
        assert_eq!(std::iter::from_fn(|| next(&outbox)).count(), MAX_ACTS + 3);
    }

    #[test]
    fn the_oldest_report_leaves_and_a_newer_second_replaces() {
        let outbox = Outbox::default();
        (0..=MAX_REPORTS).for_each(|n| outbox.report(report(n)));
        outbox.greet(Vec::new());
        assert_eq!(next(&outbox), Some(Item::Report(report(1))));
        let begun = Instant::now();
        outbox.summaries(begun, vec![report(1), report(2)]);
        outbox.summaries(begun + SECOND / 2, vec![report(3)]);
        assert_eq!(outbox.lost(), (1, 0));
        outbox.summaries(begun + SECOND, vec![report(4)]);
        assert_eq!(outbox.lost(), (1, 2), "the older second leaves");
    }
}
