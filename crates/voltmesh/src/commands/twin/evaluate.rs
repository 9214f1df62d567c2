//! `voltmesh twin evaluate`: how good the estimates are where the truth is known.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use voltmesh_battery::estimate::{Evaluation, FileScore, Options, Trace, VERSION, evaluate};

use super::parameters::{capacity, cell};
use super::read::cell_log;
use super::written::{figure, folder, wrote};
use crate::args::TwinEvaluate;
use crate::plot::{Axis, Line, lines};
use crate::{Outcome, output};

/// As the scripts of users read it.
#[derive(Serialize)]
struct Printed<'a> {
    method: &'a str,
    files: &'a [FileScore],
    total: &'a FileScore,
    coulomb: Coulomb<'a>,
}

/// Counting charge alone: the pooled row, and each file's.
#[derive(Serialize)]
struct Coulomb<'a> {
    #[serde(flatten)]
    total: &'a FileScore,
    files: &'a [FileScore],
}

/// Runs the command.
pub fn run(options: &TwinEvaluate) -> Result<Outcome> {
    ensure!(
        (0.0..=1.0).contains(&options.initial_soc),
        "--initial-soc wants 0 to 1, not {}",
        options.initial_soc
    );
    ensure!(options.current_bias_a.is_finite(), "--current-bias-a wants a number");
    ensure!(options.settle_s >= 0.0, "--settle-s wants 0 or more");
    let cell = cell(&options.params)?;
    let logs = options
        .files
        .iter()
        .map(|path| {
            let log = cell_log(path, &options.read)?;
            Ok(if options.start_after_gap { log.after_last_gap() } else { log })
        })
        .collect::<Result<Vec<_>>>()?;
    let asked = Options {
        capacity_ah: capacity(options.capacity_ah)?,
        initial_soc: options.initial_soc,
        current_bias_a: options.current_bias_a,
        settle_s: options.settle_s,
        adapt_capacity: options.adapt_capacity,
    };
    let clock = Instant::now();
    let found = evaluate(&cell, &logs, &asked, || clock.elapsed().as_secs_f64())?;
    if let Some(plots) = &options.plots {
        folder(plots)?;
        found.traces.iter().try_for_each(|trace| draw(plots, trace))?;
    }
    if options.json {
        let coulomb = Coulomb { total: &found.coulomb_total, files: &found.coulomb };
        output::json(&Printed { method: VERSION, files: &found.files, total: &found.total, coulomb })?;
    } else {
        show(&found, options.adapt_capacity);
    }
    Ok(Outcome::Done)
}

fn show(found: &Evaluation, adapts: bool) {
    let row = |score: &FileScore, name: &str| {
        let mut row = vec![
            name.to_owned(),
            format!("{:.2}", score.soc_rmse_pct),
            format!("{:.2}", score.soc_mae_pct),
            format!("{:.2}", score.soc_max_pct),
            format!("{:.2}", score.soc_rmse_whole_pct),
            format!("{:.1}", score.voltage_open_loop_rmse_mv),
            figure(score.voltage_filtered_rmse_mv, 1),
            figure(score.within_2sigma_pct, 1),
            figure(score.steps_per_s.map(|steps| steps / 1e3), 0),
        ];
        if adapts {
            row.push(figure(score.capacity_ah.map(|found| found.value), 3));
            row.push(figure(score.resistance_factor.map(|found| found.value), 2));
        }
        row
    };
    let mut rows: Vec<_> = found.files.iter().map(|score| row(score, &score.file)).collect();
    rows.push(row(&found.total, "total"));
    rows.push(row(&found.coulomb_total, "coulomb"));
    let mut header = vec![
        "file",
        "SoC RMSE %",
        "MAE %",
        "max %",
        "whole %",
        "open loop mV",
        "filtered mV",
        "in 2σ %",
        "k steps/s",
    ];
    if adapts {
        header.extend(["capacity Ah", "resistance"]);
    }
    output::table(&header, &rows);
}

fn draw(plots: &Path, trace: &Trace) -> Result<()> {
    let curve = |name: &str, value: fn(&[f64; 4]) -> f64| -> Line {
        (name.to_owned(), trace.points.iter().map(|point| (point[0] / 60.0, 100.0 * value(point))).collect())
    };
    let all = [
        curve("estimate", |point| point[1]),
        curve("truth", |point| point[3]),
        curve("+2σ", |point| point[1] + 2.0 * point[2]),
        curve("−2σ", |point| point[1] - 2.0 * point[2]),
    ];
    if trace.points.is_empty() {
        return Ok(());
    }
    let name = trace.file.trim_end_matches(".gz").trim_end_matches(".csv");
    let path = plots.join(format!("soc-{name}.svg"));
    let linear = |label| Axis { label, log: false };
    lines(&path, &format!("State of charge, {}", trace.file), linear("time (min)"), linear("SoC (%)"), &all)?;
    wrote(&path);
    Ok(())
}
