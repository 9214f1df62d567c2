//! `voltmesh twin detect`: looks for faults in logs of packs or cells.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use voltmesh_battery::Cell;
use voltmesh_battery::pack::PackLog;
use voltmesh_battery::watch::{Check, Event, Finding, Kind, Look};

use super::packs::{cell_of, say_unused, twin_of};
use super::read::pack_log;
use crate::args::{TwinDetect, TwinLogs};
use crate::{Outcome, output};

/// What was found in one file.
#[derive(Serialize)]
struct Found {
    file: String,
    samples: usize,
    hours: f64,
    /// Samples and hours that the detectors saw: the rest could not be used.
    looked_samples: u64,
    looked_hours: f64,
    /// Each kind: how long it could be looked for, or why not.
    looked_for: BTreeMap<Kind, Look>,
    detections: Vec<Event>,
    /// How far each kind ever was, relative to its first limit: 1 is found if it lasts.
    scores: BTreeMap<Kind, Finding>,
    /// Checks that samples failed, with how often.
    checks: BTreeMap<Check, u64>,
    /// Whether the samples contradict chemistry or sign, so that nothing was estimated.
    refused: bool,
    /// Columns that nothing was read from.
    unused_columns: Vec<String>,
    /// Number of the first cell in the file; in detections cells count from 0.
    first_cell: usize,
}

impl Found {
    /// Whether any detector had anything to look at.
    fn looked(&self) -> bool {
        !self.refused && self.looked_for.values().any(|look| look.samples > 0)
    }
}

#[derive(Serialize)]
struct Printed<'a> {
    method: &'static str,
    files: &'a [Found],
    hours: f64,
    detections: usize,
}

/// Runs the command.
pub fn run(TwinDetect { logs }: &TwinDetect) -> Result<Outcome> {
    let cell = cell_of(&logs.pack)?;
    let found = logs.files.iter().map(|path| look(&cell, logs, path)).collect::<Result<Vec<_>>>()?;
    let detections = found.iter().flat_map(|file| &file.detections).filter(|event| !event.over).count();
    if logs.json {
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
    Ok(if found.iter().all(Found::looked) { Outcome::Done } else { Outcome::NotLooked })
}

fn look(cell: &Arc<Cell>, logs: &TwinLogs, path: &Path) -> Result<Found> {
    let log = pack_log(path, &logs.pack.read)?;
    let mut twin = twin_of(cell, &log, &logs.pack)?;
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
    let coverage = twin.watch().coverage();
    Ok(Found {
        file: log.name,
        samples,
        hours,
        looked_samples: coverage.samples(),
        looked_hours: coverage.seconds() / 3_600.0,
        looked_for: coverage.looks(),
        detections,
        scores: twin.watch().scores().clone(),
        checks,
        refused,
        unused_columns: log.unused,
        first_cell: log.first_cell,
    })
}

fn show(found: &[Found]) {
    let mut rows = Vec::new();
    for file in found {
        for event in &file.detections {
            let cells: Vec<String> =
                event.cells.iter().map(|cell| (cell + file.first_cell).to_string()).collect();
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
    if rows.is_empty() && found.iter().any(Found::looked) {
        output::line("nothing found");
    } else if !rows.is_empty() {
        output::table(&["file", "fault", "stage", "at s", "since s", "cell", "evidence"], &rows);
    }
    for file in found {
        for (check, times) in &file.checks {
            output::line(format!("{}: {check} ({times} of {} samples)", file.file, file.samples));
        }
        say_unused(&file.file, &file.unused_columns);
        if file.refused {
            output::line(format!("{}: nothing is estimated from such samples", file.file));
        }
        let seen = file.looked_for.iter().filter(|(_, look)| look.samples > 0);
        let seen: Vec<String> =
            seen.map(|(kind, look)| format!("{kind} {:.2} h", look.seconds / 3_600.0)).collect();
        output::line(format!(
            "{}: looked at {} of {} samples, {:.2} h{}",
            file.file,
            file.looked_samples,
            file.samples,
            file.looked_hours,
            if seen.is_empty() {
                ": nothing could be looked for".into()
            } else {
                format!(": {}", seen.join(", "))
            }
        ));
        let mut missing = BTreeMap::<&str, Vec<&str>>::new();
        for (kind, look) in &file.looked_for {
            if let Some(why) = &look.missing {
                missing.entry(why).or_default().push(kind.name());
            }
        }
        for (why, kinds) in missing {
            output::line(format!("{}: not looked for: {}: {why}", file.file, kinds.join(", ")));
        }
    }
    let hours: f64 = found.iter().map(|file| file.hours).sum();
    output::line(format!("{} files, {hours:.1} hours", found.len()));
}
