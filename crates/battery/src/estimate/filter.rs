//! The fast filter: charge, relaxation, current offset and what the model cannot explain, from current and voltage.

use super::Noise;
use crate::{
    cell::{CellAtTemperature, Local},
    units::HOUR_S,
};
use nalgebra::{SMatrix, SVector};

/// States: SoC, the two branch currents in A, offset of the current sensor in A, slow error of the model in V.
pub(super) const STATES: usize = 5;

const SOC: usize = 0;
const OFFSET: usize = 3;
const ERROR: usize = 4;

type Vector = SVector<f64, STATES>;
type Square = SMatrix<f64, STATES, STATES>;

/// Furthest that a state of charge is believed to be outside 0..1.
const BEYOND: f64 = 0.05;

/// Square-root cubature Kalman filter (Arasaratnam, Haykin, IEEE Trans. Autom. Control 54:1254, 2009): 2 n sigma points of
/// equal weight. The transition is linear in these states, so only the measurement needs the points.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    mean: Vector,
    /// S with covariance S Sᵀ, lower triangular.
    root: Square,
}

/// Innovation of a measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Innovation {
    /// Measured less expected, in V.
    pub voltage_v: f64,
    /// Its expected variance in V².
    pub variance: f64,
}

impl Innovation {
    /// Logarithm of the likelihood of a voltage that is wrong by no more than the model's error: without what
    /// [`Noise::voltage_sd_v`] adds for errors that last.
    pub fn look(&self, noise: &Noise) -> f64 {
        let variance = self.variance - noise.voltage_sd_v.powi(2) + noise.error_sd_v.powi(2);
        -0.5 * (self.voltage_v * self.voltage_v / variance + variance.ln())
    }

    pub fn log_likelihood(&self) -> f64 {
        -0.5 * (self.voltage_v * self.voltage_v / self.variance + self.variance.ln())
    }
}

/// The Rᵀ of a thin QR of `columns`ᵀ: a lower triangular root of `columns` `columns`ᵀ.
fn root<const N: usize>(columns: &SMatrix<f64, STATES, N>) -> Square {
    // Modified Gram–Schmidt on the rows: N is small and the sizes are known.
    let mut rows = *columns;
    let mut lower = Square::zeros();
    for row in 0..STATES {
        let norm = rows.row(row).norm();
        lower[(row, row)] = norm;
        if norm < 1e-15 {
            continue;
        }
        let unit = rows.row(row) / norm;
        for other in row + 1..STATES {
            let along = rows.row(other).dot(&unit);
            lower[(other, row)] = along;
            let rest = rows.row(other) - unit * along;
            rows.set_row(other, &rest);
        }
    }
    lower
}

impl Filter {
    /// Rested, with that uncertainty of SoC and offset.
    pub fn rested(soc: f64, soc_sd: f64, offset_sd_a: f64, error_sd_v: f64) -> Self {
        let mut root = Square::zeros();
        root[(SOC, SOC)] = soc_sd;
        root[(1, 1)] = 0.05;
        root[(2, 2)] = 0.05;
        root[(OFFSET, OFFSET)] = offset_sd_a;
        root[(ERROR, ERROR)] = error_sd_v;
        Self { mean: Vector::new(soc, 0.0, 0.0, 0.0, 0.0), root }
    }

    /// One distribution with the mean and covariance of a mixture of two; `share` is this one's part.
    pub fn merged(&self, share: f64, other: &Self) -> Self {
        let mean = self.mean * share + other.mean * (1.0 - share);
        let mut columns = SMatrix::<f64, STATES, { 2 * STATES + 2 }>::zeros();
        for (at, (of, share)) in [(self, share), (other, 1.0 - share)].into_iter().enumerate() {
            let part = share.max(0.0).sqrt();
            columns.fixed_view_mut::<STATES, STATES>(0, at * STATES).copy_from(&(of.root * part));
            columns.set_column(2 * STATES + at, &((of.mean - mean) * part));
        }
        Self { mean, root: root(&columns) }
    }

    pub fn soc(&self) -> f64 {
        self.mean[SOC]
    }

    /// Currents of the branches in A.
    pub fn branch_a(&self) -> [f64; 2] {
        [self.mean[1], self.mean[2]]
    }

    pub fn offset_a(&self) -> f64 {
        self.mean[OFFSET]
    }

    pub fn soc_sd(&self) -> f64 {
        self.root.row(SOC).norm()
    }

    pub fn offset_sd_a(&self) -> f64 {
        self.root.row(OFFSET).norm()
    }

