//! `voltmesh twin simulate`: what-if scenarios beside each other.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use voltmesh_battery::drive::Schedule;
use voltmesh_battery::scenario::{Outcome as Played, Scenario, play};
use voltmesh_battery::{Cell, CellParams, Chemistry};

use super::parameters::cell;
use super::written::{figure, folder, wrote};
use crate::args::TwinSimulate;
use crate::parallel::on_every_core;
use crate::plot::{Axis, bars};
use crate::{Outcome, commands::read_text, output};

/// Bytes of a scenario file at most.
const MAX_FILE: usize = 4 << 20;

/// Scenarios of one run at most.
const MOST: usize = 10_000;

/// Cells of the typical pack: 56 kWh.
const TYPICAL_AH: f64 = 156.0;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: Vec<Scenario>,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    scenario: &'a Scenario,
    #[serde(flatten)]
    outcome: &'a Played,
}

#[derive(Serialize)]
struct Printed<'a> {
    method: &'static str,
    cell: &'a str,
    scenarios: Vec<Row<'a>>,
}

/// Runs the command.
pub fn run(options: &TwinSimulate) -> Result<Outcome> {
    if options.defaults {
        let file = File { scenario: vec![Scenario { name: "usual".into(), ..Scenario::default() }] };
        output::line(toml::to_string(&file).context("the defaults cannot be written down")?);
        output::line("# Further keys: parking_soc (0..1), preheat_c (°C); without them neither is done.");
        return Ok(Outcome::Done);
    }
    let cell = match &options.params {
        Some(path) => cell(path)?,
        None => Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, TYPICAL_AH))?),
    };
    let scenarios = scenarios(options, &cell)?;
    let played = on_every_core(&scenarios, |scenario| play(&cell, scenario));
    let outcomes = played.into_iter().collect::<Result<Vec<Played>, _>>()?;
    if let Some(plots) = &options.plots {
        folder(plots)?;
        draw(plots, &scenarios, &outcomes)?;
    }
    if options.json {
        let rows = scenarios.iter().zip(&outcomes).map(|(scenario, outcome)| Row { scenario, outcome });
        let method = voltmesh_battery::ageing::VERSION;
        output::json(&Printed { method, cell: &cell.params().name, scenarios: rows.collect() })?;
    } else {
        show(&scenarios, &outcomes);
    }
    Ok(Outcome::Done)
}

fn schedule(name: &str) -> Result<Schedule> {
    Ok(match name {
        "udds" => Schedule::Udds,
        "hwfet" => Schedule::Hwfet,
        "wltc" | "wltc_class3b" => Schedule::WltcClass3b,
        "wltc_class3a" => Schedule::WltcClass3a,
        other => bail!("--cycle {other}: write udds, hwfet, wltc or wltc_class3a"),
    })
}

fn scenarios(options: &TwinSimulate, cell: &Cell) -> Result<Vec<Scenario>> {
    let scenarios = match &options.scenarios {
        Some(path) => {
            let text = read_text(path, MAX_FILE)?;
            let file: File =
                toml::from_str(&text).with_context(|| format!("{} is no scenario file", path.display()))?;
            file.scenario
        }
        None => grid(options, cell)?,
    };
    ensure!(!scenarios.is_empty(), "there is no scenario");
    ensure!(scenarios.len() <= MOST, "{} scenarios, at most {MOST} in one run", scenarios.len());
    let named = scenarios.into_iter().enumerate().map(|(n, scenario)| {
        let name =
            if scenario.name.is_empty() { format!("scenario {}", n + 1) } else { scenario.name.clone() };
        Scenario { name, ..scenario }
    });
    let named: Vec<Scenario> = named.collect();
    named.iter().try_for_each(Scenario::check)?;
    Ok(named)
}

