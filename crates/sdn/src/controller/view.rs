//! What a controller shows: fog nodes, vehicles, conditions, functions and their places.

use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_battery::Chemistry;
use voltmesh_battery::summary::Summary;
use voltmesh_battery::watch::Stage;
use voltmesh_control::Room;
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

use super::Controller;
use super::history::{Conditioned, Line};
use super::state::{Key, Phase};
use crate::decisions::Decision;
use crate::{Condition, Rules};

/// Fog node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView {
    /// Its name.
    pub fog: String,
    /// Whether it is connected and heard.
    pub alive: bool,
    /// Whether its signing key is known: without it, it is given no lease.
    pub key_known: bool,
    /// Its room for functions.
    pub room: Room,
    /// Vehicles that it sees.
    pub vehicles: usize,
    /// Functions that it says it runs.
    pub functions: usize,
}

/// Condition that a vehicle is in.
#[derive(Clone, Debug, Serialize)]
pub struct ConditionView {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// What is the case.
    pub condition: Condition,
    /// How urgent it is.
    pub stage: Stage,
    /// By which rule.
    pub rule: String,
    /// Since when, in the summaries' time in s.
    pub since_s: f64,
}

/// Function of a vehicle.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceView {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// Fog node.
    pub fog: String,
    /// SHA-256 of the component.
    pub release: Digest,
    /// Term and count of its lease.
    pub epoch: (u32, u32),
    /// Until when the lease holds, in ms.
    pub until_ms: u64,
    /// Where it is in its life.
    #[serde(flatten)]
    pub phase: Phase,
    /// Failures in a row.
    pub failures: u32,
    /// Decision by which it is here.
    pub decision: Option<u64>,
    /// Calls since its start, as the fog node says.
    pub calls: Option<u64>,
    /// Traps since its start.
    pub traps: Option<u64>,
}

/// Vehicle.
#[derive(Clone, Debug, Serialize)]
pub struct VehicleView {
    /// Which.
    pub vehicle: VehicleId,
    /// Chemistry of its cells, where it is known.
    pub chemistry: Option<Chemistry>,
    /// Fog nodes that have its session, with the round trip in µs.
    pub sessions: BTreeMap<String, Option<u64>>,
    /// When it was seen last, in ms.
    pub seen_ms: u64,
    /// Conditions that it is in.
    pub conditions: Vec<ConditionView>,
    /// Its functions.
    pub functions: Vec<InstanceView>,
    /// Functions that it should have and has nowhere, with the reason.
    pub unplaced: BTreeMap<String, String>,
    /// Functions that operators have taken from it, with the decision that was undone.
    pub withheld: BTreeMap<String, u64>,
    /// Its newest summary; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

impl Controller {
    /// Term that is held now.
    #[must_use]
    pub fn term(&self) -> Option<u32> {
        self.term
    }

    /// A message of a fog node could not be read.
    pub fn count_malformed(&mut self) {
        *self.counters.refused.entry("malformed").or_default() += 1;
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        self.assessor.rules()
    }

    /// Fog nodes that are known.
    #[must_use]
    pub fn fog_nodes(&self, now: Timestamp) -> Vec<NodeView> {
        let view = |(fog, node): (&String, &super::Node)| NodeView {
            fog: fog.clone(),
            alive: node.is_alive(now),
            key_known: node.key.is_some(),
            room: node.room.clone(),
            vehicles: node.vehicles.len(),
            functions: node.running.as_ref().map_or(0, BTreeMap::len),
        };
        self.nodes.iter().map(view).collect()
    }

    /// Vehicles that are known, without their summaries.
    pub fn vehicles(&self) -> impl Iterator<Item = VehicleView> {
        let all = self.vehicles.keys().filter_map(|id| self.vehicle(id));
        all.map(|view| VehicleView { summary: None, ..view })
    }

    /// A vehicle.
    #[must_use]
    pub fn vehicle(&self, id: &VehicleId) -> Option<VehicleView> {
        let vehicle = self.vehicles.get(id)?;
        let sessions = vehicle.sights.iter().filter(|(_, sight)| sight.connected);
        let functions = self.kept.assignments.get(id).into_iter().flat_map(|functions| functions.keys());
        Some(VehicleView {
            vehicle: id.clone(),
            chemistry: vehicle.chemistry,
            sessions: sessions.map(|(fog, sight)| (fog.clone(), sight.round_trip_us)).collect(),
            seen_ms: vehicle.seen.as_millis(),
            conditions: self.conditions_of(id).collect(),
            functions: functions
                .filter_map(|function| self.instance(&(id.clone(), function.clone())))
                .collect(),
            unplaced: vehicle.unplaced.clone(),
            withheld: self.kept.withheld.get(id).cloned().unwrap_or_default(),
            summary: vehicle.newest.clone(),
        })
    }

