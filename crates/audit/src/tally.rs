//! Bounds on the entries that outsiders can cause.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Kind;

/// Count of events of one kind, by who and what: the first of each has an entry at once; those of the following hour share
/// one at its end, with their count. So many subjects have entries of their own; what comes from others shares one.
///
/// Each occurrence is written or counted: over any time, the counts of all entries are the number of occurrences.
#[derive(Debug)]
pub struct Tally {
    kind: Kind,
    most: usize,
    open: BTreeMap<(String, String), Window>,
    others: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Duration,
    count: u64,
}

/// What is due to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Kind of the event.
    pub kind: Kind,
    /// Who, `others` for all that had no entries of their own.
    pub who: String,
    /// What.
    pub what: String,
    /// How often.
    pub count: u64,
}

impl Tally {
    /// Time in which one subject has two entries at most: 1 h.
    pub const EVERY: Duration = Duration::from_secs(3_600);

    /// Refusals: 128 subjects, so at most 257 entries an hour. At 4.4 kB, the longest, 314 B/s; at 300 B, 21 B/s.
    pub fn of_refusals() -> Self {
        Self::new(Kind::Refusal, 128)
    }

    /// Reads: 256 subjects, so at most 513 entries an hour; a path and a name of 200 B, 43 B/s.
    pub fn of_reads() -> Self {
        Self::new(Kind::Read, 256)
    }

    fn new(kind: Kind, most: usize) -> Self {
        Self { kind, most, open: BTreeMap::new(), others: None }
    }

    /// Counts one; true if it is to be written at once.
    pub fn count(&mut self, now: Duration, who: &str, what: &str) -> bool {
        let subject = (who.to_owned(), what.to_owned());
        if let Some(window) = self.open.get_mut(&subject) {
            window.count += 1;
            return false;
        }
        if self.open.len() >= self.most {
            self.others.get_or_insert(Window { since: now, count: 0 }).count += 1;
            return false;
        }
        self.open.insert(subject, Window { since: now, count: 0 });
        true
    }

    /// What was counted and is due: windows that are over, or all.
    pub fn due(&mut self, now: Duration, all: bool) -> Vec<Counted> {
        let kind = self.kind;
        let over = |window: &Window| all || now.saturating_sub(window.since) >= Self::EVERY;
        let mut due = Vec::new();
        self.open.retain(|(who, what), window| {
            if !over(window) {
                return true;
            }
            let count = std::mem::replace(window, Window { since: now, count: 0 }).count;
            if count > 0 {
                due.push(Counted { kind, who: who.clone(), what: what.clone(), count });
            }
            // Who goes on has the next entry when the next window is over.
            count > 0 && !all
        });
        if let Some(window) = self.others.take_if(|window| over(window)) {
            let what = format!("more than {} others", self.most);
            due.push(Counted { kind, who: "others".to_owned(), what, count: window.count });
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whoever does what when: each occurrence is in the count of one entry, and entries have their bound.
        #[test]
        fn every_occurrence_is_written_or_counted(
            events in proptest::collection::vec((0_u64..400, 0_u16..400), 0..2_000)
        ) {
            let mut tally = Tally::of_refusals();
            let (mut now, mut told, mut entries) = (Duration::ZERO, 0, 0);
            for (pause, who) in &events {
                now += Duration::from_secs(*pause);
                let due = tally.due(now, false);
                entries += due.len();
                told += due.iter().map(|due| due.count).sum::<u64>();
                if tally.count(now, &format!("client:{who}"), "a topic of another") {
                    (entries, told) = (entries + 1, told + 1);
                }
            }
            told += tally.due(now, true).iter().map(|due| due.count).sum::<u64>();
            prop_assert_eq!(told, events.len() as u64);
            let hours = now.as_secs() / 3_600 + 1;
            prop_assert!(entries as u64 <= hours * (2 * 128 + 1), "{} entries in {} h", entries, hours);
        }
    }

    #[test]
    fn a_flood_of_one_is_an_entry_at_once_and_one_an_hour() {
        let mut tally = Tally::of_refusals();
        let (mut at_once, mut due) = (0, Vec::new());
        for second in 0..36_000 {
            let now = Duration::from_secs(second);
            at_once += u64::from(tally.count(now, "10.0.0.7", "handshake refused"));
            due.extend(tally.due(now, false));
        }
        assert_eq!((at_once, due.len()), (1, 9));
        assert!(due.iter().all(|due| due.count == 3_600), "{due:?}");
    }
}
