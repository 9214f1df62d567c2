//! A model and all it needs to forecast: the statuses, the network's present and past, and what to make of them.

mod store;
mod train;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use store::VERSION;
pub use train::{Held, School, probabilities, train_ours};

use crate::calibrate::Calibration;
use crate::features::{Layout, NONE, Tracker};
use crate::ids::Ids;
use crate::models::{Kind, Model as _, Trained};
use crate::samples::Seen;
use crate::{Labels, Mapping, Places};

/// A trained model with its labels, features, training period, and the state of every EVSE.
#[derive(Debug, Serialize, Deserialize)]
pub struct Forecaster {
    kind: Kind,
    model: Trained,
    calibration: Calibration,
    layout: Layout,
    /// Names of the covariates, in the layout's order.
    covariate_names: Vec<String>,
    /// Their newest values.
    covariates: Vec<f32>,
    horizons_min: Vec<u32>,
    /// Seconds since 1970.
    trained: (i64, i64),
    tracker: Tracker,
}

impl Forecaster {
    /// The model's name.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Which model.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The model itself.
    pub fn model(&self) -> &Trained {
        &self.model
    }

    /// How far it forecasts, in minutes, ascending.
    pub fn horizons_min(&self) -> &[u32] {
        &self.horizons_min
    }

    /// The statuses it knows.
    pub fn labels(&self) -> &Labels {
        &self.tracker.labels
    }

    /// The features it is given.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Names of the covariates it learnt with.
    pub fn covariates(&self) -> &[String] {
        &self.covariate_names
    }

    /// The network's present.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// The tracker, for a caller that leads it through a history.
    pub fn tracker_mut(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    /// Replaces the network's present: by one that has been led further, of the same EVSEs and horizons.
    pub fn set_tracker(&mut self, tracker: Tracker) {
        self.tracker = tracker;
    }

    /// Calibration and decision rule.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// An EVSE's index.
    pub fn evse(&self, id: &str) -> Option<usize> {
        let exact = self.tracker.ids.iter().position(|known| **known == *id);
        exact.or_else(|| Ids::new(self.tracker.ids.iter().map(|id| &**id)).find(id))
    }

    /// The training period, seconds since 1970.
    pub fn trained(&self) -> (i64, i64) {
        self.trained
    }

    /// The sampling interval in seconds.
    pub fn step_s(&self) -> i64 {
        self.tracker.step_s
    }

    /// Adds what a list of places knows of EVSEs that are not known yet.
    pub fn meet(&mut self, evses: &[std::sync::Arc<str>], places: &Places) {
        self.tracker.meet(evses, places);
    }

    /// Values of the covariates from now on, in the order of [`Forecaster::covariates`]; NaN where not known.
    pub fn set_covariates(&mut self, values: &[f32]) {
        for (known, value) in self.covariates.iter_mut().zip(values) {
            *known = *value;
        }
    }

    /// Takes one snapshot of the network, `(EVSE id, status)`. EVSEs that are not known are added and begin with the habits of
    /// their kind; a status that is not known counts as the first that means the same, or as not observed. `at`, in seconds
    /// since 1970, is put on the model's grid; a snapshot that is not newer changes nothing and returns false.
    pub fn observe(&mut self, at: i64, readings: &[(String, String)], mapping: &Mapping) -> bool {
        let step = self.step_s();
        let at = match self.tracker.at {
            Some(last) => last + (at - last).div_euclid(step) * step,
            None => at.div_euclid(step) * step,
        };
        if self.tracker.at.is_some_and(|last| at <= last) {
            return false;
        }
        let mut index: std::collections::BTreeMap<&str, usize> =
            self.tracker.ids.iter().enumerate().map(|(i, id)| (&**id, i)).collect();
        if readings.iter().any(|(id, _)| !index.contains_key(&**id)) {
            // Known by another spelling, or not at all.
            let ids = Ids::new(self.tracker.ids.iter().map(|id| &**id));
            index.extend(readings.iter().filter_map(|(id, _)| Some((id.as_str(), ids.find(id)?))));
        }
        let new: Vec<std::sync::Arc<str>> = readings
            .iter()
            .filter(|(id, _)| !index.contains_key(&**id))
            .map(|(id, _)| id.as_str().into())
            .collect();
        let mut observed = vec![NONE; self.tracker.ids.len() + new.len()];
        let mut at_end = std::collections::BTreeMap::new();
        for (id, status) in readings {
            let next = self.tracker.ids.len() + at_end.len();
            let evse =
                index.get(&**id).copied().unwrap_or_else(|| *at_end.entry(id.as_str()).or_insert(next));
            if let Some(label) = self.tracker.labels.understand(status, mapping) {
                observed[evse] = label as u8;
            }
        }
        if !new.is_empty() {
            let mut once: Vec<std::sync::Arc<str>> = Vec::new();
            let mut seen = std::collections::BTreeSet::new();
            once.extend(new.into_iter().filter(|id| seen.insert(id.clone())));
            self.tracker.meet(&once, &Places::new());
        }
        self.tracker.advance(at, &observed);
        true
    }

    /// Probabilities `horizon × label`; `None` if no status is in force.
    pub fn forecast(&self, evse: usize) -> Option<Vec<f32>> {
        let mut features = vec![0.0; self.layout.width()];
        let mut out = vec![0.0; self.layout.horizons * self.layout.classes];
        self.forecast_into(evse, &mut features, &mut out).then_some(out)
    }

    /// As [`Forecaster::forecast`], into `out`; `features` is room for one row. False if no status is in force.
    pub fn forecast_into(&self, evse: usize, features: &mut [f32], out: &mut [f32]) -> bool {
        let Some(state) = self.tracker.evses.get(evse).filter(|state| state.now != NONE) else {
            return false;
        };
        self.layout.fill(&self.tracker, evse, &self.covariates, features);
        let at = self.tracker.at.unwrap_or(0);
        self.predict(Seen { evse, now: usize::from(state.now), at, features }, out);
        true
    }

    /// Calibrated probabilities for a row.
    pub fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        self.model.predict(seen, out);
        self.calibration.apply(out);
    }

