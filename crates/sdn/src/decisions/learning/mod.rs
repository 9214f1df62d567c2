//! Learning: from what came of functions to how strongly they act, and whether another does better.
//!
//! Laws, each with a test: no tuned number leaves its bounds; without evidence nothing changes; one more failure never makes a
//! function act more gently; undoing a step brings back what was.

mod record;
mod strength;

pub use record::{Evidence, MAX_RECORDS, Outcome, Standing, Worked};
pub use strength::{at_strength, range};

use crate::Condition;
use crate::policy::{Function, Policy, Wanted};
use record::Record;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use voltmesh_telemetry::VehicleId;

/// Outcomes after which a function without tuned numbers is looked at.
pub const WINDOW: u32 = 5;

/// Mean cost in minutes of charging above which a function that always helps is let act more gently.
pub const COSTLY_MIN: f64 = 2.0;

/// What changes for a vehicle's function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Adaptation {
    /// It acts more strongly (upwards) or more gently: steps from the policy's configuration.
    Strength {
        /// Before.
        from: i32,
        /// After.
        to: i32,
    },
    /// Another function takes its place.
    Replaced {
        /// Which.
        by: String,
    },
    /// It is withdrawn.
    Withdrawn,
}

/// A step of learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// What changes.
    pub adaptation: Adaptation,
    /// What it rests on.
    pub evidence: Evidence,
}

/// Why a step cannot be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUndone {
    /// The function is not as the step left it: a later one is to be undone first.
    #[error("the function is not as this step left it: undo the later one first")]
    LaterStands,
    /// Nothing is known of it.
    #[error("nothing is known of this function of the vehicle")]
    Unknown,
}

/// What is learned of every vehicle's functions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learning {
    vehicles: BTreeMap<VehicleId, BTreeMap<String, Record>>,
    records: usize,
    /// Outcomes that were not learned from, since [`MAX_RECORDS`] are kept.
    pub dropped: u64,
}

impl Learning {
    /// One that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an outcome; returns the step that it leads to, which is in force at once. An outcome with an absurd number, or of a
    /// function that the policy does not know, changes nothing.
    pub fn outcome(&mut self, policy: &Policy, outcome: &Outcome) -> Option<Step> {
        let function = policy.function(&outcome.function)?;
        if !outcome.is_sensible() {
            return None;
        }
        let record = self.record(&outcome.vehicle, &outcome.function)?;
        record.take(outcome);
        let window = function.tune.iter().map(|tune| tune.evidence).max().unwrap_or(WINDOW);
        if record.standing != Standing::Runs || record.evidence.outcomes() < window {
            return None;
        }
        let evidence = std::mem::take(&mut record.evidence);
        if record.held {
            return None;
        }
        let (least, most) = range(&function.tune, &function.configuration);
        let from = record.strength.clamp(least, most);
        let adaptation = if 2 * evidence.failed >= evidence.outcomes() {
            if from < most {
                Adaptation::Strength { from, to: from + 1 }
            } else {
                self.without(policy, function, outcome)?
            }
        } else if evidence.failed == 0 && evidence.mean_charge_min() > COSTLY_MIN && from > least {
            Adaptation::Strength { from, to: from - 1 }
        } else {
            return None;
        };
        let record = self.record(&outcome.vehicle, &outcome.function)?;
        match &adaptation {
            Adaptation::Strength { to, .. } => record.strength = *to,
            Adaptation::Replaced { by } => record.standing = Standing::Replaced { by: by.clone() },
            Adaptation::Withdrawn => record.standing = Standing::Withdrawn,
        }
        Some(Step {
            vehicle: outcome.vehicle.clone(),
            function: outcome.function.clone(),
            adaptation,
            evidence,
        })
    }

    /// What is done about a function that does not help however strongly it acts.
    fn without(&self, policy: &Policy, function: &Function, outcome: &Outcome) -> Option<Adaptation> {
        let records = self.vehicles.get(&outcome.vehicle);
        let stands = |name: &str| {
            records
                .and_then(|records| records.get(name))
                .is_none_or(|record| record.standing == Standing::Runs)
        };
        let mut others: Vec<&String> =
            function.instead.iter().filter(|name| policy.function(name).is_some() && stands(name)).collect();
        // What has worked for this vehicle comes first; the policy's order decides the rest.
        let condition = outcome.condition;
        let worked = |name: &str| {
            let record = records.and_then(|records| records.get(name));
            record.map_or(0.5, |record| record.worked(condition).chance())
        };
        others.sort_by(|a, b| worked(b).total_cmp(&worked(a)));
        match others.first() {
            Some(by) => Some(Adaptation::Replaced { by: (*by).clone() }),
            None => function.withdraw.then_some(Adaptation::Withdrawn),
        }
    }

