//! A recording as a fog node gets it: samples of the interface, with what a twin needs beside them.

use std::path::Path;

use anyhow::{Context as _, Result};
use voltmesh_battery::pack::{PackLog, PackSample};
use voltmesh_function::Sample;
use voltmesh_recording::{Reading, Row, Stamp};

use crate::args::ReadLogs;
use crate::commands::twin::read::{NotLooked, pack_sample, rows};

/// When a recording without a date begins: 2026-01-01 in ms.
const BEGIN_MS: u64 = 1_767_225_600_000;

/// A recording.
pub struct Recorded {
    /// What the twin takes.
    pub log: PackLog,
    /// The same as a function takes them, in the same order.
    pub samples: Vec<Sample>,
    /// Time of the first in ms.
    pub begin_ms: u64,
}

/// Reads one. After its clock was set back, or in its second segment, it goes on behind what was before.
pub fn read(path: &Path, options: &ReadLogs) -> Result<Recorded> {
    let (mut packs, mut samples) = (Vec::new(), Vec::<Sample>::new());
    let (mut first_ns, mut first_ms, mut segment) = (None, None, 0);
    let recording = rows(path, options, |placed, level| {
        let ns = match placed.time {
            Stamp::Relative(ns) | Stamp::Unix(ns) => ns,
        };
        if placed.segment != segment {
            segment = placed.segment;
            // A minute and more is a gap to every function, as it is for the vehicle's twin.
            first_ms = samples.last().map(|last| last.time_ms + 120_000);
            first_ns = None;
        }
        let begin = *first_ms.get_or_insert(match placed.time {
            Stamp::Unix(ns) => u64::try_from(ns / 1_000_000).unwrap_or(BEGIN_MS),
            Stamp::Relative(_) => BEGIN_MS,
        });
        let since_ns = u64::try_from(ns - *first_ns.get_or_insert(ns)).unwrap_or_default();
        let time_ms = begin + since_ns / 1_000_000;
        let begin_ms = samples.first().map_or(time_ms, |sample| sample.time_ms);
        let pack = pack_sample((time_ms - begin_ms) as f64 / 1_000.0, &placed.item, level);
        samples.push(sample(time_ms, &placed.item, &pack));
        packs.push(pack);
    });
    let recording = recording.with_context(|| NotLooked::of(&path.display().to_string()))?;
    let (first_cell, unused) = (recording.first_cell(), recording.said().unused);
    let name =
        path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
    let begin_ms = samples.first().map_or(BEGIN_MS, |sample| sample.time_ms);
    Ok(Recorded { log: PackLog { name, samples: packs, first_cell, unused }, samples, begin_ms })
}

fn sample(time_ms: u64, row: &Row, pack: &PackSample) -> Sample {
    let known = |reading: &Reading| reading.ok().filter(|value| value.is_finite());
    Sample {
        time_ms,
        pack_voltage_v: known(&row.pack_voltage),
        pack_current_a: known(&row.pack_current),
        soc: known(&row.soc),
        cells_v: pack.cells_v.clone(),
        temperatures_c: pack.temps_c.clone(),
        plugged: known(&row.charging).map(|value| value > 0.0),
        insulation_ohm: known(&row.insulation),
        ambient_c: known(&row.ambient),
        coolant_c: known(&row.coolant),
    }
}
