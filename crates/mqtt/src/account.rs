//! Publishes and bytes that all sessions of one identity have under way, together.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::Moment;

/// Lead of an identity over its publish rate at most: one second's worth may come at once.
const BURST: Duration = Duration::from_secs(1);

/// Figures of one identity, shared by its sessions; each is touched once for all publishes of a read.
#[derive(Debug, Default)]
pub(crate) struct Account {
    undecided: AtomicUsize,
    bytes: AtomicUsize,
    /// When its publish rate will have caught up, in nanoseconds after the clock's origin.
    caught_up: AtomicU64,
}

impl Account {
    /// Publishes without PUBACK and their bytes of one session, before and now.
    pub(crate) fn charge(&self, before: (usize, usize), now: (usize, usize)) {
        // Wrapping, so that a difference below zero is one addition, too.
        self.undecided.fetch_add(now.0.wrapping_sub(before.0), Ordering::Relaxed);
        self.bytes.fetch_add(now.1.wrapping_sub(before.1), Ordering::Relaxed);
    }

    pub(crate) fn undecided(&self) -> (usize, usize) {
        (self.undecided.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// So many publishes have come.
    pub(crate) fn published(&self, now: Moment, count: usize, per_second: u32) {
        let now = nanos(now.since_origin());
        let cost = (count as u64).saturating_mul(1_000_000_000 / u64::from(per_second.max(1)));
        let later = |caught_up: u64| Some(caught_up.max(now).saturating_add(cost));
        let _ = self.caught_up.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// Whether more have come than the rate allows.
    pub(crate) fn is_ahead(&self, now: Moment) -> bool {
        self.caught_up.load(Ordering::Relaxed) > nanos(now.since_origin() + BURST)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether an identity may have more bytes undecided: no more than are free for all others. One that takes what it can
/// gets half, two get a third each, so there is always room for the next.
pub(crate) fn has_room(own: usize, all: usize, most: usize) -> bool {
    own < most.saturating_sub(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_take_what_they_can_there_is_room_for_one_more() {
        const MOST: usize = 1 << 20;
        for hogs in 1..20 {
            let mut own = vec![0; hogs];
            for _ in 0..MOST / 64 {
                for turn in 0..hogs {
                    let all = own.iter().sum();
                    if has_room(own[turn], all, MOST) {
                        own[turn] += 100;
                    }
                }
            }
            let all: usize = own.iter().sum();
            assert!(has_room(0, all, MOST) && MOST - all >= MOST / (hogs + 1) - 100 * hogs, "{own:?}");
            assert!(own.iter().all(|own| *own >= MOST / (hogs + 2)), "{own:?}");
        }
    }

    #[test]
    fn a_rate_allows_a_burst_and_then_its_pace() {
        let account = Account::default();
        let at = Moment::from_millis;
        account.published(at(0), 1000, 1000);
        assert!(!account.is_ahead(at(0)));
        account.published(at(0), 10, 1000);
        assert!(account.is_ahead(at(0)) && account.is_ahead(at(9)) && !account.is_ahead(at(10)));
    }

    #[test]
    fn what_sessions_hold_adds_up() {
        let account = Account::default();
        account.charge((0, 0), (3, 300));
        account.charge((0, 0), (2, 50));
        account.charge((3, 300), (0, 0));
        assert_eq!(account.undecided(), (2, 50));
        account.charge((2, 50), (0, 0));
        assert_eq!(account.undecided(), (0, 0));
    }
}
