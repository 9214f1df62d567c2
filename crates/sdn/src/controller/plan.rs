//! What a vehicle is to have, and where: the policy's selection, what is learned, what operators deployed, what placement says.

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::Allowed;
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

use super::Controller;
use super::state::{Assignment, Phase};
use crate::placement::{self, Item, Problem, Reach, Weights, WhyNowhere};
use crate::policy::{self, Battery, Latency, Reason, VehicleFacts, Wanted};

/// Round trip in µs that is taken for one that was not measured: a slow one of a cellular network.
const UNKNOWN_ROUND_TRIP_US: u64 = 100_000;
/// Millionths of a core that all functions of a fog node may take: one core.
const NODE_LOAD_PPM: u32 = 1_000_000;
/// Needs of a function that the policy does not know.
const UNKNOWN_LOAD_PPM: u32 = 1_000;
const UNKNOWN_MEMORY_MIB: u32 = 16;
const UNKNOWN_COMMANDS_PER_MIN: u32 = 12;

/// Room of a fog node that is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    load_ppm: u32,
    memory_mib: u32,
    instances: u32,
}

/// Room that is taken, by fog node.
pub(super) type AllUsed = BTreeMap<String, Used>;

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
    /// Room that is taken at each fog node.
    pub(super) fn used(&self) -> AllUsed {
        let mut used = AllUsed::new();
        for (_, function, assignment) in self.kept.all() {
            if !matches!(assignment.phase, Phase::Failed { .. } | Phase::Ending) {
                self.add(used.entry(assignment.fog.clone()).or_default(), function);
            }
        }
        used
    }

    fn add(&self, used: &mut Used, function: &str) {
        let (load_ppm, memory_mib) = self.needs(function);
        used.load_ppm = used.load_ppm.saturating_add(load_ppm);
        used.memory_mib = used.memory_mib.saturating_add(memory_mib);
        used.instances += 1;
    }

    fn needs(&self, function: &str) -> (u32, u32) {
        let known = self.policy.function(function);
        known.map_or((UNKNOWN_LOAD_PPM, UNKNOWN_MEMORY_MIB), |known| (known.load_ppm, known.memory_mib))
    }

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
            let release = match self.release(&wanted.function, id) {
                Ok(release) => release,
                Err(why) => {
                    aims.insert(wanted.function, why);
                    continue;
                }
            };
            // A holder that is not heard, and not given up yet, may be back at once.
            let waits = at.is_some_and(|at| {
                let node = self.nodes.get(&at.fog);
                node.is_some_and(|node| node.is_awaited(now) || !node.is_alive(now) && !node.is_dead(now))
            });
            if waits {
                aims.insert(wanted.function, Aim::Stay);
            } else {
                to_place.push((wanted, release));
            }
        }
        if !to_place.is_empty() {
            self.place(now, id, to_place, used, &mut aims);
        }
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

    /// The release of a function that a vehicle is to have.
    fn release(&self, function: &str, id: &VehicleId) -> Result<Digest, Aim> {
        let active = self.assessor.active(id);
        let deployed = self.kept.deployments.values().find(|deployment| {
            deployment.function == function
                && deployment.release.is_some()
                && deployment.is_for(id, active.iter().map(|active| active.condition))
        });
        if let Some(digest) = deployed.and_then(|deployment| deployment.release) {
            return match self.kept.usable_release(&digest) {
                Some(release) => Ok(release.digest),
                None => Err(Aim::Withdrawn(format!("release {digest} is withdrawn or was never published"))),
            };
        }
        self.kept.newest_release(function).map(|release| release.digest).ok_or_else(|| {
            let known = self.kept.releases.values().any(|release| release.function == function);
            if known {
                Aim::Withdrawn(format!("every release of {function} is withdrawn"))
            } else {
                Aim::Nowhere(format!("no release of {function} is published"))
            }
        })
    }

    /// Fog nodes that can run functions of a vehicle: those with its session; without one the holder, else those that have seen
    /// it, else any: it has lost its node, and will be heard somewhere.
    fn reach(&self, now: Timestamp, id: &VehicleId) -> Vec<Reach> {
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
                let counted = !matches!(assignment.phase, Phase::Failed { .. } | Phase::Ending);
                if assignment.fog == reach.node && counted {
                    let (load_ppm, memory_mib) = self.needs(function);
                    taken.load_ppm = taken.load_ppm.saturating_sub(load_ppm);
                    taken.memory_mib = taken.memory_mib.saturating_sub(memory_mib);
                    taken.instances = taken.instances.saturating_sub(1);
                }
            }
            Some(placement::Node {
                name: reach.node.clone(),
                capabilities: room.capabilities.clone(),
                load_ppm: NODE_LOAD_PPM.saturating_sub(taken.load_ppm),
                memory_mib: self.settings.node_memory_mib.saturating_sub(taken.memory_mib),
                instances: room.most_instances.saturating_sub(taken.instances),
                busy_ppm: (room.load.clamp(0.0, 64.0) * 1e6) as u32,
            })
        });
        let at = |wanted: &Wanted| self.kept.assignment(id, &wanted.function).map(|at| at.fog.clone());
        Problem {
            nodes: nodes.collect(),
            items: wanted.iter().map(|wanted| Item::of(wanted, at(wanted))).collect(),
            reach: BTreeMap::from([(id.clone(), reach)]),
            weights: Weights::default(),
        }
    }

    fn place(
        &self,
        now: Timestamp,
        id: &VehicleId,
        to_place: Vec<(Wanted, Digest)>,
        used: &AllUsed,
        aims: &mut BTreeMap<String, Aim>,
    ) {
        let (wanted, releases): (Vec<Wanted>, Vec<Digest>) = to_place.into_iter().unzip();
        let placement = placement::place(&self.problem(now, id, &wanted, used));
        for (wanted, release) in wanted.into_iter().zip(releases) {
            let key = placement::Key { vehicle: id.clone(), function: wanted.function.clone() };
            let place = placement.places.iter().find(|(other, ..)| *other == key);
            let aim = match place {
                Some((_, fog, cost)) => Aim::At(Box::new(Target {
                    fog: fog.clone(),
                    release,
                    allowed: wanted.bounds.allowed(wanted.commands_per_min),
                    configuration: wanted.configuration.into(),
                    reasons: wanted.reasons,
                    cost: Some(*cost),
                })),
                None => {
                    let why = placement.nowhere.iter().find(|(other, _)| *other == key).map(|(_, why)| *why);
                    Aim::Nowhere(nowhere(why).to_owned())
                }
            };
            aims.insert(wanted.function, aim);
        }
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
