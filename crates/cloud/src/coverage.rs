//! What the archive holds of one boot of one vehicle, in memory that does not grow with what it holds.
//!
//! Batches may come out of order: a vehicle roams, and its fog nodes reach the cloud at different times. A gap is
//! kept as a gap and blocks nothing behind it. Ranges are exact as long as there are few; when there are too many,
//! the two lowest are folded into one that is *unsure*, and batches that fall into it are looked up in the table.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voltmesh_telemetry::BatchId;

/// Archived batches remembered by id per boot: enough for a fog node's window of repeats, 32 × 100 B per boot.
pub const RECENT: usize = 32;
/// Exact ranges per boot beside the first: each gap costs one, and one line in every commit.
pub const MAX_ISLANDS: usize = 64;
/// Foreign record numbers remembered per vehicle: an hour at 1 Hz, 64 KB.
pub const RECENT_FOREIGN: usize = 4096;

/// An archived batch as its neighbours see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its first number.
    pub first: u64,
    /// The number after its last.
    pub next: u64,
    /// Its id.
    pub id: BatchId,
    /// The predecessor that it names.
    pub previous: Option<BatchId>,
}

/// A range of numbers that is archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Its first number.
    pub first: u64,
    /// The number after its last.
    pub next: u64,
    /// Whether every number in it is archived.
    pub sure: bool,
}

/// What a batch is to the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not archived yet, and its chain fits its neighbours.
    Fresh,
    /// This very batch is archived.
    Duplicate,
    /// Another batch with some of its numbers is archived: the vehicle has signed two histories.
    Fork(BatchId),
    /// Its neighbour is archived, and the chain does not lead from one to the other.
    BrokenChain(BatchId),
    /// The memory does not tell: look the neighbourhood up in the table.
    Unknown,
}

/// The archived numbers of one boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    runs: BTreeMap<u64, (u64, bool)>,
    recent: VecDeque<Stored>,
    insertions: u64,
}

impl Coverage {
    /// From what a snapshot says: a watermark and the ranges beyond it.
    pub fn new(watermark: u64, islands: &[Range]) -> Self {
        let mut coverage = Self::default();
        if watermark > 0 {
            coverage.runs.insert(0, (watermark, true));
        }
        for island in islands.iter().filter(|island| island.first < island.next) {
            coverage.join(island.first, island.next, island.sure);
        }
        coverage
    }

    /// Judges a batch; `asked` is what the table holds in its neighbourhood, once that was looked up.
    pub fn judge(&self, batch: &Stored, asked: Option<&[Stored]>) -> Verdict {
        let known = || self.recent.iter().chain(asked.into_iter().flatten());
        if known().any(|stored| stored.id == batch.id) {
            return Verdict::Duplicate;
        }
        if let Some(other) = known().find(|stored| stored.first < batch.next && batch.first < stored.next) {
            return Verdict::Fork(other.id);
        }
        let before = known().find(|stored| stored.next == batch.first);
        if let Some(before) = before.filter(|before| batch.previous != Some(before.id)) {
            return Verdict::BrokenChain(before.id);
        }
        let after = known().find(|stored| stored.first == batch.next);
        if let Some(after) = after.filter(|after| after.previous != Some(batch.id)) {
            return Verdict::BrokenChain(after.id);
        }
        let unclear = (batch.first..batch.next).meets(&self.runs)
            || (before.is_none() && batch.first > 0 && self.holds(batch.first - 1))
            || (after.is_none() && self.holds(batch.next));
        if asked.is_none() && unclear { Verdict::Unknown } else { Verdict::Fresh }
    }

    /// Notes a batch as archived.
    pub fn insert(&mut self, batch: Stored) {
        self.insertions += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(batch);
        self.join(batch.first, batch.next, true);
    }

    /// How many batches were inserted; a look-up is stale once [`RECENT`] more came.
    pub fn insertions(&self) -> u64 {
        self.insertions
    }

    /// The number up to which all are known to be archived, from 0.
    pub fn watermark(&self) -> u64 {
        self.runs.get(&0).map_or(0, |(next, _)| *next)
    }

    /// The ranges beyond the watermark.
    pub fn islands(&self) -> Vec<Range> {
        self.runs.range(1..).map(|(&first, &(next, sure))| Range { first, next, sure }).collect()
    }

