//! Many seeds of the whole system, and what became of them all.

use crate::{
    options::Options,
    run::{Report, run},
    seeds::{self, SeedSum},
};
use serde::Serialize;
use std::{collections::BTreeMap, ops::Range};

/// Result of a range of seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RangeReport {
    /// Seeds that ran.
    pub seeds: u64,
    /// Simulated seconds, all together.
    pub virtual_seconds: u64,
    /// The failed seed with the least number, if any.
    pub failed: Option<Report>,
    /// How often what went wrong, all together.
    pub faults: BTreeMap<String, u64>,
    /// Records archived, all together.
    pub archived: u64,
}

impl SeedSum for RangeReport {
    type Report = Report;

    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.virtual_seconds += report.virtual_seconds;
        self.archived += report.counters.archived;
        for (name, value) in &report.faults {
            *self.faults.entry(name.clone()).or_default() += value;
        }
    }

    fn failed(&mut self) -> &mut Option<Report> {
        &mut self.failed
    }
}

/// Runs the seeds of a range on so many threads; `tell` gets every report as it comes. After a failure no further
/// seeds are begun.
pub fn run_range(
    seeds: Range<u64>,
    minutes: f64,
    options: &Options,
    threads: usize,
    tell: impl Fn(&Report) + Sync,
) -> RangeReport {
    seeds::run_range(seeds, threads, |seed| run(seed, minutes, options), tell)
}
