//! Many seeds of the loop, and what became of them all.

use super::one::{Report, run};
use super::shared::Shared;
use crate::seeds::{self, SeedSum};
use serde::Serialize;
use std::collections::BTreeMap;

/// Result of a range of seeds.
#[derive(Debug, Default, Serialize)]
pub struct RangeReport {
    /// Seeds that were run.
    pub seeds: u64,
    /// Simulated seconds.
    pub seconds: u64,
    /// Longest calm until everything ran, in s.
    pub calm_s: u64,
    /// Sums of the reports.
    pub events: u64,
    /// See [`Report::again`].
    pub again: u64,
    /// See [`Report::commands`].
    pub commands: u64,
    /// Faults by name.
    pub faults: BTreeMap<String, u64>,
    /// See [`Report::counts`].
    pub counts: BTreeMap<String, u64>,
    /// The lowest seed that failed; after it no further ones begin.
    pub failed: Option<Report>,
}

impl SeedSum for RangeReport {
    type Report = Report;

    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.seconds += report.seconds;
        self.calm_s = self.calm_s.max(report.calm_s);
        self.events += report.events;
        self.again += report.again;
        self.commands += report.commands;
        for (sums, counts) in [(&mut self.faults, &report.faults), (&mut self.counts, &report.counts)] {
            for (name, count) in counts {
                *sums.entry(name.clone()).or_default() += count;
            }
        }
    }

    fn failed(&mut self) -> &mut Option<Report> {
        &mut self.failed
    }
}

/// Runs a range of seeds on so many threads, until one fails.
pub fn run_range(
    seeds: std::ops::Range<u64>,
    minutes: f64,
    shared: &Shared,
    threads: usize,
    tell: impl Fn(&Report) + Sync,
) -> RangeReport {
    seeds::run_range(seeds, threads, |seed| run(seed, minutes, shared), tell)
}
