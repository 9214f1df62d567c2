//! Report on how well the fit explains what was measured.

use super::{Learned, LoggedRun, PulseError};
use crate::cell::ModelError;
use serde::Serialize;

/// Points of a residual curve that a plot shows.
const CURVE: usize = 400;

/// Upper ends of the bins of SoC by which the error is stated.
const SOC: [f64; 7] = [0.06, 0.12, 0.2, 0.3, 0.5, 0.7, 1.0];

/// Runs that differ less count as of one temperature, in K.
const APART_K: f64 = 4.0;

/// Fewest samples by which a bin is judged.
const ENOUGH: usize = 200;

/// The report of a fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Each run, with the parameters fitted to all.
    pub fitted: Vec<RunError>,
    /// Each drive cycle, with parameters fitted to all others: what to expect of new data.
    pub held_out: Vec<RunError>,
    /// Power against each measured pulse.
    pub pulses: Vec<PulseError>,
    /// What learning beyond the circuit gains; `None` with too few drives.
    pub learned: Option<Learned>,
}

/// Voltage that is not explained in one run, the state of charge being known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunError {
    /// File or other name.
    pub name: String,
    /// Median temperature in °C.
    pub temp_c: f64,
    /// Samples.
    pub samples: usize,
    /// Root mean square in mV.
    pub rmse_mv: f64,
    /// Largest in mV.
    pub max_mv: f64,
    /// Mean over equal parts of the run in mV, for plots.
    pub curve_mv: Vec<f64>,
    /// Sum of squares in V² and samples, below each of [`SOC`].
    #[serde(skip)]
    squares: [(f64, usize); SOC.len()],
}

pub(super) fn run_error(run: &LoggedRun, temp_c: f64, by_soc: &[(f64, f64)]) -> RunError {
    let left_v: Vec<f64> = by_soc.iter().map(|(_, left)| *left).collect();
    let samples = left_v.len();
    let mean_square = left_v.iter().map(|left| left * left).sum::<f64>() / samples.max(1) as f64;
    let mut squares = [(0.0, 0); SOC.len()];
    for (soc, left) in by_soc {
        let bin = &mut squares[SOC.partition_point(|upper| upper < soc).min(SOC.len() - 1)];
        *bin = (bin.0 + left * left, bin.1 + 1);
    }
    let part = samples.div_ceil(CURVE).max(1);
    RunError {
        name: run.name.clone(),
        temp_c,
        samples,
        rmse_mv: mean_square.sqrt() * 1_000.0,
        max_mv: left_v.iter().fold(0.0, |most: f64, left| most.max(left.abs())) * 1_000.0,
        curve_mv: left_v
            .chunks(part)
            .map(|part| part.iter().sum::<f64>() / part.len() as f64 * 1_000.0)
            .collect(),
        squares,
    }
}

/// Error at each temperature that was driven at and by SoC, of the cycles that were held out.
pub(super) fn model_error(held_out: &[RunError]) -> ModelError {
    let mut runs: Vec<&RunError> = held_out.iter().collect();
    runs.sort_by(|a, b| a.temp_c.total_cmp(&b.temp_c));
    let mut out = ModelError { temp_c: Vec::new(), soc: middles(), voltage_v: Vec::new(), soc_shift: 0.0 };
    for group in runs.chunk_by(|a, b| b.temp_c - a.temp_c < APART_K) {
        out.temp_c.push(group.iter().map(|run| run.temp_c).sum::<f64>() / group.len() as f64);
        let bins = (0..SOC.len()).map(|bin| {
            group.iter().fold((0.0, 0), |sum, run| (sum.0 + run.squares[bin].0, sum.1 + run.squares[bin].1))
        });
        let known: Vec<Option<f64>> = bins
            .map(|(square, count)| (count >= ENOUGH).then(|| (square / count as f64).sqrt().clamp(1e-4, 0.5)))
            .collect();
        // From full to empty: where nothing was driven it is twice as bad as where something was.
        let mut row = Vec::new();
        let mut worst = known.iter().rev().flatten().next().copied().unwrap_or(0.02);
        for bin in known.iter().rev() {
            worst = bin.unwrap_or(worst * 1.4).min(0.5);
            row.push(worst);
        }
        row.reverse();
        out.voltage_v.push(row);
    }
    out
}

fn middles() -> Vec<f64> {
    let lower = std::iter::once(0.0).chain(SOC);
    lower.zip(SOC).map(|(low, high)| f64::midpoint(low, high)).collect()
}
