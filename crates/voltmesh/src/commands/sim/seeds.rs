//! One seed, or a range of them, whatever a seed runs: progress, report, exit code.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use voltmesh_sim::{SeedReport, SeedSum};

use crate::{Outcome, args, output};

/// Prints the report on one seed.
pub fn one<R: SeedReport + Serialize>(report: &R, as_json: bool) -> Result<Outcome> {
    if as_json {
        output::json(report)?;
    } else {
        output::line(serde_json::to_string_pretty(report)?);
        failed(report);
    }
    Ok(if report.passed() { Outcome::Done } else { Outcome::Wrong })
}

/// Has `run` run a range of seeds on so many threads, and prints their sum: for people as `text` says, given the seconds that
/// it took.
pub fn range<S: SeedSum + Serialize>(
    seeds: Range<u64>,
    options: &args::Sim,
    run: impl FnOnce(usize, &(dyn Fn(&S::Report) + Sync)) -> S,
    text: impl FnOnce(&S, f64) -> Vec<String>,
) -> Result<Outcome> {
    let jobs = options.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let bar = ProgressBar::new(seeds.end - seeds.start);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos} of {len} seeds, {elapsed}, {eta} left") {
        bar.set_style(style);
    }
    let done = AtomicU64::new(0);
    let start = Instant::now();
    let mut sum = run(jobs, &|_| bar.set_position(done.fetch_add(1, Ordering::Relaxed) + 1));
    bar.finish_and_clear();
    if options.json {
        output::json(&sum)?;
    } else {
        text(&sum, start.elapsed().as_secs_f64()).iter().for_each(output::line);
    }
    match sum.failed() {
        Some(report) => {
            failed(report);
            Ok(Outcome::Wrong)
        }
        None => Ok(Outcome::Done),
    }
}

/// What broke, and how to see it again.
fn failed(report: &impl SeedReport) {
    for problem in report.problems() {
        output::note(&format!("WRONG: {problem}"));
    }
    if !report.passed() {
        output::note(&format!("again: {}", report.replay()));
    }
}
