//! The detectors: each makes a residual of a sample and compares it with a limit a stage.

use super::{Coverage, Debounce, Event, Kind, Plausibility, Stage};
use crate::pack::{CellDelta, PackEstimator, PackSample};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Limits of one detector: of its residual, rising, for each stage that it has.
struct Rule {
    kind: Kind,
    residual: &'static str,
    limits: &'static [(Stage, f64)],
    /// Events needed, and within how many seconds.
    debounce: (usize, f64),
}

/// Leak in C beyond which it is a short, not self-discharge: 1.2 A of 60 Ah.
const SHORT_C: f64 = 0.02;

/// Standard deviations that a difference between cells must be away from zero.
const SURE: f64 = 5.0;

/// The same for the current's offset, of which the model's errors are known better.
const OFFSET_SURE: f64 = 2.5;

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

/// Samples for which a voltage must stand still, and by how much the others must have moved, in V.
const FROZEN_SAMPLES: u32 = 60;
const MOVED_V: f64 = 0.04;

/// The same from which on a voltage is no longer believed.
const SUSPECT_SAMPLES: u32 = 4;
const SUSPECT_V: f64 = 0.006;

/// Standard deviations of capacity (relative) and leak (C) from which on a difference can be told from the other.
const CAPACITY_SD: f64 = 0.015;
const LEAK_SD_C: f64 = 0.003;

/// A finding is over after so many seconds without.
const OVER_S: f64 = 120.0;

const RULES: [Rule; 8] = [
    Rule {
        kind: Kind::InternalShort,
        residual: "charge lost within a cell (C)",
        limits: &[(Stage::Warning, SHORT_C), (Stage::Protect, 0.05)],
        debounce: (20, 60.0),
    },
    Rule {
        kind: Kind::SelfDischarge,
        residual: "charge lost within a cell (C)",
        limits: &[(Stage::Information, 0.0025), (Stage::Warning, 0.005)],
        debounce: (60, 120.0),
    },
    Rule {
        kind: Kind::ConnectionResistance,
        residual: "resistance beyond the mean cell's, relative",
        limits: &[(Stage::Information, 0.3), (Stage::Warning, 0.5), (Stage::Protect, 1.5)],
        debounce: (20, 60.0),
    },
    Rule {
        kind: Kind::CapacityOutlier,
        residual: "capacity below the mean cell's, relative",
        limits: &[(Stage::Information, 0.06), (Stage::Warning, 0.10)],
        debounce: (60, 120.0),
    },
    Rule {
        kind: Kind::SensorBias,
        residual: "offset of the current (C)",
        limits: &[(Stage::Information, 0.02), (Stage::Warning, 0.03)],
        debounce: (60, 120.0),
    },
    Rule {
        kind: Kind::SensorFreeze,
        residual: "V that the others moved while one stood still",
        limits: &[(Stage::Warning, MOVED_V)],
        debounce: (5, 30.0),
    },
    Rule {
        kind: Kind::ThermalRunaway,
        residual: "rise of temperature beyond the others' (K/min)",
        limits: &[(Stage::Warning, 2.0), (Stage::Protect, 5.0)],
        debounce: (5, 30.0),
    },
    Rule {
        kind: Kind::Insulation,
        residual: "V for each 500 Ω of insulation (UN R100: protect at 100 Ω/V)",
        limits: &[(Stage::Warning, 1.0), (Stage::Protect, 5.0)],
        debounce: (5, 30.0),
    },
];

/// Largest extent of a kind of fault so far, relative to its first limit: 1 is found. For rates against thresholds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Largest residual / first limit so far.
    pub score: f64,
    /// Which groups had it.
    pub cells: Vec<usize>,
}

struct State {
    stages: Vec<Debounce>,
    active: Option<(Stage, f64)>,
    last_s: f64,
}

/// Residual of one rule for one sample.
struct Residual {
    value: f64,
    cells: Vec<usize>,
}

/// Watches a pack.
pub struct Watch {
    states: Vec<State>,
    scores: BTreeMap<Kind, Finding>,
    temps: VecDeque<Warmth>,
    /// What current has heated a cell by so far, in J.
    heat_j: f64,
    stuck: Vec<Stuck>,
    plausibility: Plausibility,
    coverage: Coverage,
    seen_s: f64,
    last_s: Option<f64>,
}

/// Temperatures at a moment, and the heat that current has made until then.
struct Warmth {
    time_s: f64,
    temps_c: Vec<f64>,
    heat_j: f64,
    /// How far the lowest cell is below the mean one, in V.
    sag_v: f64,
}

/// A voltage that stands still.
#[derive(Clone, Copy, Default)]
struct Stuck {
    volts: f64,
    samples: u32,
    low: f64,
    high: f64,
}

