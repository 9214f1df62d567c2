//! `voltmesh demo --scenario`: a simulated pack gets into trouble, once with the closed loop and once without, side by side.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use voltmesh_battery::trouble::{Toll, Trouble};
use voltmesh_sim::closed_loop::Point;
use voltmesh_sim::closed_loop::scenario::{Outcome as Run, run as simulate};

use crate::{Outcome, args, output, plot};

/// Columns of a drawn curve.
const COLUMNS: usize = 64;

/// Heights of a drawn curve's columns, lowest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One run with what of its goals is missed.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    run: &'a Run,
    missed: Vec<String>,
}

/// Runs the scenarios; in figures as SVG too, where a folder is named.
pub fn run(scenario: &args::Scenario, folder: Option<&Path>, as_json: bool) -> Result<Outcome> {
    let chosen = match scenario {
        args::Scenario::One(trouble) => vec![*trouble],
        args::Scenario::All => Trouble::ALL.to_vec(),
    };
    let mut runs = Vec::with_capacity(chosen.len());
    for trouble in &chosen {
        let run = simulate(*trouble).map_err(anyhow::Error::msg)?;
        if !as_json {
            show(&run)?;
        }
        if let Some(folder) = folder {
            figure(&run, folder)?;
        }
        runs.push(run);
    }
    let good = runs.iter().all(|run| run.missed().is_empty());
    if as_json {
        let printed: Vec<_> = runs.iter().map(|run| Printed { run, missed: run.missed() }).collect();
        match (scenario, &printed[..]) {
            (args::Scenario::One(_), [one]) => output::json(one)?,
            _ => output::json(&serde_json::json!({ "scenarios": printed, "good": good }))?,
        }
    } else if runs.len() > 1 {
        summary(&runs);
    }
    Ok(if good { Outcome::Done } else { Outcome::Wrong })
}

/// A row of figures: its name, and the value of a toll.
type Row = (&'static str, fn(&Toll) -> String);

const ROWS: [Row; 6] = [
    ("seconds outside the safe area", |toll| format!("{:.0}", toll.outside_s)),
    ("highest temperature, °C", |toll| format!("{:.1}", toll.max_temp_c)),
    ("charge that may have plated, Ah", |toll| format!("{:.2}", toll.plating_ah)),
    ("imbalance at the end, mV", |toll| format!("{:.1}", toll.imbalance_mv)),
    ("ageing, % of capacity", |toll| format!("{:.3}", toll.ageing_pct)),
    ("charging time, min", |toll| toll.charge_min.map_or("–".to_owned(), |min| format!("{min:.1}"))),
];

fn show(run: &Run) -> Result<()> {
    output::line(format!("{}: {}", run.scenario, run.scenario.describe()));
    let rows: Vec<Vec<String>> =
        ROWS.iter().map(|(name, of)| vec![(*name).to_owned(), of(&run.with), of(&run.without)]).collect();
    output::table(&["", "with the loop", "without"], &rows);
    let (label, of) = quantity(run.scenario);
    let (with, without) = &run.curves;
    let (low, high) =
        with.iter().chain(without).map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |range, value| {
            (range.0.min(value), range.1.max(value))
        });
    output::line(format!("{label}, {low:.2} to {high:.2}:"));
    for (name, points) in [("with", with), ("without", without)] {
        output::line(format!("  {name:<8} {}", curve(points, of, low, high)));
    }
    for (at_s, condition) in &run.conditions {
        output::line(format!("  at {at_s:.0} s: {condition}"));
    }
    for (said, times) in &run.said {
        output::line(format!(
            "  {said}{}",
            if *times > 1 { format!(", {times} times") } else { String::new() }
        ));
    }
    output::line(format!(
        "{} events, {} commands, of them {} that limit; {} lost, {} doubled",
        run.events, run.commands, run.limiting, run.lost, run.duplicates
    ));
    for missed in run.missed() {
        output::note(&format!("MISSED: {missed}"));
    }
    output::line(String::new());
    Ok(())
}

fn summary(runs: &[Run]) {
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let minutes = |toll: &Toll| toll.charge_min.map_or("–".to_owned(), |min| format!("{min:.0}"));
            vec![
                run.scenario.to_string(),
                format!("{:.0} / {:.0}", run.with.outside_s, run.without.outside_s),
                format!("{:.1} / {:.1}", run.with.max_temp_c, run.without.max_temp_c),
                format!("{:.2} / {:.2}", run.with.plating_ah, run.without.plating_ah),
                format!("{} / {}", minutes(&run.with), minutes(&run.without)),
                if run.missed().is_empty() { "yes".to_owned() } else { "NO".to_owned() },
            ]
        })
        .collect();
    output::table(
        &["with / without", "outside, s", "hottest, °C", "plating, Ah", "charged in, min", "goals met"],
        &rows,
    );
}

/// What of a scenario is drawn.
fn quantity(trouble: Trouble) -> (&'static str, fn(&Point) -> f64) {
    match trouble {
        Trouble::DeepDischarge => ("lowest cell, V", |point| point.cells_v.0),
        Trouble::CoolingFailure => ("hottest sensor, °C", |point| point.temps_c.1),
        Trouble::ColdCharge => ("coldest sensor, °C", |point| point.temps_c.0),
        _ => ("highest cell, V", |point| point.cells_v.1),
    }
}

/// A curve in a line of text: the furthest value of each column.
fn curve(points: &[Point], of: fn(&Point) -> f64, low: f64, high: f64) -> String {
    let column = points.len().div_ceil(COLUMNS).max(1);
    let span = (high - low).max(1e-9);
    let middle = f64::midpoint(low, high);
    let furthest = |chunk: &[Point]| {
        let away = |value: &f64| (value - middle).abs();
        chunk.iter().map(of).max_by(|a, b| away(a).total_cmp(&away(b))).unwrap_or(low)
    };
    let block = |value: f64| BLOCKS[(((value - low) / span * 7.99) as usize).min(BLOCKS.len() - 1)];
    points.chunks(column).map(|chunk| block(furthest(chunk))).collect()
}

/// A figure of a run as SVG.
fn figure(run: &Run, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (label, of) = quantity(run.scenario);
    let line = |name: &str, points: &[Point]| {
        let points = points.iter().step_by(10).map(|point| (point.time_s / 60.0, of(point)));
        (name.to_owned(), points.collect::<Vec<_>>())
    };
    let lines = [line("with the loop", &run.curves.0), line("without", &run.curves.1)];
    let (x, y) = (plot::Axis { label: "minutes", log: false }, plot::Axis { label, log: false });
    let drawn = plot::traces(run.scenario.name(), x, y, &lines)?;
    let path = folder.join(format!("{}.svg", run.scenario));
    std::fs::write(&path, drawn).with_context(|| format!("cannot write {}", path.display()))
}
