//! What fog nodes see: checked, then given to the assessor.

use std::collections::BTreeSet;
use voltmesh_battery::Chemistry;
use voltmesh_battery::summary::Summary;
use voltmesh_control::{CLOCK_TOLERANCE_MS, Room, Summaries, VehicleSummary};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::Controller;
use super::vehicle::{SET_BACK, Sight, Vehicle};
use super::vocabulary::{Output, Refusal};
use crate::assess;

/// Names of capabilities of a fog node at most.
const MOST_CAPABILITIES: usize = 32;
/// Longest name of a capability in bytes.
const MOST_NAME: usize = 64;
/// Most vehicles of one message: as many as a fog node has sessions.
const MOST_VEHICLES: usize = 4_096;

impl Controller {
    /// Takes the summaries of a fog node's second.
    pub(super) fn summaries(
        &mut self,
        now: Timestamp,
        fog: &str,
        summaries: Summaries<Summary>,
        out: &mut Vec<Output>,
    ) {
        let Some(node) = self.nodes.get_mut(fog).filter(|node| node.connected) else { return };
        let off = now.as_millis().abs_diff(summaries.at_ms);
        let why = if off > CLOCK_TOLERANCE_MS {
            Some(Refusal::Clock(CLOCK_TOLERANCE_MS))
        } else if node.at_ms.is_some_and(|last| summaries.at_ms <= last) {
            Some(Refusal::Stale)
        } else {
            absurd(&summaries).map(Refusal::Absurd)
        };
        if let Some(why) = why {
            self.refuse(fog, why, out);
            return;
        }
        let was_alive = node.is_alive(now);
        node.at_ms = Some(summaries.at_ms);
        node.heard = now;
        node.given_up = false;
        node.room = summaries.room;
        let named: BTreeSet<VehicleId> =
            summaries.vehicles.iter().map(|vehicle| vehicle.vehicle.clone()).collect();
        let before = std::mem::replace(&mut node.vehicles, named);
        self.counters.messages += 1;
        let gone: Vec<VehicleId> = before
            .into_iter()
            .filter(|id| self.nodes.get(fog).is_some_and(|node| !node.vehicles.contains(id)))
            .collect();
        for id in gone {
            self.sees(now, fog, &id, Sight { connected: false, round_trip_us: None, came: now });
        }
        for vehicle in summaries.vehicles {
            self.vehicle_summary(now, fog, vehicle, out);
        }
        if !was_alive {
            let here = self.nodes.get(fog).map(|node| node.vehicles.clone()).unwrap_or_default();
            self.changed.extend(here);
        }
    }

    fn vehicle_summary(
        &mut self,
        now: Timestamp,
        fog: &str,
        seen: VehicleSummary<Summary>,
        out: &mut Vec<Output>,
    ) {
        let VehicleSummary { vehicle: id, connected, round_trip_us, chemistry, summary } = seen;
        if !self.vehicles.contains_key(&id) && self.vehicles.len() >= assess::MAX_VEHICLES {
            self.refuse(fog, Refusal::Absurd("more vehicles than are followed"), out);
            return;
        }
        self.sees(now, fog, &id, Sight { connected, round_trip_us, came: now });
        let known = chemistry.as_deref().and_then(parse_chemistry);
        let Some(vehicle) = self.vehicles.get_mut(&id) else { return };
        if known.is_some() && known != vehicle.chemistry {
            vehicle.chemistry = known;
            self.changed.insert(id.clone());
        }
        let Some(summary) = summary else { return };
        match self.assessor.summary(now, &id, vehicle.chemistry, &summary) {
            Ok(changes) => {
                (vehicle.newest, vehicle.stale) = (Some(summary), 0);
                self.counters.summaries += 1;
                for change in changes {
                    self.condition(now, change, out);
                }
            }
            Err(assess::Refused::Stale) => {
                // The same second from a second fog node is no wonder; half a minute of them is a clock that was set back, or was
                // ahead: the vehicle is followed anew.
                vehicle.stale += 1;
                if vehicle.stale >= SET_BACK && vehicle.is_at(fog) {
                    vehicle.stale = 0;
                    self.assessor.forget(&id);
                    self.changed.insert(id);
                }
                *self.counters.refused.entry("summary_stale").or_default() += 1;
            }
            Err(assess::Refused::Absurd) => {
                self.refuse(fog, Refusal::Absurd("a summary that no battery can have"), out);
            }
            Err(assess::Refused::Full) => {
                self.refuse(fog, Refusal::Absurd("more vehicles than are followed"), out);
            }
        }
    }

    /// A fog node sees a vehicle, or does not any more.
    fn sees(&mut self, now: Timestamp, fog: &str, id: &VehicleId, sight: Sight) {
        let groups = &self.settings.groups;
        let vehicle = self.vehicles.entry(id.clone()).or_insert_with(|| {
            let of = groups.iter().filter(|(_, vehicles)| vehicles.contains(id));
            Vehicle::new(now, of.map(|(group, _)| group.clone()).collect())
        });
        vehicle.seen = now;
        let before = vehicle.sights.insert(fog.to_owned(), sight);
        if before.is_none_or(|before| before.connected != sight.connected) {
            self.changed.insert(id.clone());
        }
    }

    /// A vehicle's condition begins or ends.
    pub(super) fn condition(&mut self, now: Timestamp, change: assess::Change, out: &mut Vec<Output>) {
        if change.over {
            self.counters.conditions_ended += 1;
        } else {
            self.counters.conditions_begun += 1;
        }
        self.changed.insert(change.vehicle.clone());
        self.tell_condition(now, &change, out);
        self.learn_from_condition(now, &change, out);
        self.history.condition(now, change.clone());
        out.push(Output::Condition(change));
    }

    pub(super) fn refuse(&mut self, fog: &str, why: Refusal, out: &mut Vec<Output>) {
        *self.counters.refused.entry(why.name()).or_default() += 1;
        out.push(Output::Refused { fog: fog.to_owned(), why });
    }
}

fn parse_chemistry(text: &str) -> Option<Chemistry> {
    match text {
        "nmc" => Some(Chemistry::Nmc),
        "nca" => Some(Chemistry::Nca),
        "lfp" => Some(Chemistry::Lfp),
        _ => None,
    }
}

/// What cannot be in a message.
fn absurd(summaries: &Summaries<Summary>) -> Option<&'static str> {
    let Room { instances, most_instances, load, capabilities } = &summaries.room;
    let distinct: BTreeSet<&VehicleId> = summaries.vehicles.iter().map(|vehicle| &vehicle.vehicle).collect();
    if summaries.vehicles.len() > MOST_VEHICLES {
        Some("more than 4,096 vehicles")
    } else if distinct.len() != summaries.vehicles.len() {
        Some("a vehicle twice")
    } else if !load.is_finite() || *load < 0.0 {
        Some("a load that is no number from 0 on")
    } else if instances > most_instances {
        Some("more instances than may run")
    } else if capabilities.len() > MOST_CAPABILITIES
        || capabilities.iter().any(|name| name.is_empty() || name.len() > MOST_NAME)
    {
        Some("capabilities beyond 32 names of 1 to 64 bytes")
    } else {
        None
    }
}
