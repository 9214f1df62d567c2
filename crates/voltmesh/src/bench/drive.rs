//! Records to measure with: the built-in pack on a public drive cycle.

use anyhow::{Context as _, Result};
use voltmesh_edge::sources::{Cursor, Cycle, Sim, SimConfig, Source as _};
use voltmesh_telemetry::{Record, RecordNumber};

/// Where the drive's clock starts: 2026-01-01, so that runs are alike.
const START_MS: u64 = 1_767_225_600_000;

/// The first `count` records at 1 Hz, 96 cells each; the cycle repeats.
pub fn records(count: usize) -> Result<Vec<Record>> {
    let mut source = Sim::open(SimConfig::new(Cycle::WltcClass3b), Cursor::default(), START_MS)?;
    (0..count)
        .map(|number| {
            let sampled = source.next()?.context("the drive cycle ended early")?;
            Ok(Record { number: RecordNumber::new(number as u64), sample: sampled.sample })
        })
        .collect()
}
