//! Rows of readings to samples. A sample of the present format cannot say that a cell is unknown: such a row is skipped
//! with its reason, and no value is made up.

use super::{Level, PackLayout};
use std::collections::BTreeMap;
use voltmesh_recording::{Reading, Row};
use voltmesh_telemetry::{
    CentiPercent, Centidegrees, Charger, Contactor, MAX_CELLS, MAX_TEMPERATURES, Milliamps, Millivolts,
    Millivolts16, Sample, Timestamp,
};

/// A sensor that falls silent keeps its last temperature for so long, in ms; then all are unknown.
const TEMPERATURE_MS: u64 = 60_000;
/// Most reasons that are kept apart: each cell, and a few more.
const MAX_REASONS: usize = MAX_CELLS + 16;

/// Makes samples of rows, and counts those that are none by reason.
pub(super) struct Sampler {
    level: Level,
    pack: PackLayout,
    temperatures: Vec<(Option<f64>, u64)>,
    skipped: BTreeMap<String, u64>,
}

impl Sampler {
    pub fn new(level: Level, pack: PackLayout) -> Self {
        Self { level, pack, temperatures: Vec::new(), skipped: BTreeMap::new() }
    }

    pub fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    /// Rows that were no samples, by reason.
    pub fn skipped(&self) -> &BTreeMap<String, u64> {
        &self.skipped
    }

    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// The sample of a row at `time`.
    pub fn sample(&mut self, row: &Row, time: u64) -> Option<Sample> {
        let temperatures = self.temperatures(&row.temperatures, time);
        match self.make(row, time, temperatures) {
            Ok(sample) => Some(sample),
            Err(reason) => {
                let known = self.skipped.contains_key(&reason) || self.skipped.len() < MAX_REASONS;
                *self.skipped.entry(if known { reason } else { "other".to_owned() }).or_default() += 1;
                None
            }
        }
    }

    fn make(&self, row: &Row, time: u64, temperatures: Vec<Centidegrees>) -> Result<Sample, String> {
        let time = Timestamp::from_millis(time);
        if time > Timestamp::MAX {
            return Err("the time is after 15 May 2109, the last that a record may carry".into());
        }
        let amperes = row.pack_current.map_err(|_| "the current is unknown")?;
        let volts = row.pack_voltage.map_err(|_| "the voltage is unknown")?;
        let known = row.cells.iter().enumerate().map(|(at, cell)| {
            cell.map_err(|_| format!("cell {} is unknown, which a sample cannot say yet", at + 1))
        });
        let (volts, amperes, cells) = match self.level {
            Level::Pack => (volts, amperes, known.collect::<Result<Vec<f64>, _>>()?),
            Level::Cell => {
                let cells = self.pack.cells(volts);
                (cells.iter().sum(), amperes * f64::from(self.pack.parallel), cells)
            }
        };
        if cells.len() > MAX_CELLS {
            return Err(format!("it has more than {MAX_CELLS} cells"));
        }
        let beyond = |what: &str| format!("{what} is beyond what a record can carry");
        let state = |reading: Reading| reading.ok().map(|value| value != 0.0);
        Ok(Sample {
            time,
            pack_voltage: Millivolts::from_base(volts).ok_or_else(|| beyond("the voltage"))?,
            pack_current: Milliamps::from_base(amperes).ok_or_else(|| beyond("the current"))?,
            cells: cells
                .into_iter()
                .map(Millivolts16::from_base)
                .collect::<Option<_>>()
                .ok_or_else(|| beyond("a cell's voltage"))?,
            temperatures,
            soc: row
                .soc
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .and_then(CentiPercent::from_base)
                .unwrap_or(CentiPercent::UNKNOWN),
            contactor: match state(row.contactor) {
                Some(true) => Contactor::Closed,
                Some(false) => Contactor::Open,
                None => Contactor::Unknown,
            },
            charger: match state(row.charging) {
                Some(true) => Charger::Charging,
                Some(false) => Charger::Unplugged,
                None => Charger::Unknown,
            },
        })
    }

    /// All temperatures, or none: left out, one would give its place to the next.
    fn temperatures(&mut self, readings: &[Reading], time: u64) -> Vec<Centidegrees> {
        if readings.len() > MAX_TEMPERATURES {
            return Vec::new();
        }
        self.temperatures.resize(readings.len(), (None, 0));
        let mut all = Vec::with_capacity(readings.len());
        for (kept, reading) in self.temperatures.iter_mut().zip(readings) {
            if let Ok(value) = reading {
                *kept = (Some(*value), time);
            }
            let (Some(value), seen) = *kept else { continue };
            if time.abs_diff(seen) <= TEMPERATURE_MS {
                all.extend(Centidegrees::from_base(value));
            }
        }
        if all.len() == readings.len() { all } else { Vec::new() }
    }
}
