//! Noise of a model and its sensors.

use crate::Cell;

/// Standard deviations that a filter uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Of SoC, beyond the offset, for an hour.
    pub soc_per_sqrt_h: f64,
    /// Of SoC for a whole charge that moves: the capacity that it is counted by is not known better.
    pub soc_per_sqrt_soc: f64,
    /// Of the branch currents about what the measured current makes of them, in A.
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

/// The same of parameters that are not fitted to the very cell, which are wrong alike as long as it is used: hours.
const PERSISTENT_S: f64 = 7_200.0;

/// Uncertainty of SoC after a whole charge that was counted by a capacity that nobody has measured.
const COUNTED: f64 = 0.01;

/// By how much a sample a second says less than it would if the model's fast errors were independent: they stay alike for
/// two minutes.
const ALIKE: f64 = 12.0;

/// Share of the model's error that is left at rest, where only the voltage at rest can be wrong.
const AT_REST: f64 = 0.3;

/// C-rate from which on the whole error counts.
const LOADED: f64 = 0.5;

/// Error of the branch currents for each Ah, in A: a thirtieth of 1C.
const BRANCH_PER_AH: f64 = 0.03;

/// Drift of the current sensor's offset in an hour, for each Ah, in A: 1 mA for 2.9 Ah.
const OFFSET_PER_AH: f64 = 3.5e-4;

impl Noise {
    /// At that state of a cell.
    #[must_use]
    pub fn at(cell: &Cell, temp_c: f64, soc: f64, branch_a: [f64; 2], current_a: f64) -> Self {
        let capacity_ah = cell.params().capacity_ah;
        let load_a = branch_a.iter().fold(current_a.abs(), |most, branch| most.max(branch.abs()));
        let load = (load_a / capacity_ah / LOADED).min(1.0);
        let model_v = cell.model_error_v(soc, temp_c) * (AT_REST + (1.0 - AT_REST) * load);
        let rate = current_a.abs() / capacity_ah;
        let fitted = cell.params().model_error.soc_shift == 0.0;
        Self {
            soc_per_sqrt_h: 2e-4,
            soc_per_sqrt_soc: if fitted { 0.0 } else { COUNTED },
            branch_a: BRANCH_PER_AH * capacity_ah,
            offset_a_per_sqrt_h: OFFSET_PER_AH * capacity_ah,
            error_sd_v: model_v,
            error_s: if fitted { ERROR_S } else { PERSISTENT_S },
            voltage_sd_v: ALIKE * (0.8 + rate) * model_v,
        }
    }

    /// With what is not known of hysteresis, `doubt` being the standard deviation of its state.
    #[must_use]
    pub fn with_hysteresis(mut self, cell: &Cell, doubt: f64) -> Self {
        self.error_sd_v = self.error_sd_v.hypot(cell.params().hysteresis.max_v * doubt);
        self
    }
}
