//! `voltmesh sim`: the whole system in one deterministic process, under a seed.

mod closed_loop;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use voltmesh_sim::{Options, RangeReport, Report, run as simulate, run_range};

use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(options: args::Sim) -> Result<Outcome> {
    ensure!(
        options.minutes > 0.0 && options.minutes <= 1440.0,
        "--minutes wants more than 0 and at most 1440"
    );
    if options.closed_loop {
        return closed_loop::run(&options);
    }
    let world = Options { class: options.scenario, ..Options::default() };
    match options.seeds.clone() {
        Some(seeds) => range(seeds, &options, &world),
        None => one(&simulate(options.seed, options.minutes, &world), options.json),
    }
}

fn one(report: &Report, as_json: bool) -> Result<Outcome> {
    if as_json {
        output::json(report)?;
    } else {
        output::line(serde_json::to_string_pretty(report)?);
        failed(report);
    }
    Ok(if report.passed() { Outcome::Done } else { Outcome::Wrong })
}

fn range(seeds: std::ops::Range<u64>, options: &args::Sim, world: &Options) -> Result<Outcome> {
    let jobs = options.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let bar = ProgressBar::new(seeds.end - seeds.start);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos} of {len} seeds, {elapsed}, {eta} left") {
        bar.set_style(style);
    }
    let done = AtomicU64::new(0);
    let start = Instant::now();
    let found: RangeReport = run_range(seeds, options.minutes, world, jobs, |_| {
        bar.set_position(done.fetch_add(1, Ordering::Relaxed) + 1);
    });
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    if options.json {
        output::json(&found)?;
    } else {
        output::line(format!(
            "{} seeds, {:.1} simulated hours, {} records archived, in {seconds:.0} s",
            found.seeds,
            found.virtual_seconds as f64 / 3600.0,
            found.archived
        ));
        let faults = found.faults.iter().map(|(fault, times)| format!("{fault} {times}"));
        output::line(format!("faults: {}", faults.collect::<Vec<_>>().join(", ")));
    }
    match &found.failed {
        Some(report) => {
            failed(report);
            Ok(Outcome::Wrong)
        }
        None => Ok(Outcome::Done),
    }
}

/// What broke, and how to see it again.
fn failed(report: &Report) {
    for problem in &report.problems {
        output::note(&format!("WRONG: {problem}"));
    }
    if !report.passed() {
        output::note(&format!("again: {}", report.replay()));
    }
}
