//! Available energy and power of a cell: energy, and power over the next seconds.

use super::{Estimate, slow::Ageing};
use crate::{Cell, Chemistry, cell::CellAtTemperature, units::HOUR_S};
use serde::{Deserialize, Serialize};

/// Horizons of power limits in s.
pub const HORIZONS_S: [f64; 3] = [2.0, 10.0, 30.0];

/// A value and its standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Uncertain {
    /// Mean.
    pub value: f64,
    /// Standard deviation.
    pub sd: f64,
}

/// Power of one cell in W that it can hold for [`HORIZONS_S`], both positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Power {
    /// Discharge.
    pub discharge_w: [Uncertain; 3],
    /// Charge.
    pub charge_w: [Uncertain; 3],
}

/// Bounds within which power is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Lowest and highest terminal voltage in V.
    pub voltage_v: (f64, f64),
    /// Largest current in A, discharge and charge, both positive.
    pub current_a: (f64, f64),
}

impl Window {
    /// Of the chemistry, at 4C discharge and 1.5C charge.
    #[must_use]
    pub fn of(chemistry: Chemistry, capacity_ah: f64) -> Self {
        Self { voltage_v: chemistry.voltage_window_v(), current_a: (4.0 * capacity_ah, 1.5 * capacity_ah) }
    }
}

/// Energy above empty in Wh of a cell at that charge, if drawn slowly at that temperature.
#[must_use]
pub fn energy_wh(cell: &Cell, capacity_ah: f64, soc: f64, temp_c: f64) -> f64 {
    const STEPS: usize = 50;
    let cell_at = cell.at(temp_c);
    let step = soc.clamp(0.0, 1.0) / STEPS as f64;
    let volts = |index: usize| cell_at.ocv_v((index as f64 + 0.5) * step);
    (0..STEPS).map(volts).sum::<f64>() * step * capacity_ah
}

/// State of energy: what is left of what a full cell gives.
#[must_use]
pub fn state_of_energy(cell: &Cell, estimate: &Estimate, temp_c: f64) -> Uncertain {
    let full = energy_wh(cell, 1.0, 1.0, temp_c);
    let value = energy_wh(cell, 1.0, estimate.soc, temp_c) / full;
    let sd = estimate.soc_sd * cell.at(temp_c).ocv_v(estimate.soc.clamp(0.0, 1.0)) / full;
    Uncertain { value, sd }
}

/// Voltage after `horizon_s` of a constant current.
fn after(
    cell_at: &CellAtTemperature<'_>,
    ageing: &Ageing,
    soc: f64,
    branch_a: [f64; 2],
    current_a: f64,
    horizon_s: f64,
) -> f64 {
    let mut branch = branch_a;
    for (branch, tau_s) in branch.iter_mut().zip(cell_at.tau_s) {
        *branch = current_a + (*branch - current_a) * (-horizon_s / tau_s).exp();
    }
    let soc = soc + current_a * horizon_s / HOUR_S / ageing.capacity_ah;
    cell_at.ocv_v(soc) + ageing.resistance_factor * cell_at.overpotential_v(soc, branch, current_a)
}

/// Largest constant current (positive: of that direction) and the voltage it ends at.
fn most(voltage_v: impl Fn(f64) -> f64, limit_v: f64, most_a: f64, sign: f64) -> (f64, f64) {
    let within = |current_a: f64| sign * (voltage_v(sign * current_a) - limit_v) <= 0.0;
    if !within(0.0) {
        return (0.0, limit_v);
    }
    if within(most_a) {
        return (most_a, voltage_v(sign * most_a));
    }
    let (mut low, mut high) = (0.0, most_a);
    for _ in 0..24 {
        let middle = f64::midpoint(low, high);
        if within(middle) { low = middle } else { high = middle }
    }
    (low, voltage_v(sign * low))
}

