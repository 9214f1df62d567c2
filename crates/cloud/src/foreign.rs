//! Coverage of a foreign client in the archive: records by number and content.
//!
//! Their numbers have gaps by design, and a number is made of a time and 21 bits of the content
//! ([ADR 3](../../../docs/adr/0003-ids-of-foreign-records.md)), so two samples of one millisecond can share it. Content is
//! therefore compared whenever a number is known: the same content is a repeat, other content is a collision.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voltmesh_telemetry::{Digest, Record};

/// Committed numbers that stay in memory per client, to recognise repeats without a look-up: an hour at 1 Hz, 260 KB.
pub const CACHED_NUMBERS: usize = 4096;

/// SHA-256 of a sample's canonical bytes: what decides whether two records with one number are the same.
pub fn content_of(record: &Record) -> Digest {
    let mut bytes = Vec::with_capacity(512);
    record.sample.canonical(&mut bytes);
    Digest::of(&bytes)
}

/// Relation of a batch's records to what is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// Positions of the records that are not held yet.
    pub fresh: Vec<u32>,
    /// Positions of records whose number is held with other content.
    pub collisions: Vec<u32>,
}

/// The held records of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    highest: Option<u64>,
    /// Records that a look-up might not show, and the cached ones.
    known: BTreeMap<u64, Digest>,
    /// Those in `known` that every look-up shows by now, oldest first; at most [`CACHED_NUMBERS`].
    cached: VecDeque<u64>,
}

impl Foreign {
    /// The memory that a snapshot's mark describes: the number after the highest archived one.
    pub fn new(watermark: u64) -> Self {
        Self { highest: watermark.checked_sub(1), ..Self::default() }
    }

    /// Sorts the records of one batch; `None` if the memory does not tell. `asked` is what the table holds under their
    /// numbers, once that was looked up.
    pub fn sort(&self, records: &[(u64, Digest)], asked: Option<&BTreeMap<u64, Digest>>) -> Option<Sorted> {
        let mut sorted = Sorted::default();
        let mut own: BTreeMap<u64, Digest> = BTreeMap::new();
        for ((number, content), position) in records.iter().zip(0..) {
            let held = self.known.get(number).or_else(|| own.get(number)).copied();
            let held = match held {
                Some(held) => Some(held),
                None if self.highest.is_none_or(|highest| *number > highest) => None,
                None => asked?.get(number).copied(),
            };
            match held {
                None => {
                    own.insert(*number, *content);
                    sorted.fresh.push(position);
                }
                Some(held) if held != *content => sorted.collisions.push(position),
                Some(_) => {}
            }
        }
        Some(sorted)
    }

    /// Numbers of these records that only the table can tell of.
    pub fn to_ask(&self, records: &[(u64, Digest)]) -> BTreeSet<u64> {
        let numbers = records.iter().map(|(number, _)| *number);
        numbers
            .filter(|number| {
                !self.known.contains_key(number) && self.highest.is_some_and(|highest| *number <= highest)
            })
            .collect()
    }

    /// Notes a record as held; it stays known until [`Self::settle`].
    pub fn insert(&mut self, number: u64, content: Digest) {
        self.highest = self.highest.max(Some(number));
        self.known.insert(number, content);
    }

    /// The record is shown by every look-up from now on: it stays as one of [`CACHED_NUMBERS`].
    pub fn settle(&mut self, number: u64) {
        self.cached.push_back(number);
        if self.cached.len() > CACHED_NUMBERS
            && let Some(oldest) = self.cached.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// The number after the highest held one.
    pub fn watermark(&self) -> u64 {
        self.highest.map_or(0, |highest| highest.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(n: u8) -> Digest {
        Digest::of(&[n])
    }

    fn sorted(fresh: &[u32], collisions: &[u32]) -> Option<Sorted> {
        Some(Sorted { fresh: fresh.to_vec(), collisions: collisions.to_vec() })
    }

    #[test]
    fn numbers_are_known_or_asked_for() {
        let (a, b) = (content(1), content(2));
        let mut foreign = Foreign::new(0);
        assert_eq!(foreign.sort(&[(5, a), (5, a), (9, b)], None), sorted(&[0, 2], &[]));
        foreign.insert(5, a);
        foreign.insert(9, b);
        assert_eq!(foreign.sort(&[(5, a), (10, a)], None), sorted(&[1], &[]));
        assert_eq!(foreign.sort(&[(7, a)], None), None);
        assert_eq!(foreign.to_ask(&[(5, a), (7, a), (11, a)]), BTreeSet::from([7]));
        let table = BTreeMap::from([(7, a)]);
        assert_eq!(foreign.sort(&[(7, a), (8, a)], Some(&table)), sorted(&[1], &[]));
        let restarted = Foreign::new(foreign.watermark());
        assert_eq!(restarted.sort(&[(9, a), (11, a)], None), None);
        assert_eq!(restarted.sort(&[(11, a)], None), sorted(&[0], &[]));
    }

    #[test]
    fn other_content_under_a_held_number_is_a_collision() {
        let (a, b) = (content(1), content(2));
        let mut foreign = Foreign::new(0);
        assert_eq!(foreign.sort(&[(5, a), (5, b)], None), sorted(&[0], &[1]));
        foreign.insert(5, a);
        assert_eq!(foreign.sort(&[(5, b), (6, b)], None), sorted(&[1], &[0]));
        let restarted = Foreign::new(6);
        let table = BTreeMap::from([(5, a)]);
        assert_eq!(restarted.sort(&[(5, b)], Some(&table)), sorted(&[], &[0]));
        assert_eq!(restarted.sort(&[(5, a)], Some(&table)), sorted(&[], &[]));
    }

    /// One past the cache, the table is asked; what is not committed is known, however much it is.
    #[test]
    fn what_is_not_committed_is_never_fresh_again() {
        let mut foreign = Foreign::new(0);
        for n in 0..=CACHED_NUMBERS as u64 {
            foreign.insert(n, content(1));
        }
        let nothing = BTreeMap::new();
        assert_eq!(foreign.sort(&[(0, content(1))], Some(&nothing)), sorted(&[], &[]));
        (0..=CACHED_NUMBERS as u64).for_each(|n| foreign.settle(n));
        assert_eq!(foreign.sort(&[(0, content(1))], None), None);
        assert_eq!(foreign.sort(&[(1, content(1))], None), sorted(&[], &[]));
    }
}
