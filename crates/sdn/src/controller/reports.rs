//! What fog nodes say became of functions.

use std::collections::BTreeMap;
use voltmesh_control::{FunctionEvent, FunctionReport, FunctionState, Instance, InstanceState};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::Controller;
use super::state::{Assignment, Key, Phase};
use super::succession::adopted;
use super::vocabulary::{Output, PlannedWork, Refusal};
use crate::assess;

/// Most instances of one fog node: as many as fit into a message of 1 MiB with 250 B each.
const MOST_INSTANCES: usize = 4_096;

impl Controller {
    /// Takes a report of a fog node.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        fog: &str,
        report: FunctionReport,
        out: &mut Vec<Output>,
    ) {
        let Some(node) = self.nodes.get_mut(fog).filter(|node| node.connected) else { return };
        node.heard = now;
        node.given_up = false;
        match report {
            FunctionReport::Ready { key, term } => self.ready(fog, &key, term, out),
            FunctionReport::Running { instances } => self.running(now, fog, instances, out),
            FunctionReport::Event(event) => self.event(fog, event, out),
            FunctionReport::Answer { vehicle, answer } => {
                let epoch = answer.epoch;
                if self.is_foreign(fog, &vehicle, &answer.function, epoch) {
                    self.refuse(fog, Refusal::Foreign, out);
                } else {
                    self.history.answer(fog, vehicle, answer);
                }
            }
            FunctionReport::Refused { order, reason } => self.refused(now, fog, order, reason, out),
            FunctionReport::Wanted { release } => {
                if self.kept.usable_release(&release).is_some() {
                    out.push(Output::SendRelease { fog: fog.to_owned(), release });
                } else if self.term.is_some() {
                    self.refuse(fog, Refusal::Absurd("a wish for a release that may not run"), out);
                }
            }
            FunctionReport::State(state) => self.state(now, fog, state, out),
        }
    }

    fn ready(&mut self, fog: &str, key: &str, term: u32, out: &mut Vec<Output>) {
        let mut bytes = [0; 32];
        if hex::decode_to_slice(key, &mut bytes).is_err() {
            self.refuse(fog, Refusal::Absurd("a key that is not 32 bytes in hexadecimal"), out);
            return;
        }
        match self.settings.fog_keys.get(fog) {
            Some(configured) if *configured != bytes => {
                self.refuse(fog, Refusal::Key, out);
                return;
            }
            _ => {
                if let Some(node) = self.nodes.get_mut(fog) {
                    node.key = Some(bytes);
                    self.changed.extend(node.vehicles.iter().cloned());
                }
            }
        }
        // One fog node alone cannot depose a controller: who holds the term is asked where terms are given.
        if term > self.kept.term && self.highest_seen < term {
            self.highest_seen = term;
            out.push(Output::Superseded { term });
        }
    }

    /// A fog node lists everything that it runs: orders are confirmed by it, and what nobody ordered shows.
    fn running(&mut self, now: Timestamp, fog: &str, instances: Vec<Instance>, out: &mut Vec<Output>) {
        let count = instances.len();
        let running: BTreeMap<Key, Instance> = instances
            .into_iter()
            .map(|instance| ((instance.vehicle.clone(), instance.function.clone()), instance))
            .collect();
        if running.len() != count || count > MOST_INSTANCES {
            self.refuse(fog, Refusal::Absurd("a function twice, or more than 4,096 functions"), out);
            return;
        }
        let Some(node) = self.nodes.get_mut(fog) else { return };
        let first = node.running.is_none();
        node.running = Some(running.clone());
        if first {
            self.changed.extend(node.vehicles.iter().cloned());
        }
        // Every function that is to be here.
        let here: Vec<(Key, Assignment)> = self
            .kept
            .all()
            .filter(|(.., assignment)| assignment.fog == fog)
            .map(|(vehicle, function, assignment)| ((vehicle.clone(), function.clone()), assignment.clone()))
            .collect();
        for (key, assignment) in here {
            self.compare(now, fog, key.clone(), assignment, running.get(&key), first, out);
        }
        if first && self.commands().is_some() {
            // What the session before may not have delivered.
            let again = self.orders.again(fog, now);
            out.extend(again.into_iter().map(|order| Output::Send { fog: fog.to_owned(), order }));
        }
        for (key, instance) in running {
            self.skip_past(instance.epoch, out);
            match self.kept.assignment(&key.0, &key.1) {
                Some(assignment) if assignment.fog == fog => {}
                // It went on elsewhere, under a higher epoch.
                Some(assignment) if assignment.epoch >= instance.epoch => self.end_stray(now, fog, key, out),
                _ if self.commands().is_some() => self.adopt(now, fog, key, &instance, out),
                _ => {}
            }
        }
    }

    /// What a fog node says of a function that is to be there. `first`: it is the first list of a session.
    #[allow(clippy::too_many_arguments, reason = "all of it is one comparison")]
    fn compare(
        &mut self,
        now: Timestamp,
        fog: &str,
        key: Key,
        assignment: Assignment,
        instance: Option<&Instance>,
        first: bool,
        out: &mut Vec<Output>,
    ) {
        self.changed.insert(key.0.clone());
        let is_newest = instance.filter(|instance| instance.epoch == assignment.epoch);
        match (&assignment.phase, is_newest) {
            (Phase::Starting, Some(instance)) => {
                self.counters.confirmed += 1;
                self.orders.settle(fog, &key);
                self.waiting.remove(&key);
                if instance.state == InstanceState::Failed {
                    self.failed(now, &key, "it failed too often on the fog node".to_owned(), out);
                    return;
                }
                // The node keeps the state from here on.
                let begun = Assignment { phase: Phase::Running, state: None, failures: 0, ..assignment };
                self.assign(&key, begun, out);
                self.tell_conditions(now, fog, &key, out);
                self.try_for_condition(now, &key);
            }
            (Phase::Running, Some(instance)) if instance.state == InstanceState::Failed => {
                self.failed(now, &key, "it failed too often on the fog node".to_owned(), out);
            }
            (Phase::Running, Some(_)) => {
                self.waiting.remove(&key);
            }
            // The first list of a session may be older than the newest lease, which then comes with its order; without an order it
            // was lost with the node's disk.
            (Phase::Running, None) if first || instance.is_none() => {
                self.orders.settle(fog, &key);
                self.assign(&key, Assignment { phase: Phase::Starting, ..assignment }, out);
            }
            (Phase::Ending, _) if instance.is_none() => {
                self.counters.confirmed += 1;
                self.orders.settle(fog, &key);
                self.unassign(&key, out);
            }
            _ => {}
        }
    }

    /// Takes over a function that runs and is not known, after the loss of this controller's disk.
    fn adopt(&mut self, now: Timestamp, fog: &str, key: Key, instance: &Instance, out: &mut Vec<Output>) {
        if self.kept.assignment(&key.0, &key.1).is_some_and(|known| known.phase == Phase::Ending) {
            self.end_stray(now, fog, key, out);
            return;
        }
        self.assign(&key, adopted(now, fog, instance), out);
        self.changed.insert(key.0);
    }

    fn event(&mut self, fog: &str, event: FunctionEvent, out: &mut Vec<Output>) {
        if self.is_foreign(fog, &event.vehicle, &event.function, event.epoch) {
            self.refuse(fog, Refusal::Foreign, out);
            return;
        }
        if event.figures.iter().any(|(_, value)| !value.is_finite()) {
            self.refuse(fog, Refusal::Absurd("an event with a figure that is no number"), out);
            return;
        }
        self.history.event(fog, event);
    }

    /// Whether a node speaks of a lease that it was not given. Old leases are not remembered: what comes late is believed; so are
    /// leases of others, while this controller stands by.
    fn is_foreign(&self, fog: &str, vehicle: &VehicleId, function: &str, epoch: (u32, u32)) -> bool {
        let never_given =
            epoch.0 > self.kept.term || epoch.0 == self.kept.term && epoch.1 >= self.kept.leases;
        let others = self
            .kept
            .assignment(vehicle, function)
            .is_some_and(|assignment| assignment.epoch == epoch && assignment.fog != fog);
        self.term.is_some() && (never_given || others)
    }

    fn refused(&mut self, now: Timestamp, fog: &str, number: u64, reason: String, out: &mut Vec<Output>) {
        let Some(waiting) = self.orders.get(fog, number) else { return };
        let (key, work) = (waiting.planned.work.key(), waiting.planned.work.clone());
        self.counters.orders_refused += 1;
        self.orders.settle(fog, &key);
        self.changed.insert(key.0.clone());
        let Some(assignment) = self.kept.assignment(&key.0, &key.1).cloned() else { return };
        if assignment.fog != fog {
            return;
        }
        match (work, &assignment.phase) {
            (PlannedWork::Run { .. }, Phase::Starting) => {
                let reason: String = reason.chars().take(256).collect();
                self.failed(now, &key, reason, out);
            }
            // It has no state to give.
            (PlannedWork::End { .. }, Phase::Leaving { to }) => {
                let to = to.clone();
                self.counters.handed_over_without_state += 1;
                self.has_state(now, key, to, out);
            }
            (PlannedWork::End { .. }, Phase::Ending) => self.unassign(&key, out),
            _ => {}
        }
    }

    fn state(&mut self, now: Timestamp, fog: &str, state: FunctionState, out: &mut Vec<Output>) {
        let key = (state.vehicle.clone(), state.function.clone());
        let Some(assignment) = self.kept.assignment(&key.0, &key.1).cloned() else { return };
        let Phase::Leaving { to } = assignment.phase.clone() else { return };
        if assignment.fog != fog || state.epoch > assignment.epoch {
            self.refuse(fog, Refusal::Foreign, out);
            return;
        }
        if hex::decode(&state.state).is_err() {
            self.refuse(fog, Refusal::Absurd("a state that is not hexadecimal"), out);
            return;
        }
        self.counters.confirmed += 1;
        self.orders.settle(fog, &key);
        if let Some(running) = self.nodes.get_mut(fog).and_then(|node| node.running.as_mut()) {
            // What it has exported does not run there any more.
            running.remove(&key);
        }
        self.assign(&key, Assignment { state: Some(state), ..assignment }, out);
        self.has_state(now, key, to, out);
    }

    /// Tells the functions of a vehicle that a condition has begun or ended.
    pub(super) fn tell_condition(&mut self, now: Timestamp, change: &assess::Change, out: &mut Vec<Output>) {
        let functions = self.kept.assignments.get(&change.vehicle);
        let running: Vec<(Key, String)> = functions
            .into_iter()
            .flatten()
            .filter(|(_, assignment)| assignment.phase == Phase::Running)
            .map(|(function, assignment)| {
                ((change.vehicle.clone(), function.clone()), assignment.fog.clone())
            })
            .collect();
        // Another rule may still hold the vehicle in it.
        let active =
            self.assessor.active(&change.vehicle).iter().any(|other| other.condition == change.condition);
        for (key, fog) in running {
            let work = PlannedWork::Condition { key, condition: change.condition.name(), active };
            self.order(now, &fog, work, out);
        }
    }

    /// Tells a function that begins to run which conditions its vehicle is in.
    fn tell_conditions(&mut self, now: Timestamp, fog: &str, key: &Key, out: &mut Vec<Output>) {
        let mut conditions: Vec<_> =
            self.assessor.active(&key.0).into_iter().map(|active| active.condition).collect();
        conditions.sort();
        conditions.dedup();
        for condition in conditions {
            let work = PlannedWork::Condition { key: key.clone(), condition: condition.name(), active: true };
            self.order(now, fog, work, out);
        }
    }
}
