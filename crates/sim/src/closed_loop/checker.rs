//! What must hold in every step, whatever goes wrong. It believes none of the cores: it reads signed commands, what a vehicle
//! says is in force, and what is on the disks.

use super::vehicle::{Taken, limits};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::{Action, Epoch, FunctionEvent};
use voltmesh_edge::commands::{Commands, Setpoints};
use voltmesh_telemetry::{Timestamp, VehicleId};

/// An event by vehicle, function, epoch and number.
pub type EventId = (VehicleId, String, (u32, u32), u64);

/// Most problems that are kept.
const MAX_PROBLEMS: usize = 20;

/// A vehicle's side.
#[derive(Default)]
struct Seen {
    /// Newest epoch of each function of a genuine command that reached the vehicle.
    newest: BTreeMap<String, Epoch>,
    /// Genuine commands by function, epoch and number.
    taken: BTreeMap<(String, Epoch, u64), Taken>,
}

/// Checks the loop.
#[derive(Default)]
pub struct Checker {
    seen: BTreeMap<VehicleId, Seen>,
    /// Events that the controller has acknowledged, with what they say.
    acknowledged: BTreeMap<EventId, FunctionEvent>,
    /// What is wrong.
    pub problems: Vec<String>,
    /// Commands that reached a vehicle, each once.
    pub commands: u64,
    /// Of those, commands that take something from the vehicle.
    pub limiting: u64,
    /// Events that came again with another content, or are on disk twice.
    pub duplicates: u64,
    /// Events that came again as they were: a session ended before their acknowledgement.
    pub again: u64,
}

