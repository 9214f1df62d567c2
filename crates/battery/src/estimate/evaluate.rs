//! How good the estimates are where the truth is known.

use super::Estimator;
use crate::{Cell, CellState, Error, Health, log::Log, units::HOUR_S};
use serde::Serialize;
use std::sync::Arc;

/// What is evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Ah between full and empty; the charge counter and this say what the true SoC is.
    pub capacity_ah: f64,
    /// What the estimator is told of the start.
    pub initial_soc: f64,
    /// Added to each measured current, in A.
    pub current_bias_a: f64,
    /// SoC errors count from so many seconds after the first sample.
    pub settle_s: f64,
}

/// Errors of one file, or of all: states of charge in percent of the capacity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileScore {
    /// Which.
    pub file: String,
    /// Root mean square after the settling time.
    pub soc_rmse_pct: f64,
    /// Mean absolute after the settling time.
    pub soc_mae_pct: f64,
    /// Largest after the settling time.
    pub soc_max_pct: f64,
    /// Root mean square from the first sample on.
    pub soc_rmse_whole_pct: f64,
    /// Voltage that the model computes from current and temperature alone.
    pub voltage_open_loop_rmse_mv: f64,
    /// Voltage that the filter expects of the next sample.
    pub voltage_filtered_rmse_mv: f64,
    /// How often the truth lies within two stated standard deviations, after the settling time.
    pub within_2sigma_pct: f64,
    /// Samples a second on one core, reading not included.
    pub steps_per_s: f64,
    /// Samples after the settling time.
    pub samples: usize,
}

/// Of several files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// In the order given.
    pub files: Vec<FileScore>,
    /// Pooled over samples.
    pub total: FileScore,
    /// The same files by counting charge from the claimed start.
    pub coulomb: Vec<FileScore>,
    /// Pooled.
    pub coulomb_total: FileScore,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    samples: usize,
    squared: f64,
    absolute: f64,
    largest: f64,
    within: usize,
    whole: usize,
    whole_squared: f64,
    voltages: usize,
    open_squared: f64,
    filtered: usize,
    filtered_squared: f64,
    steps: usize,
    seconds: f64,
}

impl Sums {
    fn soc(&mut self, error: f64, sd: Option<f64>, settled: bool) {
        self.whole += 1;
        self.whole_squared += error * error;
        if settled {
            self.samples += 1;
            self.squared += error * error;
            self.absolute += error.abs();
            self.largest = self.largest.max(error.abs());
            self.within += usize::from(sd.is_some_and(|sd| error.abs() <= 2.0 * sd));
        }
    }

    fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.squared += other.squared;
        self.absolute += other.absolute;
        self.largest = self.largest.max(other.largest);
        self.within += other.within;
        self.whole += other.whole;
        self.whole_squared += other.whole_squared;
        self.voltages += other.voltages;
        self.open_squared += other.open_squared;
        self.filtered += other.filtered;
        self.filtered_squared += other.filtered_squared;
        self.steps += other.steps;
        self.seconds += other.seconds;
    }

    fn score(&self, file: &str) -> FileScore {
        let mean = |sum: f64, count: usize| sum / count.max(1) as f64;
        FileScore {
            file: file.into(),
            soc_rmse_pct: 100.0 * mean(self.squared, self.samples).sqrt(),
            soc_mae_pct: 100.0 * mean(self.absolute, self.samples),
            soc_max_pct: 100.0 * self.largest,
            soc_rmse_whole_pct: 100.0 * mean(self.whole_squared, self.whole).sqrt(),
            voltage_open_loop_rmse_mv: 1_000.0 * mean(self.open_squared, self.voltages).sqrt(),
            voltage_filtered_rmse_mv: 1_000.0 * mean(self.filtered_squared, self.filtered).sqrt(),
            within_2sigma_pct: 100.0 * mean(self.within as f64, self.samples),
            steps_per_s: self.steps as f64 / self.seconds.max(1e-9),
            samples: self.samples,
        }
    }
}

/// Runs the estimator over logs with a charge counter. `seconds` is a clock, for the speed.
///
/// # Errors
///
/// [`Error::Data`] if a log has no charge counter or no samples.
pub fn evaluate(
    cell: &Arc<Cell>,
    logs: &[Log],
    options: &Options,
    mut seconds: impl FnMut() -> f64,
) -> Result<Evaluation, Error> {
    let (mut total, mut coulomb_total) = (Sums::default(), Sums::default());
    let (mut files, mut coulomb) = (Vec::new(), Vec::new());
    for log in logs {
        let (ours, counted) = one(cell, log, options, &mut seconds)?;
        files.push(ours.score(&log.name));
        coulomb.push(counted.score(&log.name));
        total.add(&ours);
        coulomb_total.add(&counted);
    }
    Ok(Evaluation {
        files,
        total: total.score("total"),
        coulomb,
        coulomb_total: coulomb_total.score("total"),
    })
}

fn one(
    cell: &Arc<Cell>,
    log: &Log,
    options: &Options,
    seconds: &mut impl FnMut() -> f64,
) -> Result<(Sums, Sums), Error> {
    let counter_ah =
        log.counter_ah.as_ref().ok_or_else(|| Error::data(&log.name, "no column ah to compare with"))?;
    let first = log.samples.first().ok_or_else(|| Error::data(&log.name, "no samples"))?;
    let health = Health { capacity_ah: options.capacity_ah, resistance_factor: 1.0 };
    let mut estimator = Estimator::new(cell.clone(), health, Some(options.initial_soc));
    let temp_c = first.cell_temp_c.or(first.ambient_c).unwrap_or(25.0);
    let mut open = CellState::rested(options.initial_soc, temp_c);
    let (mut ours, mut counted) = (Sums::default(), Sums::default());
    let mut last_s = first.time_s;
    let mut estimates = Vec::with_capacity(log.samples.len());
    let start = seconds();
    for sample in &log.samples {
        let mut biased = *sample;
        biased.current_a += options.current_bias_a;
        estimates.push(estimator.update(&biased));
    }
    ours.seconds = seconds() - start;
    ours.steps = log.samples.len();
    let mut counted_soc = options.initial_soc;
    for ((sample, ah), estimate) in log.samples.iter().zip(counter_ah).zip(estimates) {
        let current_a = sample.current_a + options.current_bias_a;
        let dt_s = sample.time_s - last_s;
        if !(ah.is_finite() && current_a.is_finite() && dt_s >= 0.0) {
            continue;
        }
        last_s = sample.time_s;
        counted_soc += current_a * dt_s / HOUR_S / options.capacity_ah;
        let temp_c = sample.cell_temp_c.unwrap_or(open.surface_temp_c);
        cell.step(&health, &mut open, current_a, temp_c, dt_s);
        // The sensor knows the surface; the core keeps its distance.
        open.core_temp_c += temp_c - open.surface_temp_c;
        open.surface_temp_c = temp_c;
        if sample.voltage_v.is_finite() {
            ours.voltages += 1;
            ours.open_squared += (cell.voltage_v(&health, &open, current_a) - sample.voltage_v).powi(2);
        }
        let truth = 1.0 + ah / options.capacity_ah;
        let settled = sample.time_s - first.time_s >= options.settle_s;
        counted.soc(counted_soc - truth, None, settled);
        let Some(estimate) = estimate else { continue };
        ours.soc(estimate.soc - truth, Some(estimate.soc_sd), settled);
        if estimate.expected_v.is_finite() {
            ours.filtered += 1;
            ours.filtered_squared += (estimate.expected_v - sample.voltage_v).powi(2);
        }
    }
    Ok((ours, counted))
}
