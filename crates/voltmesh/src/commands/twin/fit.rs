//! `voltmesh twin fit`: a cell's parameters from measurements.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use voltmesh_battery::fit::{LoggedRun, Report, Request, Role, RunError, fit};
use voltmesh_battery::{CellParams, Chemistry};

use super::parameters::capacity;
use super::read::cell_log;
use super::written::{folder, wrote};
use crate::args::TwinFit;
use crate::plot::{Axis, Line, lines};
use crate::{Outcome, output};

/// Voltage at half charge below which a cell can only be LFP: NCA and NMC have 3.6 V and more there.
const LFP_HALF_V: f64 = 3.4;

/// Highest power error of pulses, warm ones, that is not remarked on, in percent.
const POWER_ERROR_PCT: f64 = 5.0;

#[derive(Serialize)]
struct Printed<'a> {
    output: &'a Path,
    chemistry: Chemistry,
    seconds: f64,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs the command.
pub fn run(options: &TwinFit) -> Result<Outcome> {
    let capacity_ah = capacity(options.capacity_ah)?;
    let files = [(&options.ocv, Role::Slow), (&options.hppc, Role::Pulses), (&options.cycles, Role::Drive)];
    let mut runs = Vec::new();
    for (paths, role) in files {
        for path in paths {
            let log = cell_log(path, &options.read)?;
            let log = if role == Role::Drive { log.after_last_gap() } else { log };
            runs.push(log.into_run(role)?);
        }
    }
    let chemistry = chemistry(options, &runs, capacity_ah)?;
    let name = options.name.clone().unwrap_or_else(|| {
        options.output.file_stem().map_or_else(|| "cell".into(), |name| name.to_string_lossy().into())
    });
    let request = Request { name, chemistry, capacity_ah, runs };
    let start = Instant::now();
    let (params, report) = with_progress(&request)?;
    let seconds = start.elapsed().as_secs_f64();
    let text = toml::to_string(&params).context("the parameters cannot be written down")?;
    std::fs::write(&options.output, text)
        .with_context(|| format!("cannot write {}", options.output.display()))?;
    if let Some(plots) = &options.plots {
        draw(plots, &report)?;
    }
    if options.json {
        output::json(&Printed { output: &options.output, chemistry, seconds, report: &report })?;
    } else {
        show(&options.output, &params, &report, seconds);
    }
    Ok(Outcome::Done)
}

/// What was said, if the voltages do not contradict it; or what they say.
fn chemistry(options: &TwinFit, runs: &[LoggedRun], capacity_ah: f64) -> Result<Chemistry> {
    let half_v = runs
        .iter()
        .filter(|run| run.role == Role::Slow)
        .flat_map(|run| run.soc(capacity_ah).into_iter().zip(&run.samples))
        .min_by(|a, b| (a.0 - 0.5).abs().total_cmp(&(b.0 - 0.5).abs()))
        .map_or(f64::NAN, |(_, sample)| sample.voltage_v);
    let is_lfp = half_v < LFP_HALF_V;
    let chemistry = match options.chemistry {
        Some(chemistry) => chemistry.into(),
        None if is_lfp => Chemistry::Lfp,
        None => Chemistry::Nca,
    };
    ensure!(
        is_lfp == (chemistry == Chemistry::Lfp),
        "the slow discharge has {half_v:.2} V at half charge, which is not that of {chemistry:?}: is it another cell, or \
         does --chemistry name the wrong one?"
    );
    Ok(chemistry)
}

fn with_progress(request: &Request) -> Result<(CellParams, Report)> {
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {msg}, {elapsed}") {
        bar.set_style(style);
    }
    let fitted = fit(request, |progress| {
        bar.set_length(progress.of.max(progress.done) as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(format!("{:.2} mV left", progress.rmse_v * 1_000.0));
    });
    bar.finish_and_clear();
    Ok(fitted?)
}

fn show(path: &Path, params: &CellParams, report: &Report, seconds: f64) {
    let row = |(fitted, held): (&RunError, Option<&RunError>)| {
        vec![
            fitted.name.clone(),
            format!("{:.0}", fitted.temp_c),
            fitted.samples.to_string(),
            format!("{:.1}", fitted.rmse_mv),
            held.map_or_else(|| "–".to_owned(), |held| format!("{:.1}", held.rmse_mv)),
        ]
    };
    let held = |name: &str| report.held_out.iter().find(|run| run.name == name);
    let rows: Vec<_> = report.fitted.iter().map(|run| row((run, held(&run.name)))).collect();
    output::table(&["run", "°C", "samples", "RMSE mV", "from the others mV"], &rows);
    let warm = |limit: f64| {
        let errors = report.pulses.iter().filter(move |pulse| pulse.temp_c >= limit);
        let (sum, count) =
            errors.fold((0.0, 0), |sum, pulse| (sum.0 + pulse.power_error_pct.abs(), sum.1 + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    if let (Some(all), Some(warm)) = (warm(-100.0), warm(15.0)) {
        output::line(format!(
            "10 s discharge power against {} pulses: {all:.1} % off in the mean, {warm:.1} % above 15 °C",
            report.pulses.len()
        ));
        if warm > POWER_ERROR_PCT {
            output::note(
                "power limits from these parameters are uncertain: give pulses at more temperatures",
            );
        }
    }
    if let Some(learned) = &report.learned {
        let kept = if learned.kept { "kept" } else { "not kept" };
        output::line(format!(
            "a learned residual leaves {:.1} instead of {:.1} mV of drives it has not seen: {kept}",
            learned.with_mv, learned.without_mv
        ));
    }
    output::line(format!(
        "{} ({:?}, {} Ah) in {seconds:.0} s",
        params.name, params.chemistry, params.capacity_ah
    ));
    wrote(path);
}

/// What each run leaves unexplained along its way.
fn draw(plots: &Path, report: &Report) -> Result<()> {
    folder(plots)?;
    for (file, title, runs) in [
        ("residuals-fitted.svg", "Voltage left unexplained by the fit", &report.fitted),
        (
            "residuals-held-out.svg",
            "Voltage of each drive cycle against a fit to all others",
            &report.held_out,
        ),
    ] {
        let curves: Vec<Line> = runs
            .iter()
            .map(|run| {
                let points = run.curve_mv.iter().enumerate();
                let share = |index: usize| 100.0 * index as f64 / run.curve_mv.len().max(1) as f64;
                (run.name.clone(), points.map(|(index, left)| (share(index), *left)).collect())
            })
            .collect();
        if curves.is_empty() {
            continue;
        }
        let path = plots.join(file);
        let linear = |label| Axis { label, log: false };
        lines(&path, title, linear("part of the run (%)"), linear("measured less model (mV)"), &curves)?;
        wrote(&path);
    }
    Ok(())
}
