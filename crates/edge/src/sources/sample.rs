//! Rows of readings to samples. What is unknown stays unknown with its cause; a row of which neither voltage nor current nor
//! any cell is known is skipped with its reason. No value is made up.

use super::{Cursor, Level, Next, PackLayout, Sampled};
use std::collections::BTreeMap;
use voltmesh_recording::{Reading, Row};
use voltmesh_telemetry::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, Charger, Contactor, MAX_CELLS, MAX_TEMPERATURES,
    Milliamps, Millivolts, Millivolts16, Ohms, Sample, Timestamp, Unknown,
};

/// Most reasons that are kept apart; further ones are counted together.
const MAX_REASONS: usize = 16;

/// Makes samples of rows, and counts those that are none by reason.
pub(super) struct Sampler {
    level: Level,
    pack: PackLayout,
    /// Of each group of the pack, in volts.
    offsets: Vec<f64>,
    skipped: BTreeMap<String, u64>,
}

impl Sampler {
    pub fn new(level: Level, pack: PackLayout) -> Self {
        Self { level, pack, offsets: pack.offsets(), skipped: BTreeMap::new() }
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
        match self.make(row, time) {
            Ok(sample) => Some(sample),
            Err(reason) => {
                let known = self.skipped.contains_key(&reason) || self.skipped.len() < MAX_REASONS;
                *self.skipped.entry(if known { reason } else { "other".to_owned() }).or_default() += 1;
                None
            }
        }
    }

    /// What a live source has after a row at `time`, and the place after it.
    pub fn next(&mut self, row: &Row, time: u64, cursor: &mut Cursor) -> Next {
        let Some(sample) = self.sample(row, time) else { return Next::Nothing };
        cursor.done += 1;
        Next::Sample(Sampled { sample, cursor: *cursor })
    }

    fn make(&self, row: &Row, time: u64) -> Result<Sample, String> {
        let time = Timestamp::from_millis(time);
        if time > Timestamp::MAX {
            return Err("the time is after 15 May 2109, the last that a record may carry".into());
        }
        if row.cells.len() > MAX_CELLS || row.temperatures.len() > MAX_TEMPERATURES {
            return Err(format!("it has more than {MAX_CELLS} cells or {MAX_TEMPERATURES} temperatures"));
        }
        if row.pack_voltage.is_err() && row.pack_current.is_err() && row.cells.iter().all(Result::is_err) {
            return Err("voltage, current and cells are unknown".into());
        }
        let (volts, amperes, cells) = match self.level {
            Level::Pack => (row.pack_voltage, row.pack_current, cells_of(row)),
            Level::Cell => self.of_cell(row),
        };
        let percent = row.soc.and_then(|percent| match (0.0..=100.0).contains(&percent) {
            true => Ok(percent),
            false => Err(Unknown::OutOfRange),
        });
        let state = |reading: Reading| reading.ok().map(|value| value != 0.0);
        Ok(Sample {
            time,
            pack_voltage: Millivolts::from_reading(volts),
            pack_current: Milliamps::from_reading(amperes),
            cells,
            temperatures: row.temperatures.iter().copied().map(Centidegrees::from_reading).collect(),
            soc: CentiPercent::from_reading(percent),
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
            insulation: Ohms::from_reading(row.insulation),
            ambient: Centidegrees::from_reading(row.ambient),
            coolant: Centidegrees::from_reading(row.coolant),
            speed: CentiKilometersPerHour::from_reading(row.speed),
            ..Sample::default()
        })
    }

    /// Voltage, current and cells of the pack that is made of a cell.
    fn of_cell(&self, row: &Row) -> (Reading, Reading, Vec<Millivolts16>) {
        let amperes = row.pack_current.map(|amperes| amperes * f64::from(self.pack.parallel));
        match row.pack_voltage {
            Ok(volts) if self.pack.spread_mv == 0 => {
                // All groups are the same.
                let (volts, groups) = (volts.max(0.0), self.offsets.len());
                let cell = Millivolts16::from_reading(Ok(volts));
                (Ok(volts * groups as f64), amperes, vec![cell; groups])
            }
            Ok(volts) => {
                let groups = || self.offsets.iter().map(|offset| (volts + offset).max(0.0));
                let cells = groups().map(|volts| Millivolts16::from_reading(Ok(volts))).collect();
                (Ok(groups().sum()), amperes, cells)
            }
            Err(cause) => (Err(cause), amperes, vec![Millivolts16::unknown(cause); self.offsets.len()]),
        }
    }
}

fn cells_of(row: &Row) -> Vec<Millivolts16> {
    row.cells.iter().copied().map(Millivolts16::from_reading).collect()
}
