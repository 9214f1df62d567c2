//! `voltmesh controller rules test`: which conditions rules would have found in recordings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::Serialize;
use voltmesh_battery::Cell;
use voltmesh_battery::summary::{Summarizer, Summary};
use voltmesh_battery::watch::Stage;
use voltmesh_sdn::assess::Active;
use voltmesh_sdn::rules::MAX_RULES_BYTES;
use voltmesh_sdn::{Assessor, Change, Rules};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::super::read_text;
use super::super::twin::packs::{cell_of, twin_of};
use super::super::twin::read::pack_log;
use crate::args::RulesTest;
use crate::{Outcome, output};

/// What was found in one recording.
#[derive(Serialize)]
struct Found {
    file: String,
    samples: usize,
    /// Seconds of which there is a summary.
    summaries: u64,
    /// Summaries without an estimate: what was measured is compared all the same.
    without_estimate: u64,
    changes: Vec<Change>,
    /// What was the case at the end.
    active: Vec<Active>,
    /// How long each condition was the case, in s, by rule.
    seconds: BTreeMap<String, f64>,
    /// Summaries that were not taken, by reason.
    refused: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Printed<'a> {
    rules: usize,
    files: &'a [Found],
    hours: f64,
    /// Conditions that began, by stage.
    began: BTreeMap<Stage, usize>,
}

/// Runs the command.
pub fn run(options: &RulesTest) -> Result<Outcome> {
    let rules = match &options.rules {
        Some(path) => {
            Rules::parse(&read_text(path, MAX_RULES_BYTES)?).with_context(|| path.display().to_string())?
        }
        None => Rules::default(),
    };
    let cell = cell_of(&options.pack)?;
    let found: Vec<Found> =
        options.data.iter().map(|path| replay(&rules, &cell, options, path)).collect::<Result<_>>()?;
    let hours = found.iter().map(|file| file.summaries as f64 / 3_600.0).sum();
    if options.json {
        let mut began = BTreeMap::new();
        for change in found.iter().flat_map(|file| &file.changes).filter(|change| !change.over) {
            *began.entry(change.stage).or_default() += 1;
        }
        output::json(&Printed { rules: rules.len(), files: &found, hours, began })?;
    } else {
        show(&found, hours);
    }
    Ok(if found.iter().all(|file| file.summaries > 0) { Outcome::Done } else { Outcome::NotLooked })
}

/// Replays one recording as a vehicle of its own.
fn replay(rules: &Rules, cell: &Arc<Cell>, options: &RulesTest, path: &Path) -> Result<Found> {
    let log = pack_log(path, &options.pack.read)?;
    let mut twin = twin_of(cell, &log, &options.pack)?;
    let mut vehicle = Replayed::new(rules, cell)?;
    let samples = log.samples.len();
    let mut summarizer = Summarizer::new();
    for sample in log.samples {
        let (update, summary) = summarizer.see(&mut twin, sample);
        vehicle.see(summary);
        if update.verdict.restarted {
            vehicle.restart();
        }
    }
    vehicle.see(summarizer.close(twin.state().as_ref()));
    Ok(vehicle.found(log.name, samples))
}

/// A vehicle whose recording is replayed.
struct Replayed<'a> {
    rules: &'a Rules,
    assessor: Assessor,
    id: VehicleId,
    chemistry: voltmesh_battery::Chemistry,
    last_s: f64,
    found: Found,
}

impl<'a> Replayed<'a> {
    fn new(rules: &'a Rules, cell: &Cell) -> Result<Self> {
        let found = Found {
            file: String::new(),
            samples: 0,
            summaries: 0,
            without_estimate: 0,
            changes: Vec::new(),
            active: Vec::new(),
            seconds: BTreeMap::new(),
            refused: BTreeMap::new(),
        };
        Ok(Self {
            rules,
            assessor: Assessor::new(rules.clone()),
            id: "recorded".parse()?,
            chemistry: cell.params().chemistry,
            last_s: 0.0,
            found,
        })
    }

    fn see(&mut self, summary: Option<Summary>) {
        let Some(summary) = summary else { return };
        let step_s = (summary.time_s - self.last_s).clamp(0.0, 1.0);
        self.last_s = summary.time_s;
        self.found.summaries += 1;
        self.found.without_estimate += u64::from(summary.estimates.is_none());
        // A recording has no arrivals: each summary comes when its second ends.
        let now = Timestamp::from_millis((summary.time_s.max(0.0) * 1_000.0) as u64);
        if let Ok(changes) = self.assessor.summary(now, &self.id, Some(self.chemistry), &summary) {
            self.found.changes.extend(changes);
        }
        for active in self.assessor.active(&self.id) {
            *self.found.seconds.entry(active.rule).or_default() += step_s;
        }
    }

    /// The recording's time begins anew: what was the case is not known to be so any more.
    fn restart(&mut self) {
        self.count_refused();
        self.assessor = Assessor::new(self.rules.clone());
    }

    fn count_refused(&mut self) {
        for (reason, count) in self.assessor.refused() {
            *self.found.refused.entry(reason.to_string()).or_default() += count;
        }
    }

    fn found(mut self, file: String, samples: usize) -> Found {
        self.count_refused();
        Found { file, samples, active: self.assessor.active(&self.id), ..self.found }
    }
}

fn show(found: &[Found], hours: f64) {
    let mut rows = Vec::new();
    for file in found {
        for change in &file.changes {
            let evidence = match (change.quantity, change.value, change.sd, change.limit) {
                (Some(quantity), Some(value), Some(sd), Some(limit)) => {
                    format!("{quantity} {value:.3} ± {sd:.3} {}, limit {limit}", quantity.unit())
                }
                _ => "finding of the twin".to_owned(),
            };
            rows.push(vec![
                file.file.clone(),
                format!("{}{}", change.condition, if change.over { " (over)" } else { "" }),
                format!("{:?}", change.stage).to_lowercase(),
                format!("{:.0}", change.at_s),
                format!("{:.0}", change.since_s),
                change.rule.clone(),
                evidence,
            ]);
        }
    }
    if rows.is_empty() {
        output::line("no condition began");
    } else {
        output::table(&["file", "condition", "stage", "at s", "since s", "rule", "evidence"], &rows);
    }
    for file in found {
        output::line(format!(
            "{}: {} summaries of {} samples, {} without an estimate",
            file.file, file.summaries, file.samples, file.without_estimate
        ));
        for (reason, count) in &file.refused {
            output::line(format!("{}: {count} summaries not taken: {reason}", file.file));
        }
        for (rule, seconds) in &file.seconds {
            output::line(format!("{}: {rule}: {seconds:.0} s", file.file));
        }
    }
    output::line(format!("{} files, {hours:.1} hours", found.len()));
}