    /// The numbers that are missing below the highest archived one, as `first..next`; those inside unsure ranges
    /// are not known and not listed.
    pub fn gaps(&self) -> Vec<(u64, u64)> {
        let mut expected = 0;
        let mut gaps = Vec::new();
        for (&first, &(next, _)) in &self.runs {
            if first > expected {
                gaps.push((expected, first));
            }
            expected = next;
        }
        gaps
    }

    fn holds(&self, number: u64) -> bool {
        (number..number.saturating_add(1)).meets(&self.runs)
    }

    fn join(&mut self, mut first: u64, mut next: u64, sure: bool) {
        let within = self.runs.range(..=first).next_back().is_some_and(|(_, (end, _))| *end >= next);
        if within {
            return;
        }
        // An exact range never melts into an unsure one: the watermark would go back.
        let touching: Vec<u64> = self
            .runs
            .range(..=next)
            .rev()
            .take_while(|(_, (end, _))| *end >= first)
            .filter(|(_, (_, exact))| *exact == sure)
            .map(|(start, _)| *start)
            .collect();
        for start in touching {
            if let Some((end, _)) = self.runs.remove(&start) {
                first = first.min(start);
                next = next.max(end);
            }
        }
        self.runs.insert(first, (next, sure));
        while self.runs.len() > MAX_ISLANDS + 1 {
            self.fold();
        }
    }

    /// Folds the two lowest islands, keeping the watermark's own range exact.
    fn fold(&mut self) {
        let mut starts = self.runs.range(1..).map(|(start, _)| *start);
        let (Some(low), Some(high)) = (starts.next(), starts.next()) else { return };
        if let Some((next, _)) = self.runs.remove(&high) {
            self.runs.insert(low, (next, false));
        }
    }
}

trait Overlap {
    fn meets(&self, runs: &BTreeMap<u64, (u64, bool)>) -> bool;
}

impl Overlap for std::ops::Range<u64> {
    /// Whether a run shares a number with this range.
    fn meets(&self, runs: &BTreeMap<u64, (u64, bool)>) -> bool {
        runs.range(..self.end).next_back().is_some_and(|(_, (next, _))| *next > self.start)
    }
}

/// The archived records of a client that is not ours: their numbers have gaps by design.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    highest: Option<u64>,
    recent: BTreeSet<u64>,
    order: VecDeque<u64>,
    insertions: u64,
}

impl Foreign {
    /// From what a snapshot says: the number after the highest archived one.
    pub fn new(watermark: u64) -> Self {
        Self { highest: watermark.checked_sub(1), ..Self::default() }
    }

    /// Positions of the numbers that are not archived yet; `None` if the memory does not tell.
    /// `asked` is which of them the table holds, once that was looked up.
    pub fn fresh(&self, numbers: &[u64], asked: Option<&BTreeSet<u64>>) -> Option<Vec<u32>> {
        let mut fresh = Vec::new();
        let mut seen = BTreeSet::new();
        for (number, position) in numbers.iter().zip(0..) {
            if self.recent.contains(number) || !seen.insert(*number) {
                continue;
            }
            let beyond = self.highest.is_none_or(|highest| *number > highest);
            match asked {
                _ if beyond => fresh.push(position),
                Some(held) if !held.contains(number) => fresh.push(position),
                Some(_) => {}
                None => return None,
            }
        }
        Some(fresh)
    }

