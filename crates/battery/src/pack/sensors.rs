//! Sensors of a pack as a battery management system reports them, with their errors.

use super::{Pack, layout::normal};

/// A pack at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PackSample {
    /// Seconds since some beginning.
    pub time_s: f64,
    /// At the terminals, in V; no number if it was not measured.
    pub voltage_v: f64,
    /// Of the pack in A, discharge negative.
    pub current_a: f64,
    /// Of each group of parallel cells, in V; not a number where a sensor is silent.
    pub cells_v: Vec<f64>,
    /// Of each sensor in °C: one for each group, or fewer for the whole pack.
    pub temps_c: Vec<f64>,
    /// Between the high-voltage system and the body, in Ω, where it is measured.
    pub insulation_ohm: Option<f64>,
}

impl PackSample {
    /// Mean of the temperatures that are numbers.
    #[must_use]
    pub fn mean_temp_c(&self) -> Option<f64> {
        mean_of_known(&self.temps_c)
    }

    /// Mean of the cell voltages that are numbers.
    #[must_use]
    pub fn mean_cell_v(&self) -> Option<f64> {
        mean_of_known(&self.cells_v)
    }
}

fn mean_of_known(values: &[f64]) -> Option<f64> {
    let known = values.iter().filter(|value| value.is_finite());
    let (sum, count) = known.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Errors of sensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sensors {
    /// Noise of a cell voltage in V, one standard deviation; a millivolt's rounding comes on top.
    pub voltage_sd_v: f64,
    /// Offset of the current sensor in A, and its noise.
    pub current_offset_a: f64,
    /// Noise of the current in A.
    pub current_sd_a: f64,
    /// Noise of a temperature in K; a tenth's rounding comes on top.
    pub temp_sd_k: f64,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for Sensors {
    fn default() -> Self {
        Self { voltage_sd_v: 5e-4, current_offset_a: 0.0, current_sd_a: 0.02, temp_sd_k: 0.05, seed: 1 }
    }
}

/// Insulation of a sound pack in Ω.
const SOUND_OHM: f64 = 2e6;

impl Sensors {
    /// What they say at a moment.
    #[must_use]
    pub fn read(&self, pack: &Pack, time_s: f64, current_a: f64) -> PackSample {
        let at = time_s.to_bits();
        let noise = |which: u64, index: usize| normal(self.seed ^ at, which, index as u64);
        let round = |value: f64, step: f64| (value / step).round() * step;
        let cells_v: Vec<f64> = pack
            .voltages_v(current_a)
            .into_iter()
            .enumerate()
            .map(|(group, volts)| round(volts + self.voltage_sd_v * noise(10, group), 1e-3))
            .collect();
        let temps_c = pack.temps_c().into_iter().enumerate();
        PackSample {
            time_s,
            voltage_v: round(cells_v.iter().sum::<f64>() + 0.05 * noise(11, 0), 0.1),
            current_a: round(current_a + self.current_offset_a + self.current_sd_a * noise(12, 0), 1e-3),
            temps_c: temps_c
                .map(|(group, temp)| round(temp + self.temp_sd_k * noise(13, group), 0.1))
                .collect(),
            cells_v,
            insulation_ohm: Some(SOUND_OHM * (1.0 + 0.02 * noise(14, 0))),
        }
    }
}
