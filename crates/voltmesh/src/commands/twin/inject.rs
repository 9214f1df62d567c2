//! `voltmesh twin inject`: labelled logs of simulated packs. Everything in them is synthetic.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::{Compression, write::GzEncoder};
use indicatif::ProgressBar;
use serde::Serialize;
use voltmesh_battery::drive::{Car, Schedule};
use voltmesh_battery::pack::{Fault, Layout, Pack, PackLog, PackSample, Sensors};
use voltmesh_battery::{Cell, CellParams, Chemistry};

use super::parameters::cell;
use super::written::{folder, wrote};
use crate::args::TwinInject;
use crate::{Outcome, output};

/// Longest log in hours.
const MOST_HOURS: f64 = 200.0;

/// A day's course, over and over: so many seconds of driving, rest, charging, rest.
const COURSE_S: [u32; 4] = [1_500, 600, 1_500, 600];

/// Charging current in C, and the charge at which it stops.
const CHARGE_C: f64 = 0.5;
const FULL: f64 = 0.9;

/// Charge below which the vehicle does not drive on.
const EMPTY: f64 = 0.15;

/// What is true of a file.
#[derive(Serialize)]
struct Label {
    file: String,
    synthetic: bool,
    seed: u64,
    hours: f64,
    fault: Option<Fault>,
}

/// Runs the command.
pub fn run(options: &TwinInject) -> Result<Outcome> {
    ensure!(
        options.hours > 0.0 && options.hours <= MOST_HOURS,
        "--hours wants more than 0 and at most {MOST_HOURS}"
    );
    ensure!((1..=512).contains(&options.cells), "--cells wants 1 to 512");
    let faults = options.fault.iter().map(|text| parse(text)).collect::<Result<Vec<_>>>()?;
    let cell = match &options.params {
        Some(path) => cell(path)?,
        None => Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, 60.0))?),
    };
    folder(&options.output)?;
    let bar = ProgressBar::new(u64::from(options.packs));
    let mut labels = Vec::new();
    for n in 0..options.packs {
        let seed = options.seed.wrapping_add(u64::from(n));
        let group = group_of(seed, options.cells);
        let fault = faults.get(n as usize % faults.len().max(1)).map(|(kind, since_s)| Fault {
            kind: *kind,
            group,
            since_s: *since_s,
            severity: 1.0,
        });
        let layout = Layout { series: options.cells, seed, ..Layout::default() };
        let samples = drive(&cell, &layout, options.hours, fault.as_ref());
        let file = format!("pack-{}.csv.gz", n + 1);
        write(&options.output.join(&file), &samples)?;
        labels.push(Label { file, synthetic: true, seed, hours: options.hours, fault });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let path = options.output.join("labels.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&labels)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    output::line(format!("{} logs of {} h in {}", labels.len(), options.hours, options.output.display()));
    wrote(&path);
    Ok(Outcome::Done)
}

/// The group that a fault of that seed is in.
pub(crate) fn group_of(seed: u64, groups: usize) -> usize {
    (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % groups
}

fn parse(text: &str) -> Result<(voltmesh_battery::pack::FaultKind, f64)> {
    let Some((kind, since_s)) = text.split_once('@') else {
        bail!("--fault wants KIND@SECONDS, not `{text}`")
    };
    let since_s: f64 = since_s
        .parse()
        .ok()
        .filter(|since_s: &f64| *since_s >= 0.0)
        .with_context(|| format!("--fault {text}: `{since_s}` is no number of seconds"))?;
    Ok((kind.parse().map_err(anyhow::Error::msg)?, since_s))
}

/// One pack's life for so many hours at 1 Hz, as its sensors say it.
pub(crate) fn drive(cell: &Arc<Cell>, layout: &Layout, hours: f64, fault: Option<&Fault>) -> Vec<PackSample> {
    let mut samples = Vec::with_capacity((hours * 3_600.0) as usize);
    each(cell, layout, hours, fault, |sample| samples.push(sample));
    samples
}

/// As [`drive`], sample by sample.
pub(crate) fn each(
    cell: &Arc<Cell>,
    layout: &Layout,
    hours: f64,
    fault: Option<&Fault>,
    mut take: impl FnMut(PackSample),
) {
    let group_ah = cell.params().capacity_ah * layout.parallel as f64;
    let ambient_c = 20.0 + 5.0 * layout.normal(20, 0);
    let mut pack = Pack::new(cell.clone(), layout, 0.8, ambient_c);
    let sensors = Sensors { seed: layout.seed, ..Sensors::default() };
    let (car, speeds) = (Car::default(), Schedule::WltcClass3b.speeds());
    // A car's power for the pack that it was made for: 96 groups of 60 Ah.
    let share = layout.series as f64 * group_ah / (96.0 * 60.0);
    let course: u32 = COURSE_S.iter().sum();
    let mut frozen = None;
    for second in 0..(hours * 3_600.0) as u32 {
        let time_s = f64::from(second);
        if let Some(fault) = fault {
            fault.act(&mut pack, time_s);
        }
        let at = second % course;
        let socs = pack.socs();
        let soc = socs.iter().sum::<f64>() / socs.len() as f64;
        let driving = at < COURSE_S[0] && soc > EMPTY;
        let charging = (COURSE_S[0] + COURSE_S[1]..course - COURSE_S[3]).contains(&at) && soc < FULL;
        let current_a = if driving {
            let place = at as usize % (speeds.len() - 1);
            pack.current_at_w(share * car.power_w(speeds[place], speeds[place + 1] - speeds[place]))
        } else if charging {
            CHARGE_C * group_ah
        } else {
            0.0
        };
        pack.step(current_a, ambient_c, 1.0);
        let mut sample = sensors.read(&pack, time_s, current_a);
        if let Some(fault) = fault {
            fault.distort(&mut sample, group_ah, &mut frozen);
        }
        take(sample);
    }
}

fn write(path: &Path, samples: &[PackSample]) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let file = std::fs::File::create(path).with_context(cannot)?;
    let mut gzip = GzEncoder::new(std::io::BufWriter::new(file), Compression::fast());
    PackLog::write(samples, &mut gzip).with_context(cannot)?;
    gzip.finish().with_context(cannot)?;
    Ok(())
}
