//! What a vehicle is to have, and where: the policy's selection, what is learned, what operators deployed, what placement says.

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::Allowed;
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

use super::Controller;
use super::advice::Shortage;
use super::room::{AllUsed, takes_room};
use super::state::Assignment;
use crate::placement::{self, Item, Problem, Reach, Weights, WhyNowhere};
use crate::policy::{self, Battery, Latency, Reason, VehicleFacts, Wanted};

/// Round trip in µs that is taken for one that was not measured: a slow one of a cellular network.
const UNKNOWN_ROUND_TRIP_US: u64 = 100_000;
/// Needs of a deployed function that the policy does not know.
const UNKNOWN_COMMANDS_PER_MIN: u32 = 12;

/// Why a function ends for another.
pub(super) const GIVES_WAY: &str = "functions of higher priority need its room";

/// Where a function of a vehicle is to run, and how.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub fog: String,
    pub release: Digest,
    pub configuration: serde_json::Value,
    pub allowed: Allowed,
    /// Why, for the decision.
    pub reasons: Vec<Reason>,
    /// Points of the placement.
    pub cost: Option<u64>,
    /// Whether it is there for the sake of all vehicles' functions together.
    pub is_advised: bool,
}

/// What is to become of a function of a vehicle.
#[derive(Clone, Debug)]
pub(super) enum Aim {
    /// It runs there.
    At(Box<Target>),
    /// It stays where it is as it is, for now.
    Stay,
    /// It should run and cannot.
    Nowhere(String),
    /// Its release may run no more.
    Withdrawn(String),
}

impl Controller {
    /// Selects by the policy what a vehicle is to have.
    pub(super) fn select(&mut self, now: Timestamp, id: &VehicleId) {
        let active = self.assessor.active(id);
        let Some(vehicle) = self.vehicles.get_mut(id) else { return };
        let facts = VehicleFacts {
            vehicle: id.clone(),
            chemistry: vehicle.chemistry,
            groups: vehicle.groups.clone(),
            // Nothing that a fog node says of a vehicle tells it; the policy's file does.
            battery: Battery::default(),
        };
        vehicle.lacking = policy::lacking(&self.policy, &facts)
            .into_iter()
            .map(|lacking| (lacking.function, lacking.key.name()))
            .collect();
        let before = std::mem::take(&mut vehicle.selected);
        vehicle.selected = policy::select(&self.policy, now, &facts, &active, &before);
    }

    /// What a vehicle is to have, after what is learned of it, what operators deployed and what they took from it.
    pub(super) fn wanted(&self, now: Timestamp, id: &VehicleId) -> Vec<Wanted> {
        let Some(vehicle) = self.vehicles.get(id) else { return Vec::new() };
        let mut wanted = self.learning.apply(&self.policy, vehicle.selected.clone());
        let active = self.assessor.active(id);
        for deployment in self.kept.deployments.values() {
            if !deployment.is_for(id, active.iter().map(|active| active.condition)) {
                continue;
            }
            match wanted.iter_mut().find(|wanted| wanted.function == deployment.function) {
                Some(wanted) => {
                    wanted.configuration.extend(deployment.configuration.clone());
                    wanted.bounds = deployment.bounds.unwrap_or(wanted.bounds);
                    wanted.commands_per_min = deployment.commands_per_min.unwrap_or(wanted.commands_per_min);
                }
                None => wanted.push(self.deployed(now, id, deployment)),
            }
        }
        let withheld = self.kept.withheld.get(id);
        wanted.retain(|wanted| withheld.is_none_or(|withheld| !withheld.contains_key(&wanted.function)));
        wanted
    }

    /// What a deployment asks for, with the needs that the policy knows.
    fn deployed(&self, now: Timestamp, id: &VehicleId, deployment: &super::Deployment) -> Wanted {
        let known = self.policy.function(&deployment.function);
        let (load_ppm, memory_mib) = self.needs(&deployment.function);
        let mut configuration = known.map(|known| known.configuration.clone()).unwrap_or_default();
        configuration.extend(deployment.configuration.clone());
        Wanted {
            vehicle: id.clone(),
            function: deployment.function.clone(),
            configuration,
            priority: known.map_or(50, |known| known.priority),
            latency: known.map_or(Latency::Second, |known| known.latency),
            load_ppm,
            memory_mib,
            capabilities: known.map(|known| known.capabilities.clone()).unwrap_or_default(),
            apart_from: known.map(|known| known.apart_from.clone()).unwrap_or_default(),
            bounds: deployment.bounds.or(known.map(|known| known.bounds)).unwrap_or_default(),
            commands_per_min: deployment
                .commands_per_min
                .or(known.map(|known| known.commands_per_min))
                .unwrap_or(UNKNOWN_COMMANDS_PER_MIN),
            since: now,
            reasons: vec![Reason {
                entry: format!("deployment {}", deployment.name),
                condition: None,
                stage: None,
                rule: None,
                over: false,
            }],
        }
    }