impl Watch {
    /// A watch that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            states: states(),
            scores: BTreeMap::new(),
            temps: VecDeque::new(),
            heat_j: 0.0,
            stuck: Vec::new(),
            plausibility: Plausibility::default(),
            coverage: Coverage::default(),
            seen_s: 0.0,
            last_s: None,
        }
    }

    /// Begins anew where the samples' time does: nothing is compared across. What was found so far stays.
    pub fn restart(&mut self) {
        self.states = states();
        self.temps.clear();
        self.stuck.clear();
        self.plausibility = Plausibility::default();
        self.seen_s = 0.0;
        self.last_s = None;
    }

    /// Blanks voltages that stand still while the others move, before anything is estimated from them: a broken sense wire
    /// must not look like a short; and temperatures that no cell can have. Returns how many temperatures.
    pub fn screen(&mut self, sample: &mut PackSample) -> usize {
        self.stuck.resize(sample.cells_v.len(), Stuck::default());
        let mean = sample.mean_cell_v().unwrap_or(0.0);
        for (stuck, volts) in self.stuck.iter_mut().zip(&mut sample.cells_v) {
            if (stuck.volts - *volts).abs() < 1e-9 {
                stuck.samples += 1;
                stuck.low = stuck.low.min(mean);
                stuck.high = stuck.high.max(mean);
            } else {
                *stuck = Stuck { volts: *volts, samples: 0, low: mean, high: mean };
            }
            if stuck.samples >= SUSPECT_SAMPLES && stuck.high - stuck.low > SUSPECT_V {
                *volts = f64::NAN;
            }
        }
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
            Kind::InternalShort => self.leak(estimator),
            Kind::SelfDischarge => self.leak(estimator).filter(|leak| leak.value < SHORT_C),
            Kind::ConnectionResistance => worst(estimator, |cell| (cell.resistance, cell.resistance_sd)),
            Kind::CapacityOutlier => worst(estimator, |cell| (cell.capacity, cell.capacity_sd))
                .filter(|_| known(estimator, |cell| cell.capacity_sd < CAPACITY_SD)),
            Kind::SensorBias => self.offset(estimator),
            Kind::SensorFreeze => Some(self.frozen()),
            Kind::ThermalRunaway => self.rise(sample, estimator),
            Kind::Insulation => insulation(sample),
        }
    }

    fn leak(&self, estimator: &PackEstimator) -> Option<Residual> {
        // The first minutes only sort the cells.
        if self.seen_s < 300.0 || !known(estimator, |cell| cell.leak_sd_c < LEAK_SD_C) {
            return None;
        }
        worst(estimator, |cell| (-cell.leak_c, cell.leak_sd_c))
    }

    fn offset(&self, estimator: &PackEstimator) -> Option<Residual> {
        let mean = estimator.bar().latest()?;
        let sure_a = (mean.offset_a.abs() - OFFSET_SURE * mean.offset_sd_a).max(0.0);
        Some(Residual {
            // Both of one cell: how many are in parallel does not matter.
            value: if sure_a > 0.0 {
                mean.offset_a.abs() / estimator.cell().params().capacity_ah
            } else {
                0.0
            },
            cells: Vec::new(),
        })
    }

    fn frozen(&self) -> Residual {
        let mut worst = Residual { value: 0.0, cells: Vec::new() };
        for (group, stuck) in self.stuck.iter().enumerate() {
            let moved = stuck.high - stuck.low;
            if stuck.samples >= FROZEN_SAMPLES && moved > worst.value {
                worst = Residual { value: moved, cells: vec![group] };
            }
        }
        worst
    }

    /// How much faster the warmest sensor rises than its neighbours, and than current explains.
    fn rise(&mut self, sample: &PackSample, estimator: &PackEstimator) -> Option<Residual> {
        let thermal = &estimator.cell().params().thermal;
        let dt_s = self.temps.back().map_or(0.0, |last| sample.time_s - last.time_s);
        self.heat_j += estimator.loss_w(sample) * dt_s.clamp(0.0, RISE_S);
        if self.temps.back().is_some_and(|last| last.temps_c.len() != sample.temps_c.len()) {
            self.temps.clear();
        }
        let sag_v = sag_v(sample, estimator);
        let heat_j = self.heat_j;
        self.temps.push_back(Warmth {
            time_s: sample.time_s,
            temps_c: sample.temps_c.clone(),
            heat_j,
            sag_v,
        });
        let old = |warmth: &Warmth| sample.time_s - warmth.time_s >= RISE_S;
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
            .filter(|(rise, sensor)| rise.is_finite() && self.plausibility.since_s(*sensor) <= from.time_s)
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
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

fn states() -> Vec<State> {
    let state = |rule: &Rule| State {
        stages: rule.limits.iter().map(|_| Debounce::new(rule.debounce.0, rule.debounce.1)).collect(),
        active: None,
        last_s: f64::NEG_INFINITY,
    };
    RULES.iter().map(state).collect()
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

fn judge(rule: &Rule, state: &mut State, time_s: f64, residual: &Residual) -> Option<Event> {
    let mut found = None;
    for (debounce, (stage, limit)) in state.stages.iter_mut().zip(rule.limits) {
        let shows = residual.value >= *limit;
        if let Some(since_s) = debounce.push(time_s, shows) {
            found = Some((*stage, *limit, since_s));
        }
    }
    let event = |stage: Stage, over: bool, since_s: f64, limit: f64| Event {
        kind: rule.kind,
        stage,
        over,
        at_s: time_s,
        since_s,
        cells: residual.cells.clone(),
        residual: rule.residual.to_owned(),
        value: residual.value,
        limit,
    };
    match (found, state.active) {
        (Some((stage, limit, since_s)), active) => {
            state.last_s = time_s;
            let worse = active.is_none_or(|(before, _)| stage > before);
            let first_s = active.map_or(since_s, |(_, first_s)| first_s);
            if worse {
                state.active = Some((stage, first_s));
            }
            worse.then(|| event(stage, false, first_s, limit))
        }
        (None, Some((stage, since_s))) if time_s - state.last_s > OVER_S => {
            state.active = None;
            Some(event(stage, true, since_s, rule.limits[0].1))
        }
        (None, _) => None,
    }
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

fn insulation(sample: &PackSample) -> Option<Residual> {
    let ohm = sample.insulation_ohm.filter(|ohm| ohm.is_finite() && *ohm >= 0.0)?;
    let volts = Some(sample.voltage_v)
        .filter(|volts| volts.is_finite())
        .unwrap_or_else(|| sample.cells_v.iter().filter(|volts| volts.is_finite()).sum());
    Some(Residual { value: 500.0 * volts / ohm.max(1.0), cells: Vec::new() })
}
