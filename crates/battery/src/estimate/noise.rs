//! How much a model and its sensors are believed.

use crate::Cell;

/// Standard deviations that a filter uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Of SoC, beyond the offset, for an hour.
    pub soc_per_sqrt_h: f64,
    /// Of the branch currents, in A for a second.
    pub branch_a: f64,
    /// Of the offset's own change, in A for an hour.
    pub offset_a_per_sqrt_h: f64,
    /// Of the model's slow error, in V.
    pub error_sd_v: f64,
    /// How long that error stays alike, in s.
    pub error_s: f64,
    /// Of one voltage, error that changes from sample to sample included, in V.
    pub voltage_sd_v: f64,
}

/// Time over which the model's error stays alike: some 5 % of charge at 1C.
const ERROR_S: f64 = 400.0;

/// By how much a sample a second says less than it would if the model's fast errors were independent: they stay alike for
/// about a minute.
const ALIKE: f64 = 8.0;

/// How much worse the model is where the voltage falls off, and below which SoC.
const EMPTY: f64 = 4.0;
const EMPTY_SOC: f64 = 0.08;

impl Noise {
    /// At that state of a cell.
    #[must_use]
    pub fn at(cell: &Cell, temp_c: f64, soc: f64, current_a: f64) -> Self {
        let error = &cell.params().model_error;
        let above = error.temp_c.partition_point(|node| *node < temp_c);
        let model_v = match (above.checked_sub(1), error.temp_c.get(above)) {
            (Some(below), Some(upper)) => {
                let share = (temp_c - error.temp_c[below]) / (upper - error.temp_c[below]);
                error.voltage_v[below] + share * (error.voltage_v[above] - error.voltage_v[below])
            }
            (Some(below), None) => error.voltage_v[below],
            (None, _) => error.voltage_v[0],
        };
        let worse = 1.0 + EMPTY * (-soc.max(0.0) / EMPTY_SOC).exp();
        let rate = current_a.abs() / cell.params().capacity_ah;
        Self {
            soc_per_sqrt_h: 2e-4,
            branch_a: 0.02,
            offset_a_per_sqrt_h: 1e-3,
            error_sd_v: model_v * worse,
            error_s: ERROR_S,
            voltage_sd_v: ALIKE * (0.8 + rate) * model_v * worse,
        }
    }
}
