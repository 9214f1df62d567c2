//! The slow filter beside the fast one: capacity, resistance and sensor offset, from what the fast one leaves.
//!
//! Capacity: every few minutes the voltages of a window, without the overpotential, say where the charge is; the charge
//! counted between such windows then says how much a unit of SoC is (Plett, J. Power Sources 196:2319, 2011, there by total
//! least squares; here SoC is a state, so both errors are in). Resistance: by how much more the voltage jumps than the
//! model's does. Both learn only where there is something to see.

use crate::{Cell, Health, cell::CellAtTemperature, units::HOUR_S};
use nalgebra::{Matrix3, RowVector3, Vector3};

/// Length of a window in s: the model's errors of two windows are as good as independent.
const WINDOW_S: f64 = 300.0;

/// Least part of a window that must be usable.
const ENOUGH_S: f64 = 120.0;

/// Flattest voltage at rest, in V per unit of SoC, that still tells where the charge is.
const STEEP_V: f64 = 0.35;

/// Largest error of the model, in V, at which a voltage tells it.
const SURE_V: f64 = 0.06;

/// Smallest jump of the overpotential in V that tells of resistance, and noise of two voltages.
const JUMP_V: f64 = 0.008;
const JUMP_SD_V: f64 = 0.004;

/// Share of a jump by which the model is wrong in shape.
const JUMP_SHARE: f64 = 0.3;

/// Coldest cell in °C that is learnt from: the charge and the resistance that the cold takes come back, and the model is
/// least sure there.
const WARM_C: f64 = 8.0;

/// Standard deviations at first: relative capacity, resistance factor.
const CAPACITY_SD: f64 = 0.10;
const RESISTANCE_SD: f64 = 0.25;

/// Below this nothing is claimed to be known of the resistance: layers and states of charge differ by as much.
const RESISTANCE_FLOOR: f64 = 0.01;

/// Slow states of a cell, those that age, with standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ageing {
    /// Charge between full and empty in Ah.
    pub capacity_ah: f64,
    /// Its standard deviation.
    pub capacity_sd_ah: f64,
    /// Overpotential relative to a new cell's.
    pub resistance_factor: f64,
    /// Its standard deviation.
    pub resistance_sd: f64,
}

/// SoC, 1 / capacity in 1/Ah, offset in A.
#[derive(Debug, Clone)]
pub(super) struct Slow {
    mean: Vector3<f64>,
    covariance: Matrix3<f64>,
    resistance: (f64, f64),
    counted_ah: f64,
    elapsed_s: f64,
    window: Window,
    last: Option<(f64, f64)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    seconds: f64,
    rest_v: f64,
    temp_c: f64,
    counted_ah: f64,
    elapsed_s: f64,
}

/// One sample, as the fast filter sees it.
pub(super) struct Seen<'a> {
    pub cell_at: &'a CellAtTemperature<'a>,
    pub soc: f64,
    pub branch_a: [f64; 2],
    pub current_a: f64,
    pub voltage_v: f64,
    pub temp_c: f64,
    pub dt_s: f64,
}

impl Slow {
    pub fn new(health: &Health, soc: f64, soc_sd: f64, offset_sd_a: f64) -> Self {
        let per_ah = 1.0 / health.capacity_ah;
        let sd = Vector3::new(soc_sd, CAPACITY_SD * per_ah, offset_sd_a);
        Self {
            mean: Vector3::new(soc, per_ah, 0.0),
            covariance: Matrix3::from_diagonal(&sd.component_mul(&sd)),
            resistance: (health.resistance_factor, RESISTANCE_SD * RESISTANCE_SD),
            counted_ah: 0.0,
            elapsed_s: 0.0,
            window: Window::default(),
            last: None,
        }
    }

    pub fn ageing(&self) -> Ageing {
        let per_ah = self.mean[1].max(1e-6);
        let capacity_ah = 1.0 / per_ah;
        Ageing {
            capacity_ah,
            capacity_sd_ah: self.covariance[(1, 1)].max(0.0).sqrt() * capacity_ah * capacity_ah,
            resistance_factor: self.resistance.0,
            resistance_sd: self.resistance.1.sqrt().max(RESISTANCE_FLOOR),
        }
    }

