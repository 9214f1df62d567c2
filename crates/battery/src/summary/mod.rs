//! One second of a battery in a few numbers: what was measured, what its twin estimates, how both change.

mod trend;

pub use trend::Slope;

use crate::estimate::power::Uncertain;
use crate::pack::PackSample;
use crate::twin::{Limits, State, Twin, Update};
use crate::watch::{Kind, Stage, Verdict};
use serde::{Deserialize, Serialize};
use trend::Window;

/// Windows of the trends, in s.
pub const TRENDS_S: [f64; 3] = [10.0, 60.0, 600.0];

/// Time in s without a sample after which trends begin anew.
const BREAK_S: f64 = 30.0;

/// Lowest and highest of several values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Lowest.
    pub lowest: f64,
    /// Highest.
    pub highest: f64,
}

impl Range {
    /// Widens a range by values; what is no number is left out.
    fn widen(range: &mut Option<Self>, values: &[f64]) {
        for value in values.iter().copied().filter(|value| value.is_finite()) {
            let Self { lowest, highest } = range.unwrap_or(Self { lowest: value, highest: value });
            *range = Some(Self { lowest: lowest.min(value), highest: highest.max(value) });
        }
    }
}

/// Slopes over one of [`TRENDS_S`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Length of the window in s.
    pub window_s: f64,
    /// Of the hottest sensor, in K.
    pub hottest: Option<Slope>,
    /// Of the mean cell voltage, in V.
    pub cell_v: Option<Slope>,
}

/// Estimates of the twin, as far as a controller uses them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// State of charge of the mean cell, 0..1.
    pub soc: Uncertain,
    /// Lowest and highest cell's state of charge, 0..1.
    pub soc_range: (f64, f64),
    /// Capacity relative to new.
    pub soh_capacity: Uncertain,
    /// Currents of the pack in A that are allowed.
    pub limits: Limits,
    /// Largest difference in charge between the fast path and the cells' own filters.
    pub disagreement: Option<f64>,
}

impl From<&State> for Estimates {
    fn from(state: &State) -> Self {
        Self {
            soc: state.soc,
            soc_range: state.soc_range,
            soh_capacity: state.soh_capacity,
            limits: state.limits,
            disagreement: state.disagreement,
        }
    }
}

/// Quality of the samples of a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Samples.
    pub samples: u32,
    /// Values in them that are unknown.
    pub unknown: u32,
    /// Checks that they failed.
    pub failed: u32,
    /// Whether they contradict chemistry or sign, so that nothing is estimated.
    pub refused: bool,
}

/// Summary of one second of a battery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Of the newest sample, in s.
    pub time_s: f64,
    /// Mean current in A; positive charges.
    pub current_a: Option<f64>,
    /// Mean voltage of the pack in V.
    pub voltage_v: Option<f64>,
    /// Voltages of cells in V.
    pub cells_v: Option<Range>,
    /// Temperatures in °C.
    pub temps_c: Option<Range>,
    /// Lowest insulation resistance in Ω.
    pub insulation_ohm: Option<f64>,
    /// Estimates at the newest sample.
    pub estimates: Option<Estimates>,
    /// What the detectors have found and is not over.
    pub found: Vec<(Kind, Stage)>,
    /// Over [`TRENDS_S`].
    pub trends: [Trend; 3],
    /// How good the samples were.
    pub quality: Quality,
}

/// Mean of what is known.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn push(&mut self, value: f64) {
        if value.is_finite() {
            self.sum += value;
            self.count += 1;
        }
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// Accumulated samples of the second that is not over.
#[derive(Debug, Clone, Default)]
struct Open {
    current: Mean,
    voltage: Mean,
    cells: Option<Range>,
    temps: Option<Range>,
    insulation: Option<f64>,
    quality: Quality,
}

/// Makes a summary of each second of a battery.
#[derive(Debug, Clone)]
pub struct Summarizer {
    open: Open,
    last_s: Option<f64>,
    hottest: [Window; 3],
    cell_v: [Window; 3],
}

