//! Many cells: groups of parallel ones in series, each a little different, and what can go wrong with them.

mod coolant;
mod delta;
mod fault;
mod filter;
mod layout;
mod log;
mod record;
mod sensors;

pub use crate::FaultKind;
pub use coolant::{Coolant, CoolantLoop};
pub use delta::{CellDelta, Deltas};
pub use fault::Fault;
pub use filter::{CellEstimate, PackEstimate, PackEstimator};
pub use layout::Layout;
pub use log::PackLog;
pub use sensors::{PackSample, Sensors};

use crate::{Cell, CellState, Health, cell::CellAtTemperature};
use std::sync::Arc;

/// Rounds of the search for how parallel cells share a current; each is a Newton step.
const SHARING: usize = 3;

/// A simulated pack. States lie in arrays, cell after cell, group after group.
#[derive(Clone)]
pub struct Pack {
    cell: Arc<Cell>,
    layout: Layout,
    soc: Vec<f64>,
    branch_a: Vec<[f64; 2]>,
    hysteresis: Vec<f64>,
    core_c: Vec<f64>,
    surface_c: Vec<f64>,
    capacity_ah: Vec<f64>,
    resistance: Vec<f64>,
    ambient_k: Vec<f64>,
    /// What a group loses by a fault beside the pack's current, in A.
    drain_a: Vec<f64>,
    /// What balancing resistors take from a group, in A.
    bleed_a: Vec<f64>,
    /// Heat from elsewhere into each cell's surface, in W.
    heat_w: Vec<f64>,
    /// Heat from the coolant into each cell's surface, in W.
    coolant_w: Vec<f64>,
    /// Ohmic resistance of each group's connection, beyond the cells' own, in Ω.
    contact_ohm: Vec<f64>,
    /// Current of each cell in the last step.
    current_a: Vec<f64>,
}

impl Pack {
    /// A rested pack at that state of charge and temperature.
    #[must_use]
    pub fn new(cell: Arc<Cell>, layout: &Layout, soc: f64, temp_c: f64) -> Self {
        let cells = layout.cells();
        let drawn = |which: u64, index: usize| layout.normal(which, index);
        let nominal_ah = cell.params().capacity_ah;
        let of = |which: u64, sd: f64| (0..cells).map(|index| sd * drawn(which, index)).collect::<Vec<_>>();
        Self {
            soc: of(0, layout.soc_sd).into_iter().map(|away| (soc + away).clamp(0.0, 1.0)).collect(),
            capacity_ah: of(1, layout.capacity_sd)
                .into_iter()
                .map(|away| nominal_ah * (1.0 + away))
                .collect(),
            resistance: of(2, layout.resistance_sd).into_iter().map(|away| (1.0 + away).max(0.3)).collect(),
            ambient_k: of(3, layout.temp_sd_k),
            branch_a: vec![[0.0; 2]; cells],
            hysteresis: vec![0.0; cells],
            core_c: vec![temp_c; cells],
            surface_c: vec![temp_c; cells],
            drain_a: vec![0.0; layout.series],
            bleed_a: vec![0.0; layout.series],
            heat_w: vec![0.0; cells],
            coolant_w: vec![0.0; cells],
            contact_ohm: vec![0.0; layout.series],
            current_a: vec![0.0; cells],
            cell,
            layout: layout.clone(),
        }
    }

