//! A pack's digital twin: checks each sample, estimates, watches, counts and says what follows.

mod state;

pub use state::{Limits, State};

use crate::{
    Cell, Health,
    ageing::Tracker,
    estimate::GAP_S,
    pack::{PackEstimate, PackEstimator, PackSample},
    passport::{Counters, Moment},
    watch::{Check, Checker, Event, Kind, Verdict, Watch},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Setup of a pack's twin.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Cells in parallel in a group.
    pub parallel: usize,
    /// Groups in series; what a sample without cell voltages is divided by.
    pub series: usize,
    /// Seconds between samples that the filter of each cell takes; `None` runs the fast path alone.
    pub full_every_s: Option<f64>,
    /// Current of a balancing resistor in A.
    pub bleed_a: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { parallel: 1, series: 96, full_every_s: Some(1.0), bleed_a: 0.1 }
    }
}

/// State of a twin that outlives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Capacity of a cell in Ah and its overpotential relative to new, as found.
    pub capacity_ah: f64,
    /// See `capacity_ah`.
    pub resistance_factor: f64,
    /// Use so far.
    pub tracker: Tracker,
    /// Sums so far.
    pub counters: Counters,
    /// Faults found so far, by kind.
    pub faults: BTreeMap<Kind, u64>,
}

/// Result of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What its checks said.
    pub verdict: Verdict,
    /// What is new.
    pub events: Vec<Event>,
}

/// The twin of one pack.
pub struct Twin {
    cell: Arc<Cell>,
    setup: Setup,
    health: Health,
    checker: Checker,
    estimator: Option<PackEstimator>,
    latest: Option<PackEstimate>,
    watch: Watch,
    tracker: Tracker,
    counters: Counters,
    faults: BTreeMap<Kind, u64>,
    /// What use has been like: sums of temperature, charge and its square, over hours.
    sums: Sums,
    last: Option<PackSample>,
    /// Time in s of the last sample since then that could not be used: what flowed until it is unknown.
    blind_s: Option<f64>,
    refused: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    hours: f64,
    temp_c: f64,
    soc: f64,
}

impl Twin {
    /// A twin; `memory` is that of the same pack before.
    #[must_use]
    pub fn new(cell: Arc<Cell>, setup: Setup, memory: Option<Memory>) -> Self {
        let new = cell.new_health();
        let chemistry = cell.params().chemistry;
        let group_ah = new.capacity_ah * setup.parallel as f64;
        let known = memory.filter(|memory| {
            // Of another pack, or damaged.
            (0.3..1.5).contains(&(memory.capacity_ah / new.capacity_ah))
                && (0.2..5.0).contains(&memory.resistance_factor)
        });
        let health = known.as_ref().map_or(new, |memory| Health {
            capacity_ah: memory.capacity_ah,
            resistance_factor: memory.resistance_factor,
        });
        let (tracker, counters, faults) = match known {
            Some(memory) => (memory.tracker, memory.counters, memory.faults),
            None => (Tracker::new(chemistry, new.capacity_ah), Counters::default(), BTreeMap::new()),
        };
        Self {
            checker: Checker::new(chemistry, group_ah),
            watch: Watch::new(),
            estimator: None,
            latest: None,
            sums: Sums::default(),
            last: None,
            blind_s: None,
            refused: false,
            health,
            tracker,
            counters,
            faults,
            setup,
            cell,
        }
    }

