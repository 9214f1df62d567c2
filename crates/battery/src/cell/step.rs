//! From one moment to the next.

use super::{Cell, CellAtTemperature, Local, thermal};
use crate::units::{HOUR_S, kelvin};
use serde::{Deserialize, Serialize};

/// Longest step in s over which the cell's temperature counts as constant; longer ones are split.
const STEP_S: f64 = 1.0;

/// State of a cell now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CellState {
    /// State of charge, 0..1.
    pub soc: f64,
    /// Currents through the resistors of the two RC pairs, in A.
    pub branch_a: [f64; 2],
    /// −1 (after long discharge) to 1.
    pub hysteresis: f64,
    /// In °C.
    pub core_temp_c: f64,
    /// In °C.
    pub surface_temp_c: f64,
}

impl CellState {
    /// A cell that has rested.
    #[must_use]
    pub fn rested(soc: f64, temp_c: f64) -> Self {
        Self { soc, branch_a: [0.0; 2], hysteresis: 0.0, core_temp_c: temp_c, surface_temp_c: temp_c }
    }
}

/// Capacity and resistance of a cell as they have aged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Charge between full and empty, in Ah.
    pub capacity_ah: f64,
    /// All overpotential is so many times that of a new cell.
    pub resistance_factor: f64,
}

impl Cell {
    /// As new.
    #[must_use]
    pub fn new_health(&self) -> Health {
        Health { capacity_ah: self.params().capacity_ah, resistance_factor: 1.0 }
    }

    /// Goes on by `dt_s` (0 or more) at a constant current. Charge, RC pairs and hysteresis are exact at constant
    /// temperature; temperature is exact at constant heat, which is found anew each [`STEP_S`].
    pub fn step(&self, health: &Health, state: &mut CellState, current_a: f64, ambient_c: f64, dt_s: f64) {
        let steps = (dt_s / STEP_S).ceil().max(1.0);
        // A day at a time is 86,400 steps; whoever asks for years wants the end of a rest, where nothing changes any more.
        let steps = steps.min(1e6);
        for _ in 0..steps as u64 {
            self.short_step(health, state, current_a, ambient_c, dt_s / steps);
        }
    }

    fn short_step(&self, health: &Health, state: &mut CellState, current_a: f64, ambient_c: f64, dt_s: f64) {
        let cell_at = self.at(state.core_temp_c);
        let voltage_v = self.voltage_in(&cell_at, health, state, current_a);
        let loss_w = current_a * (voltage_v - cell_at.ocv_v(state.soc));
        // Bernardi et al. 1985, eq. 2: discharge (I < 0) with dU/dT < 0 heats.
        let reversible_w = current_a * kelvin(state.core_temp_c) * self.entropic_v_per_k(state.soc);
        let temps = [state.core_temp_c, state.surface_temp_c];
        let heat_w = loss_w + reversible_w;
        [state.core_temp_c, state.surface_temp_c] =
            thermal::relax(&self.params().thermal, temps, ambient_c, heat_w, dt_s);
        for (branch, tau_s) in state.branch_a.iter_mut().zip(cell_at.tau_s) {
            *branch = current_a + (*branch - current_a) * (-dt_s / tau_s).exp();
        }
        let moved = current_a * dt_s / HOUR_S / health.capacity_ah;
        if current_a != 0.0 {
            let towards = current_a.signum();
            let left = (-(self.params().hysteresis.rate * moved).abs()).exp();
            state.hysteresis = towards + (state.hysteresis - towards) * left;
        }
        state.soc += moved;
    }

    /// Terminal voltage in V.
    #[must_use]
    pub fn voltage_v(&self, health: &Health, state: &CellState, current_a: f64) -> f64 {
        self.voltage_in(&self.at(state.core_temp_c), health, state, current_a)
    }

    /// As [`Self::voltage_v`], of a cell whose temperature has been looked up.
    fn voltage_in(
        &self,
        cell_at: &CellAtTemperature<'_>,
        health: &Health,
        state: &CellState,
        current_a: f64,
    ) -> f64 {
        self.voltage_at(&cell_at.local(state.soc), health, state, current_a)
    }

    /// As [`Self::voltage_v`], of a cell whose temperature and charge have been looked up: what several currents share.
    pub(crate) fn voltage_at(
        &self,
        local: &Local<'_>,
        health: &Health,
        state: &CellState,
        current_a: f64,
    ) -> f64 {
        local.ocv_v
            + self.params().hysteresis.max_v * state.hysteresis
            + health.resistance_factor * local.overpotential_v(state.branch_a, current_a)
    }
}
