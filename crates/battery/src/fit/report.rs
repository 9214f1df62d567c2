//! How well the fit explains what was measured.

use super::LoggedRun;
use crate::cell::ModelError;
use serde::Serialize;

/// Points of a residual curve that a plot shows.
const CURVE: usize = 400;

/// The report of a fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Each run, with the parameters fitted to all.
    pub fitted: Vec<RunError>,
    /// Each drive cycle, with parameters fitted to all others: what to expect of new data.
    pub held_out: Vec<RunError>,
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
}

pub(super) fn run_error(run: &LoggedRun, temp_c: f64, left_v: &[f64]) -> RunError {
    let samples = left_v.len();
    let mean_square = left_v.iter().map(|left| left * left).sum::<f64>() / samples.max(1) as f64;
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
    }
}

/// Error at each temperature that was driven at, by the cycles that were held out.
pub(super) fn model_error(held_out: &[RunError]) -> ModelError {
    let mut by_temp: Vec<(f64, f64)> =
        held_out.iter().map(|run| (run.temp_c, run.rmse_mv / 1_000.0)).collect();
    by_temp.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out = ModelError { temp_c: Vec::new(), voltage_v: Vec::new() };
    for group in by_temp.chunk_by(|a, b| b.0 - a.0 < 3.0) {
        let count = group.len() as f64;
        out.temp_c.push(group.iter().map(|(temp_c, _)| temp_c).sum::<f64>() / count);
        let square = group.iter().map(|(_, error)| error * error).sum::<f64>() / count;
        out.voltage_v.push(square.sqrt().clamp(1e-4, 1.0));
    }
    out
}