    /// The kind of cell.
    #[must_use]
    pub fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    /// How it is built.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn state(&self, index: usize) -> CellState {
        CellState {
            soc: self.soc[index],
            branch_a: self.branch_a[index],
            hysteresis: self.hysteresis[index],
            core_temp_c: self.core_c[index],
            surface_temp_c: self.surface_c[index],
        }
    }

    fn health(&self, index: usize) -> Health {
        Health { capacity_ah: self.capacity_ah[index], resistance_factor: self.resistance[index] }
    }

    /// Bleeds these groups, from 0, with that current in A from now on, and no others.
    pub fn bleed(&mut self, groups: &[u16], bleed_a: f64) {
        self.bleed_a.iter_mut().for_each(|current| *current = 0.0);
        for group in groups {
            if let Some(current) = self.bleed_a.get_mut(usize::from(*group)) {
                *current = bleed_a;
            }
        }
    }

    /// Goes on by `dt_s` at a constant current of the pack in A (discharge negative).
    pub fn step(&mut self, current_a: f64, ambient_c: f64, dt_s: f64) {
        for group in 0..self.layout.series {
            self.share(group, current_a - self.drain_a[group] - self.bleed_a[group]);
        }
        for index in 0..self.soc.len() {
            let mut state = self.state(index);
            let health = self.health(index);
            let cell = &self.cell;
            // Heat from elsewhere is as a warmer surrounding.
            let warmer_k = (self.heat_w[index] + self.coolant_w[index]) * cell.params().thermal.outer_k_per_w;
            let around_c = ambient_c + self.ambient_k[index] + warmer_k;
            cell.step(&health, &mut state, self.current_a[index], around_c, dt_s);
            self.soc[index] = state.soc;
            self.branch_a[index] = state.branch_a;
            self.hysteresis[index] = state.hysteresis;
            self.core_c[index] = state.core_temp_c;
            self.surface_c[index] = state.surface_temp_c;
        }
    }

    /// Parallel cells have one voltage: V = e_j + R_j(I_j) I_j for all, the currents adding up.
    fn share(&mut self, group: usize, current_a: f64) {
        let parallel = self.layout.parallel;
        let first = group * parallel;
        if parallel == 1 {
            self.current_a[first] = current_a;
            return;
        }
        for _ in 0..SHARING {
            let (mut flow, mut conductance) = (current_a, 0.0);
            let mut lines = Vec::with_capacity(parallel);
            for index in first..first + parallel {
                let state = self.state(index);
                let cell_at = self.cell.at(state.core_temp_c);
                let at_a = self.current_a[index];
                let slope = self.resistance[index] * slope_ohm(&cell_at, state.soc, at_a);
                let volts = self.cell.voltage_v(&self.health(index), &state, at_a);
                // V ≈ e + slope · I around the last current.
                let zero_v = volts - slope * at_a;
                flow += zero_v / slope;
                conductance += 1.0 / slope;
                lines.push((zero_v, slope));
            }
            let volts = flow / conductance;
            for (index, (zero_v, slope)) in (first..).zip(lines) {
                self.current_a[index] = (volts - zero_v) / slope;
            }
        }
    }

    /// Each group's voltage in V under the last step's current.
    #[must_use]
    pub fn voltages_v(&self, pack_a: f64) -> Vec<f64> {
        let parallel = self.layout.parallel;
        (0..self.layout.series)
            .map(|group| {
                let index = group * parallel;
                let cell_v =
                    self.cell.voltage_v(&self.health(index), &self.state(index), self.current_a[index]);
                cell_v + self.contact_ohm[group] * pack_a
            })
            .collect()
    }

    /// Surface temperature of each group's first cell, in °C.
    #[must_use]
    pub fn temps_c(&self) -> Vec<f64> {
        self.surface_c.iter().step_by(self.layout.parallel).copied().collect()
    }

    /// Core temperature of each cell, group after group, in °C.
    #[must_use]
    pub fn cores_c(&self) -> &[f64] {
        &self.core_c
    }

    /// Mean state of charge of each group.
    #[must_use]
    pub fn socs(&self) -> Vec<f64> {
        self.soc
            .chunks(self.layout.parallel)
            .map(|group| group.iter().sum::<f64>() / group.len() as f64)
            .collect()
    }

    /// Current that flows at a power of the pack in W (discharge positive, as vehicles count it), in A (discharge negative);
    /// the most that the cells can give if they cannot give that.
    #[must_use]
    pub fn current_at_w(&self, power_w: f64) -> f64 {
        let parallel = self.layout.parallel;
        let first_cells = || (0..self.soc.len()).step_by(parallel);
        // What does not depend on the current is looked up once for all rounds.
        let climates: Vec<_> = first_cells().map(|index| self.cell.at(self.core_c[index])).collect();
        let places: Vec<_> = first_cells()
            .zip(&climates)
            .map(|(index, cell_at)| (cell_at.local(self.soc[index]), self.health(index), self.state(index)))
            .collect();
        let mut current_a = 0.0;
        for _ in 0..4 {
            let each_a = current_a / parallel as f64;
            let volts: f64 = places
                .iter()
                .map(|(local, health, state)| self.cell.voltage_at(local, health, state, each_a))
                .sum();
            current_a = -power_w / volts.max(self.layout.series as f64);
        }
        let most_a = 6.0 * self.cell.params().capacity_ah * self.layout.parallel as f64;
        current_a.clamp(-most_a, most_a)
    }
}

/// dV/dI of what answers at once.
fn slope_ohm(cell_at: &CellAtTemperature<'_>, soc: f64, current_a: f64) -> f64 {
    const STEP_A: f64 = 1e-3;
    let ohm = (cell_at.instant_v(soc, current_a + STEP_A) - cell_at.instant_v(soc, current_a - STEP_A))
        / (2.0 * STEP_A);
    ohm.max(1e-6)
}

#[cfg(test)]
mod tests;
