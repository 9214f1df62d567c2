//! What a controller keeps on disk: changed only by [`Change`]s, so that what is on disk and what is in memory are the same.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::{Allowed, FunctionState};
use voltmesh_telemetry::{Digest, VehicleId};

use crate::Condition;
use crate::decisions::{Decision, Learning, MAX_DECISIONS};
use crate::policy::Bounds;

/// Releases that are known at most, withdrawn ones included: 256 B each in memory.
pub const MAX_RELEASES: usize = 4_096;
/// Deployments at most: a fleet's operators make tens.
pub const MAX_DEPLOYMENTS: usize = 1_024;

/// Signed release of a function, as its package says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Name of the function.
    pub function: String,
    /// Version, as three numbers: a higher one is newer.
    pub version: (u32, u32, u32),
    /// Key of the publisher, 32 bytes in hexadecimal.
    pub publisher: String,
    /// Bytes of the package.
    pub bytes: u64,
    /// When it came, in ms.
    pub at_ms: u64,
    /// Whether it was withdrawn: it is not placed any more.
    pub withdrawn: bool,
}

/// What operators want to run beyond the policy, or otherwise than it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Name of the deployment.
    pub name: String,
    /// Name of the function.
    pub function: String,
    /// Which release; the newest one that is not withdrawn if absent.
    #[serde(default)]
    pub release: Option<Digest>,
    /// What the function's configuration has otherwise than the policy says.
    #[serde(default)]
    pub configuration: serde_json::Map<String, serde_json::Value>,
    /// What the function may command, instead of what the policy says of it; a function that the policy does not know may command
    /// nothing without it.
    #[serde(default)]
    pub bounds: Option<Bounds>,
    /// Commands a minute that it may give, instead of the policy's; 12 where the policy does not know it.
    #[serde(default)]
    pub commands_per_min: Option<u32>,
    /// For these vehicles; for all if none is named.
    #[serde(default)]
    pub vehicles: BTreeSet<VehicleId>,
    /// While one of these conditions is the case; always if none is named.
    #[serde(default)]
    pub conditions: BTreeSet<Condition>,
}

impl Deployment {
    /// Whether it is for a vehicle that is in these conditions.
    pub(super) fn is_for(&self, vehicle: &VehicleId, mut active: impl Iterator<Item = Condition>) -> bool {
        let named = self.vehicles.is_empty() || self.vehicles.contains(vehicle);
        named && (self.conditions.is_empty() || active.any(|condition| self.conditions.contains(&condition)))
    }
}

/// Where a function of a vehicle is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// The fog node has been ordered to run it, and has not said that it does.
    Starting,
    /// The fog node says that it runs.
    Running,
    /// The fog node has been asked for its state, with which it goes on elsewhere.
    Leaving {
        /// Where.
        to: String,
    },
    /// The fog node has been ordered to end it, and has not said that it has.
    Ending,
    /// It could not be run; it is tried again later.
    Failed {
        /// What the fog node said.
        reason: String,
    },
}

/// Function of a vehicle with the lease under which it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Fog node that holds the newest lease.
    pub fog: String,
    /// Term and count of that lease.
    pub epoch: (u32, u32),
    /// Until when that lease holds, in ms.
    pub until_ms: u64,
    /// SHA-256 of the component.
    pub release: Digest,
    /// Its configuration.
    pub configuration: serde_json::Value,
    /// What it may command.
    #[serde(default)]
    pub allowed: Allowed,
    /// Where it is in its life.
    pub phase: Phase,
    /// State of the last holder, until the next one says that it runs.
    pub state: Option<FunctionState>,
    /// Failures in a row.
    pub failures: u32,
    /// When it is tried again after a failure, in ms.
    pub retry_ms: u64,
    /// Number of the decision by which it is here.
    pub decision: Option<u64>,
}

/// Function of a vehicle.
pub type Key = (VehicleId, String);

/// Text that operators have put in the place of a configured file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// SHA-256 of the configured text that it replaces: once the file is another, the file counts.
    pub instead_of: Digest,
    /// The text.
    pub text: String,
}

/// Where a decision is on the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Term of the controller in which it was written down.
    pub term: u32,
    /// Number of the transaction in that term.
    pub number: u64,
    /// Height of a final block that proves it.
    pub height: u64,
    /// Place in the log of acts.
    pub act: u64,
}

/// Decisions that were written down together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Their numbers.
    pub decisions: Vec<u64>,
    /// Term of the controller in which they were.
    pub term: u32,
    /// Number of the transaction in that term.
    pub number: u64,
    /// Height of a final block that proves it.
    pub height: u64,
    /// Place in the log of acts.
    pub act: u64,
}

impl Written {
    /// Where each of them is.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        Receipt { term: self.term, number: self.number, height: self.height, act: self.act }
    }
}

/// Everything that a controller keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kept {
    /// Newest term that this controller has held.
    pub term: u32,
    /// Numbers of orders below this one may have been used in that term.
    pub orders: u64,
    /// Counts of leases below this one may have been used in that term.
    pub leases: u32,
    /// Whether an operator has paused it.
    pub paused: bool,
    /// Rules in force, if operators have replaced the configured ones.
    pub rules: Option<Replaced>,
    /// Releases by the digest of their component in hexadecimal.
    pub releases: BTreeMap<String, Release>,
    /// Deployments by name.
    pub deployments: BTreeMap<String, Deployment>,
    /// What runs where, by vehicle and function.
    pub assignments: BTreeMap<VehicleId, BTreeMap<String, Assignment>>,
    /// Functions that an operator has taken from a vehicle, with the decision that was undone.
    pub withheld: BTreeMap<VehicleId, BTreeMap<String, u64>>,
    /// Decisions by number, the newest [`MAX_DECISIONS`].
    pub decisions: BTreeMap<u64, Decision>,
    /// Where they are on the ledger, by number.
    pub receipts: BTreeMap<u64, Receipt>,
    /// What is learned of functions.
    pub learning: Learning,
}

