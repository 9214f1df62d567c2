//! The fast path: one filter for the mean cell, and for each cell only how it differs (Plett, EVS24, 2009: bar and delta).
//!
//! Differences in charge, capacity, resistance and leak obey one linear model with the same coefficients for every cell, so
//! all of them share one covariance and one gain: a step costs a cell a few multiplications.

use crate::units::HOUR_S;
use nalgebra::{Matrix4, RowVector4, SVector, Vector4};
use serde::Serialize;

/// Differences of a cell from the mean, each with a standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CellDelta {
    /// State of charge.
    pub soc: f64,
    /// Its standard deviation.
    pub soc_sd: f64,
    /// Mean capacity relative to this cell's, less 1: positive for a small cell.
    pub capacity: f64,
    /// Its standard deviation.
    pub capacity_sd: f64,
    /// Resistance relative to the mean.
    pub resistance: f64,
    /// Its standard deviation.
    pub resistance_sd: f64,
    /// Charge lost beside the pack's current, in C (capacities per hour); negative loses.
    pub leak_c: f64,
    /// Its standard deviation.
    pub leak_sd_c: f64,
    /// Last voltage less what was expected, in V, and its standard deviation.
    pub left_v: f64,
    /// Standard deviation of that.
    pub left_sd_v: f64,
}

type State = SVector<f64, 4>;

/// All cells of a pack.
#[derive(Debug, Clone)]
pub struct Deltas {
    /// Charge, capacity, resistance, leak.
    states: Vec<State>,
    covariance: Matrix4<f64>,
    left_v: Vec<f64>,
    left_variance: f64,
}

/// Standard deviations of cells' differences at first: charge, capacity, resistance, leak in C.
const START_SD: [f64; 4] = [0.03, 0.05, 0.15, 3e-3];

/// By how much that drifts in an hour.
const DRIFT_SD: [f64; 4] = [2e-4, 5e-4, 0.01, 1e-3];

/// Noise of a cell's voltage beside the mean, in V, and what cells' shapes differ by, as a share of the overpotential.
const NOISE_V: f64 = 1.5e-3;
const SHAPE: f64 = 0.03;

/// Least slope of the voltage at rest that says something about charge, in V.
const SLOPE_V: f64 = 0.05;

/// State of the mean cell that the deltas need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mean {
    /// Change of its state of charge in the step.
    pub moved: f64,
    pub dt_s: f64,
    /// dOCV/dSoC there, in V.
    pub slope_v: f64,
    /// Its overpotential in V.
    pub over_v: f64,
    /// Its voltage in V.
    pub voltage_v: f64,
}

impl Deltas {
    /// Of a pack with so many groups, of which nothing is known.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        let start = Vector4::from(START_SD);
        Self {
            states: vec![State::zeros(); groups],
            covariance: Matrix4::from_diagonal(&start.component_mul(&start)),
            left_v: vec![0.0; groups],
            left_variance: NOISE_V * NOISE_V,
        }
    }

    /// Groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Takes a sample. Cells whose voltage is no number only follow the model.
    pub(super) fn update(&mut self, mean: &Mean, cells_v: &[f64]) {
        let hours = mean.dt_s / HOUR_S;
        // Charge differs by what a smaller cell moves more, and by what leaks.
        let mut transition = Matrix4::identity();
        transition[(0, 1)] = mean.moved;
        transition[(0, 3)] = hours;
        self.covariance = transition * self.covariance * transition.transpose();
        for (place, drift) in DRIFT_SD.into_iter().enumerate() {
            self.covariance[(place, place)] += drift * drift * hours;
        }
        let observe = RowVector4::new(mean.slope_v.max(SLOPE_V), 0.0, mean.over_v, 0.0);
        let noise_v = NOISE_V.hypot(SHAPE * mean.over_v);
        let variance = (observe * self.covariance * observe.transpose())[(0, 0)] + noise_v * noise_v;
        let gain: Vector4<f64> = self.covariance * observe.transpose() / variance;
        self.left_variance = variance;
        for ((state, left), voltage_v) in self.states.iter_mut().zip(&mut self.left_v).zip(cells_v) {
            state[0] += mean.moved * state[1] + hours * state[3];
            if voltage_v.is_finite() {
                *left = voltage_v - mean.voltage_v - (observe[0] * state[0] + observe[2] * state[2]);
                *state += gain * *left;
            }
        }
        let kept = Matrix4::identity() - gain * observe;
        self.covariance =
            kept * self.covariance * kept.transpose() + gain * noise_v * noise_v * gain.transpose();
    }

    /// Widens what is known of charges after a time without samples.
    pub(super) fn doubt(&mut self, hours: f64) {
        for (place, drift) in DRIFT_SD.into_iter().enumerate() {
            self.covariance[(place, place)] += (drift * drift * hours).min(START_SD[place] * START_SD[place]);
        }
    }

    /// Of one group.
    #[must_use]
    pub fn cell(&self, group: usize) -> CellDelta {
        let [soc, capacity, resistance, leak_c] = *self.states[group].as_ref();
        let sd = |place: usize| self.covariance[(place, place)].max(0.0).sqrt();
        CellDelta {
            soc,
            soc_sd: sd(0),
            capacity,
            capacity_sd: sd(1),
            resistance,
            resistance_sd: sd(2),
            leak_c,
            leak_sd_c: sd(3),
            left_v: self.left_v[group],
            left_sd_v: self.left_variance.sqrt(),
        }
    }
}
