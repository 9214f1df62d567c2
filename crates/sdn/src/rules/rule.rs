//! One rule, its bounds, and what can be wrong with it.

use crate::{Condition, Quantity};
use serde::{Deserialize, Serialize};
use voltmesh_battery::Chemistry;
use voltmesh_battery::watch::{Kind, Stage};

/// Most bytes of a rule file: 256 KiB, several times what [`MAX_RULES`] need.
pub const MAX_RULES_BYTES: usize = 256 << 10;

/// Most rules: each costs every vehicle 48 bytes, 256 of them for 100,000 vehicles 1.2 GB; the shipped file has a tenth.
pub const MAX_RULES: usize = 256;

/// Most summaries that a rule looks back on: the bits of a word.
pub const MAX_SHOWN: u8 = 64;

/// Confidence that a value is beyond its limit, where a rule states none: two-sided 90 %.
pub(super) const CONFIDENCE: f64 = 0.95;

/// Error of a rule file, with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is larger than a rule file may be.
    #[error("the rules are {0} bytes; at most {MAX_RULES_BYTES} are read")]
    TooLarge(usize),
    /// It is not the TOML that rules are.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A rule contradicts itself or another one, or says nothing.
    #[error("line {line}: rule `{rule}`: {reason}")]
    Rule {
        /// Line, from 1.
        line: usize,
        /// Its name.
        rule: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

/// What flows while a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum While {
    /// Current into the pack, more than what a sensor's offset and a vehicle at rest can be.
    Charging,
    /// Current out of it.
    Discharging,
}

/// What a rule compares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trigger {
    /// A quantity with a limit that it must exceed.
    Above {
        /// Which.
        quantity: Quantity,
        /// The limit.
        limit: f64,
        /// Where it must be below again for the condition to end.
        clear: f64,
    },
    /// A quantity with a limit that it must fall below.
    Below {
        /// Which.
        quantity: Quantity,
        /// The limit.
        limit: f64,
        /// Where it must be above again for the condition to end.
        clear: f64,
    },
    /// A finding of the twin's detectors, of this stage or a more urgent one.
    Found {
        /// Which fault.
        kind: Kind,
        /// Its least stage.
        least: Stage,
    },
}

/// Rule: when a vehicle is in a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name, of which there is one.
    pub name: String,
    /// What is then the case.
    pub condition: Condition,
    /// How urgent that is.
    pub stage: Stage,
    /// Chemistries that it is for; all if it names none.
    pub chemistries: Vec<Chemistry>,
    /// What it compares.
    pub trigger: Trigger,
    /// What must flow meanwhile.
    pub while_: Option<While>,
    /// Probability, 0.5..1, with which the value must be beyond its limit.
    pub confidence: f64,
    /// Standard deviations that a value must be beyond its limit: the normal quantile of the confidence.
    pub sure: f64,
    /// So many of the last so many summaries must show it.
    pub shown: (u8, u8),
}

impl Rule {
    /// Whether it is for vehicles of that chemistry. An unknown one is only held to rules that are for all.
    #[must_use]
    pub fn is_for(&self, chemistry: Option<Chemistry>) -> bool {
        self.chemistries.is_empty()
            || chemistry.is_some_and(|chemistry| self.chemistries.contains(&chemistry))
    }
}

/// Quantile of the standard normal distribution for a probability of 0.5 to 1, by the rational approximation 26.2.23 of
/// Abramowitz and Stegun, Handbook of Mathematical Functions, 1964 (error below 4.5e-4).
pub(super) fn normal_quantile(probability: f64) -> f64 {
    let t = (-2.0 * (1.0 - probability.clamp(0.5, 1.0 - 1e-12)).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    (t - above / below).max(0.0)
}
