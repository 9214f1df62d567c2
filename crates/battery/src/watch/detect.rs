//! The watch over a pack: each detector makes a residual of a sample and compares it with a limit a stage.

use super::{
    Coverage, Event, Kind, Plausibility, Stage,
    frozen::FrozenVoltages,
    residual::{self, Residual},
    rules::{RULES, SHORT_C, State, judge, states},
    warming::Warming,
};
use crate::pack::{PackEstimator, PackSample};
use serde::Serialize;
use std::collections::BTreeMap;

/// Largest extent of a kind of fault so far, relative to its first limit: 1 is found. For rates against thresholds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Largest residual / first limit so far.
    pub score: f64,
    /// Which groups had it.
    pub cells: Vec<usize>,
}

/// Watches a pack.
pub struct Watch {
    states: Vec<State>,
    scores: BTreeMap<Kind, Finding>,
    warming: Warming,
    frozen: FrozenVoltages,
    plausibility: Plausibility,
    coverage: Coverage,
    seen_s: f64,
    last_s: Option<f64>,
}

impl Watch {
    /// A watch that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            states: states(),
            scores: BTreeMap::new(),
            warming: Warming::default(),
            frozen: FrozenVoltages::default(),
            plausibility: Plausibility::default(),
            coverage: Coverage::default(),
            seen_s: 0.0,
            last_s: None,
        }
    }

    /// Begins anew where the samples' time does: nothing is compared across. What was found so far stays.
    pub fn restart(&mut self) {
        self.states = states();
        self.warming.restart();
        self.frozen.restart();
        self.plausibility = Plausibility::default();
        self.seen_s = 0.0;
        self.last_s = None;
    }

    /// Blanks voltages that stand still while the others move, before anything is estimated from them: a broken sense wire
    /// must not look like a short; and temperatures that no cell can have. Returns how many temperatures.
    pub fn screen(&mut self, sample: &mut PackSample) -> usize {
        self.frozen.screen(sample);
        self.plausibility.screen(sample.time_s, &mut sample.temps_c)
    }

    /// What could be looked for so far, and why not more.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Takes a sample that was screened and that the estimator has just taken. Returns what is new: found, worse, or over.
    pub fn update(&mut self, sample: &PackSample, estimator: &PackEstimator) -> Vec<Event> {
        let dt_s = self.last_s.map_or(0.0, |last| sample.time_s - last);
        self.last_s = Some(sample.time_s);
        self.seen_s += dt_s.clamp(0.0, 60.0);
        self.coverage.sample(sample, dt_s);
        let residuals = RULES.each_ref().map(|rule| self.residual(rule.kind, sample, estimator));
        let mut events = Vec::new();
        for ((rule, state), residual) in RULES.iter().zip(&mut self.states).zip(residuals) {
            let Some(residual) = residual else { continue };
            self.coverage.looked(rule.kind, dt_s);
            let score = residual.value / rule.limits[0].1;
            let best =
                self.scores.entry(rule.kind).or_insert_with(|| Finding { score: 0.0, cells: Vec::new() });
            if score > best.score {
                *best = Finding { score, cells: residual.cells.clone() };
            }
            events.extend(judge(rule, state, sample.time_s, &residual));
        }
        events
    }

    /// How far each kind has ever been.
    #[must_use]
    pub fn scores(&self) -> &BTreeMap<Kind, Finding> {
        &self.scores
    }

    /// What is found now and not over.
    #[must_use]
    pub fn active(&self) -> Vec<(Kind, Stage)> {
        let found = RULES.iter().zip(&self.states);
        found.filter_map(|(rule, state)| Some((rule.kind, state.active?.0))).collect()
    }

    fn residual(&mut self, kind: Kind, sample: &PackSample, estimator: &PackEstimator) -> Option<Residual> {
        match kind {
            Kind::InternalShort => residual::leak(estimator, self.seen_s),
            Kind::SelfDischarge => residual::leak(estimator, self.seen_s).filter(|leak| leak.value < SHORT_C),
            Kind::ConnectionResistance => residual::resistance(estimator),
            Kind::CapacityOutlier => residual::capacity(estimator),
            Kind::SensorBias => residual::offset(estimator),
            Kind::SensorFreeze => Some(self.frozen.residual()),
            Kind::ThermalRunaway => self.warming.rise(sample, estimator, &self.plausibility),
            Kind::Insulation => residual::insulation(sample),
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}
