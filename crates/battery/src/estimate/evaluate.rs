//! Evaluation of the estimates where the truth is known.

use super::{Ageing, Estimator, power::Uncertain};
use crate::{Cell, CellState, Error, Health, log::Log, units::HOUR_S};
use serde::Serialize;
use std::sync::Arc;

/// Options of an evaluation.
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
    /// Whether the estimator uses the capacity and resistance that it finds. Errors then compare the charge taken from a
    /// full cell, still in percent of [`Self::capacity_ah`]: a counter knows no other.
    pub adapt_capacity: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            capacity_ah: 1.0,
            initial_soc: 1.0,
            current_bias_a: 0.0,
            settle_s: 600.0,
            adapt_capacity: false,
        }
    }
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
    /// Voltage that the filter expects of the next sample. `None` where nothing was filtered.
    pub voltage_filtered_rmse_mv: Option<f64>,
    /// How often the truth lies within two stated standard deviations, after the settling time. `None` where none is stated.
    pub within_2sigma_pct: Option<f64>,
    /// Samples a second on one core, reading not included. `None` if it was not measured.
    pub steps_per_s: Option<f64>,
    /// Capacity found at the end, in Ah, and its standard deviation; of the last file in a total.
    pub capacity_ah: Option<Uncertain>,
    /// The same of the resistance, relative to the parameters'.
    pub resistance_factor: Option<Uncertain>,
    /// Samples after the settling time.
    pub samples: usize,
}

/// Estimate and truth of one file along time, for plots.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Which.
    pub file: String,
    /// Seconds since the first sample, estimated SoC, its standard deviation, true SoC: some hundred points.
    pub points: Vec<[f64; 4]>,
}

/// Points of a [`Trace`], about.
const POINTS: usize = 400;

/// Evaluation of the estimator over several files.
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
    /// One a file.
    #[serde(skip)]
    pub traces: Vec<Trace>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    samples: usize,
    squared: f64,
    absolute: f64,
    largest: f64,
    stated: usize,
    within: usize,
    whole: usize,
    whole_squared: f64,
    voltages: usize,
    open_squared: f64,
    filtered: usize,
    filtered_squared: f64,
    steps: usize,
    seconds: f64,
    ageing: Option<Ageing>,
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
            self.stated += usize::from(sd.is_some());
            self.within += usize::from(sd.is_some_and(|sd| error.abs() <= 2.0 * sd));
        }
    }

    fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.squared += other.squared;
        self.absolute += other.absolute;
        self.largest = self.largest.max(other.largest);
        self.stated += other.stated;
        self.within += other.within;
        self.ageing = other.ageing.or(self.ageing);
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
        let some = |count: usize, value: f64| (count > 0).then_some(value);
        FileScore {
            file: file.into(),
            soc_rmse_pct: 100.0 * mean(self.squared, self.samples).sqrt(),
            soc_mae_pct: 100.0 * mean(self.absolute, self.samples),
            soc_max_pct: 100.0 * self.largest,
            soc_rmse_whole_pct: 100.0 * mean(self.whole_squared, self.whole).sqrt(),
            voltage_open_loop_rmse_mv: 1_000.0 * mean(self.open_squared, self.voltages).sqrt(),
            voltage_filtered_rmse_mv: some(
                self.filtered,
                1_000.0 * mean(self.filtered_squared, self.filtered).sqrt(),
            ),
            within_2sigma_pct: some(self.stated, 100.0 * mean(self.within as f64, self.stated)),
            steps_per_s: some(self.steps, self.steps as f64 / self.seconds.max(1e-9)),
            capacity_ah: self
                .ageing
                .map(|found| Uncertain { value: found.capacity_ah, sd: found.capacity_sd_ah }),
            resistance_factor: self
                .ageing
                .map(|found| Uncertain { value: found.resistance_factor, sd: found.resistance_sd }),
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
    let (mut files, mut coulomb, mut traces) = (Vec::new(), Vec::new(), Vec::new());
    for log in logs {
        let (ours, counted, trace) = one(cell, log, options, &mut seconds)?;
        traces.push(trace);
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
        traces,
    })
}

fn one(
    cell: &Arc<Cell>,
    log: &Log,
    options: &Options,
    seconds: &mut impl FnMut() -> f64,
) -> Result<(Sums, Sums, Trace), Error> {
    let counter_ah =
        log.counter_ah.as_ref().ok_or_else(|| Error::data(&log.name, "no column ah to compare with"))?;
    let first = log.samples.first().ok_or_else(|| Error::data(&log.name, "no samples"))?;
    let health = Health { capacity_ah: options.capacity_ah, resistance_factor: 1.0 };
    let mut estimator = Estimator::new(cell.clone(), health, Some(options.initial_soc));
    if options.adapt_capacity {
        estimator = estimator.adapting();
    }
    let temp_c = first.cell_temp_c.or(first.ambient_c).unwrap_or(25.0);
    let mut open = CellState::rested(options.initial_soc, temp_c);
    let (mut ours, mut counted) = (Sums::default(), Sums::default());
    let mut last_s = first.time_s;
    let mut estimates = Vec::with_capacity(log.samples.len());
    let start = seconds();
    for sample in &log.samples {
        let mut biased = *sample;
        biased.current_a += options.current_bias_a;
        estimates.push((estimator.update(&biased), estimator.capacity_ah()));
    }
    ours.seconds = seconds() - start;
    ours.steps = log.samples.len();
    ours.ageing = estimator.ageing();
    let mut counted_soc = options.initial_soc;
    let every = (log.samples.len() / POINTS).max(1);
    let mut points = Vec::with_capacity(POINTS + 1);
    let rows = log.samples.iter().zip(counter_ah).zip(estimates).enumerate();
    for (row, ((sample, ah), (estimate, capacity_ah))) in rows {
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
            let squared = (cell.voltage_v(&health, &open, current_a) - sample.voltage_v).powi(2);
            for sums in [&mut ours, &mut counted] {
                sums.voltages += 1;
                sums.open_squared += squared;
            }
        }
        let truth = 1.0 + ah / options.capacity_ah;
        let settled = sample.time_s - first.time_s >= options.settle_s;
        counted.soc(counted_soc - truth, None, settled);
        let Some(estimate) = estimate else { continue };
        let soc = 1.0 + (estimate.soc - 1.0) * capacity_ah / options.capacity_ah;
        ours.soc(soc - truth, Some(estimate.soc_sd), settled);
        if row % every == 0 {
            points.push([sample.time_s - first.time_s, soc, estimate.soc_sd, truth]);
        }
        if estimate.expected_v.is_finite() {
            ours.filtered += 1;
            ours.filtered_squared += (estimate.expected_v - sample.voltage_v).powi(2);
        }
    }
    Ok((ours, counted, Trace { file: log.name.clone(), points }))
}
