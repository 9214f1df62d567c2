//! One decision: what was known, what was possible, what was chosen, what was expected and what came of it.

use crate::Condition;
use crate::assess::Change;
use serde::{Deserialize, Serialize};
use voltmesh_battery::watch::Stage;
use voltmesh_telemetry::VehicleId;

/// Standard deviations of the intervals that decisions state: two-sided 95 %.
const INTERVAL: f64 = 1.96;

/// What was chosen, or could have been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "choice")]
pub enum Choice {
    /// A function runs for the vehicle.
    Run {
        /// Which.
        function: String,
        /// On which fog node.
        node: String,
    },
    /// It ends.
    End {
        /// Which.
        function: String,
    },
    /// It runs on another fog node.
    Move {
        /// Which.
        function: String,
        /// Where it ran.
        from: String,
        /// Where it runs.
        to: String,
    },
    /// Another function does its work.
    Replace {
        /// Which.
        function: String,
        /// By which.
        by: String,
    },
    /// It acts more strongly or gently: numbers of its configuration change.
    Tune {
        /// Which.
        function: String,
        /// Strength before: steps from the policy's configuration.
        from: i32,
        /// Strength after.
        to: i32,
        /// Each number that changes: key, before, after.
        values: Vec<(String, f64, f64)>,
    },
    /// Nothing is done.
    Nothing,
}

impl Choice {
    /// The function that it is about.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        match self {
            Self::Run { function, .. }
            | Self::End { function }
            | Self::Move { function, .. }
            | Self::Replace { function, .. }
            | Self::Tune { function, .. } => Some(function),
            Self::Nothing => None,
        }
    }

    /// What brings back how it was; nothing where there is no such choice.
    #[must_use]
    pub fn reversed(&self) -> Option<Self> {
        Some(match self {
            Self::Run { function, .. } => Self::End { function: function.clone() },
            Self::Move { function, from, to } => {
                Self::Move { function: function.clone(), from: to.clone(), to: from.clone() }
            }
            Self::Replace { function, by } => Self::Replace { function: by.clone(), by: function.clone() },
            Self::Tune { function, from, to, values } => {
                let values = values.iter().map(|(key, old, new)| (key.clone(), *new, *old)).collect();
                Self::Tune { function: function.clone(), from: *to, to: *from, values }
            }
            // Where it ran is for placement to say.
            Self::End { function } => Self::Run { function: function.clone(), node: String::new() },
            Self::Nothing => return None,
        })
    }
}

/// A number that a decision was made of, with its 95 % interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// What it is of.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What it was compared with, if anything.
    pub limit: Option<f64>,
    /// Its unit.
    pub unit: String,
}

/// What a decision was made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inputs {
    /// The vehicle's condition; none where none was the cause.
    pub condition: Option<Condition>,
    /// How urgent it was.
    pub stage: Option<Stage>,
    /// Whether the condition had ended.
    pub over: bool,
    /// Numbers.
    pub values: Vec<Value>,
}

impl From<&Change> for Inputs {
    fn from(change: &Change) -> Self {
        let value = change.quantity.zip(change.value).map(|(quantity, value)| {
            let away = INTERVAL * change.sd.unwrap_or(0.0);
            Value {
                name: quantity.name().to_owned(),
                value,
                low: value - away,
                high: value + away,
                limit: change.limit,
                unit: quantity.unit().to_owned(),
            }
        });
        Self {
            condition: Some(change.condition),
            stage: Some(change.stage),
            over: change.over,
            values: value.into_iter().collect(),
        }
    }
}

/// What could have been chosen instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// What.
    pub what: Choice,
    /// Its cost in points of the placement, where it is known.
    pub cost: Option<u64>,
    /// Why it was not chosen.
    pub why_not: String,
}

/// What a decision does, or did, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Effect {
    /// Whether the condition ends.
    pub condition_ends: Option<bool>,
    /// After how many seconds.
    pub after_s: Option<f64>,
    /// Minutes by which charging takes longer.
    pub charge_min: Option<f64>,
    /// Energy that heating, cooling and bleeding take, in kWh.
    pub energy_kwh: Option<f64>,
    /// Round trip between vehicle and function in ms.
    pub round_trip_ms: Option<f64>,
}

/// Who may act on a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A person who runs the system.
    Operator,
    /// The controller itself, by what it learns.
    Controller,
}

/// That a decision is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undone {
    /// By whom: the name of a person, or of the controller.
    pub by: String,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// Why, in their words.
    pub why: String,
}

/// A decision before it has a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Which vehicle it is about; none for what is about all.
    pub vehicle: Option<VehicleId>,
    /// What it was made of.
    pub inputs: Inputs,
    /// Which rule, policy entry or law of learning it follows.
    pub rule: String,
    /// What else was possible, the best first.
    pub alternatives: Vec<Alternative>,
    /// What was chosen.
    pub chosen: Choice,
    /// Its cost in points of the placement, where it is known.
    pub cost: Option<u64>,
    /// What it is to do.
    pub expected: Effect,
    /// Who may undo it.
    pub may_undo: Vec<Who>,
}

/// Decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Ascending from 1, without gaps.
    pub number: u64,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// Which vehicle it is about; none for what is about all.
    pub vehicle: Option<VehicleId>,
    /// What it was made of.
    pub inputs: Inputs,
    /// Which rule, policy entry or law of learning it follows.
    pub rule: String,
    /// What else was possible, the best first.
    pub alternatives: Vec<Alternative>,
    /// What was chosen.
    pub chosen: Choice,
    /// Its cost in points of the placement, where it is known.
    pub cost: Option<u64>,
    /// What it is to do.
    pub expected: Effect,
    /// What it did; none as long as nothing came back.
    pub actual: Option<Effect>,
    /// Who may undo it.
    pub may_undo: Vec<Who>,
    /// That it is undone.
    pub undone: Option<Undone>,
}
