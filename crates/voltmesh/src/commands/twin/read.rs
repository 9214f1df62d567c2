//! Logs of cells and packs, read as a vehicle reads its recordings.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use voltmesh_battery::log::MAX_ROWS;
use voltmesh_battery::pack::{PackLog, PackSample};
use voltmesh_recording::table::Level;
use voltmesh_recording::{Options, Reading, Recording, Row, Stamp};

use super::name_of;
use crate::output;

/// A log that could not be looked at: no result, which is neither good nor bad. The cause says why, and the remedy.
#[derive(Debug)]
pub struct NotLooked(String);

impl fmt::Display for NotLooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not be looked at", self.0)
    }
}

/// A table of a pack or of a cell. What is unknown is no number; what was skipped or assumed is said beside the result.
pub fn pack_log(path: &Path) -> Result<PackLog> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let unread = || NotLooked(path.display().to_string());
    let mut recording = Recording::open(&[path.to_path_buf()], &Options::new(now_ms)).with_context(unread)?;
    let (mut samples, mut first, mut segment) = (Vec::new(), None, 0);
    while let Some(placed) = recording.next().with_context(unread)? {
        if samples.len() == MAX_ROWS {
            return Err(anyhow!("it has more than {MAX_ROWS} rows: cut it into parts").context(unread()));
        }
        // Each segment of the clock begins anew, and so does a twin whose time goes back.
        if placed.segment != segment {
            (first, segment) = (None, placed.segment);
        }
        let seconds = match placed.time {
            Stamp::Relative(ns) if segment == 0 => ns as f64 / 1e9,
            // Seconds since the first: a double holds no nanoseconds since 1970.
            Stamp::Relative(ns) | Stamp::Unix(ns) => (ns - *first.get_or_insert(ns)) as f64 / 1e9,
        };
        samples.push(sample(seconds, &placed.item, recording.level()));
    }
    let doubts = recording.doubts();
    if !doubts.is_empty() {
        return Err(anyhow!("{}", doubts.join("; ")).context(unread()));
    }
    let name = name_of(path);
    let report = recording.report();
    for (reason, count) in &report.skipped {
        output::note(&format!("{name}: {count} rows skipped: {reason}"));
    }
    for warning in &report.warnings {
        output::note(&format!("{name}: {warning}"));
    }
    let cells = report.quantities.get("cells_mv").map_or("", |cells| cells.source.as_str());
    Ok(PackLog { name, samples, first_cell: first_number(cells), unused: report.unused })
}

/// The number from which columns of cells are counted, by the name of the first: 0 or 1.
fn first_number(columns: &str) -> usize {
    let first = columns.split(", ").next().unwrap_or_default();
    let digits = first.split(|next: char| !next.is_ascii_digit()).find(|digits| !digits.is_empty());
    usize::from(digits.is_none_or(|digits| digits.bytes().any(|digit| digit != b'0')))
}

fn sample(time_s: f64, row: &Row, level: Level) -> PackSample {
    let number = |reading: &Reading| reading.unwrap_or(f64::NAN);
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