impl Default for Summarizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Summarizer {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        let windows = || TRENDS_S.map(Window::new);
        Self { open: Open::default(), last_s: None, hottest: windows(), cell_v: windows() }
    }

    /// Takes a sample through its twin, in the order of time. Returns what the twin says of it, and the summary of the
    /// second before where this sample begins another.
    pub fn see(&mut self, twin: &mut Twin, sample: PackSample) -> (Update, Option<Summary>) {
        let summary = if self.is_over(sample.time_s) { self.close(twin.state().as_ref()) } else { None };
        let update = twin.update(sample);
        // As the twin used it: what is a sensor's fault is blanked.
        self.push(twin.last().filter(|_| update.verdict.usable), &update.verdict);
        (update, summary)
    }

    /// Whether a sample of that time is of another second than those since the last summary.
    #[must_use]
    pub fn is_over(&self, time_s: f64) -> bool {
        self.open.quality.samples > 0 && self.last_s.is_some_and(|last| last.floor() != time_s.floor())
    }

    /// Takes a sample (none if it could not be used) and what its checks said.
    pub fn push(&mut self, sample: Option<&PackSample>, verdict: &Verdict) {
        let Open { current, voltage, cells, temps, insulation, quality } = &mut self.open;
        quality.samples += 1;
        quality.failed += verdict.failed.len() as u32;
        quality.refused |= verdict.refused;
        let Some(sample) = sample else { return };
        current.push(sample.current_a);
        voltage.push(sample.voltage_v);
        Range::widen(cells, &sample.cells_v);
        Range::widen(temps, &sample.temps_c);
        if let Some(ohm) = sample.insulation_ohm.filter(|ohm| ohm.is_finite()) {
            *insulation = Some(insulation.map_or(ohm, |lowest| lowest.min(ohm)));
        }
        let unknown = |values: &[f64]| values.iter().filter(|value| !value.is_finite()).count() as u32;
        quality.unknown += unknown(&[sample.current_a, sample.voltage_v]);
        quality.unknown += unknown(&sample.cells_v) + unknown(&sample.temps_c);
        self.follow(sample, verdict.restarted);
    }

    fn follow(&mut self, sample: &PackSample, restarted: bool) {
        let broken = |last: f64| sample.time_s <= last || sample.time_s - last > BREAK_S;
        if restarted || self.last_s.is_some_and(broken) {
            self.hottest = TRENDS_S.map(Window::new);
            self.cell_v = TRENDS_S.map(Window::new);
        }
        self.last_s = Some(sample.time_s);
        let hottest_c = sample.temps_c.iter().copied().fold(f64::NAN, f64::max);
        let mean_v = sample.mean_cell_v().unwrap_or(f64::NAN);
        for (hottest, cell_v) in self.hottest.iter_mut().zip(&mut self.cell_v) {
            hottest.push(sample.time_s, hottest_c);
            cell_v.push(sample.time_s, mean_v);
        }
    }

    /// The summary of what was pushed since the last one, with the state of its last sample; `None` while no sample could be
    /// used since the beginning.
    pub fn close(&mut self, state: Option<&State>) -> Option<Summary> {
        let time_s = self.last_s.filter(|_| self.open.quality.samples > 0)?;
        let open = std::mem::take(&mut self.open);
        Some(Summary {
            time_s,
            current_a: open.current.value(),
            voltage_v: open.voltage.value(),
            cells_v: open.cells,
            temps_c: open.temps,
            insulation_ohm: open.insulation,
            estimates: state.map(Estimates::from),
            found: state.map(|state| state.active.clone()).unwrap_or_default(),
            trends: [0, 1, 2].map(|window| Trend {
                window_s: TRENDS_S[window],
                hottest: self.hottest[window].slope(),
                cell_v: self.cell_v[window].slope(),
            }),
            quality: open.quality,
        })
    }
}

#[cfg(test)]
mod tests;
