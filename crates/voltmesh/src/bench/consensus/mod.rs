//! `voltmesh bench consensus`: proof of authority, PBFT and proof of work beside each other, under the same load on the
//! same links, as D5.3 5.1.4–5.1.7 compares them.

mod figures;
mod plans;
mod report;
mod table;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
pub use plans::Contestant;
use plans::Job;
use report::{Report, Row, SweepPoint, SweepReport};
use voltmesh_consensus::harness::{EnergyModel, Measured, Progress, measure_on_sockets, simulate};

use super::machine::Machine;
use crate::args::{BenchConsensus, Runtime};
use crate::deploy::ReservedPort;
use crate::{Outcome, output};

/// Parts of the progress bar for one measurement.
const PARTS: u64 = 1_000;

/// Runs the command.
pub fn run(options: BenchConsensus) -> Result<Outcome> {
    let machine = Machine::this();
    let model = energy_model(&options)?;
    let jobs = plans::main(&options)?;
    let sweeps = plans::sweeps(&options)?;
    if let Some(folder) = &options.output {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let all =
        jobs.len() + sweeps.iter().flat_map(|sweep| &sweep.points).map(|(_, jobs)| jobs.len()).sum::<usize>();
    let bar = bar(all as u64);
    let mut done = 0;
    let mut rows = |jobs: &[Job]| -> Result<Vec<Row>> {
        let rows = jobs.iter().map(|job| {
            let measured = measure(job, &bar, done)?;
            done += 1;
            Ok(Row::new(&job.name, &measured, &model))
        });
        rows.collect()
    };
    let main = rows(&jobs)?;
    let mut swept = Vec::new();
    for sweep in &sweeps {
        let mut points = Vec::new();
        for (x, jobs) in &sweep.points {
            points.push(SweepPoint { x: *x, protocols: rows(jobs)? });
        }
        swept.push(SweepReport { by: sweep.by.clone(), unit: sweep.unit, runtime: sweep.runtime, points });
    }
    bar.finish_and_clear();

    let report = Report::new(machine, &options, &jobs, model, main, swept);
    if let Some(folder) = &options.output {
        figures::draw(folder, &report)?;
        let path = folder.join("results.json");
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if options.json {
        output::json(&report.without_timelines())?;
    } else {
        table::print(&report);
        if let Some(folder) = &options.output {
            output::line(format!("figures and results.json in {}", folder.display()));
        }
    }
    Ok(verdict(&report))
}

/// Wrong if two nodes ever held different final blocks at one height.
fn verdict(report: &Report) -> Outcome {
    let conflicts: Vec<_> = report.rows().filter(|row| row.conflicting_finals > 0).collect();
    for row in &conflicts {
        output::note(&format!(
            "WRONG: {}: different final blocks at {} heights",
            row.name, row.conflicting_finals
        ));
    }
    if conflicts.is_empty() { Outcome::Done } else { Outcome::Wrong }
}

fn energy_model(options: &BenchConsensus) -> Result<EnergyModel> {
    let model = EnergyModel {
        cpu_w: options.cpu_watts,
        j_per_byte: options.byte_microjoules / 1e6,
        battery_j: options.battery_wh * 3_600.0,
    };
    let sound = |value: f64| value.is_finite() && value >= 0.0;
    ensure!(
        sound(model.cpu_w) && sound(model.j_per_byte) && sound(model.battery_j) && model.battery_j > 0.0,
        "the model of energy wants numbers that are not negative, and a battery that holds something"
    );
    Ok(model)
}

fn bar(measurements: u64) -> ProgressBar {
    let bar = ProgressBar::new(measurements * PARTS);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {msg}, {elapsed}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn measure(job: &Job, bar: &ProgressBar, before: u64) -> Result<Measured> {
    bar.set_message(job.label.clone());
    let progress: Progress = {
        let bar = bar.clone();
        Arc::new(move |part| bar.set_position(before * PARTS + (part.clamp(0.0, 1.0) * PARTS as f64) as u64))
    };
    let measured = match job.runtime {
        Runtime::Sim => simulate(&job.plan, &progress),
        Runtime::Tcp => {
            let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
            let ports =
                (0..job.plan.replicas()).map(|_| ReservedPort::reserve()).collect::<Result<Vec<_>>>()?;
            let listen: Vec<_> = ports.iter().map(ReservedPort::address).collect();
            measure_on_sockets(&job.plan, &listen, folder.path() as &Path, &progress)
        }
    };
    bar.set_position((before + 1) * PARTS);
    Ok(measured?)
}

#[cfg(test)]
mod tests;