    fn conditions_of(&self, id: &VehicleId) -> impl Iterator<Item = ConditionView> {
        let vehicle = id.clone();
        self.assessor.active(id).into_iter().map(move |active| ConditionView {
            vehicle: vehicle.clone(),
            condition: active.condition,
            stage: active.stage,
            rule: active.rule,
            since_s: active.since_s,
        })
    }

    /// Conditions that vehicles are in.
    pub fn conditions(&self) -> impl Iterator<Item = ConditionView> {
        self.vehicles.keys().flat_map(|id| self.conditions_of(id))
    }

    /// Conditions that began and ended lately, the newest last.
    pub fn past_conditions(&self) -> impl DoubleEndedIterator<Item = &Conditioned> {
        self.history.conditions()
    }

    /// Events and answers of late, the newest last.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> {
        self.history.lines()
    }

    /// Functions with their places.
    pub fn instances(&self) -> impl Iterator<Item = InstanceView> {
        let keys = self.kept.all().map(|(vehicle, function, _)| (vehicle.clone(), function.clone()));
        keys.filter_map(|key| self.instance(&key))
    }

    fn instance(&self, key: &Key) -> Option<InstanceView> {
        let assignment = self.kept.assignment(&key.0, &key.1)?;
        let said = self.nodes.get(&assignment.fog).and_then(|node| node.running.as_ref()?.get(key));
        Some(InstanceView {
            vehicle: key.0.clone(),
            function: key.1.clone(),
            fog: assignment.fog.clone(),
            release: assignment.release,
            epoch: assignment.epoch,
            until_ms: assignment.until_ms,
            phase: assignment.phase.clone(),
            failures: assignment.failures,
            decision: assignment.decision,
            calls: said.map(|said| said.calls),
            traps: said.map(|said| said.traps),
        })
    }

    /// Decisions, the newest first; of one vehicle where it is named.
    pub fn decisions<'a>(&'a self, vehicle: Option<&'a VehicleId>) -> impl Iterator<Item = &'a Decision> {
        self.log.newest(vehicle)
    }

    /// Figures that counters do not hold, by name.
    #[must_use]
    pub fn figures(&self, now: Timestamp) -> Vec<(&'static str, u64)> {
        let count = |number: usize| number as u64;
        let running = self.kept.all().filter(|(.., assignment)| assignment.phase == Phase::Running);
        let failed = self.kept.all().filter(|(.., at)| matches!(at.phase, Phase::Failed { .. }));
        vec![
            ("term", self.term.unwrap_or(0).into()),
            ("active", u64::from(self.term.is_some())),
            ("paused", u64::from(self.kept.paused)),
            ("fogs", count(self.nodes.values().filter(|node| node.is_alive(now)).count())),
            ("vehicles", count(self.vehicles.len())),
            ("conditions", count(self.conditions().count())),
            ("functions", count(self.kept.all().count())),
            ("functions_running", count(running.count())),
            ("functions_failed", count(failed.count())),
            ("functions_unplaced", count(self.vehicles.values().map(|vehicle| vehicle.unplaced.len()).sum())),
            ("orders_waiting", count(self.orders.len())),
            ("releases", count(self.kept.releases.len())),
            ("deployments", count(self.kept.deployments.len())),
        ]
    }

    /// Counts since the start by name.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let counters = &self.counters;
        let [applied, refused, expired] = self.history.answers;
        let named = [
            ("messages", counters.messages),
            ("summaries", counters.summaries),
            ("conditions_begun", counters.conditions_begun),
            ("conditions_ended", counters.conditions_ended),
            ("orders", counters.orders),
            ("orders_confirmed", counters.confirmed),
            ("orders_refused", counters.orders_refused),
            ("orders_unconfirmed", counters.unconfirmed),
            ("leases", counters.leases),
            ("handed_over", counters.handed_over),
            ("handed_over_without_state", counters.handed_over_without_state),
            ("rescued", counters.rescued),
            ("placement_searches", counters.searches),
            ("rebalanced", counters.rebalanced),
            ("decisions", counters.decisions),
            ("decisions_undone", counters.undone),
            ("changes_copied", counters.copied),
            ("copies_refused", counters.copies_refused),
            ("events", self.history.events),
            ("events_again", self.history.events_again),
            ("commands_applied", applied),
            ("commands_refused", refused),
            ("commands_expired", expired),
        ];
        let refused = counters.refused.iter().map(|(why, count)| (format!("refused_{why}"), *count));
        named.into_iter().map(|(name, count)| (name.to_owned(), count)).chain(refused).collect()
    }
}
