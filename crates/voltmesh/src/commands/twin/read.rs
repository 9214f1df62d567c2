//! Logs of cells and packs, read as a vehicle reads its recordings.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use voltmesh_battery::Sample;
use voltmesh_battery::log::{Log, MAX_ROWS};
use voltmesh_battery::pack::{PackLog, PackSample};
use voltmesh_recording::clock::{MAX_STEP_NS, Placed};
use voltmesh_recording::table::Level;
use voltmesh_recording::{Options, Reading, Recording, Row, Stamp};

use super::written::name_of;
use crate::args::ReadLogs;
use crate::output;

/// A log that could not be looked at: no result, which is neither good nor bad. The cause says why, and the remedy.
#[derive(Debug)]
pub struct NotLooked(String);

impl NotLooked {
    /// Of a log of that name.
    pub fn of(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for NotLooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not be looked at", self.0)
    }
}

/// A recording of a pack or of a cell. What is unknown is no number.
pub fn pack_log(path: &Path, read: &ReadLogs) -> Result<PackLog> {
    let (mut samples, mut first, mut segment) = (Vec::new(), None, 0);
    let recording = rows(path, read, |placed, level| {
        // Each segment of the clock begins anew, and so does a twin whose time goes back.
        if placed.segment != segment {
            (first, segment) = (None, placed.segment);
        }
        let seconds = match placed.time {
            Stamp::Relative(ns) if segment == 0 => ns as f64 / 1e9,
            // Seconds since the first: a double holds no nanoseconds since 1970.
            Stamp::Relative(ns) | Stamp::Unix(ns) => (ns - *first.get_or_insert(ns)) as f64 / 1e9,
        };
        samples.push(pack_sample(seconds, &placed.item, level));
    });
    let recording = recording.with_context(|| NotLooked(path.display().to_string()))?;
    let (first_cell, unused) = (recording.first_cell(), recording.said().unused);
    Ok(PackLog { name: name_of(path), samples, first_cell, unused })
}

/// A recording of one cell, with its charge counter where there is one.
pub fn cell_log(path: &Path, read: &ReadLogs) -> Result<Log> {
    let (mut samples, mut counter_ah) = (Vec::new(), Vec::new());
    let (mut begin, mut last, mut segment, mut restart) = (None, 0, 0, None);
    let recording = rows(path, read, |placed, _| {
        let (Stamp::Relative(ns) | Stamp::Unix(ns)) = placed.time;
        let begin = *begin.get_or_insert(if matches!(placed.time, Stamp::Relative(_)) { 0 } else { ns });
        let time_s = ns.saturating_sub(begin) as f64 / 1e9;
        // A pause of more than a day is part of a test; a clock that is set or begins anew is not.
        if placed.segment != segment && ns.saturating_sub(last) <= MAX_STEP_NS {
            restart.get_or_insert(samples.len() + 1);
        }
        (last, segment) = (ns, placed.segment);
        let row = &placed.item;
        counter_ah.push(number(&row.charge_counter));
        samples.push(Sample {
            time_s,
            voltage_v: number(&row.pack_voltage),
            current_a: number(&row.pack_current),
            cell_temp_c: row.temperatures.first().and_then(|reading| reading.ok()),
            ambient_c: row.ambient.ok(),
        });
    });
    let recording = recording.with_context(|| format!("{} is no log of a cell", path.display()))?;
    ensure!(recording.level() == Level::Cell, "{} is a log of a pack, not of one cell", path.display());
    if let Some(row) = restart {
        let remedy = "give each run as a file of its own";
        anyhow::bail!("{}: its clock is set back or begins anew at row {row}: {remedy}", path.display());
    }
    let counts = counter_ah.iter().any(|ah| ah.is_finite());
    Ok(Log { name: name_of(path), samples, counter_ah: counts.then_some(counter_ah) })
}

/// Gives each row, with the clock's segment that it is in; what was skipped or assumed is said beside the result. The recording at its end.
pub(in crate::commands) fn rows(
    path: &Path,
    read: &ReadLogs,
    mut take: impl FnMut(&Placed<Row>, Level),
) -> Result<Recording> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let mut options = Options {
        mappings: read.mappings.clone(),
        dbc: read.dbc.clone(),
        diagnostics: read.diagnostics.clone(),
        ..Options::new(now_ms)
    };
    options.table.missing.clone_from(&read.missing);
    let mut recording = Recording::open(&[path.to_path_buf()], &options)?;
    let (level, mut rows) = (recording.level(), 0);
    while let Some(placed) = recording.next()? {
        ensure!(rows < MAX_ROWS, "it has more than {MAX_ROWS} rows: cut it into parts");
        rows += 1;
        take(placed, level);
    }
    let doubts = recording.doubts();
    if !doubts.is_empty() {
        return Err(anyhow!("{}", doubts.join("; ")));
    }
    let (name, report) = (name_of(path), recording.report());
    for (reason, count) in &report.skipped {
        output::note(&format!("{name}: {count} rows skipped: {reason}"));
    }
    for warning in report.reasons.iter().chain(&report.warnings) {
        output::note(&format!("{name}: {warning}"));
    }
    Ok(recording)
}

fn number(reading: &Reading) -> f64 {
    reading.unwrap_or(f64::NAN)
}

pub(in crate::commands) fn pack_sample(time_s: f64, row: &Row, level: Level) -> PackSample {
    let numbers = |readings: &[Reading]| readings.iter().map(number).collect::<Vec<f64>>();
    let voltage_v = number(&row.pack_voltage);
    let mut temps_c = numbers(&row.temperatures);
    if level == Level::Cell && temps_c.is_empty() {
        temps_c.extend(row.ambient.ok());
    }
    PackSample {
        time_s,
        voltage_v,
        current_a: number(&row.pack_current),
        cells_v: if level == Level::Cell { vec![voltage_v] } else { numbers(&row.cells) },
        temps_c,
        insulation_ohm: row.insulation.ok(),
    }
}