/// Power limits by the model: the largest constant current whose voltage stays in the window to the end of the horizon
/// (Plett, J. Power Sources 134:277, 2004, the model-based method), times the voltage then. `voltage_sd_v` is the model's.
#[must_use]
pub fn power(
    cell: &Cell,
    window: &Window,
    ageing: &Ageing,
    estimate: &Estimate,
    branch_a: [f64; 2],
    temp_c: f64,
) -> Power {
    let cell_at = cell.at(temp_c);
    let model_v = cell.model_error_v(estimate.soc, temp_c);
    let ocv_sd_v = estimate.soc_sd * cell.slope_v(estimate.soc);
    let sd_v = model_v.hypot(ocv_sd_v);
    let one = |horizon_s: f64, sign: f64| {
        let voltage = |current_a: f64| after(&cell_at, ageing, estimate.soc, branch_a, current_a, horizon_s);
        let (limit_v, most_a) = if sign < 0.0 {
            (window.voltage_v.0, window.current_a.0)
        } else {
            (window.voltage_v.1, window.current_a.1)
        };
        let (current_a, voltage_v) = most(voltage, limit_v, most_a, sign);
        let value = current_a * voltage_v;
        let ohm = ((voltage(0.0) - voltage(sign * most_a)).abs() / most_a).max(1e-6);
        // What limits is the voltage, or the current itself.
        let limited = current_a < most_a;
        let by_voltage = if limited { voltage_v * sd_v / ohm } else { current_a * sd_v };
        let by_ohm = if limited { value * ageing.resistance_sd / ageing.resistance_factor } else { 0.0 };
        Uncertain { value, sd: by_voltage.hypot(by_ohm) }
    };
    Power {
        discharge_w: HORIZONS_S.map(|horizon| one(horizon, -1.0)),
        charge_w: HORIZONS_S.map(|horizon| one(horizon, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CellParams;

    fn estimate(soc: f64) -> Estimate {
        Estimate { soc, soc_sd: 0.01, offset_a: 0.0, offset_sd_a: 0.0, expected_v: f64::NAN }
    }

    #[test]
    fn power_falls_with_time_cold_and_emptiness() {
        let cell = Cell::new(CellParams::generic(Chemistry::Nca, 2.9)).expect("a preset");
        let window = Window::of(Chemistry::Nca, 2.9);
        let new =
            Ageing { capacity_ah: 2.9, capacity_sd_ah: 0.1, resistance_factor: 1.0, resistance_sd: 0.05 };
        let at = |soc, temp_c| power(&cell, &window, &new, &estimate(soc), [0.0; 2], temp_c);
        let half = at(0.5, 25.0);
        assert!(half.discharge_w[0].value >= half.discharge_w[2].value);
        assert!(half.discharge_w[1].sd > 0.0);
        assert!(at(0.5, -20.0).discharge_w[1].value < half.discharge_w[1].value);
        assert!(at(0.03, 25.0).discharge_w[1].value < half.discharge_w[1].value);
        assert!(at(0.99, 25.0).charge_w[1].value < half.charge_w[1].value);
        let held = half.discharge_w[1].value;
        let mut state = crate::CellState::rested(0.5, 25.0);
        let health = cell.new_health();
        let current_a = -window.current_a.0;
        cell.step(&health, &mut state, current_a, 25.0, 10.0);
        let given = -current_a * cell.voltage_v(&health, &state, current_a);
        assert!((held - given).abs() < 0.05 * given, "{held} W promised, {given} W given");
    }

    #[test]
    fn energy_is_between_empty_and_full() {
        let cell = Cell::new(CellParams::generic(Chemistry::Nmc, 60.0)).expect("a preset");
        assert!((state_of_energy(&cell, &estimate(1.0), 25.0).value - 1.0).abs() < 1e-9);
        let half = state_of_energy(&cell, &estimate(0.5), 25.0);
        assert!((0.44..0.5).contains(&half.value) && half.sd > 0.0, "the upper half has the higher voltage");
    }
}
