//! Accuracy of the fitted cell's power: against each discharge pulse of ten seconds that was measured.

use super::{LoggedRun, Role};
use crate::{Cell, CellState};
use serde::Serialize;

/// Length of a pulse that is looked at, in s.
const PULSE_S: f64 = 10.0;

/// Currents of rest and of a pulse, per Ah of the cell, in A.
const REST_PER_AH: f64 = 0.02;
const PULSE_PER_AH: f64 = 0.15;

/// Rest before a pulse in s.
const RESTED_S: f64 = 60.0;

/// One pulse.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PulseError {
    /// The run's name.
    pub name: String,
    /// Temperature in °C.
    pub temp_c: f64,
    /// State of charge before it.
    pub soc: f64,
    /// Mean current in A, negative.
    pub current_a: f64,
    /// What the voltage fell by in ten seconds, per A, in mΩ.
    pub resistance_mohm: f64,
    /// Power for ten seconds down to the lowest voltage: the model's, relative to that by the measured resistance, in percent.
    pub power_error_pct: f64,
}

/// Every pulse of the runs that a fit was made of.
pub(super) fn pulses(cell: &Cell, runs: &[LoggedRun]) -> Vec<PulseError> {
    runs.iter().filter(|run| run.role == Role::Pulses).flat_map(|run| of_run(cell, run)).collect()
}

fn of_run(cell: &Cell, run: &LoggedRun) -> Vec<PulseError> {
    let capacity_ah = cell.params().capacity_ah;
    let samples = &run.samples;
    let resting = |row: usize| samples[row].current_a.abs() < REST_PER_AH * capacity_ah;
    let mut out = Vec::new();
    let mut rest_since = None;
    for row in 1..samples.len() {
        if resting(row) {
            rest_since.get_or_insert(samples[row].time_s);
            continue;
        }
        let rested = rest_since.take().is_some_and(|since| samples[row - 1].time_s - since >= RESTED_S);
        if rested && let Some(pulse) = one(cell, run, row - 1) {
            out.push(pulse);
        }
    }
    out
}

/// The pulse after the rest that ends with `row`, if it is one.
fn one(cell: &Cell, run: &LoggedRun, row: usize) -> Option<PulseError> {
    let capacity_ah = cell.params().capacity_ah;
    let start = &run.samples[row];
    let end = (row + 1..run.samples.len())
        .take_while(|at| run.samples[*at].current_a < -PULSE_PER_AH * capacity_ah)
        .find(|at| run.samples[*at].time_s - start.time_s >= PULSE_S * 0.98)?;
    let last = &run.samples[end];
    let seconds = last.time_s - start.time_s;
    if seconds > PULSE_S * 1.5 {
        return None;
    }
    let current_a =
        run.samples[row + 1..=end].iter().map(|sample| sample.current_a).sum::<f64>() / (end - row) as f64;
    let temp_c = start.cell_temp_c.or(start.ambient_c)?;
    let soc = 1.0 + run.counter_ah[row] / capacity_ah;
    let measured_ohm = (last.voltage_v - start.voltage_v) / current_a;
    let health = cell.new_health();
    let mut state = CellState::rested(soc, temp_c);
    let lowest_v = cell.params().chemistry.voltage_window_v().0;
    let rest_v = cell.voltage_v(&health, &state, 0.0);
    cell.step(&health, &mut state, current_a, temp_c, seconds);
    let model_ohm = (cell.voltage_v(&health, &state, current_a) - rest_v) / current_a;
    // P = V_min (V_rest − V_min) / R: at the same rest voltage powers go as 1 / R.
    let usable = measured_ohm > 0.0 && model_ohm > 0.0 && start.voltage_v > lowest_v + 0.1;
    usable.then(|| PulseError {
        name: run.name.clone(),
        temp_c,
        soc,
        current_a,
        resistance_mohm: measured_ohm * 1_000.0,
        power_error_pct: 100.0 * (measured_ohm / model_ohm - 1.0),
    })
}
