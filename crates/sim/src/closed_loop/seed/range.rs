//! Many seeds on many threads.

use super::one::{Report, run};
use super::shared::Shared;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What became of many seeds.
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

/// Runs a range of seeds on so many threads, until one fails.
pub fn run_range(
    seeds: std::ops::Range<u64>,
    minutes: f64,
    shared: &Shared,
    threads: usize,
    tell: impl Fn(&Report) + Sync,
) -> RangeReport {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let sum = Mutex::new(RangeReport::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = run(seed, minutes, shared);
                    tell(&report);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    if !report.passed() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    sum.add(report);
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl RangeReport {
    fn add(&mut self, report: Report) {
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
        if !report.passed() && self.failed.as_ref().is_none_or(|failed| report.seed < failed.seed) {
            self.failed = Some(report);
        }
    }
}
