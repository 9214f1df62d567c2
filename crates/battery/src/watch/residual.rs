//! Residuals that a sample and the estimator's knowledge of cells give by themselves.

use crate::pack::{CellDelta, PackEstimator, PackSample};

/// Standard deviations that a difference between cells must be away from zero.
const SURE: f64 = 5.0;

/// The same for the current's offset, of which the model's errors are known better.
const OFFSET_SURE: f64 = 2.5;

/// Standard deviations of capacity (relative) and leak (C) from which on a difference can be told from the other.
const CAPACITY_SD: f64 = 0.015;
const LEAK_SD_C: f64 = 0.003;

/// The first minutes only sort the cells, in s.
const SORTED_S: f64 = 300.0;

/// Residual of one rule for one sample.
pub(super) struct Residual {
    pub value: f64,
    pub cells: Vec<usize>,
}

/// Charge that a cell loses within itself, in C, once so many seconds were seen.
pub(super) fn leak(estimator: &PackEstimator, seen_s: f64) -> Option<Residual> {
    if seen_s < SORTED_S || !known(estimator, |cell| cell.leak_sd_c < LEAK_SD_C) {
        return None;
    }
    worst(estimator, |cell| (-cell.leak_c, cell.leak_sd_c))
}

/// Resistance beyond the mean cell's, relative.
pub(super) fn resistance(estimator: &PackEstimator) -> Option<Residual> {
    worst(estimator, |cell| (cell.resistance, cell.resistance_sd))
}

/// Capacity below the mean cell's, relative.
pub(super) fn capacity(estimator: &PackEstimator) -> Option<Residual> {
    worst(estimator, |cell| (cell.capacity, cell.capacity_sd))
        .filter(|_| known(estimator, |cell| cell.capacity_sd < CAPACITY_SD))
}

/// Offset of the current, in C.
pub(super) fn offset(estimator: &PackEstimator) -> Option<Residual> {
    let mean = estimator.bar().latest()?;
    let sure_a = (mean.offset_a.abs() - OFFSET_SURE * mean.offset_sd_a).max(0.0);
    Some(Residual {
        // Both of one cell: how many are in parallel does not matter.
        value: if sure_a > 0.0 { mean.offset_a.abs() / estimator.cell().params().capacity_ah } else { 0.0 },
        cells: Vec::new(),
    })
}

/// V for each 500 Ω of insulation.
pub(super) fn insulation(sample: &PackSample) -> Option<Residual> {
    let ohm = sample.insulation_ohm.filter(|ohm| ohm.is_finite() && *ohm >= 0.0)?;
    let volts = Some(sample.voltage_v)
        .filter(|volts| volts.is_finite())
        .unwrap_or_else(|| sample.cells_v.iter().filter(|volts| volts.is_finite()).sum());
    Some(Residual { value: 500.0 * volts / ohm.max(1.0), cells: Vec::new() })
}

/// The cell that is furthest from zero, as far as that is sure.
fn worst(estimator: &PackEstimator, residual: impl Fn(&CellDelta) -> (f64, f64)) -> Option<Residual> {
    let deltas = estimator.deltas();
    let all = (0..deltas.len()).map(|group| {
        let (value, sd) = residual(&deltas.cell(group));
        (if value > SURE * sd { value } else { 0.0 }, group)
    });
    let (value, group) = all.max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Residual { value, cells: vec![group] })
}

/// Whether a difference is known well enough; that is the same for all cells.
fn known(estimator: &PackEstimator, enough: impl Fn(&CellDelta) -> bool) -> bool {
    !estimator.deltas().is_empty() && enough(&estimator.deltas().cell(0))
}
