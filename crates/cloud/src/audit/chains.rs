//! Boots as chains of batches: no two with the same numbers, each leading to the next, as far as the watermark says.

use super::{
    ranges::{absent, count, ranges_text},
    report::{ArchiveReport, Kind},
};
use crate::{
    delta::{Replay, boot_of},
    verify::Verified,
};
use std::collections::BTreeMap;
use voltmesh_telemetry::{BatchId, Boot, VehicleId};

/// Ranges of numbers below a watermark that are named.
const NAMED: usize = 20;

/// A batch as its neighbours see it.
struct Link {
    next: u64,
    id: BatchId,
    previous: Option<BatchId>,
}

/// The batches of every boot by first number; for boot 0 the number after the highest.
#[derive(Default)]
pub(super) struct Chains {
    boots: BTreeMap<(VehicleId, Boot), BTreeMap<(u64, BatchId), Link>>,
    foreign: BTreeMap<VehicleId, u64>,
}

impl Chains {
    /// Notes a batch; a second copy of it changes nothing.
    pub fn note(&mut self, batch: &Verified) {
        let header = &batch.header;
        if header.boot.is_foreign() {
            let highest = self.foreign.entry(header.vehicle.clone()).or_default();
            *highest = (*highest).max(batch.last().saturating_add(1));
        } else {
            let link = Link { next: header.next().get(), id: batch.id, previous: header.previous };
            let boot = self.boots.entry((header.vehicle.clone(), header.boot)).or_default();
            boot.insert((header.first.get(), batch.id), link);
        }
    }

    /// Names forks, broken chains and what is below a watermark and not here; counts gaps.
    pub fn settle(&self, replay: Option<&Replay>, report: &mut ArchiveReport) {
        for ((vehicle, boot), batches) in &self.boots {
            self.boot(&format!("{vehicle}/{boot}"), batches, report);
        }
        for (name, mark) in replay.iter().flat_map(|replay| &replay.transactions) {
            let Some(key) = boot_of(name) else { continue };
            let mark = u64::try_from(*mark).unwrap_or(0);
            if key.1.is_foreign() {
                let highest = self.foreign.get(&key.0).copied().unwrap_or(0);
                if highest < mark {
                    let text =
                        format!("{name}: archived up to number {mark} by the table's log, here to {highest}");
                    report.problem(Kind::Unaccounted, text);
                }
                continue;
            }
            let held = self.boots.get(&key);
            let ranges = held.into_iter().flatten().map(|((first, _), link)| (*first, link.next));
            let gone = outside(ranges, mark);
            if !gone.is_empty() {
                let numbers = ranges_text(&gone, NAMED);
                let text = format!("{name}: numbers {numbers} are archived by the table's log, and not here");
                report.problems_of(Kind::Unaccounted, count(&gone), text);
            }
        }
    }

    fn boot(&self, name: &str, batches: &BTreeMap<(u64, BatchId), Link>, report: &mut ArchiveReport) {
        let mut before: Option<&Link> = None;
        let mut expected = 0;
        for ((first, _), link) in batches {
            if let Some(other) = before.filter(|before| before.next > *first) {
                let text = format!("{name}: batches {} and {} hold the same numbers", other.id, link.id);
                report.problem(Kind::Batch, text);
            } else if let Some(other) = before.filter(|before| before.next == *first)
                && link.previous != Some(other.id)
            {
                let text = format!("{name}: the chain does not lead from batch {} to {}", other.id, link.id);
                report.problem(Kind::Batch, text);
            }
            if *first > expected {
                report.gaps = report.gaps.saturating_add(1);
                report.gap_records = report.gap_records.saturating_add(first - expected);
            }
            if link.next >= expected {
                (before, expected) = (Some(link), link.next);
            }
        }
    }
}

/// What is below `mark` and in none of the ranges (first, next), which come in order of their beginnings.
fn outside(ranges: impl Iterator<Item = (u64, u64)>, mark: u64) -> Vec<(u64, u64)> {
    let mut expected = 0;
    let mut gone = Vec::new();
    for (first, next) in ranges {
        if first > expected && expected < mark {
            gone.extend(absent(std::iter::empty(), expected, first.min(mark)));
        }
        expected = expected.max(next);
    }
    gone.extend(absent(std::iter::empty(), expected, mark));
    gone
}