/// Change of what is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// A term is held: numbers begin anew.
    Term {
        /// Which.
        term: u32,
    },
    /// Numbers up to these may be used.
    Numbers {
        /// Of orders.
        orders: u64,
        /// Of leases.
        leases: u32,
    },
    /// Paused, or not any more.
    Paused {
        /// Which.
        paused: bool,
    },
    /// Rules were replaced.
    Rules {
        /// By which.
        rules: Replaced,
    },
    /// A release came, or was withdrawn.
    Release {
        /// As it is now.
        release: Release,
    },
    /// A deployment was made or replaced.
    Deployed {
        /// As it is now.
        deployment: Deployment,
    },
    /// A deployment was removed.
    Undeployed {
        /// Its name.
        name: String,
    },
    /// A function of a vehicle is somewhere, or in another phase.
    Assigned {
        /// Whose battery.
        vehicle: VehicleId,
        /// Which function.
        function: String,
        /// As it is now.
        assignment: Box<Assignment>,
    },
    /// A function of a vehicle runs nowhere any more.
    Unassigned {
        /// Whose battery.
        vehicle: VehicleId,
        /// Which function.
        function: String,
    },
    /// A function was taken from a vehicle.
    Withheld {
        /// Whose battery.
        vehicle: VehicleId,
        /// Which function.
        function: String,
        /// By undoing which decision.
        decision: u64,
    },
    /// A vehicle may have a function again.
    Granted {
        /// Whose battery.
        vehicle: VehicleId,
        /// Which function.
        function: String,
    },
    /// Outcomes of functions were learned from.
    Learned {
        /// All that is learned.
        learning: Box<Learning>,
    },
    /// Decisions are on the ledger.
    Written {
        /// Which, and where.
        written: Written,
    },
    /// A decision was taken, or more is known of it.
    Decided {
        /// As it is now.
        decision: Box<Decision>,
    },
}

impl Kept {
    /// Does a change. Doing one twice is the same as once.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Term { term } if *term > self.term => {
                (self.term, self.orders, self.leases) = (*term, 0, 0);
            }
            Change::Term { .. } => {}
            Change::Numbers { orders, leases } => {
                self.orders = self.orders.max(*orders);
                self.leases = self.leases.max(*leases);
            }
            Change::Paused { paused } => self.paused = *paused,
            Change::Rules { rules } => self.rules = Some(rules.clone()),
            Change::Release { release } => {
                self.releases.insert(release.digest.to_string(), release.clone());
            }
            Change::Deployed { deployment } => {
                self.deployments.insert(deployment.name.clone(), deployment.clone());
            }
            Change::Undeployed { name } => {
                self.deployments.remove(name);
            }
            Change::Assigned { vehicle, function, assignment } => {
                let functions = self.assignments.entry(vehicle.clone()).or_default();
                functions.insert(function.clone(), (**assignment).clone());
            }
            Change::Unassigned { vehicle, function } => remove(&mut self.assignments, vehicle, function),
            Change::Withheld { vehicle, function, decision } => {
                self.withheld.entry(vehicle.clone()).or_default().insert(function.clone(), *decision);
            }
            Change::Granted { vehicle, function } => remove(&mut self.withheld, vehicle, function),
            Change::Written { written } => {
                let known = written.decisions.iter().filter(|number| self.decisions.contains_key(number));
                self.receipts.extend(known.map(|number| (*number, written.receipt())));
            }
            Change::Learned { learning } => self.learning = (**learning).clone(),
            Change::Decided { decision } => {
                self.decisions.insert(decision.number, (**decision).clone());
                while self.decisions.len() > MAX_DECISIONS
                    && let Some((forgotten, _)) = self.decisions.pop_first()
                {
                    self.receipts.remove(&forgotten);
                }
            }
        }
    }

    /// Where a function of a vehicle is.
    pub fn assignment(&self, vehicle: &VehicleId, function: &str) -> Option<&Assignment> {
        self.assignments.get(vehicle)?.get(function)
    }

    /// Every function of every vehicle.
    pub fn all(&self) -> impl Iterator<Item = (&VehicleId, &String, &Assignment)> {
        self.assignments.iter().flat_map(|(vehicle, functions)| {
            functions.iter().map(move |(function, assignment)| (vehicle, function, assignment))
        })
    }

    /// The newest release of a function that is not withdrawn.
    pub fn newest_release(&self, function: &str) -> Option<&Release> {
        let of = self.releases.values().filter(|release| release.function == function && !release.withdrawn);
        of.max_by_key(|release| (release.version, release.at_ms))
    }

    /// Components of releases that were withdrawn.
    #[must_use]
    pub fn withdrawn(&self) -> BTreeSet<Digest> {
        self.releases.values().filter(|release| release.withdrawn).map(|release| release.digest).collect()
    }

    /// A release that may be placed.
    pub fn usable_release(&self, digest: &Digest) -> Option<&Release> {
        self.releases.get(&digest.to_string()).filter(|release| !release.withdrawn)
    }
}

fn remove<T>(map: &mut BTreeMap<VehicleId, BTreeMap<String, T>>, vehicle: &VehicleId, function: &str) {
    if let Some(functions) = map.get_mut(vehicle) {
        functions.remove(function);
        if functions.is_empty() {
            map.remove(vehicle);
        }
    }
}