    /// Forecasts of all EVSEs, on all cores.
    pub fn forecast_all(&self) -> Vec<Option<Vec<f32>>> {
        let width = self.layout.width();
        let one = |features: &mut Vec<f32>, evse: usize| {
            let mut out = vec![0.0; self.layout.horizons * self.layout.classes];
            self.forecast_into(evse, features, &mut out).then_some(out)
        };
        let evses = 0..self.tracker.ids.len();
        evses.into_par_iter().with_min_len(32).map_init(|| vec![0.0; width], one).collect()
    }

    /// P(one can plug in) so many minutes ahead, 0..=1: between horizons interpolated, from what is in force now to the longest
    /// horizon and constant after; without a status in force, by habit.
    pub fn usable(&self, evse: usize, minutes: f64) -> f64 {
        match self.forecast(evse) {
            Some(p) => self.usable_of(evse, &p, minutes),
            None => self.usually_usable(evse, minutes),
        }
    }

    /// As [`Forecaster::usable`], of a forecast made before.
    pub fn usable_of(&self, evse: usize, p: &[f32], minutes: f64) -> f64 {
        let now = self.tracker.evses.get(evse).map_or(NONE, |state| state.now);
        let meaning = self.labels().meanings().get(usize::from(now));
        let mut before = (0.0, f64::from(u8::from(meaning.is_some_and(|meaning| meaning.usable()))));
        for (p, horizon) in p.chunks(self.layout.classes).zip(&self.horizons_min) {
            let here = (f64::from(*horizon), f64::from(self.labels().usable(p)));
            if minutes <= here.0 {
                let share = ((minutes - before.0) / (here.0 - before.0)).clamp(0.0, 1.0);
                return (before.1 + share * (here.1 - before.1)).clamp(0.0, 1.0);
            }
            before = here;
        }
        before.1.clamp(0.0, 1.0)
    }

    fn usually_usable(&self, evse: usize, minutes: f64) -> f64 {
        if evse >= self.tracker.ids.len() {
            return 0.0;
        }
        let clock = self.tracker.clock;
        let then = self.tracker.at.unwrap_or(0) + (minutes * 60.0) as i64;
        let usual = self.tracker.habits.usual(evse, clock.day_type(then), clock.half_hour(then));
        f64::from(self.labels().usable(usual)).clamp(0.0, 1.0)
    }

    /// Share of the last three days, exponentially forgotten, in which it was out of order or unknown, 0..=1. A status whose word is
    /// not understood is neither.
    pub fn faulty(&self, evse: usize) -> f64 {
        let Some(state) = self.tracker.evses.get(evse) else { return 0.0 };
        let classes = self.layout.classes;
        let (Some(shares), Some(weight)) = (state.shares.chunks(classes).last(), state.weights.last()) else {
            return 0.0;
        };
        let labels = self.labels();
        let bad = shares.iter().zip(labels.meanings()).enumerate().filter(|(label, (_, meaning))| {
            matches!(meaning, crate::Meaning::OutOfOrder | crate::Meaning::Unknown)
                && labels.understood(*label)
        });
        f64::from(bad.map(|(_, (share, _))| share).sum::<f32>() / weight.max(1.0)).clamp(0.0, 1.0)
    }

    /// Age of an EVSE's newest observation in seconds; `None` if it was never observed.
    pub fn age_s(&self, evse: usize) -> Option<i64> {
        let state = self.tracker.evses.get(evse).filter(|state| state.last != NONE)?;
        Some(self.tracker.at? - state.observed)
    }

    /// How long it stays busy, by its own record and its kind's, in minutes.
    pub fn busy_min(&self, evse: usize) -> f64 {
        let Some(state) = self.tracker.evses.get(evse) else { return 60.0 };
        let kind = usize::from(self.tracker.network.kind[evse]);
        let of_kind = &self.tracker.kind_spells[kind * self.layout.classes..][..self.layout.classes];
        let busy = |spells: &[(f32, f32)]| {
            let busy =
                spells.iter().zip(self.labels().meanings()).filter(|(_, m)| **m == crate::Meaning::Busy);
            busy.fold((0.0, 0.0), |sum, (spell, _)| (sum.0 + spell.0, sum.1 + spell.1))
        };
        let (hours, ended) = busy(of_kind);
        let usual = (hours + 1.0) / (ended + 1.0);
        let (hours, ended) = busy(&state.spells);
        f64::from(60.0 * (hours + 3.0 * usual) / (ended + 3.0))
    }
}