    /// What is to become of each function that a vehicle is to have.
    pub(super) fn aims(&mut self, now: Timestamp, id: &VehicleId, used: &AllUsed) -> BTreeMap<String, Aim> {
        let mut aims = BTreeMap::new();
        let mut to_place = Vec::new();
        for wanted in self.wanted(now, id) {
            let at = self.kept.assignment(id, &wanted.function);
            let release = match release_of(self, &wanted.function, id) {
                Ok(release) => release,
                Err(why) => {
                    aims.insert(wanted.function, why);
                    continue;
                }
            };
            let key = (id.clone(), wanted.function);
            let gives_way = self.advice.of(now, &key).is_some_and(Option::is_none);
            let wanted = Wanted { function: key.1, ..wanted };
            if at.is_some_and(|at| self.waits(now, at)) {
                aims.insert(wanted.function, Aim::Stay);
            } else if gives_way {
                aims.insert(wanted.function, Aim::Withdrawn(GIVES_WAY.to_owned()));
            } else {
                to_place.push((wanted, release));
            }
        }
        let shortage = self.place(now, id, to_place, used, &mut aims);
        self.advice.note(id, shortage);
        if let Some(vehicle) = self.vehicles.get_mut(id) {
            let why = |(function, aim): (&String, &Aim)| match aim {
                Aim::Nowhere(why) | Aim::Withdrawn(why) => Some((function.clone(), why.clone())),
                _ => None,
            };
            let lacking = vehicle.lacking.iter().filter(|(function, _)| !aims.contains_key(*function)).map(
                |(function, key)| {
                    let why = format!(
                        "{key} of the vehicle's battery is not known: name it in a [[battery]] of the policy"
                    );
                    (function.clone(), why)
                },
            );
            vehicle.unplaced = aims.iter().filter_map(why).chain(lacking).collect();
        }
        aims
    }

    /// Whether a function's holder is not heard, and not given up yet: it may be back at once.
    pub(super) fn waits(&self, now: Timestamp, at: &Assignment) -> bool {
        let node = self.nodes.get(&at.fog);
        node.is_some_and(|node| node.is_awaited(now) || !node.is_alive(now) && !node.is_dead(now))
    }

    /// Fog nodes that can run functions of a vehicle: those with its session; without one the holder, else those that have seen
    /// it, else any: it has lost its node, and will be heard somewhere.
    pub(super) fn reach(&self, now: Timestamp, id: &VehicleId) -> Vec<Reach> {
        let Some(vehicle) = self.vehicles.get(id) else { return Vec::new() };
        let takes = |fog: &String| self.nodes.get(fog).is_some_and(|node| node.takes_functions(now));
        let reach = |fog: &String, session: bool| Reach {
            node: fog.clone(),
            round_trip_us: vehicle
                .sights
                .get(fog)
                .and_then(|sight| sight.round_trip_us)
                .unwrap_or(UNKNOWN_ROUND_TRIP_US),
            session,
        };
        let seen = || vehicle.sights.iter().filter(|(fog, _)| takes(fog));
        let connected: Vec<Reach> =
            seen().filter(|(_, sight)| sight.connected).map(|(fog, _)| reach(fog, true)).collect();
        if !connected.is_empty() {
            return connected;
        }
        let held = self.kept.assignments.get(id);
        let holders: BTreeSet<&String> =
            held.into_iter().flatten().map(|(_, assignment)| &assignment.fog).collect();
        let holders: Vec<Reach> =
            holders.into_iter().filter(|fog| takes(fog)).map(|fog| reach(fog, false)).collect();
        if !holders.is_empty() {
            return holders;
        }
        let seen: Vec<Reach> = seen().map(|(fog, _)| reach(fog, false)).collect();
        if !seen.is_empty() {
            return seen;
        }
        if held.is_none() {
            return Vec::new();
        }
        self.nodes.keys().filter(|fog| takes(fog)).map(|fog| reach(fog, false)).collect()
    }

    /// The placement's problem for some functions of one vehicle; what others take is taken.
    fn problem(&self, now: Timestamp, id: &VehicleId, wanted: &[Wanted], used: &AllUsed) -> Problem {
        let reach = self.reach(now, id);
        let own = self.kept.assignments.get(id);
        let nodes = reach.iter().filter_map(|reach| {
            let room = &self.nodes.get(&reach.node)?.room;
            let mut taken = used.get(&reach.node).copied().unwrap_or_default();
            for (function, assignment) in own.into_iter().flatten() {
                if assignment.fog == reach.node && takes_room(&assignment.phase) {
                    let (load_ppm, memory_mib) = self.needs(function);
                    taken.load_ppm = taken.load_ppm.saturating_sub(load_ppm);
                    taken.memory_mib = taken.memory_mib.saturating_sub(memory_mib);
                    taken.instances = taken.instances.saturating_sub(1);
                }
            }
            Some(self.room_of(&reach.node, room, taken))
        });
        let item = |wanted: &Wanted| {
            let at = self.kept.assignment(id, &wanted.function).map(|at| at.fog.clone());
            let advice = self.advice.of(now, &(id.clone(), wanted.function.clone()));
            // A vehicle that has moved on since is not sent back.
            let only = advice.cloned().flatten().filter(|fog| reach.iter().any(|reach| reach.node == *fog));
            Item { only, ..Item::of(wanted, at) }
        };
        Problem {
            nodes: nodes.collect(),
            items: wanted.iter().map(item).collect(),
            reach: BTreeMap::from([(id.clone(), reach.clone())]),
            weights: Weights::default(),
        }
    }

