//! `voltmesh bench twin`: how fast the battery's twin is on one core, how much memory it takes, and how well it finds faults
//! in simulated packs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use voltmesh_battery::pack::{Fault, FaultKind, Layout, PackEstimator, PackSample};
use voltmesh_battery::twin::Setup;
use voltmesh_battery::{Cell, CellParams, Chemistry, Twin};

use super::machine::Machine;
use crate::args::BenchTwin;
use crate::commands::twin::inject;
use crate::parallel::on_every_core;
use crate::usage::resident_mb;
use crate::{Outcome, output};

/// Cells in series.
const GROUPS: usize = 96;

/// Seconds of a drive that speeds are measured over, again and again.
const DRIVE_S: f64 = 1_800.0;

/// When faults begin, in s, and how long a pack with one is watched, in hours.
const FAULT_AT_S: f64 = 3_600.0;
const FAULTY_HOURS: f64 = 3.0;

/// Hours of one simulated pack without a fault.
const SOUND_HOURS: f64 = 10.0;

#[derive(Debug, Serialize)]
struct Printed {
    machine: Machine,
    cells: usize,
    /// Times real time at 1 Hz, one core, of five runs: least, median, most.
    bar_delta_x_real_time: [f64; 3],
    full_x_real_time: [f64; 3],
    twin_x_real_time: [f64; 3],
    cell_steps_per_s: f64,
    memory_mb: f64,
    faults: Vec<Row>,
    fault_free_hours: f64,
    false_alarms: u64,
    false_alarms_per_1000h: f64,
}

/// How well one kind of fault was found, in packs that are simulated.
#[derive(Debug, Serialize)]
struct Row {
    kind: FaultKind,
    packs: usize,
    found: usize,
    /// Seconds from its beginning to the first event of its kind, median.
    delay_s: Option<f64>,
    /// Of the largest score, against packs without a fault.
    auroc: f64,
}

/// Runs the command.
pub fn run(options: &BenchTwin) -> Result<Outcome> {
    ensure!(options.fault_free_hours >= 0.0, "--fault-free-hours wants 0 or more");
    let machine = Machine::this();
    let cell = Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, 60.0))?);
    let layout = Layout { series: GROUPS, ..Layout::default() };
    let drive = inject::drive(&cell, &layout, DRIVE_S / 3_600.0, None);
    let fast = || PackEstimator::new(cell.clone(), cell.new_health(), GROUPS, 1);
    let bar_delta = speed(&drive, || {
        let mut estimator = fast();
        move |sample: &PackSample| {
            let _ = estimator.update(sample);
        }
    });
    let full = speed(&drive, || {
        let mut estimator = fast().with_full(cell.new_health(), 1.0);
        move |sample: &PackSample| {
            let _ = estimator.update(sample);
        }
    });
    let before = resident_mb();
    let whole = speed(&drive, || {
        let mut twin = Twin::new(cell.clone(), Setup { series: GROUPS, ..Setup::default() }, None);
        move |sample: &PackSample| drop(twin.update(sample.clone()))
    });
    let memory_mb = resident_mb() - before;
    let (faults, fault_free_hours, false_alarms) = faults(&cell, options)?;
    let printed = Printed {
        machine,
        cells: GROUPS,
        bar_delta_x_real_time: bar_delta,
        full_x_real_time: full,
        twin_x_real_time: whole,
        cell_steps_per_s: full[1] * GROUPS as f64,
        memory_mb,
        faults,
        fault_free_hours,
        false_alarms,
        false_alarms_per_1000h: if fault_free_hours > 0.0 {
            false_alarms as f64 / fault_free_hours * 1e3
        } else {
            0.0
        },
    };
    if options.json {
        output::json(&printed)?;
    } else {
        show(&printed);
    }
    Ok(Outcome::Done)
}