    pub fn see(&mut self, cell: &Cell, seen: &Seen<'_>) {
        self.counted_ah += seen.current_a * seen.dt_s / HOUR_S;
        self.elapsed_s += seen.dt_s;
        let over_v = seen.cell_at.overpotential_v(seen.soc, seen.branch_a, seen.current_a);
        if let Some((voltage_v, before_v)) = self.last.replace((seen.voltage_v, over_v))
            && seen.temp_c >= WARM_C
        {
            self.jump(seen.voltage_v - voltage_v, over_v - before_v);
        }
        self.window.seconds += seen.dt_s;
        self.window.rest_v += seen.dt_s * (seen.voltage_v - self.resistance.0 * over_v);
        self.window.temp_c += seen.dt_s * seen.temp_c;
        self.window.counted_ah += seen.dt_s * self.counted_ah;
        self.window.elapsed_s += seen.dt_s * self.elapsed_s;
        if self.elapsed_s >= WINDOW_S {
            self.close(cell, seen.soc);
        }
    }

    /// Charge that was counted without a voltage.
    pub fn blind(&mut self, current_a: f64, dt_s: f64) {
        self.counted_ah += current_a * dt_s / HOUR_S;
        self.elapsed_s += dt_s;
        self.last = None;
    }

    /// After a time in which nobody knows what flowed: where the charge is is unknown, what ages is not.
    pub fn lost(&mut self) {
        self.counted_ah = 0.0;
        self.elapsed_s = 0.0;
        self.window = Window::default();
        self.last = None;
        self.mean[0] = 0.5;
        self.covariance.row_mut(0).fill(0.0);
        self.covariance.column_mut(0).fill(0.0);
        self.covariance[(0, 0)] = 0.1;
    }

    fn jump(&mut self, seen_v: f64, expected_v: f64) {
        if expected_v.abs() < JUMP_V {
            return;
        }
        let (factor, variance) = self.resistance;
        let noise = JUMP_SD_V.powi(2) + (JUMP_SHARE * expected_v).powi(2);
        let expected_variance = expected_v * expected_v * variance + noise;
        let left = seen_v - factor * expected_v;
        // A jump that no plausible resistance explains is a fault, or a lost sample.
        if left * left > 16.0 * expected_variance {
            return;
        }
        let gain = variance * expected_v / expected_variance;
        let updated = (factor + gain * left).clamp(0.2, 5.0);
        self.resistance = (updated, ((1.0 - gain * expected_v) * variance).max(1e-5));
    }

    fn close(&mut self, cell: &Cell, soc: f64) {
        let hours = self.elapsed_s / HOUR_S;
        let [_, per_ah, offset_a] = *self.mean.as_ref();
        let moved_ah = self.counted_ah - offset_a * hours;
        let mut transition = Matrix3::identity();
        transition[(0, 1)] = moved_ah;
        transition[(0, 2)] = -per_ah * hours;
        self.mean[0] += per_ah * moved_ah;
        self.covariance = transition * self.covariance * transition.transpose();
        // A ten-thousandth of the capacity a week, an mA of offset an hour.
        self.covariance[(1, 1)] += (1e-4 * per_ah).powi(2) * hours / 168.0;
        self.covariance[(2, 2)] += 1e-6 * hours;
        let window = std::mem::take(&mut self.window);
        // The window's mean lies so far back.
        let mean = |sum: f64| sum / window.seconds.max(1.0);
        let lag_ah = std::mem::take(&mut self.counted_ah) - mean(window.counted_ah);
        let lag_h = (std::mem::take(&mut self.elapsed_s) - mean(window.elapsed_s)) / HOUR_S;
        if window.seconds < ENOUGH_S {
            return;
        }
        let (rest_v, temp_c) = (window.rest_v / window.seconds, window.temp_c / window.seconds);
        let error_v = cell.model_error_v(soc, temp_c);
        let slope_v = cell.slope_v(soc);
        if temp_c < WARM_C || slope_v < STEEP_V || error_v > SURE_V {
            return;
        }
        let since_ah = lag_ah - offset_a * lag_h;
        let left = cell.soc_at_rest(rest_v, temp_c) - (self.mean[0] - per_ah * since_ah);
        let noise = (error_v / slope_v).powi(2);
        let observe = RowVector3::new(1.0, -since_ah, per_ah * lag_h);
        let variance = (observe * self.covariance * observe.transpose())[(0, 0)] + noise;
        if left * left > 16.0 * variance {
            return;
        }
        let gain = self.covariance * observe.transpose() / variance;
        self.mean += gain * left;
        let kept = Matrix3::identity() - gain * observe;
        // Joseph's form stays symmetric and positive.
        self.covariance = kept * self.covariance * kept.transpose() + gain * noise * gain.transpose();
    }
}