/// Every combination of the flags' values; the name says what differs.
fn grid(options: &TwinSimulate, cell: &Cell) -> Result<Vec<Scenario>> {
    // A small cell stands for a pack of as much charge as the typical one.
    let parallel = (TYPICAL_AH / cell.params().capacity_ah).round().clamp(1.0, 512.0) as usize;
    let base = Scenario { years: options.years, parallel, ..Scenario::default() };
    let mut all = vec![base];
    let mut vary =
        |label: &dyn Fn(&Scenario) -> String, several: bool, change: &dyn Fn(&Scenario) -> Vec<Scenario>| {
            all = all
                .iter()
                .flat_map(|scenario| {
                    let mut changed = change(scenario);
                    for new in &mut changed {
                        if several {
                            let comma = if new.name.is_empty() { "" } else { ", " };
                            new.name = format!("{}{comma}{}", new.name, label(new));
                        }
                    }
                    changed
                })
                .collect();
            ensure!(all.len() <= MOST, "{} scenarios, at most {MOST} in one run", all.len());
            Ok(())
        };
    let cycles = options.cycle.iter().map(|name| schedule(name)).collect::<Result<Vec<_>>>()?;
    vary(&|scenario| format!("{:?}", scenario.cycle).to_lowercase(), cycles.len() > 1, &|scenario| {
        cycles.iter().map(|cycle| Scenario { cycle: *cycle, ..scenario.clone() }).collect()
    })?;
    vary(&|scenario| format!("{} km/d", scenario.daily_km), options.daily_km.len() > 1, &|scenario| {
        options.daily_km.iter().map(|daily_km| Scenario { daily_km: *daily_km, ..scenario.clone() }).collect()
    })?;
    vary(&|scenario| format!("{} kW", scenario.charge_kw), options.charge_kw.len() > 1, &|scenario| {
        options
            .charge_kw
            .iter()
            .map(|charge_kw| Scenario { charge_kw: *charge_kw, ..scenario.clone() })
            .collect()
    })?;
    vary(
        &|scenario| format!("to {:.0} %", 100.0 * scenario.target_soc),
        options.target_soc.len() > 1,
        &|scenario| {
            options
                .target_soc
                .iter()
                .map(|target_soc| Scenario { target_soc: *target_soc, ..scenario.clone() })
                .collect()
        },
    )?;
    let parked = |scenario: &Scenario| {
        scenario
            .parking_soc
            .map_or_else(|| "parked as charged".to_owned(), |soc| format!("parked at {:.0} %", 100.0 * soc))
    };
    vary(&parked, options.parking_soc.len() > 1, &|scenario| {
        let none = options.parking_soc.is_empty().then(|| scenario.clone());
        let some =
            options.parking_soc.iter().map(|soc| Scenario { parking_soc: Some(*soc), ..scenario.clone() });
        some.chain(none).collect()
    })?;
    vary(&|scenario| format!("{} °C", scenario.ambient_c), options.ambient_c.len() > 1, &|scenario| {
        options
            .ambient_c
            .iter()
            .map(|ambient_c| Scenario { ambient_c: *ambient_c, ..scenario.clone() })
            .collect()
    })?;
    let heated = |scenario: &Scenario| {
        scenario.preheat_c.map_or_else(|| "not heated".to_owned(), |heated| format!("heated to {heated} °C"))
    };
    vary(&heated, options.preheat_c.len() > 1, &|scenario| {
        let none = options.preheat_c.is_empty().then(|| scenario.clone());
        let some =
            options.preheat_c.iter().map(|heated| Scenario { preheat_c: Some(*heated), ..scenario.clone() });
        some.chain(none).collect()
    })?;
    Ok(all)
}

fn show(scenarios: &[Scenario], outcomes: &[Played]) {
    let rows: Vec<_> = scenarios
        .iter()
        .zip(outcomes)
        .map(|(scenario, outcome)| {
            vec![
                scenario.name.clone(),
                format!("{:.0}", outcome.range_km),
                format!("{:.1}", outcome.kwh_per_100km),
                figure(outcome.charge_min, 0),
                format!("{:.1}", outcome.preheat_kwh),
                format!("{:.0}", outcome.hottest_c),
                format!("{:.1}", outcome.loss_pct),
                format!("{:.1}", outcome.resistance_pct),
                format!("{:.0}", outcome.ageing_eur_per_year),
                format!("{:.0}", outcome.outside_validity_pct),
            ]
        })
        .collect();
    output::table(
        &[
            "scenario",
            "range km",
            "kWh/100 km",
            "charge min",
            "heating kWh/d",
            "hottest °C",
            "loss %",
            "resistance %",
            "€/year",
            "doubt %",
        ],
        &rows,
    );
    for (scenario, outcome) in scenarios.iter().zip(outcomes) {
        if !outcome.feasible {
            output::note(&format!("{}: a day's distance takes more than one charge", scenario.name));
        }
        if outcome.charge_min.is_none() {
            output::note(&format!(
                "{}: the battery is too cold to be charged; heat it (--preheat-c)",
                scenario.name
            ));
        }
    }
    output::line("doubt: share of the loss computed outside what its laws were measured at");
}

fn draw(plots: &std::path::Path, scenarios: &[Scenario], outcomes: &[Played]) -> Result<()> {
    type Value = fn(&Played) -> f64;
    let figures: [(&str, &str, &str, Value); 4] = [
        ("range.svg", "Range", "km", |outcome| outcome.range_km),
        ("charge.svg", "Charging time for a day's driving", "min", |outcome| {
            outcome.charge_min.unwrap_or(0.0)
        }),
        ("loss.svg", "Capacity lost", "%", |outcome| outcome.loss_pct),
        ("cost.svg", "Cost of ageing", "€ a year", |outcome| outcome.ageing_eur_per_year),
    ];
    for (file, title, label, value) in figures {
        let path = plots.join(file);
        let values: Vec<(String, f64)> = scenarios
            .iter()
            .zip(outcomes)
            .map(|(scenario, outcome)| (scenario.name.clone(), value(outcome)))
            .collect();
        bars(&path, title, Axis { label, log: false }, &values)?;
        wrote(&path);
    }
    Ok(())
}
