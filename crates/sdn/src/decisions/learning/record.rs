//! What is remembered of one function of one vehicle.

use crate::Condition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use voltmesh_telemetry::VehicleId;

/// Records that are kept: six functions of 100,000 vehicles, some 250 B each, 150 MB.
pub const MAX_RECORDS: usize = 600_000;

/// Largest numbers of an outcome that can be: a year in s, a day of charging in min, ten full packs in kWh.
const MOST_AFTER_S: f64 = 31_536_000.0;
const MOST_CHARGE_MIN: f64 = 1_440.0;
const MOST_ENERGY_KWH: f64 = 1_000.0;

/// What came of a function in one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// Condition for which it ran.
    pub condition: Condition,
    /// Seconds after which the condition ended; none if it did not while the function ran, or not in the time that was given it.
    pub ended_after_s: Option<f64>,
    /// Minutes by which charging took longer.
    pub charge_min: f64,
    /// Energy that it took, in kWh.
    pub energy_kwh: f64,
}

impl Outcome {
    /// Whether its numbers can be.
    pub(super) fn is_sensible(&self) -> bool {
        self.ended_after_s.is_none_or(|after| (0.0..=MOST_AFTER_S).contains(&after))
            && (0.0..=MOST_CHARGE_MIN).contains(&self.charge_min)
            && (0.0..=MOST_ENERGY_KWH).contains(&self.energy_kwh)
    }
}

/// Outcomes since the last change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// After which the condition had ended.
    pub helped: u32,
    /// After which it had not.
    pub failed: u32,
    /// Sum of the minutes by which charging took longer.
    pub charge_min: f64,
    /// Sum of the energy in kWh.
    pub energy_kwh: f64,
}

impl Evidence {
    /// All of them.
    #[must_use]
    pub fn outcomes(&self) -> u32 {
        self.helped + self.failed
    }

    /// Minutes of charging that one costs.
    #[must_use]
    pub fn mean_charge_min(&self) -> f64 {
        self.charge_min / f64::from(self.outcomes().max(1))
    }
}

/// Whether a vehicle's function runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "standing")]
pub enum Standing {
    /// It does where the policy wants it.
    #[default]
    Runs,
    /// Another does its work.
    Replaced {
        /// Which.
        by: String,
    },
    /// It does not.
    Withdrawn,
}

/// How a function has done in one condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worked {
    /// Outcomes after which the condition had ended.
    pub helped: u32,
    /// And had not.
    pub failed: u32,
    /// Sum of the seconds until it ended.
    pub seconds: f64,
}

impl Worked {
    /// Chance that it helps next time, by Laplace's rule of succession.
    #[must_use]
    pub fn chance(&self) -> f64 {
        (f64::from(self.helped) + 1.0) / (f64::from(self.helped) + f64::from(self.failed) + 2.0)
    }

    /// Mean seconds until the condition ended; none if it never did.
    #[must_use]
    pub fn mean_s(&self) -> Option<f64> {
        (self.helped > 0).then(|| self.seconds / f64::from(self.helped))
    }
}

/// What is remembered of one function of one vehicle.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub evidence: Evidence,
    pub strength: i32,
    pub standing: Standing,
    /// Whether somebody has undone a step, so that it does not change by itself.
    pub held: bool,
    by_condition: BTreeMap<Condition, Worked>,
}

impl Record {
    pub fn take(&mut self, outcome: &Outcome) {
        let worked = self.by_condition.entry(outcome.condition).or_default();
        match outcome.ended_after_s {
            Some(after) => {
                self.evidence.helped = self.evidence.helped.saturating_add(1);
                worked.helped = worked.helped.saturating_add(1);
                worked.seconds += after;
            }
            None => {
                self.evidence.failed = self.evidence.failed.saturating_add(1);
                worked.failed = worked.failed.saturating_add(1);
            }
        }
        self.evidence.charge_min += outcome.charge_min;
        self.evidence.energy_kwh += outcome.energy_kwh;
    }

    pub fn worked(&self, condition: Condition) -> Worked {
        self.by_condition.get(&condition).copied().unwrap_or_default()
    }
}
