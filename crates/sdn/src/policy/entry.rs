//! Entry of a policy, and which vehicles it is for.

use super::wanted::{Battery, VehicleFacts};
use crate::Condition;
use crate::assess::Active;
use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_battery::Chemistry;
use voltmesh_battery::watch::Stage;

/// Entry of a policy: who gets which functions, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its name, of which there is one.
    pub name: String,
    /// The condition that calls for it; none: always.
    pub condition: Option<Condition>,
    /// From which stage on.
    pub least: Stage,
    /// Chemistries that it is for; all if it names none.
    pub chemistries: Vec<Chemistry>,
    /// Groups of vehicles that it is for; all if it names none.
    pub groups: Vec<String>,
    /// The functions.
    pub functions: Vec<String>,
    /// Their priority here, 0..100, where it is not the functions' own.
    pub priority: Option<u8>,
    /// What their configuration has otherwise here, by function.
    pub configuration: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
}

/// Batteries of the vehicles that do not say it themselves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownBattery {
    /// Chemistries that it is for; all if it names none.
    pub chemistries: Vec<Chemistry>,
    /// Groups of vehicles that it is for; all if it names none.
    pub groups: Vec<String>,
    /// What is known.
    pub battery: Battery,
}

impl KnownBattery {
    /// Whether a vehicle's battery is one of these.
    pub(super) fn is_of(&self, facts: &VehicleFacts) -> bool {
        is_for(&self.chemistries, &self.groups, facts)
    }
}

/// Whether a vehicle has one of the chemistries and is in one of the groups; an empty list stands for all.
fn is_for(chemistries: &[Chemistry], groups: &[String], facts: &VehicleFacts) -> bool {
    let chemistry =
        chemistries.is_empty() || facts.chemistry.is_some_and(|chemistry| chemistries.contains(&chemistry));
    chemistry && (groups.is_empty() || groups.iter().any(|group| facts.groups.contains(group)))
}

impl Entry {
    /// Whether it is for a vehicle, in some condition.
    pub(super) fn is_of(&self, facts: &VehicleFacts) -> bool {
        is_for(&self.chemistries, &self.groups, facts)
    }

    /// The condition, among those that a vehicle is in, which calls for this entry: the most urgent.
    pub(super) fn called_by<'a>(
        &self,
        facts: &VehicleFacts,
        active: &'a [Active],
    ) -> Option<Option<&'a Active>> {
        if !self.is_of(facts) {
            return None;
        }
        let Some(condition) = self.condition else { return Some(None) };
        let calls =
            active.iter().filter(|active| active.condition == condition && active.stage >= self.least);
        // Ties by the rule's name, so that the order of `active` does not matter.
        calls.max_by(|a, b| a.stage.cmp(&b.stage).then_with(|| b.rule.cmp(&a.rule))).map(Some)
    }
}