impl Checker {
    fn wrong(&mut self, now: Timestamp, what: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(format!("at {} ms: {what}", now.as_millis()));
        }
    }

    /// A genuine command has reached its vehicle.
    pub fn command(&mut self, taken: Taken) {
        let seen = self.seen.entry(taken.command.vehicle.clone()).or_default();
        let newest = seen.newest.entry(taken.lease.function.clone()).or_default();
        *newest = (*newest).max(taken.lease.epoch);
        let id = (taken.lease.function.clone(), taken.lease.epoch, taken.command.number);
        let limiting = limits(&taken.command.action);
        if seen.taken.insert(id, taken).is_none() {
            self.commands += 1;
            self.limiting += u64::from(limiting);
        }
    }

    /// What a vehicle obeys now.
    pub fn vehicle(&mut self, now: Timestamp, vehicle: &VehicleId, commands: &Commands) {
        // Nothing is held, and nothing is asked of the battery.
        if commands.deadline().is_none() && commands.setpoints().is_idle() {
            return;
        }
        self.in_force(now, vehicle, &commands.view(), commands.setpoints());
    }

    /// The same as the view of its commands says it: whose commands are held, and the setpoints.
    pub fn in_force(&mut self, now: Timestamp, vehicle: &VehicleId, view: &Value, setpoints: &Setpoints) {
        let held: Vec<Value> = view["commands"].as_array().cloned().unwrap_or_default();
        let mut epochs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut actions = Vec::new();
        let mut wrong = Vec::new();
        let seen = self.seen.entry(vehicle.clone()).or_default();
        for command in &held {
            let function = command["function"].as_str().unwrap_or_default().to_owned();
            let epoch = command["epoch"].as_str().unwrap_or_default().to_owned();
            let number = command["number"].as_u64().unwrap_or_default();
            epochs.entry(function.clone()).or_default().insert(epoch.clone());
            let newest = seen.newest.get(&function).copied().unwrap_or_default();
            if newest.to_string() != epoch {
                wrong.push(format!("{vehicle} obeys {function} under lease {epoch}, after {newest}"));
            }
            match seen.taken.get(&(function.clone(), newest, number)) {
                None => {
                    wrong.push(format!("{vehicle} obeys command {number} of {function}, which nobody gave"))
                }
                Some(taken) => {
                    let ends = taken.command.expires.min(taken.lease.until);
                    if now >= ends {
                        let late = now.millis_since(ends);
                        wrong.push(format!(
                            "{vehicle} obeys command {number} of {function} {late} ms past its end"
                        ));
                    }
                    actions.push(taken.command.action.clone());
                }
            }
        }
        for (function, epochs) in epochs.iter().filter(|(_, epochs)| epochs.len() > 1) {
            wrong.push(format!("{vehicle} obeys two masters of {function}: leases {epochs:?}"));
        }
        wrong.extend(unfounded(vehicle, setpoints, &actions));
        wrong.into_iter().for_each(|what| self.wrong(now, what));
    }

    /// The controller has acknowledged an event.
    pub fn acknowledged(&mut self, now: Timestamp, event: FunctionEvent) {
        let id = id_of(&event);
        match self.acknowledged.get(&id) {
            None => {
                self.acknowledged.insert(id, event);
            }
            Some(known) if *known == event => self.again += 1,
            Some(_) => {
                self.duplicates += 1;
                self.wrong(now, format!("event {id:?} was acknowledged with another content before"));
            }
        }
    }

    /// Genuine commands that reached vehicles, each once.
    pub fn taken(&self) -> impl Iterator<Item = &Taken> {
        self.seen.values().flat_map(|seen| seen.taken.values())
    }

    /// Events that were acknowledged.
    pub fn events(&self) -> impl Iterator<Item = &FunctionEvent> {
        self.acknowledged.values()
    }

    /// At the end: what is durable on the disks of all fog nodes is there once, and acknowledged. Returns how many events are not.
    pub fn kept<'a>(
        &mut self,
        now: Timestamp,
        durable: impl Iterator<Item = (&'a str, u64, Box<FunctionEvent>)>,
    ) -> u64 {
        let (mut places, mut lost) = (BTreeMap::new(), 0);
        for (fog, position, event) in durable {
            let id = id_of(&event);
            if let Some(other) = places.insert(id.clone(), (fog, position)) {
                self.duplicates += 1;
                self.wrong(
                    now,
                    format!("event {id:?} is kept twice: at {other:?} and {:?}", (fog, position)),
                );
            }
            if self.acknowledged.get(&id) != Some(&*event) {
                lost += 1;
                self.wrong(now, format!("event {id:?}, kept by {fog}, is not what was acknowledged"));
            }
        }
        lost + self.gaps(now)
    }

    /// Numbers that are missing among the events of a lease, below the highest.
    fn gaps(&mut self, now: Timestamp) -> u64 {
        let mut numbers: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for (vehicle, function, epoch, number) in self.acknowledged.keys() {
            let (count, highest) = numbers.entry((vehicle, function, epoch)).or_default();
            *count += 1;
            *highest = (*highest).max(*number);
        }
        let gaps: Vec<_> = numbers
            .into_iter()
            .filter(|(_, (count, highest))| *count != *highest + 1)
            .map(|(of, (count, highest))| (format!("{of:?}"), highest + 1 - count))
            .collect();
        for (of, missing) in &gaps {
            self.wrong(now, format!("{missing} events of {of} are missing"));
        }
        gaps.iter().map(|(_, missing)| missing).sum()
    }
}

fn id_of(event: &FunctionEvent) -> EventId {
    (event.vehicle.clone(), event.function.clone(), event.epoch, event.number)
}

/// Setpoints that no command in force asks for.
fn unfounded(vehicle: &VehicleId, setpoints: &Setpoints, actions: &[Action]) -> Vec<String> {
    let any = |of: fn(&Action) -> bool| actions.iter().any(of);
    let derated = any(|action| matches!(action, Action::Derate(_)));
    let kinds = [
        (
            "a charge limit",
            setpoints.charge_ma.is_some(),
            derated || any(|action| matches!(action, Action::ChargeLimit(_))),
        ),
        (
            "a discharge limit",
            setpoints.discharge_ma.is_some(),
            derated || any(|action| matches!(action, Action::DischargeLimit(_))),
        ),
        (
            "a target temperature",
            setpoints.target_centidegrees.is_some(),
            any(|action| matches!(action, Action::TargetTemperature(_))),
        ),
        ("balancing", !setpoints.balance.is_empty(), any(|action| matches!(action, Action::Balance(_)))),
        (
            "a sampling rate",
            setpoints.samples_per_1000_s.is_some(),
            any(|action| matches!(action, Action::SamplingRate(_))),
        ),
        ("an end of charging", setpoints.stop_charging, any(|action| matches!(action, Action::StopCharging))),
    ];
    let without = kinds.into_iter().filter(|(_, is_set, asked)| *is_set && !asked);
    without.map(|(what, ..)| format!("{vehicle} obeys {what} that no command in force asks for")).collect()
}