    /// Takes back a step that is in force. The function is held from then on: it changes again only after [`Self::release`].
    ///
    /// # Errors
    /// [`NotUndone`]; nothing has changed then.
    pub fn undo(&mut self, step: &Step) -> Result<(), NotUndone> {
        let records = self.vehicles.get_mut(&step.vehicle);
        let record = records.and_then(|records| records.get_mut(&step.function)).ok_or(NotUndone::Unknown)?;
        match &step.adaptation {
            Adaptation::Strength { from, to } if record.strength == *to => record.strength = *from,
            Adaptation::Replaced { by } if record.standing == (Standing::Replaced { by: by.clone() }) => {
                record.standing = Standing::Runs;
            }
            Adaptation::Withdrawn if record.standing == Standing::Withdrawn => {
                record.standing = Standing::Runs;
            }
            _ => return Err(NotUndone::LaterStands),
        }
        record.held = true;
        record.evidence = Evidence::default();
        Ok(())
    }

    /// Lets a function change by itself again. Returns whether it was held.
    pub fn release(&mut self, vehicle: &VehicleId, function: &str) -> bool {
        let records = self.vehicles.get_mut(vehicle);
        let Some(record) = records.and_then(|records| records.get_mut(function)) else { return false };
        std::mem::take(&mut record.held)
    }

    /// What a vehicle is to have, after what is learned of it: numbers tuned, functions replaced or withdrawn. Each function once.
    #[must_use]
    pub fn apply(&self, policy: &Policy, wanted: Vec<Wanted>) -> Vec<Wanted> {
        let mut adapted: BTreeMap<(VehicleId, String), Wanted> = BTreeMap::new();
        for mut one in wanted {
            // Replacements may be replaced in turn; each function stands for one at most, so the way has an end.
            for _ in 0..=policy.functions().count() {
                match self.standing(&one.vehicle, &one.function) {
                    Standing::Replaced { by } => match policy.function(by) {
                        Some(function) => one = replaced(one, function),
                        None => break,
                    },
                    _ => break,
                }
            }
            if *self.standing(&one.vehicle, &one.function) != Standing::Runs {
                continue;
            }
            self.tune(policy, &mut one);
            let key = (one.vehicle.clone(), one.function.clone());
            match adapted.get_mut(&key) {
                Some(other) => {
                    other.priority = other.priority.max(one.priority);
                    other.reasons.extend(one.reasons);
                }
                None => {
                    adapted.insert(key, one);
                }
            }
        }
        adapted.into_values().collect()
    }

    fn tune(&self, policy: &Policy, wanted: &mut Wanted) {
        let Some(function) = policy.function(&wanted.function) else { return };
        let strength = self.strength(&wanted.vehicle, &wanted.function);
        if strength == 0 {
            return;
        }
        for (key, value) in at_strength(&function.tune, &wanted.configuration, strength) {
            wanted.configuration.insert(key, value.into());
        }
    }

    /// How strongly a vehicle's function acts: steps from the policy's configuration.
    #[must_use]
    pub fn strength(&self, vehicle: &VehicleId, function: &str) -> i32 {
        self.known(vehicle, function).map_or(0, |record| record.strength)
    }

    /// Whether a vehicle's function runs, or is replaced or withdrawn.
    #[must_use]
    pub fn standing(&self, vehicle: &VehicleId, function: &str) -> &Standing {
        self.known(vehicle, function).map_or(&Standing::Runs, |record| &record.standing)
    }

    /// Functions that were tried on a vehicle in a condition with what came of them, the best first.
    #[must_use]
    pub fn worked(&self, vehicle: &VehicleId, condition: Condition) -> Vec<(&str, Worked)> {
        let records = self.vehicles.get(vehicle).into_iter().flatten();
        let mut worked: Vec<(&str, Worked)> = records
            .map(|(function, record)| (function.as_str(), record.worked(condition)))
            .filter(|(_, worked)| worked.helped + worked.failed > 0)
            .collect();
        worked.sort_by(|a, b| b.1.chance().total_cmp(&a.1.chance()));
        worked
    }

    fn known(&self, vehicle: &VehicleId, function: &str) -> Option<&Record> {
        self.vehicles.get(vehicle)?.get(function)
    }

    /// The record of a vehicle's function, new where there is none; nothing where so many are kept.
    fn record(&mut self, vehicle: &VehicleId, function: &str) -> Option<&mut Record> {
        if self.known(vehicle, function).is_none() {
            if self.records >= MAX_RECORDS {
                self.dropped += 1;
                return None;
            }
            self.records += 1;
        }
        Some(self.vehicles.entry(vehicle.clone()).or_default().entry(function.to_owned()).or_default())
    }
}

/// Another function for the same reasons.
fn replaced(wanted: Wanted, function: &Function) -> Wanted {
    Wanted {
        function: function.name.clone(),
        configuration: function.configuration.clone(),
        latency: function.latency,
        load_ppm: function.load_ppm,
        memory_mib: function.memory_mib,
        capabilities: function.capabilities.clone(),
        apart_from: function.apart_from.clone(),
        bounds: function.bounds,
        commands_per_min: function.commands_per_min,
        ..wanted
    }
}

#[cfg(test)]
mod tests;