    /// Places functions of one vehicle; says whether room is short for them.
    fn place(
        &self,
        now: Timestamp,
        id: &VehicleId,
        to_place: Vec<(Wanted, Digest)>,
        used: &AllUsed,
        aims: &mut BTreeMap<String, Aim>,
    ) -> Option<Shortage> {
        let (wanted, releases): (Vec<Wanted>, Vec<Digest>) = to_place.into_iter().unzip();
        let problem = self.problem(now, id, &wanted, used);
        let placement = placement::place(&problem);
        let mut shortage = placement.is_crowded.then_some(Shortage::Elsewhere);
        for ((wanted, release), item) in wanted.into_iter().zip(releases).zip(&problem.items) {
            let place = placement.places.iter().find(|(key, ..)| *key == item.key);
            let aim = match place {
                Some((_, fog, cost)) => Aim::At(Box::new(Target {
                    fog: fog.clone(),
                    release,
                    allowed: wanted.bounds.allowed(wanted.commands_per_min),
                    configuration: wanted.configuration.into(),
                    reasons: wanted.reasons,
                    cost: Some(*cost),
                    is_advised: item.only.is_some(),
                })),
                // The room that is advised is not free yet.
                None if item.only.is_some() && item.at.is_some() => Aim::Stay,
                None => {
                    let why = placement.nowhere.iter().find(|(key, _)| *key == item.key).map(|(_, why)| *why);
                    let at_the_place = |(key, node, _): &(placement::Key, String, u64)| {
                        let other = problem.items.iter().find(|other| other.key == *key);
                        Some(node) == item.at.as_ref() && other.is_some_and(|other| other.at != item.at)
                    };
                    let is_taken = placement.places.iter().any(at_the_place);
                    if why == Some(WhyNowhere::NoRoom) {
                        shortage = Some(Shortage::Nowhere);
                    }
                    match why {
                        // Its vehicle's other functions take its place.
                        Some(WhyNowhere::NoRoom) if is_taken => Aim::Withdrawn(GIVES_WAY.to_owned()),
                        why => Aim::Nowhere(nowhere(why).to_owned()),
                    }
                }
            };
            aims.insert(wanted.function, aim);
        }
        shortage
    }

    /// What a function would cost at each other fog node that its vehicle reaches.
    pub(super) fn costs(&self, now: Timestamp, id: &VehicleId, function: &str) -> Vec<(String, Option<u64>)> {
        let Some(wanted) = self.wanted(now, id).into_iter().find(|wanted| wanted.function == function) else {
            return Vec::new();
        };
        let all = self.problem(now, id, &[wanted], &self.used());
        let alone = |node: &placement::Node| {
            let problem = Problem { nodes: vec![node.clone()], ..all.clone() };
            let placement = placement::place(&problem);
            (node.name.clone(), placement.places.first().map(|(.., cost)| *cost))
        };
        all.nodes.iter().map(alone).collect()
    }
}

/// The release of a function that a vehicle is to have.
pub(super) fn release_of(controller: &Controller, function: &str, id: &VehicleId) -> Result<Digest, Aim> {
    let kept = &controller.kept;
    let active = controller.assessor.active(id);
    let deployed = kept.deployments.values().find(|deployment| {
        deployment.function == function
            && deployment.release.is_some()
            && deployment.is_for(id, active.iter().map(|active| active.condition))
    });
    if let Some(digest) = deployed.and_then(|deployment| deployment.release) {
        return match kept.usable_release(&digest) {
            Some(release) => Ok(release.digest),
            None => Err(Aim::Withdrawn(format!("release {digest} is withdrawn or was never published"))),
        };
    }
    kept.newest_release(function).map(|release| release.digest).ok_or_else(|| {
        let known = kept.releases.values().any(|release| release.function == function);
        if known {
            Aim::Withdrawn(format!("every release of {function} is withdrawn"))
        } else {
            Aim::Nowhere(format!("no release of {function} is published"))
        }
    })
}

/// Whether an assignment runs that release with that configuration and those bounds.
pub(super) fn is_as(assignment: &Assignment, target: &Target) -> bool {
    assignment.release == target.release
        && assignment.configuration == target.configuration
        && assignment.allowed == target.allowed
}

fn nowhere(why: Option<WhyNowhere>) -> &'static str {
    match why {
        Some(WhyNowhere::Unreached) => "no fog node with a session of this controller sees the vehicle",
        Some(WhyNowhere::NoCapability) => "no fog node that sees the vehicle has what the function needs",
        Some(WhyNowhere::NoRoom) | None => "the fog nodes that see the vehicle are full",
    }
}
