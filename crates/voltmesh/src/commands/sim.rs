//! `voltmesh sim`: the whole system in one deterministic process, under a seed.

mod closed_loop;
mod seeds;

use anyhow::{Result, ensure};
use voltmesh_sim::{Options, RangeReport, run as simulate, run_range};

use crate::{Outcome, args};

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
        Some(range) => seeds::range::<RangeReport>(
            range.clone(),
            &options,
            |jobs, tell| run_range(range, options.minutes, &world, jobs, tell),
            text,
        ),
        None => seeds::one(&simulate(options.seed, options.minutes, &world), options.json),
    }
}

/// What a range came to, for people.
fn text(found: &RangeReport, seconds: f64) -> Vec<String> {
    let faults = found.faults.iter().map(|(fault, times)| format!("{fault} {times}"));
    vec![
        format!(
            "{} seeds, {:.1} simulated hours, {} records archived, in {seconds:.0} s",
            found.seeds,
            found.virtual_seconds as f64 / 3600.0,
            found.archived
        ),
        format!("faults: {}", faults.collect::<Vec<_>>().join(", ")),
    ]
}