/// Times real time of five runs over a drive: least, median, most.
fn speed<F: FnMut(&PackSample)>(drive: &[PackSample], make: impl Fn() -> F) -> [f64; 3] {
    let mut runs: Vec<f64> = (0..5)
        .map(|_| {
            let mut take = make();
            let start = Instant::now();
            drive.iter().for_each(&mut take);
            drive.len() as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    [runs[0], runs[2], runs[4]]
}

/// What a pack's watch ended with.
struct Watched {
    scores: BTreeMap<FaultKind, f64>,
    /// First event of each kind.
    first_s: BTreeMap<FaultKind, f64>,
    events: u64,
}

fn watch(cell: &Arc<Cell>, seed: u64, hours: f64, fault: Option<&Fault>) -> Watched {
    let layout = Layout { series: GROUPS, seed, ..Layout::default() };
    let setup = Setup { series: GROUPS, full_every_s: None, ..Setup::default() };
    let mut twin = Twin::new(cell.clone(), setup, None);
    let mut watched = Watched { scores: BTreeMap::new(), first_s: BTreeMap::new(), events: 0 };
    inject::each(cell, &layout, hours, fault, |sample| {
        for event in twin.update(sample).events.into_iter().filter(|event| !event.over) {
            watched.events += 1;
            watched.first_s.entry(event.kind).or_insert(event.at_s);
        }
    });
    watched.scores = twin.watch().scores().iter().map(|(kind, finding)| (*kind, finding.score)).collect();
    watched
}

fn faults(cell: &Arc<Cell>, options: &BenchTwin) -> Result<(Vec<Row>, f64, u64)> {
    let sound = (options.fault_free_hours / SOUND_HOURS).ceil() as u64;
    let each = u64::from(options.packs_per_fault);
    // Packs without a fault first, then each kind's.
    let mut jobs: Vec<(u64, f64, Option<Fault>)> =
        (0..sound).map(|n| (1_000 + n, SOUND_HOURS, None)).collect();
    for (kind, which) in FaultKind::ALL.into_iter().zip(1u64..) {
        jobs.extend((0..each).map(|n| {
            let seed = 1_000_000 * which + n;
            let group = inject::group_of(seed, GROUPS);
            // A weak cell is weak from the beginning.
            let since_s = if kind == FaultKind::CapacityOutlier { 0.0 } else { FAULT_AT_S };
            (seed, FAULTY_HOURS, Some(Fault { kind, group, since_s, severity: 1.0 }))
        }));
    }
    let done = on_every_core(&jobs, |(seed, hours, fault)| watch(cell, *seed, *hours, fault.as_ref()));
    let watched: Vec<(&Option<Fault>, &Watched)> = jobs.iter().map(|job| &job.2).zip(&done).collect();
    let sound: Vec<&Watched> =
        watched.iter().filter(|(fault, _)| fault.is_none()).map(|(_, watched)| *watched).collect();
    let rows = FaultKind::ALL.into_iter().map(|kind| {
        let faulty: Vec<(&Fault, &Watched)> = watched
            .iter()
            .filter_map(|(fault, watched)| {
                fault.as_ref().filter(|fault| fault.kind == kind).map(|fault| (fault, *watched))
            })
            .collect();
        let mut delays: Vec<f64> = faulty
            .iter()
            .filter_map(|(fault, watched)| Some(watched.first_s.get(&kind)? - fault.since_s))
            .collect();
        delays.sort_by(f64::total_cmp);
        let score = |watched: &Watched| watched.scores.get(&kind).copied().unwrap_or(0.0);
        let positive: Vec<f64> = faulty.iter().map(|(_, watched)| score(watched)).collect();
        let negative: Vec<f64> = sound.iter().map(|watched| score(watched)).collect();
        Row {
            kind,
            packs: faulty.len(),
            found: delays.len(),
            delay_s: delays.get(delays.len() / 2).copied(),
            auroc: auroc(&positive, &negative),
        }
    });
    let rows = rows.collect();
    let alarms = sound.iter().map(|watched| watched.events).sum();
    Ok((rows, sound.len() as f64 * SOUND_HOURS, alarms))
}

/// Chance that a faulty pack has the larger score (Mann and Whitney 1947).
fn auroc(positive: &[f64], negative: &[f64]) -> f64 {
    let pairs = (positive.len() * negative.len()).max(1) as f64;
    let wins: f64 = positive
        .iter()
        .flat_map(|yes| {
            negative.iter().map(move |no| {
                if yes > no {
                    1.0
                } else if yes == no {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    wins / pairs
}

fn show(printed: &Printed) {
    output::line(printed.machine.line());
    let speed = |name: &str, speeds: &[f64; 3]| {
        vec![
            name.to_owned(),
            format!("{:.0}", speeds[1]),
            format!("{:.0}", speeds[0]),
            format!("{:.0}", speeds[2]),
        ]
    };
    output::table(
        &["96 cells at 1 Hz, one core", "× real time", "least", "most"],
        &[
            speed("bar and delta", &printed.bar_delta_x_real_time),
            speed("a filter for each cell as well", &printed.full_x_real_time),
            speed("the whole twin", &printed.twin_x_real_time),
        ],
    );
    output::line(format!("memory of the twin: {:.1} MB", printed.memory_mb));
    output::line("");
    let rows: Vec<_> = printed
        .faults
        .iter()
        .map(|row| {
            vec![
                row.kind.to_string(),
                format!("{} of {}", row.found, row.packs),
                row.delay_s.map_or_else(|| "–".to_owned(), |delay| format!("{delay:.0}")),
                format!("{:.4}", row.auroc),
            ]
        })
        .collect();
    output::table(&["synthetic fault", "found", "after s", "AUROC"], &rows);
    output::line(format!(
        "{} false alarms in {:.0} simulated hours without a fault",
        printed.false_alarms, printed.fault_free_hours
    ));
}
