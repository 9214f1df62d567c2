//! Limits of each detector, and when a residual beyond them is an event.

use super::{Debounce, Event, Kind, Stage, frozen::MOVED_V, residual::Residual};

/// Limits of one detector: of its residual, rising, for each stage that it has.
pub(super) struct Rule {
    pub kind: Kind,
    residual: &'static str,
    pub limits: &'static [(Stage, f64)],
    /// Events needed, and within how many seconds.
    debounce: (usize, f64),
}

/// Leak in C beyond which it is a short, not self-discharge: 1.2 A of 60 Ah.
pub(super) const SHORT_C: f64 = 0.02;

/// A finding is over after so many seconds without.
const OVER_S: f64 = 120.0;

/// All detectors.
pub(super) const RULES: [Rule; 8] = [
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

/// Finding of one detector that is not over.
pub(super) struct State {
    stages: Vec<Debounce>,
    pub active: Option<(Stage, f64)>,
    last_s: f64,
}

/// Of all detectors, nothing found.
pub(super) fn states() -> Vec<State> {
    let state = |rule: &Rule| State {
        stages: rule.limits.iter().map(|_| Debounce::new(rule.debounce.0, rule.debounce.1)).collect(),
        active: None,
        last_s: f64::NEG_INFINITY,
    };
    RULES.iter().map(state).collect()
}

/// Takes the residual of a sample. Returns what is new: found, worse, or over.
pub(super) fn judge(rule: &Rule, state: &mut State, time_s: f64, residual: &Residual) -> Option<Event> {
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
