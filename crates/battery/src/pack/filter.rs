//! Estimation of a pack's state: the mean cell by the filter, each cell by its difference, and each by a filter of its own.

use super::{Deltas, PackSample, delta::Mean};
use crate::{
    Cell, Health, Sample,
    estimate::{Ageing, Estimate, Estimator, GAP_S},
    units::HOUR_S,
};
use std::sync::Arc;

/// One group by both paths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellEstimate {
    /// By bar and delta.
    pub soc: f64,
    /// Its standard deviation.
    pub soc_sd: f64,
    /// By its own filter, if that runs.
    pub full: Option<Estimate>,
}

/// Estimate of a pack's state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackEstimate {
    /// The mean cell.
    pub mean: Estimate,
    /// Lowest and highest cell by bar and delta.
    pub soc_range: (f64, f64),
    /// Largest difference between the two paths, if both run.
    pub disagreement: Option<f64>,
}

/// Estimates a pack.
#[derive(Clone)]
pub struct PackEstimator {
    cell: Arc<Cell>,
    parallel: f64,
    bar: Estimator,
    deltas: Deltas,
    full: Vec<Estimator>,
    full_every_s: f64,
    full_at_s: f64,
    last_s: Option<f64>,
    resistance: f64,
}

impl PackEstimator {
    /// Of a pack with so many groups of `parallel` cells. `health` is that of a single cell.
    #[must_use]
    pub fn new(cell: Arc<Cell>, health: Health, groups: usize, parallel: usize) -> Self {
        Self {
            bar: Estimator::new(cell.clone(), health, None).adapting(),
            deltas: Deltas::new(groups),
            full: Vec::new(),
            full_every_s: 0.0,
            full_at_s: f64::NEG_INFINITY,
            last_s: None,
            resistance: health.resistance_factor,
            parallel: parallel.max(1) as f64,
            cell,
        }
    }

    /// Runs a filter for each group beside the fast path, on samples at least so many seconds apart.
    #[must_use]
    pub fn with_full(mut self, health: Health, every_s: f64) -> Self {
        self.full = (0..self.deltas.len())
            .map(|_| Estimator::new(self.cell.clone(), health, None).charge_only())
            .collect();
        self.full_every_s = every_s;
        self
    }

    /// Takes a sample. `None` while nothing can be said.
    pub fn update(&mut self, sample: &PackSample) -> Option<PackEstimate> {
        let voltage_v = sample.mean_cell_v().unwrap_or(f64::NAN);
        let current_a = sample.current_a / self.parallel;
        let mean_sample = Sample {
            time_s: sample.time_s,
            voltage_v,
            current_a,
            cell_temp_c: sample.mean_temp_c(),
            ambient_c: None,
        };
        let mean = self.bar.update(&mean_sample)?;
        if let Some(ageing) = self.bar.ageing() {
            self.resistance = ageing.resistance_factor;
        }
        let temp_c = mean_sample.cell_temp_c.unwrap_or(25.0);
        let dt_s = self.last_s.map_or(0.0, |time_s| sample.time_s - time_s);
        // Counted, not estimated: what the filter learns of the mean cell moves no charge.
        let moved = (current_a - mean.offset_a) * dt_s / HOUR_S / self.bar.capacity_ah();
        if voltage_v.is_finite() && dt_s >= 0.0 {
            if dt_s > GAP_S {
                self.deltas.doubt(dt_s / HOUR_S);
            }
            let over_v = self.over_v(&mean, temp_c, current_a);
            let slope_v = self.cell.slope_v(mean.soc);
            let step = Mean { moved, dt_s, slope_v, over_v, voltage_v };
            self.deltas.update(&step, &sample.cells_v);
            self.last_s = Some(sample.time_s);
        }
        self.run_full(sample, current_a, temp_c);
        Some(self.estimate(mean))
    }

    fn run_full(&mut self, sample: &PackSample, current_a: f64, temp_c: f64) {
        if sample.time_s - self.full_at_s < self.full_every_s {
            return;
        }
        self.full_at_s = sample.time_s;
        let one_each = sample.temps_c.len() == sample.cells_v.len();
        for (group, (filter, voltage_v)) in self.full.iter_mut().zip(&sample.cells_v).enumerate() {
            let own_c = sample.temps_c.get(group).copied().filter(|own_c| one_each && own_c.is_finite());
            filter.update(&Sample {
                time_s: sample.time_s,
                voltage_v: *voltage_v,
                current_a,
                cell_temp_c: Some(own_c.unwrap_or(temp_c)),
                ambient_c: None,
            });
        }
    }

    fn estimate(&self, mean: Estimate) -> PackEstimate {
        let groups = 0..self.deltas.len();
        let socs = groups.clone().map(|group| mean.soc + self.deltas.cell(group).soc);
        let soc_range =
            socs.fold((f64::INFINITY, f64::NEG_INFINITY), |range, soc| (range.0.min(soc), range.1.max(soc)));
        let apart = groups.filter_map(|group| {
            let cell = self.cell_of(group, &mean);
            Some((cell.full?.soc - cell.soc).abs())
        });
        PackEstimate { mean, soc_range, disagreement: apart.reduce(f64::max) }
    }

    fn cell_of(&self, group: usize, mean: &Estimate) -> CellEstimate {
        let delta = self.deltas.cell(group);
        CellEstimate {
            soc: mean.soc + delta.soc,
            soc_sd: mean.soc_sd.hypot(delta.soc_sd),
            full: self.full.get(group).and_then(Estimator::latest),
        }
    }

    /// Each group; `None` before the first estimate.
    #[must_use]
    pub fn cells(&self) -> Option<Vec<CellEstimate>> {
        let mean = self.bar.latest()?;
        Some((0..self.deltas.len()).map(|group| self.cell_of(group, &mean)).collect())
    }

    /// What current costs the mean cell now, in W.
    #[must_use]
    pub fn loss_w(&self, sample: &PackSample) -> f64 {
        let current_a = sample.current_a / self.parallel;
        let Some(mean) = self.bar.latest() else { return 0.0 };
        let temp_c = sample.mean_temp_c().unwrap_or(25.0);
        (self.over_v(&mean, temp_c, current_a) * current_a).max(0.0)
    }

    /// Overpotential of the mean cell in V.
    fn over_v(&self, mean: &Estimate, temp_c: f64, current_a: f64) -> f64 {
        self.resistance * self.cell.at(temp_c).overpotential_v(mean.soc, self.bar.branch_a(), current_a)
    }

    /// How cells differ.
    #[must_use]
    pub fn deltas(&self) -> &Deltas {
        &self.deltas
    }

    /// The mean cell's estimator.
    #[must_use]
    pub fn bar(&self) -> &Estimator {
        &self.bar
    }

    /// What ages, of the mean cell.
    #[must_use]
    pub fn ageing(&self) -> Option<Ageing> {
        self.bar.ageing()
    }

    /// The kind of cell.
    #[must_use]
    pub fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }
}
