//! `voltmesh twin detect`: looks for faults in logs of packs or cells.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use voltmesh_battery::pack::PackLog;
use voltmesh_battery::twin::Setup;
use voltmesh_battery::watch::{Check, Event, Finding, Kind};
use voltmesh_battery::{Cell, CellParams, Twin};

use super::read::pack_log;
use super::{capacity, cell};
use crate::args::TwinDetect;
use crate::{Outcome, output};

/// Capacity of a typical cell in Ah, where nobody says.
const TYPICAL_AH: f64 = 60.0;

/// What was found in one file.
#[derive(Serialize)]
struct Found {
    file: String,
    samples: usize,
    hours: f64,
    detections: Vec<Event>,
    /// How far each kind ever was, relative to its first limit: 1 is found if it lasts.
    scores: BTreeMap<Kind, Finding>,
    /// Checks that samples failed, with how often.
    checks: BTreeMap<Check, u64>,
    /// Whether the samples contradict chemistry or sign, so that nothing was estimated.
    refused: bool,
}

#[derive(Serialize)]
struct Printed<'a> {
    method: &'static str,
    files: &'a [Found],
    hours: f64,
    detections: usize,
}

/// Runs the command.
pub fn run(options: &TwinDetect) -> Result<Outcome> {
    let cell = match &options.params {
        Some(path) => cell(path)?,
        None => {
            let ah = capacity(options.capacity_ah.unwrap_or(TYPICAL_AH))?;
            Arc::new(Cell::new(CellParams::generic(options.chemistry.into(), ah))?)
        }
    };
    let found = options.files.iter().map(|path| look(&cell, options, path)).collect::<Result<Vec<_>>>()?;
    let detections = found.iter().flat_map(|file| &file.detections).filter(|event| !event.over).count();
    if options.json {
        let hours = found.iter().map(|file| file.hours).sum();
        output::json(&Printed {
            method: voltmesh_battery::watch::VERSION,
            files: &found,
            hours,
            detections,
        })?;
    } else {
        show(&found);
    }
    Ok(Outcome::Done)
}

fn look(cell: &Arc<Cell>, options: &TwinDetect, path: &Path) -> Result<Found> {
    let log = pack_log(path)?;
    let groups = log.samples.first().map_or(1, |sample| sample.cells_v.len());
    let group_ah = options.capacity_ah.map(capacity).transpose()?.unwrap_or(cell.params().capacity_ah);
    // The parameters are of one cell: a group of more charge is several of them.
    let parallel = (group_ah / cell.params().capacity_ah).round().max(1.0) as usize;
    let setup = Setup { parallel, series: groups, full_every_s: None, ..Setup::default() };
    let mut twin = Twin::new(cell.clone(), setup, None);
    let (mut detections, mut checks, mut refused) = (Vec::new(), BTreeMap::<Check, u64>::new(), false);
    let samples = log.samples.len();
    let span = |log: &PackLog| Some(log.samples.last()?.time_s - log.samples.first()?.time_s);
    let hours = span(&log).filter(|span| span.is_finite()).unwrap_or(0.0) / 3_600.0;
    for sample in log.samples {
        let update = twin.update(sample);
        detections.extend(update.events);
        refused |= update.verdict.refused;
        for check in update.verdict.failed {
            *checks.entry(check).or_default() += 1;
        }
    }
    let scores = twin.watch().scores().clone();
    Ok(Found { file: log.name, samples, hours, detections, scores, checks, refused })
}

fn show(found: &[Found]) {
    let mut rows = Vec::new();
    for file in found {
        for event in &file.detections {
            let cells: Vec<String> = event.cells.iter().map(|cell| (cell + 1).to_string()).collect();
            rows.push(vec![
                file.file.clone(),
                format!("{}{}", event.kind, if event.over { " (over)" } else { "" }),
                format!("{:?}", event.stage).to_lowercase(),
                format!("{:.0}", event.at_s),
                format!("{:.0}", event.since_s),
                if cells.is_empty() { "pack".into() } else { cells.join(" ") },
                format!("{} is {:.4}, limit {}", event.residual, event.value, event.limit),
            ]);
        }
    }
    if rows.is_empty() {
        output::line("nothing found");
    } else {
        output::table(&["file", "fault", "stage", "at s", "since s", "cell", "evidence"], &rows);
    }
    for file in found {
        for (check, times) in &file.checks {
            output::line(format!("{}: {check} ({times} of {} samples)", file.file, file.samples));
        }
        if file.refused {
            output::line(format!("{}: nothing is estimated from such samples", file.file));
        }
    }
    let hours: f64 = found.iter().map(|file| file.hours).sum();
    output::line(format!("{} files, {hours:.1} hours", found.len()));
}
