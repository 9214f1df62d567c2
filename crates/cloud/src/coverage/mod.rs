//! Coverage of one boot of one vehicle in the archive.
//!
//! Two memories answer, and each says only what it knows:
//! - **Ranges** of numbers that are held, committed or not. They are exact as long as there are few; when there are too
//!   many, the two lowest are folded into one that is *unsure*, and batches that fall into it are looked up in the table.
//! - **Batches by id**: every batch that a look-up might not show, because it is not committed, or was committed after the
//!   look-up was asked. Some committed ones stay as a cache, which saves look-ups and decides nothing.
//!
//! A look-up in the table complements the batches by id: together they are everything that is held. If they do not know
//! whose the numbers of an exact range are, the table contradicts its own watermark ([`Verdict::Contradiction`]): nothing
//! is called fresh because a table does not show it.
//!
//! Batches may come out of order: a vehicle roams, and its fog nodes reach the cloud at different times. A gap is
//! kept as a gap and blocks nothing behind it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use voltmesh_telemetry::BatchId;

/// Committed batches that stay in memory per boot, to recognise a fog node's repeats without a look-up: 32 × 100 B.
pub const CACHED: usize = 32;
/// Exact ranges per boot beside the first: each gap costs one, and one line in every commit.
pub const MAX_ISLANDS: usize = 64;

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

/// Relation of a batch to what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not held yet, and its chain fits its neighbours.
    Fresh,
    /// This very batch is held.
    Duplicate,
    /// Another batch with some of its numbers is held: the vehicle has signed two histories.
    Fork(BatchId),
    /// Its neighbour is held, and the chain does not lead from one to the other.
    BrokenChain(BatchId),
    /// The memory does not tell: look the neighbourhood up in the table.
    Unknown,
    /// A number of this batch or beside it is held, and neither the memory nor the table has the batch that it is in.
    Contradiction(u64),
}

/// The held numbers of one boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Held ranges: first number, the number after the last, whether every number between is held.
    runs: BTreeMap<u64, (u64, bool)>,
    /// Batches by id, under their first number.
    known: BTreeMap<u64, Stored>,
    /// First numbers of those in `known` that every look-up shows by now, oldest first; at most [`CACHED`].
    cached: VecDeque<u64>,
}

impl Coverage {
    /// The coverage that a snapshot's marks describe: a watermark and the ranges beyond it.
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
        let find = |first: u64, next: u64| {
            let remembered = self.known.range(..next).next_back().map(|(_, stored)| stored);
            let overlaps = |stored: &&Stored| stored.first < next && first < stored.next;
            remembered.filter(overlaps).or_else(|| asked.into_iter().flatten().find(overlaps))
        };
        if let Some(other) = find(batch.first, batch.next) {
            return if other.id == batch.id { Verdict::Duplicate } else { Verdict::Fork(other.id) };
        }
        let before = batch.first.checked_sub(1).and_then(|last| find(last, batch.first));
        if let Some(before) = before.filter(|before| batch.previous != Some(before.id)) {
            return Verdict::BrokenChain(before.id);
        }
        let after = find(batch.next, batch.next.saturating_add(1));
        if let Some(after) = after.filter(|after| after.previous != Some(batch.id)) {
            return Verdict::BrokenChain(after.id);
        }
        // Nobody showed a batch with these numbers or beside them. Is one held all the same?
        let own = self.held_in(batch.first, batch.next);
        let left = batch.first.checked_sub(1).filter(|_| before.is_none());
        let left = left.and_then(|last| self.held_in(last, batch.first));
        let right = self.held_in(batch.next, batch.next.saturating_add(1)).filter(|_| after.is_none());
        let held = [own, left, right];
        // The table shows all that an unsure range holds here; what is in an exact one must have been found.
        let lacking = held.iter().flatten().find(|held| held.sure);
        match (asked, lacking) {
            (None, _) if held.iter().any(Option::is_some) => Verdict::Unknown,
            (Some(_), Some(lacking)) => Verdict::Contradiction(lacking.first),
            _ => Verdict::Fresh,
        }
    }

    /// Notes a batch as held; it stays known by id until [`Self::settle`].
    pub fn insert(&mut self, batch: Stored) {
        self.known.insert(batch.first, batch);
        self.join(batch.first, batch.next, true);
    }

    /// The batch that begins with `first` is shown by every look-up from now on: it stays as one of [`CACHED`].
    pub fn settle(&mut self, first: u64) {
        self.cached.push_back(first);
        if self.cached.len() > CACHED
            && let Some(oldest) = self.cached.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Batches that are known by id.
    pub fn known(&self) -> usize {
        self.known.len()
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

    /// The part of a held range that lies within `first..next`, the last one if there are several.
    fn held_in(&self, first: u64, next: u64) -> Option<Range> {
        let mut runs = self.runs.range(..next).rev().take_while(|(_, (end, _))| *end > first);
        let exact = runs.clone().find(|(_, (_, sure))| *sure);
        let (start, (end, sure)) = exact.or_else(|| runs.next())?;
        Some(Range { first: first.max(*start), next: next.min(*end), sure: *sure })
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

#[cfg(test)]
mod tests;