    /// Takes a sample, in the order of time. What cannot be believed is not used, and said.
    pub fn update(&mut self, mut sample: PackSample) -> Update {
        if sample.cells_v.is_empty() {
            // A pack that reports no cells is one mean cell.
            sample.cells_v.push(sample.voltage_v / self.setup.series.max(1) as f64);
        }
        let mut verdict = self.checker.check(&mut sample);
        self.refused = verdict.refused;
        if verdict.restarted {
            self.restart();
        }
        if !verdict.usable {
            let since_s = self.blind_s.or(self.last.as_ref().map(|last| last.time_s));
            if let Some(since_s) = since_s.filter(|since_s| sample.time_s > *since_s) {
                self.counters.push_unknown(sample.time_s - since_s);
                self.blind_s = Some(sample.time_s);
            }
            return Update { verdict, events: Vec::new() };
        }
        if self.watch.screen(&mut sample) > 0 {
            verdict.failed.push(Check::TemperatureSensor);
        }
        let groups = sample.cells_v.len();
        let renewed = self.estimator.as_ref().is_none_or(|estimator| estimator.deltas().len() != groups);
        if renewed {
            let estimator = PackEstimator::new(self.cell.clone(), self.health, groups, self.setup.parallel);
            self.estimator = Some(match self.setup.full_every_s {
                Some(every_s) => estimator.with_full(self.health, every_s),
                None => estimator,
            });
        }
        let Some(estimator) = &mut self.estimator else { return Update { verdict, events: Vec::new() } };
        let before = self.latest;
        self.latest = estimator.update(&sample).or(before);
        let events = self.watch.update(&sample, estimator);
        for event in events.iter().filter(|event| !event.over) {
            *self.faults.entry(event.kind).or_default() += 1;
        }
        self.count(&sample);
        self.last = Some(sample);
        Update { verdict, events }
    }

    /// Begins anew with the samples' time: what ages is kept, where the charge is is not.
    fn restart(&mut self) {
        self.health =
            Health { capacity_ah: self.capacity().value, resistance_factor: self.resistance().value };
        self.estimator = None;
        self.latest = None;
        self.last = None;
        self.watch.restart();
    }

    fn count(&mut self, sample: &PackSample) {
        // What flowed while no sample could be used is unknown, not what flows now.
        let since_s = self.blind_s.take().or(self.last.as_ref().map(|last| last.time_s));
        let dt_s = since_s.map_or(0.0, |since_s| sample.time_s - since_s);
        // A pack's voltage that is unknown is the sum of its cells, if all are known.
        let pack_v = if sample.voltage_v.is_finite() || sample.cells_v.len() != self.setup.series {
            sample.voltage_v
        } else {
            sample.cells_v.iter().sum()
        };
        let range = |values: &[f64]| {
            let known = values.iter().copied().filter(|value| value.is_finite());
            known.fold((f64::INFINITY, f64::NEG_INFINITY), |range, value| {
                (range.0.min(value), range.1.max(value))
            })
        };
        let cell_a = sample.current_a / self.setup.parallel as f64;
        let moment = Moment {
            cell_a,
            pack_w: sample.current_a * pack_v,
            cells_v: range(&sample.cells_v),
            temps_c: range(&sample.temps_c),
            dt_s,
        };
        self.counters.push(self.cell.params().chemistry, &moment);
        let (Some(estimate), Some(temp_c)) = (self.latest, sample.mean_temp_c()) else { return };
        let soc = estimate.mean.soc;
        self.tracker.push(&self.cell, soc, temp_c, cell_a, dt_s.min(GAP_S));
        let hours = dt_s.clamp(0.0, GAP_S) / 3_600.0;
        self.sums.hours += hours;
        self.sums.temp_c += temp_c * hours;
        self.sums.soc += soc * hours;
    }

    /// Active material of the positive electrode, as its cell's parameters have it.
    #[must_use]
    pub fn chemistry(&self) -> crate::Chemistry {
        self.cell.params().chemistry
    }

    /// Whether samples contradict chemistry or sign, so that nothing is estimated.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.refused
    }

    /// What has to outlive a restart.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory {
            capacity_ah: self.capacity().value,
            resistance_factor: self.resistance().value,
            tracker: self.tracker.clone(),
            counters: self.counters,
            faults: self.faults.clone(),
        }
    }

    /// The estimator, once a sample has come.
    #[must_use]
    pub fn estimator(&self) -> Option<&PackEstimator> {
        self.estimator.as_ref()
    }

    /// The newest sample that could be used, as it was used: a value that is its sensor's fault is no number in it.
    #[must_use]
    pub fn last(&self) -> Option<&PackSample> {
        self.last.as_ref()
    }

    /// The detectors.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }
}

#[cfg(test)]
mod tests;
