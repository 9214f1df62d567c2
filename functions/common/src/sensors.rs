//! What one sample says, with what is unknown or cannot be left out.

use crate::state::{Reader, Writer};
use crate::types::Sample;

/// Temperatures in °C that a sensor in a battery can show; others are faults of the sensor.
const TEMPERATURES_C: (f64, f64) = (-45.0, 120.0);

/// Voltages in V that one lithium-ion cell can show.
const CELL_V: (f64, f64) = (1.0, 5.0);

/// Longest step in s over which something is integrated; a longer one is a gap.
pub const MOST_STEP_S: f64 = 60.0;

fn plausible(value: f64, (low, high): (f64, f64)) -> Option<f64> {
    (low..=high).contains(&value).then_some(value)
}

/// Coldest and hottest sensor in °C; `None` if none is known.
#[must_use]
pub fn temperatures_c(sample: &Sample) -> Option<(f64, f64)> {
    let known = sample.temperatures_c.iter().filter_map(|&value| plausible(value, TEMPERATURES_C));
    known.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// A cell's voltage in V, where it is known and plausible.
#[must_use]
pub fn cell_v(volts: f64) -> Option<f64> {
    plausible(volts, CELL_V)
}

/// Lowest, mean and highest cell in V; of a pack without cell voltages its mean cell, where the number of cells is known.
#[must_use]
pub fn cells_v(sample: &Sample, cells: Option<u16>) -> Option<(f64, f64, f64)> {
    let (mut count, mut sum, mut low, mut high) = (0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    for volts in sample.cells_v.iter().filter_map(|&volts| cell_v(volts)) {
        count += 1.0;
        sum += volts;
        low = low.min(volts);
        high = high.max(volts);
    }
    if count > 0.0 {
        return Some((low, sum / count, high));
    }
    let mean = sample.pack_voltage_v? / f64::from(cells.filter(|cells| *cells > 0)?);
    cell_v(mean).map(|mean| (mean, mean, mean))
}

/// Current in A, positive while charging, where it is known.
#[must_use]
pub fn current_a(sample: &Sample) -> Option<f64> {
    sample.pack_current_a.filter(|current| current.is_finite())
}

/// A state of charge that can be one.
#[must_use]
pub fn soc(value: f64) -> Option<f64> {
    plausible(value, (0.0, 1.0))
}

/// What a sample's time says of the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// The first, or the first after a gap: what was integrated or averaged begins anew.
    Anew,
    /// It follows so many seconds later.
    After(f64),
    /// It is not after the last: it is left out.
    Old,
}

/// Time in ms after which the last sample says nothing any more: six samples of a vehicle that samples every ten seconds.
pub const STALE_MS: u64 = 60_000;

/// Difference in ms that the clocks of vehicle and host may have beyond that.
const CLOCKS_MS: u64 = 60_000;

/// Times of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SampleClock {
    last_ms: Option<u64>,
    arrived_ms: u64,
}

impl SampleClock {
    /// Takes the next time, of a sample that came now by the host's clock.
    pub fn step(&mut self, now_ms: u64, time_ms: u64) -> Step {
        let step = match self.last_ms {
            None => Step::Anew,
            Some(last_ms) if time_ms <= last_ms => return Step::Old,
            Some(last_ms) => match (time_ms - last_ms) as f64 / 1_000.0 {
                step_s if step_s > MOST_STEP_S => Step::Anew,
                step_s => Step::After(step_s),
            },
        };
        (self.last_ms, self.arrived_ms) = (Some(time_ms), now_ms);
        step
    }

    /// Time of the last sample in ms.
    #[must_use]
    pub const fn last_ms(&self) -> Option<u64> {
        self.last_ms
    }

    /// Whether the last sample tells of now: it came lately, and was not late when it came.
    #[must_use]
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        self.last_ms.is_some_and(|last_ms| {
            now_ms.saturating_sub(self.arrived_ms) <= STALE_MS
                && now_ms.saturating_sub(last_ms) <= STALE_MS + CLOCKS_MS
        })
    }

    /// Writes it.
    pub fn save(&self, writer: &mut Writer) {
        writer.bool(self.last_ms.is_some());
        writer.u64(self.last_ms.unwrap_or_default());
        writer.u64(self.arrived_ms);
    }

    /// Reads it.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let known = reader.bool()?;
        let (last_ms, arrived_ms) = (reader.u64()?, reader.u64()?);
        Ok(Self { last_ms: known.then_some(last_ms), arrived_ms })
    }
}

/// How charging shows: by the plug where it is known, else by a current that flows in for a while.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Charging {
    inward_s: f64,
    plugged: Option<bool>,
}

/// Seconds of current into the pack after which it is charging and not braking.
const INWARD_S: f64 = 45.0;

/// Least current in A that counts as charging.
const INWARD_A: f64 = 0.2;

impl Charging {
    /// Takes a sample and its step.
    pub fn see(&mut self, sample: &Sample, step: Step) {
        self.plugged = sample.plugged;
        match (current_a(sample), step) {
            (Some(current), Step::After(step_s)) if current > INWARD_A => self.inward_s += step_s,
            (None, Step::After(_)) | (_, Step::Old) => {}
            _ => self.inward_s = 0.0,
        }
    }

    /// Whether the battery is being charged by a charger.
    #[must_use]
    pub fn now(&self) -> bool {
        self.plugged.unwrap_or(self.inward_s >= INWARD_S)
    }

    /// Writes it.
    pub fn save(&self, writer: &mut Writer) {
        writer.f64(self.inward_s);
        writer.bool(self.plugged.is_some());
        writer.bool(self.plugged == Some(true));
    }

    /// Reads it.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let inward_s = reader.f64()?;
        let (known, plugged) = (reader.bool()?, reader.bool()?);
        Ok(Self { inward_s, plugged: known.then_some(plugged) })
    }
}