    /// Notes a number as archived.
    pub fn insert(&mut self, number: u64) {
        self.insertions += 1;
        self.highest = self.highest.max(Some(number));
        if self.recent.insert(number) {
            self.order.push_back(number);
        }
        if self.order.len() > RECENT_FOREIGN
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    /// How many numbers were inserted; a look-up is stale once [`RECENT_FOREIGN`] more came.
    pub fn insertions(&self) -> u64 {
        self.insertions
    }

    /// The number after the highest archived one.
    pub fn watermark(&self) -> u64 {
        self.highest.map_or(0, |highest| highest.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u64) -> BatchId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        bytes[8] = 1;
        BatchId::from(bytes)
    }

    /// The batch `[10 n, 10 n + 10)` of an honest vehicle.
    fn batch(n: u64) -> Stored {
        Stored { first: 10 * n, next: 10 * n + 10, id: id(n), previous: n.checked_sub(1).map(id) }
    }

    #[test]
    fn a_gap_is_visible_and_is_filled() {
        let mut coverage = Coverage::default();
        for n in [0, 1, 4, 3] {
            assert_eq!(coverage.judge(&batch(n), None), Verdict::Fresh, "{n}");
            coverage.insert(batch(n));
        }
        assert_eq!((coverage.watermark(), coverage.gaps()), (20, vec![(20, 30)]));
        assert_eq!(coverage.islands(), vec![Range { first: 30, next: 50, sure: true }]);
        assert_eq!(coverage.judge(&batch(2), None), Verdict::Fresh);
        coverage.insert(batch(2));
        assert_eq!((coverage.watermark(), coverage.gaps()), (50, vec![]));
    }

    #[test]
    fn forks_and_broken_chains_are_told_apart() {
        let mut coverage = Coverage::default();
        coverage.insert(batch(0));
        coverage.insert(batch(2));
        assert_eq!(coverage.judge(&Stored { id: id(99), ..batch(0) }, None), Verdict::Fork(id(0)));
        assert_eq!(coverage.judge(&Stored { next: 25, ..batch(1) }, None), Verdict::Fork(id(2)));
        let wrong = Stored { previous: Some(id(77)), ..batch(1) };
        assert_eq!(coverage.judge(&wrong, None), Verdict::BrokenChain(id(0)));
        let other = Stored { id: id(77), ..batch(1) };
        assert_eq!(coverage.judge(&other, None), Verdict::BrokenChain(id(2)));
    }

    #[test]
    fn after_a_restart_neighbours_are_looked_up() {
        let coverage = Coverage::new(20, &[]);
        assert_eq!(coverage.judge(&batch(2), None), Verdict::Unknown);
        assert_eq!(coverage.judge(&batch(2), Some(&[batch(1)])), Verdict::Fresh);
        assert_eq!(
            coverage.judge(&batch(2), Some(&[Stored { id: id(9), ..batch(1) }])),
            Verdict::BrokenChain(id(9))
        );
        assert_eq!(coverage.judge(&batch(1), None), Verdict::Unknown);
        assert_eq!(coverage.judge(&batch(1), Some(&[batch(0), batch(1)])), Verdict::Duplicate);
    }

    #[test]
    fn foreign_numbers_are_known_or_asked_for() {
        let mut foreign = Foreign::new(0);
        assert_eq!(foreign.fresh(&[5, 5, 9], None), Some(vec![0, 2]));
        foreign.insert(5);
        foreign.insert(9);
        assert_eq!(foreign.fresh(&[5, 10], None), Some(vec![1]));
        assert_eq!(foreign.fresh(&[7], None), None);
        assert_eq!(foreign.fresh(&[7, 8], Some(&BTreeSet::from([7]))), Some(vec![1]));
        let restarted = Foreign::new(foreign.watermark());
        assert_eq!(restarted.fresh(&[9, 11], None), None);
        assert_eq!(restarted.fresh(&[11], None), Some(vec![0]));
    }

    proptest! {
        /// In any order, with repeats and restarts, with the table at hand: each batch is fresh exactly once, however
        /// few ranges are remembered.
        #[test]
        fn each_batch_is_fresh_once(order in proptest::collection::vec(0u64..400, 1..600), restart in any::<u8>()) {
            let mut coverage = Coverage::default();
            let mut table: BTreeMap<u64, Stored> = BTreeMap::new();
            for (step, n) in order.into_iter().enumerate() {
                if step % 256 == usize::from(restart) {
                    coverage = Coverage::new(coverage.watermark(), &coverage.islands());
                }
                let candidate = batch(n);
                let verdict = match coverage.judge(&candidate, None) {
                    Verdict::Unknown => {
                        let near: Vec<_> = table
                            .values()
                            .filter(|s| s.first <= candidate.next && candidate.first <= s.next)
                            .copied()
                            .collect();
                        coverage.judge(&candidate, Some(&near))
                    }
                    verdict => verdict,
                };
                if table.insert(n, candidate).is_some() {
                    prop_assert_eq!(verdict, Verdict::Duplicate);
                } else {
                    prop_assert_eq!(verdict, Verdict::Fresh);
                    coverage.insert(candidate);
                }
                prop_assert!(coverage.islands().len() <= MAX_ISLANDS + 1);
                let whole = (0..).take_while(|n| table.contains_key(n)).count() as u64;
                let exact = coverage.islands().iter().all(|island| island.sure);
                prop_assert!(coverage.watermark() == whole * 10 || !exact && coverage.watermark() < whole * 10);
            }
        }
    }
}
