//! `voltmesh sim --loop`: seeds of faults over the closed loop, or recordings through it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use voltmesh_battery::Cell;
use voltmesh_sim::closed_loop::drives::{self, Driven};
use voltmesh_sim::closed_loop::seed::{self, RangeReport};

use super::super::twin::packs::cell_of;
use super::super::twin::read::pack_log;
use super::seeds;
use crate::parallel::on_every_core;
use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(options: &args::Sim) -> Result<Outcome> {
    if !options.data.is_empty() {
        return replay(options);
    }
    let shared = seed::Shared::new().map_err(anyhow::Error::msg)?;
    match options.seeds.clone() {
        None => seeds::one(&seed::run(options.seed, options.minutes, &shared), options.json),
        Some(range) => seeds::range::<RangeReport>(
            range.clone(),
            options,
            |jobs, tell| seed::run_range(range, options.minutes, &shared, jobs, tell),
            text,
        ),
    }
}

/// What a range came to, for people.
fn text(sum: &RangeReport, seconds: f64) -> Vec<String> {
    let named = |counts: &BTreeMap<String, u64>| {
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    vec![
        format!(
            "{} seeds, {:.1} simulated hours, {} events kept, {} of them told again, {} commands, calm for at most {} s, in {seconds:.0} s",
            sum.seeds,
            sum.seconds as f64 / 3_600.0,
            sum.events,
            sum.again,
            sum.commands,
            sum.calm_s,
        ),
        format!("faults: {}", named(&sum.faults)),
        format!("controllers, since their last start: {}", named(&sum.counts)),
    ]
}

/// What the loop did over one file.
#[derive(Serialize)]
struct File {
    file: String,
    #[serde(flatten)]
    driven: Driven,
}

#[derive(Serialize)]
struct Printed<'a> {
    files: &'a [File],
    hours: f64,
    commands: u64,
    /// Commands that take current or charging, by function and kind.
    limiting: BTreeMap<String, u64>,
    /// Of those, commands against what the recording does not come near to within a minute.
    not_needed: BTreeMap<String, u64>,
}

fn replay(options: &args::Sim) -> Result<Outcome> {
    let shared = drives::Shared::new().map_err(anyhow::Error::msg)?;
    let cell = cell_of(&options.pack)?;
    let paths: Vec<&Path> = options.data.iter().map(AsRef::as_ref).collect();
    let files: Vec<File> = on_every_core(&paths, |path| of_file(&shared, &cell, options, path))
        .into_iter()
        .collect::<Result<_>>()?;
    let limiting = sums(files.iter().map(|file| &file.driven.limiting));
    let not_needed = sums(files.iter().map(|file| &file.driven.not_needed));
    let hours = files.iter().map(|file| file.driven.seconds as f64 / 3_600.0).sum();
    let commands = files.iter().map(|file| file.driven.commands).sum();
    let none_false = not_needed.is_empty();
    let right = files.iter().all(|file| file.driven.problems.is_empty());
    if options.json {
        output::json(&Printed { files: &files, hours, commands, limiting, not_needed })?;
    } else {
        for file in &files {
            show(file);
        }
        output::line(format!("{} files, {hours:.1} hours, {commands} commands", files.len()));
        for (name, count) in &limiting {
            let false_ones = not_needed.get(name).copied().unwrap_or_default();
            output::line(format!("{name}: {count}, of them {false_ones} not needed"));
        }
    }
    Ok(if none_false && right { Outcome::Done } else { Outcome::Wrong })
}

fn sums<'a>(counts: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in counts.flatten() {
        *sums.entry(name.clone()).or_default() += count;
    }
    sums
}

fn of_file(shared: &drives::Shared, cell: &Arc<Cell>, options: &args::Sim, path: &Path) -> Result<File> {
    let log = pack_log(path, &options.pack.read)?;
    let measured = log.samples.first().map_or(0, |sample| sample.cells_v.len());
    let series = match (measured, options.pack.cells) {
        (0, Some(stated)) => usize::from(stated),
        (measured, _) => measured,
    };
    ensure!(
        series > 0,
        "{}: it has no cell voltages: say with --cells how many cells are in series",
        log.name
    );
    let group_ah = options.pack.capacity_ah.unwrap_or(cell.params().capacity_ah);
    let parallel = (group_ah / cell.params().capacity_ah).round().max(1.0) as usize;
    let driven = drives::replay(shared, cell, (series, parallel), log.samples)
        .map_err(anyhow::Error::msg)
        .with_context(|| log.name.clone())?;
    Ok(File { file: log.name, driven })
}

fn show(file: &File) {
    let driven = &file.driven;
    let limiting: u64 = driven.limiting.values().sum();
    let not_needed: u64 = driven.not_needed.values().sum();
    output::line(format!(
        "{}: {} s, {} commands, of them {limiting} that limit, of them {not_needed} not needed, {} events",
        file.file, driven.seconds, driven.commands, driven.events
    ));
    for one in &driven.listed {
        output::line(format!(
            "  {}at {:.0} s {}: {:?} ({}); cells {:.2} to {:.2} V, {:.1} to {:.1} °C, {:.1} A",
            if one.needed { "" } else { "not needed, " },
            one.at_s,
            one.function,
            one.action,
            one.reason,
            one.cells_v.0,
            one.cells_v.1,
            one.temps_c.0,
            one.temps_c.1,
            one.current_a
        ));
    }
    for problem in &driven.problems {
        output::note(&format!("WRONG: {problem}"));
    }
}
