//! `voltmesh twin estimate`: state of charge and health from logs whose truth nobody knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use voltmesh_battery::Cell;
use voltmesh_battery::estimate::{VERSION, power::Uncertain};
use voltmesh_battery::watch::Check;

use super::packs::{cell_of, say_unused, twin_of};
use super::read::pack_log;
use crate::args::{TwinEstimate, TwinLogs};
use crate::{Outcome, output};

/// A standard deviation of the state of charge above which the voltages do not tell where the charge is.
const UNKNOWN_SD: f64 = 0.1;

/// What is known of one file at its end.
#[derive(Serialize)]
struct Estimated {
    file: String,
    samples: usize,
    /// Samples that an estimate was made of.
    used: usize,
    hours: f64,
    /// State of charge of the mean cell at the first and last sample that was used, with standard deviations.
    soc_first: Option<Uncertain>,
    soc_last: Option<Uncertain>,
    /// Lowest and highest cell at the end.
    soc_range: Option<(f64, f64)>,
    /// Capacity and resistance relative to the parameters'.
    soh_capacity: Option<Uncertain>,
    soh_resistance: Option<Uncertain>,
    /// Offset of the current sensor in A.
    current_offset_a: Option<Uncertain>,
    /// Checks that samples failed, with how often.
    checks: BTreeMap<Check, u64>,
    refused: bool,
    unused_columns: Vec<String>,
}

#[derive(Serialize)]
struct Printed<'a> {
    method: &'static str,
    cell: &'a str,
    files: &'a [Estimated],
}

/// Runs the command.
pub fn run(TwinEstimate { logs }: &TwinEstimate) -> Result<Outcome> {
    let cell = cell_of(&logs.pack)?;
    let files = logs.files.iter().map(|path| estimate(&cell, logs, path)).collect::<Result<Vec<_>>>()?;
    if logs.json {
        output::json(&Printed { method: VERSION, cell: &cell.params().name, files: &files })?;
    } else {
        show(&cell, &files);
    }
    let known = |file: &Estimated| file.soc_last.is_some() && !file.refused;
    Ok(if files.iter().all(known) { Outcome::Done } else { Outcome::NotLooked })
}

fn estimate(cell: &Arc<Cell>, logs: &TwinLogs, path: &Path) -> Result<Estimated> {
    let log = pack_log(path, &logs.pack.read)?;
    let mut twin = twin_of(cell, &log, &logs.pack)?;
    let mut checks = BTreeMap::<Check, u64>::new();
    let (mut used, mut refused, mut soc_first) = (0, false, None);
    let samples = log.samples.len();
    let span = log.samples.first().zip(log.samples.last()).map(|(first, last)| last.time_s - first.time_s);
    for sample in log.samples {
        let update = twin.update(sample);
        refused |= update.verdict.refused;
        used += usize::from(update.verdict.usable);
        for check in update.verdict.failed {
            *checks.entry(check).or_default() += 1;
        }
        if soc_first.is_none() {
            soc_first = twin.state().map(|state| state.soc);
        }
    }
    let state = twin.state();
    Ok(Estimated {
        file: log.name,
        samples,
        used,
        hours: span.filter(|span| span.is_finite()).unwrap_or(0.0).max(0.0) / 3_600.0,
        soc_first,
        soc_last: state.as_ref().map(|state| state.soc),
        soc_range: state.as_ref().map(|state| state.soc_range),
        soh_capacity: state.as_ref().map(|state| state.soh_capacity),
        soh_resistance: state.as_ref().map(|state| state.soh_resistance),
        current_offset_a: state.as_ref().map(|state| state.current_offset_a),
        checks,
        refused,
        unused_columns: log.unused,
    })
}

fn show(cell: &Cell, files: &[Estimated]) {
    // Two standard deviations, in percent.
    let percent = |value: Option<Uncertain>| {
        value.map_or_else(
            || "–".to_owned(),
            |value| format!("{:.1} ± {:.1}", 100.0 * value.value, 200.0 * value.sd),
        )
    };
    let rows: Vec<_> = files
        .iter()
        .map(|file| {
            vec![
                file.file.clone(),
                format!("{} of {}", file.used, file.samples),
                format!("{:.2}", file.hours),
                percent(file.soc_first),
                percent(file.soc_last),
                percent(file.soh_capacity),
                percent(file.soh_resistance),
            ]
        })
        .collect();
    output::table(
        &["file", "used", "hours", "SoC first %", "SoC last %", "capacity %", "resistance %"],
        &rows,
    );
    output::line(format!("by {} ({VERSION}); ± is two standard deviations", cell.params().name));
    for file in files {
        say_unused(&file.file, &file.unused_columns);
        for (check, times) in &file.checks {
            output::line(format!("{}: {check} ({times} of {} samples)", file.file, file.samples));
        }
        if file.refused || file.soc_last.is_none() {
            output::line(format!("{}: nothing can be estimated from such samples", file.file));
        } else if file.soc_last.is_some_and(|soc| soc.sd > UNKNOWN_SD) {
            output::line(format!(
                "{}: the voltages do not tell where the charge is: the curve of {:?} is flat there, or the parameters are not \
                 of this cell; a rest near full or empty, or `voltmesh twin fit`, would",
                file.file,
                cell.params().chemistry
            ));
        }
    }
}