    /// `dt_s` at a measured current.
    pub fn predict(
        &mut self,
        cell_at: &CellAtTemperature<'_>,
        capacity_ah: f64,
        current_a: f64,
        dt_s: f64,
        noise: &Noise,
    ) {
        let per_a = dt_s / HOUR_S / capacity_ah;
        let mut transition = Square::identity();
        transition[(SOC, OFFSET)] = -per_a;
        let mut input = Vector::zeros();
        input[SOC] = per_a * current_a;
        for (state, tau_s) in [(1, cell_at.tau_s[0]), (2, cell_at.tau_s[1])] {
            let kept = (-dt_s / tau_s).exp();
            transition[(state, state)] = kept;
            transition[(state, OFFSET)] = kept - 1.0;
            input[state] = (1.0 - kept) * current_a;
        }
        let kept = (-dt_s / noise.error_s).exp();
        transition[(ERROR, ERROR)] = kept;
        self.mean = transition * self.mean + input;
        let mut columns = SMatrix::<f64, STATES, { 2 * STATES }>::zeros();
        columns.fixed_view_mut::<STATES, STATES>(0, 0).copy_from(&(transition * self.root));
        let drift = [
            (noise.soc_per_sqrt_h * (dt_s / HOUR_S).sqrt())
                .hypot(noise.soc_per_sqrt_soc * (per_a * current_a).abs().sqrt()),
            noise.branch_a * (1.0 - transition[(1, 1)].powi(2)).sqrt(),
            noise.branch_a * (1.0 - transition[(2, 2)].powi(2)).sqrt(),
            noise.offset_a_per_sqrt_h * (dt_s / HOUR_S).sqrt(),
            noise.error_sd_v * (1.0 - kept * kept).sqrt(),
        ];
        for (state, sd) in drift.into_iter().enumerate() {
            columns[(state, STATES + state)] = sd;
        }
        self.root = root(&columns);
    }

    /// Takes a voltage measured at that current into account.
    pub fn correct(
        &mut self,
        cell_at: &CellAtTemperature<'_>,
        resistance: f64,
        current_a: f64,
        voltage_v: f64,
        noise: &Noise,
    ) -> Innovation {
        let believed = |soc: f64| soc.clamp(-BEYOND, 1.0 + BEYOND);
        let expected = |state: &Vector, local: &Local<'_>| {
            local.ocv_v
                + resistance * local.overpotential_v([state[1], state[2]], current_a - state[OFFSET])
                + state[ERROR]
        };
        let spread = (STATES as f64).sqrt();
        let weight = 1.0 / (2.0 * STATES as f64);
        let mut points = SMatrix::<f64, STATES, { 2 * STATES }>::zeros();
        let mut voltages = SMatrix::<f64, 1, { 2 * STATES }>::zeros();
        // The root is triangular: only its first column moves the charge, and its last moves the voltage one to one.
        let middle = cell_at.local(believed(self.mean[SOC]));
        let middle_v = expected(&self.mean, &middle);
        for state in 0..STATES {
            let away = self.root.column(state) * spread;
            for (point, side) in [(2 * state, 1.0), (2 * state + 1, -1.0)] {
                let offset = away * side;
                points.set_column(point, &(offset * weight.sqrt()));
                let at = self.mean + offset;
                voltages[point] = match state {
                    SOC => expected(&at, &cell_at.local(believed(at[SOC]))),
                    ERROR => middle_v + offset[ERROR],
                    _ => expected(&at, &middle),
                };
            }
        }
        let mean_v = voltages.sum() * weight;
        let centred = voltages.map(|voltage| (voltage - mean_v) * weight.sqrt());
        let variance = centred.norm_squared() + noise.voltage_sd_v * noise.voltage_sd_v;
        let gain = points * centred.transpose() / variance;
        let innovation = Innovation { voltage_v: voltage_v - mean_v, variance };
        self.mean += gain * innovation.voltage_v;
        let mut columns = SMatrix::<f64, STATES, { 2 * STATES + 1 }>::zeros();
        columns.fixed_view_mut::<STATES, { 2 * STATES }>(0, 0).copy_from(&(points - gain * centred));
        columns.set_column(2 * STATES, &(gain * noise.voltage_sd_v));
        self.root = root(&columns);
        // A full cell is not fuller than full; the deviation stays, so nothing is claimed.
        self.mean[SOC] = self.mean[SOC].clamp(-BEYOND, 1.0 + BEYOND);
        innovation
    }
}
