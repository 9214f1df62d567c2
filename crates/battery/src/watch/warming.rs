//! Sensors that warm faster than their neighbours and than current explains.

use super::{Plausibility, residual::Residual};
use crate::pack::{PackEstimator, PackSample};
use std::collections::VecDeque;

/// Rise of temperature is taken over so many seconds.
const RISE_S: f64 = 20.0;

/// By how much more a sensor may warm than current explains: heat takes its way, and the model's resistance is uncertain.
const HEATED: f64 = 2.0;

/// A warming cell is dangerous where its voltage falls as well, by so much in V in the same time, or where a second sensor
/// follows by so much in K/min. One sensor of many alone is a warning at most, kept below the limit of `protect`; and where it
/// alone rises faster than [`ALONE_K_PER_MIN`], at which a cell's separator has long given way, it is the sensor. One or two
/// sensors have nobody to be compared with: they count only where the voltage falls; that of a single cell, compared with the
/// model, by [`SAG_ALONE_V`].
const SAG_V: f64 = 0.02;
const SAG_ALONE_V: f64 = 0.4;
const FOLLOWS_K_PER_MIN: f64 = 0.5;
const ALONE_K_PER_MIN: f64 = 30.0;
const ALONE_MOST_K_PER_MIN: f64 = 4.9;

/// Temperatures at a moment, and the heat that current has made until then.
struct TemperatureReading {
    time_s: f64,
    temps_c: Vec<f64>,
    heat_j: f64,
    /// How far the lowest cell is below the mean one, in V.
    sag_v: f64,
}

/// The last temperatures of a pack.
#[derive(Default)]
pub(super) struct Warming {
    temps: VecDeque<TemperatureReading>,
    /// What current has heated a cell by so far, in J.
    heat_j: f64,
}

impl Warming {
    /// How much faster the warmest sensor rises than its neighbours, and than current explains.
    pub fn rise(
        &mut self,
        sample: &PackSample,
        estimator: &PackEstimator,
        plausibility: &Plausibility,
    ) -> Option<Residual> {
        let thermal = &estimator.cell().params().thermal;
        let dt_s = self.temps.back().map_or(0.0, |last| sample.time_s - last.time_s);
        self.heat_j += estimator.loss_w(sample) * dt_s.clamp(0.0, RISE_S);
        if self.temps.back().is_some_and(|last| last.temps_c.len() != sample.temps_c.len()) {
            self.temps.clear();
        }
        let sag_v = sag_v(sample, estimator);
        let heat_j = self.heat_j;
        self.temps.push_back(TemperatureReading {
            time_s: sample.time_s,
            temps_c: sample.temps_c.clone(),
            heat_j,
            sag_v,
        });
        let old = |reading: &TemperatureReading| sample.time_s - reading.time_s >= RISE_S;
        while self.temps.len() > 2 && self.temps.get(1).is_some_and(old) {
            self.temps.pop_front();
        }
        let from = self.temps.front()?;
        let seconds = sample.time_s - from.time_s;
        if !(RISE_S / 2.0..120.0).contains(&seconds) {
            return None;
        }
        let per_min = 60.0 / seconds;
        let mut rises: Vec<(f64, usize)> = sample
            .temps_c
            .iter()
            .zip(&from.temps_c)
            .enumerate()
            .map(|(sensor, (now, then))| ((now - then) * per_min, sensor))
            .filter(|(rise, sensor)| rise.is_finite() && plausibility.since_s(*sensor) <= from.time_s)
            .collect();
        rises.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (fastest, sensor) = *rises.last()?;
        let by_current =
            per_min * (self.heat_j - from.heat_j) / (thermal.core_j_per_k + thermal.surface_j_per_k);
        // A single sensor has no neighbours, and the sun shines on it.
        let neighbours = if rises.len() > 2 { rises[rises.len() / 2].0.max(0.0) } else { 1.0 + by_current };
        let usual = neighbours.max(HEATED * by_current);
        let beyond = |rise: f64| (rise - usual).max(0.0);
        let sags = sag_v - from.sag_v > SAG_V;
        // Heat spreads: a second sensor follows. All of them together are a heater, or the sun.
        let followed = rises.len() > 2
            && rises.get(rises.len() - 2).is_some_and(|second| beyond(second.0) > FOLLOWS_K_PER_MIN);
        let value = match beyond(fastest) {
            value if sags || followed => value,
            // Nobody to compare with: current, sun and a step of the sensor's resolution explain as much.
            _ if rises.len() <= 2 => 0.0,
            value if value > ALONE_K_PER_MIN => return None,
            value => value.min(ALONE_MOST_K_PER_MIN),
        };
        Some(Residual { value, cells: vec![sensor] })
    }

    /// Begins anew: temperatures before are not compared with those to come.
    pub fn restart(&mut self) {
        self.temps.clear();
    }
}

/// How far the lowest cell is below the mean one in V; of a single cell, below what was expected of it.
fn sag_v(sample: &PackSample, estimator: &PackEstimator) -> f64 {
    let known = || sample.cells_v.iter().copied().filter(|volts| volts.is_finite());
    let lowest = known().fold(f64::INFINITY, f64::min);
    let expected = match known().count() {
        0 => return 0.0,
        1 => {
            // A model is wrong by more than neighbours differ.
            let expected_v = estimator.bar().latest().map_or(lowest, |latest| latest.expected_v);
            lowest + (expected_v - lowest) * SAG_V / SAG_ALONE_V
        }
        count => known().sum::<f64>() / count as f64,
    };
    if expected.is_finite() { expected - lowest } else { 0.0 }
}
