//! Assessment: follows each vehicle by its summaries and says when a condition begins and ends.

mod change;
mod level;
mod vehicle;

pub use change::{Active, Change};

use crate::rules::Rules;
use std::collections::BTreeMap;
use voltmesh_battery::Chemistry;
use voltmesh_battery::summary::Summary;
use voltmesh_telemetry::{Timestamp, VehicleId};

use vehicle::Vehicle;

/// Vehicles that are followed at most: 1.4 kB each with the shipped rules, 140 MB in all.
pub const MAX_VEHICLES: usize = 100_000;

/// Values of a summary beyond which it is absurd: no vehicle has them.
const MOST_A: f64 = 5_000.0;
const MOST_V: f64 = 5_000.0;

/// Why a summary was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// It is not after the vehicle's last one: late, or sent again.
    #[error("it is not after the last one of its vehicle")]
    Stale,
    /// It holds what no battery can have.
    #[error("it holds what no battery can have")]
    Absurd,
    /// So many vehicles are followed already.
    #[error("{MAX_VEHICLES} vehicles are followed already")]
    Full,
}

/// Follows vehicles by rules.
#[derive(Debug)]
pub struct Assessor {
    rules: Rules,
    vehicles: BTreeMap<VehicleId, Vehicle>,
    refused: BTreeMap<Refused, u64>,
}

impl Assessor {
    /// One that follows nobody yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, vehicles: BTreeMap::new(), refused: BTreeMap::new() }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Puts other rules in force. A rule of the same name that compares the same keeps what it has seen; one that is gone, or
    /// compares something else, ends its condition in silence: its limit is no longer one.
    pub fn set_rules(&mut self, rules: Rules) {
        for vehicle in self.vehicles.values_mut() {
            vehicle.take_over(&self.rules, &rules);
        }
        self.rules = rules;
    }

    /// Takes the summary of a vehicle's second, which came at `now`. Chemistry is the vehicle's, where it is known.
    ///
    /// # Errors
    /// [`Refused`], which is counted; the vehicle's state is as before.
    pub fn summary(
        &mut self,
        now: Timestamp,
        vehicle: &VehicleId,
        chemistry: Option<Chemistry>,
        summary: &Summary,
    ) -> Result<Vec<Change>, Refused> {
        self.take(now, vehicle, chemistry, summary).inspect_err(|refused| {
            *self.refused.entry(*refused).or_default() += 1;
        })
    }

    fn take(
        &mut self,
        now: Timestamp,
        id: &VehicleId,
        chemistry: Option<Chemistry>,
        summary: &Summary,
    ) -> Result<Vec<Change>, Refused> {
        if is_absurd(summary) {
            return Err(Refused::Absurd);
        }
        if !self.vehicles.contains_key(id) {
            if self.vehicles.len() >= MAX_VEHICLES {
                return Err(Refused::Full);
            }
            self.vehicles.insert(id.clone(), Vehicle::new(self.rules.len()));
        }
        let Some(vehicle) = self.vehicles.get_mut(id) else { return Err(Refused::Full) };
        if vehicle.last_s().is_some_and(|last| summary.time_s <= last) {
            return Err(Refused::Stale);
        }
        Ok(vehicle.see(&self.rules, id, now, chemistry, summary))
    }

    /// Lets time pass: what only silence shows.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Change> {
        let rules = &self.rules;
        self.vehicles.iter_mut().flat_map(|(id, vehicle)| vehicle.tick(rules, id, now)).collect()
    }

    /// What a vehicle is in, the most urgent first; nothing for one that is not followed.
    #[must_use]
    pub fn active(&self, vehicle: &VehicleId) -> Vec<Active> {
        let Some(vehicle) = self.vehicles.get(vehicle) else { return Vec::new() };
        let mut active: Vec<Active> = vehicle.active(&self.rules).collect();
        active.sort_by(|a, b| b.stage.cmp(&a.stage).then(a.condition.cmp(&b.condition)));
        active
    }

    /// Follows a vehicle no more; its next summary is its first, whatever its time. What it was in ends in silence.
    pub fn forget(&mut self, vehicle: &VehicleId) {
        self.vehicles.remove(vehicle);
    }

    /// Vehicles that are followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.vehicles.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vehicles.is_empty()
    }

    /// Summaries that were not taken, by reason.
    #[must_use]
    pub fn refused(&self) -> &BTreeMap<Refused, u64> {
        &self.refused
    }
}

/// Whether a summary holds what no battery can have: forged, or of something else.
fn is_absurd(summary: &Summary) -> bool {
    let within = |value: Option<f64>, most: f64| value.is_none_or(|value| value.abs() <= most);
    let ordered = |range: Option<voltmesh_battery::summary::Range>, least: f64, most: f64| {
        range.is_none_or(|range| {
            least <= range.lowest && range.lowest <= range.highest && range.highest <= most
        })
    };
    let fraction = |value: f64| (-0.5..=1.5).contains(&value);
    let estimates = summary.estimates.is_none_or(|estimates| {
        fraction(estimates.soc.value)
            && fraction(estimates.soc_range.0)
            && fraction(estimates.soc_range.1)
            && estimates.soc.sd >= 0.0
            && estimates.limits.charge_a >= 0.0
            && estimates.limits.discharge_a >= 0.0
    });
    !(summary.time_s.is_finite()
        && within(summary.current_a, MOST_A)
        && within(summary.voltage_v, MOST_V)
        && ordered(summary.cells_v, -1.0, 10.0)
        && ordered(summary.temps_c, -100.0, 1_000.0)
        && summary.insulation_ohm.is_none_or(|ohm| ohm >= 0.0)
        && estimates)
}

#[cfg(test)]
mod tests;
