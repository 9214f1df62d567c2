//! Brings each function of a vehicle to where it is to be: start, renew, upgrade, hand over, end, try again.

use std::collections::BTreeSet;
use voltmesh_control::{Allowed, Epoch, FleetShare, Lease};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

use super::Controller;
use super::later;
use super::plan::{Aim, GIVES_WAY, Target, is_as};
use super::room::AllUsed;
use super::state::{Assignment, Change, Key, Phase};
use super::vehicle::GONE_MS;
use super::vocabulary::{Output, Planned, PlannedWork};

/// Time in ms after which a function goes on elsewhere without the state that its last holder was asked for.
pub const HAND_OVER_MS: u64 = 1_000;
/// First and longest time in ms until a function that failed is tried again; doubled in between.
const RETRY_MS: (u64, u64) = (2_000, 300_000);
/// Failures in a row after which an order that is not confirmed counts as a failure of the function there.
const UNCONFIRMED: u32 = 3;

/// A lease to give.
struct Run {
    fog: String,
    release: Digest,
    configuration: serde_json::Value,
    allowed: Allowed,
    assignment: Option<Assignment>,
    decision: Option<u64>,
}

impl Controller {
    /// Brings the functions of a vehicle to what is wanted.
    pub(super) fn reconcile(
        &mut self,
        now: Timestamp,
        id: &VehicleId,
        used: &mut AllUsed,
        out: &mut Vec<Output>,
    ) {
        let is_known = self.vehicles.contains_key(id);
        let mut aims = self.aims(now, id, used);
        let held: BTreeSet<String> = self
            .kept
            .assignments
            .get(id)
            .into_iter()
            .flat_map(|functions| functions.keys().cloned())
            .collect();
        let all: BTreeSet<String> = held.into_iter().chain(aims.keys().cloned()).collect();
        for function in all {
            let key = (id.clone(), function);
            let aim = aims.remove(&key.1);
            let assignment = self.kept.assignment(&key.0, &key.1).cloned();
            match (assignment, aim) {
                (None, Some(Aim::At(target))) => self.start(now, key, *target, out),
                (None, _) => {}
                (Some(assignment), Some(Aim::At(target))) => self.towards(now, key, assignment, *target, out),
                (Some(assignment), Some(Aim::Withdrawn(why))) => self.end(now, key, &assignment, &why, out),
                (Some(assignment), Some(Aim::Stay | Aim::Nowhere(_))) => self.hold(now, key, assignment, out),
                // Conditions and vehicles are not known again at once after a start.
                (Some(assignment), None) if is_known && now >= self.settled_at => {
                    self.end(now, key, &assignment, "nothing calls for it any more", out);
                }
                (Some(assignment), None) if !is_known && self.has_waited_for_vehicles(now) => {
                    self.end(now, key, &assignment, "no fog node has seen the vehicle for an hour", out);
                }
                (Some(assignment), None) => self.hold(now, key, assignment, out),
            }
        }
        *used = self.used();
    }

    /// Whether a vehicle that was not seen since the start is not expected any more.
    fn has_waited_for_vehicles(&self, now: Timestamp) -> bool {
        now.as_millis() >= self.settled_at.as_millis().saturating_add(GONE_MS)
    }

    fn start(&mut self, now: Timestamp, key: Key, target: Target, out: &mut Vec<Output>) {
        let decision = self.decide_run(now, &key, &target, out);
        let Target { fog, release, configuration, allowed, .. } = target;
        self.run(now, key, Run { fog, release, configuration, allowed, assignment: None, decision }, out);
    }

    /// One step of a function that is somewhere to where it is to be.
    fn towards(
        &mut self,
        now: Timestamp,
        key: Key,
        assignment: Assignment,
        target: Target,
        out: &mut Vec<Output>,
    ) {
        let is_dead = self.nodes.get(&assignment.fog).is_none_or(|node| node.is_dead(now));
        let elsewhere = target.fog != assignment.fog;
        match &assignment.phase {
            Phase::Failed { .. } => {
                if now.as_millis() >= assignment.retry_ms {
                    self.go_on(now, key, assignment, target, out);
                }
            }
            Phase::Ending => self.start(now, key, target, out),
            Phase::Leaving { to } => {
                let waited = self
                    .waiting
                    .get(&key)
                    .map_or(0, |since| now.as_millis().saturating_sub(since.as_millis()));
                if is_dead || waited >= HAND_OVER_MS {
                    self.arrive(now, key, assignment, target, out);
                } else if *to != target.fog {
                    let phase = Phase::Leaving { to: target.fog };
                    self.assign(&key, Assignment { phase, ..assignment }, out);
                }
            }
            Phase::Starting | Phase::Running if elsewhere && is_dead => {
                self.counters.rescued += 1;
                self.decide_move(now, &key, &assignment, &target, "its fog node is dead", out);
                self.arrive(now, key, assignment, target, out);
            }
            Phase::Starting | Phase::Running if elsewhere => {
                let why = match target.is_advised {
                    true => {
                        "all functions together cost less so: room is short where it was, or where it would be best"
                    }
                    false => "the vehicle is nearer to another fog node",
                };
                self.counters.rebalanced += u64::from(target.is_advised);
                self.decide_move(now, &key, &assignment, &target, why, out);
                self.leave(now, key, assignment, target.fog, out);
            }
            Phase::Starting | Phase::Running if !is_as(&assignment, &target) => {
                let decision = self.decide_run(now, &key, &target, out);
                let Target { fog, release, configuration, allowed, .. } = target;
                let run =
                    Run { fog, release, configuration, allowed, assignment: Some(assignment), decision };
                self.run(now, key, run, out);
            }
            Phase::Starting | Phase::Running => self.hold(now, key, assignment, out),
        }
    }

    /// Keeps a function where it is: its lease is renewed, and an order that was lost is given again.
    fn hold(&mut self, now: Timestamp, key: Key, assignment: Assignment, out: &mut Vec<Output>) {
        if self.orders.of(&assignment.fog, &key).is_some() {
            return;
        }
        let due = now.as_millis().saturating_add(self.settings.lease_ms / 2) >= assignment.until_ms;
        let again = match &assignment.phase {
            Phase::Starting => true,
            Phase::Running => due,
            Phase::Leaving { .. } | Phase::Ending | Phase::Failed { .. } => false,
        };
        let can = self.nodes.get(&assignment.fog).is_some_and(|node| node.takes_functions(now));
        let usable = self.kept.usable_release(&assignment.release).is_some();
        if again && can && usable {
            let Assignment { fog, release, configuration, allowed, decision, .. } = assignment.clone();
            self.run(
                now,
                key,
                Run { fog, release, configuration, allowed, assignment: Some(assignment), decision },
                out,
            );
        }
    }

    /// Goes on at the target with what is known of the function's state.
    fn go_on(
        &mut self,
        now: Timestamp,
        key: Key,
        assignment: Assignment,
        target: Target,
        out: &mut Vec<Output>,
    ) {
        let Target { fog, release, configuration, allowed, .. } = target;
        let decision = assignment.decision;
        self.run(
            now,
            key,
            Run { fog, release, configuration, allowed, assignment: Some(assignment), decision },
            out,
        );
    }

    /// Goes on at another fog node.
    fn arrive(
        &mut self,
        now: Timestamp,
        key: Key,
        assignment: Assignment,
        target: Target,
        out: &mut Vec<Output>,
    ) {
        match assignment.state {
            Some(_) => self.counters.handed_over += 1,
            None => self.counters.handed_over_without_state += 1,
        }
        self.go_on(now, key, assignment, target, out);
    }

    /// The last holder has sent the state: it goes on where it was to go.
    pub(super) fn has_state(&mut self, now: Timestamp, key: Key, to: String, out: &mut Vec<Output>) {
        let Some(assignment) = self.kept.assignment(&key.0, &key.1).cloned() else { return };
        let can = self.nodes.get(&to).is_some_and(|node| node.takes_functions(now));
        if !can || self.commands().is_none() {
            return;
        }
        self.counters.handed_over += 1;
        let Assignment { release, configuration, allowed, decision, .. } = assignment.clone();
        let run = Run { fog: to, release, configuration, allowed, assignment: Some(assignment), decision };
        self.run(now, key, run, out);
    }

    /// Asks the holder for the state, with which it goes on elsewhere.
    fn leave(&mut self, now: Timestamp, key: Key, assignment: Assignment, to: String, out: &mut Vec<Output>) {
        let fog = assignment.fog.clone();
        self.assign(&key, Assignment { phase: Phase::Leaving { to }, ..assignment }, out);
        self.waiting.insert(key.clone(), now);
        self.order(now, &fog, PlannedWork::End { key, hand_over: true }, out);
    }

    /// Ends a function.
    fn end(&mut self, now: Timestamp, key: Key, assignment: &Assignment, why: &str, out: &mut Vec<Output>) {
        self.counters.rebalanced += u64::from(why == GIVES_WAY && assignment.phase != Phase::Ending);
        if self.nodes.get(&assignment.fog).is_none_or(|node| node.is_dead(now)) {
            // Should its node come back and still run it, it is ended then.
            self.decide_end(now, &key, assignment, why, out);
            self.unassign(&key, out);
        } else if assignment.phase != Phase::Ending {
            self.decide_end(now, &key, assignment, why, out);
            let fog = assignment.fog.clone();
            self.assign(&key, Assignment { phase: Phase::Ending, state: None, ..assignment.clone() }, out);
            self.waiting.insert(key.clone(), now);
            self.order(now, &fog, PlannedWork::End { key, hand_over: false }, out);
        } else if self.orders.of(&assignment.fog, &key).is_none() {
            // Ordered before this process began, or before the term: what runs there is not known.
            self.waiting.insert(key.clone(), now);
            self.order(now, &assignment.fog.clone(), PlannedWork::End { key, hand_over: false }, out);
        }
    }

    /// Ends what a fog node runs, as it says, and is not to run.
    pub(super) fn end_stray(&mut self, now: Timestamp, fog: &str, key: Key, out: &mut Vec<Output>) {
        let node = self.nodes.get(fog).filter(|node| node.connected);
        let runs = node.and_then(|node| node.running.as_ref()).is_some_and(|all| all.contains_key(&key));
        if runs && self.commands().is_some() && self.orders.of(fog, &key).is_none() {
            self.order(now, fog, PlannedWork::End { key, hand_over: false }, out);
        }
    }

    /// Ends everything that fog nodes say they run and are not to run.
    pub(super) fn end_strays(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let all = self
            .nodes
            .iter()
            .flat_map(|(fog, node)| node.running.iter().flatten().map(move |(key, _)| (fog, key)));
        let is_stray = |(fog, key): &(&String, &Key)| {
            self.kept.assignment(&key.0, &key.1).is_none_or(|assignment| assignment.fog != **fog)
        };
        let strays: Vec<(String, Key)> =
            all.filter(is_stray).map(|(fog, key)| (fog.clone(), key.clone())).collect();
        for (fog, key) in strays {
            self.end_stray(now, &fog, key, out);
        }
    }

    /// Gives a lease and orders to run under it.
    fn run(&mut self, now: Timestamp, key: Key, run: Run, out: &mut Vec<Output>) {
        let Some(term) = self.commands() else { return };
        let Some(fog_key) = self.nodes.get(&run.fog).and_then(|node| node.key) else { return };
        let Run { fog, release, configuration, allowed, assignment, decision } = run;
        // What another node held of this is replaced, since the epoch is higher; should it still run there, it ends.
        let before = assignment.as_ref().filter(|before| before.fog != fog).map(|before| before.fog.clone());
        let epoch = self.epoch(term, out);
        let until = later(now, self.settings.lease_ms);
        let (state, failures) = assignment.map_or((None, 0), |before| (before.state, before.failures));
        let assignment = Assignment {
            fog: fog.clone(),
            epoch,
            until_ms: until.as_millis(),
            release,
            configuration: configuration.clone(),
            allowed: allowed.clone(),
            phase: Phase::Starting,
            state: state.clone(),
            failures,
            retry_ms: 0,
            decision,
        };
        self.assign(&key, assignment, out);
        self.waiting.insert(key.clone(), now);
        self.counters.leases += 1;
        let (vehicle, function) = key.clone();
        let epoch = Epoch { term: epoch.0, count: epoch.1 };
        let lease = Lease { vehicle, function, fog: fog.clone(), fog_key, epoch, until, allowed };
        let fleet =
            FleetShare::of(self.policy.fleet_commands_per_s, self.policy.fleet_burst, self.nodes.len());
        self.order(now, &fog, PlannedWork::Run { lease, release, configuration, state, fleet }, out);
        if let Some(before) = before {
            self.orders.settle(&before, &key);
            self.end_stray(now, &before, key, out);
        }
    }

    /// Gives an order its number, and sends it if the fog node is there.
    pub(super) fn order(&mut self, now: Timestamp, fog: &str, work: PlannedWork, out: &mut Vec<Output>) {
        let Some(term) = self.commands() else { return };
        let number = self.order_number(out);
        let order = Planned { number, term, work };
        self.counters.orders += 1;
        self.orders.give(fog, order.clone(), now);
        // With a session's first list of what runs, all that waits is sent.
        if self.nodes.get(fog).is_some_and(|node| node.connected && node.running.is_some()) {
            out.push(Output::Send { fog: fog.to_owned(), order });
        }
    }

    pub(super) fn assign(&mut self, key: &Key, assignment: Assignment, out: &mut Vec<Output>) {
        if self.kept.assignment(&key.0, &key.1) != Some(&assignment) {
            let (vehicle, function) = key.clone();
            self.change(Change::Assigned { vehicle, function, assignment: Box::new(assignment) }, out);
        }
    }

    pub(super) fn unassign(&mut self, key: &Key, out: &mut Vec<Output>) {
        self.waiting.remove(key);
        self.tried.remove(key);
        let (vehicle, function) = key.clone();
        self.change(Change::Unassigned { vehicle, function }, out);
        // What it was kept from may run now.
        self.changed.insert(key.0.clone());
    }

    /// A function could not be run: it is tried again later, each time after twice as long.
    pub(super) fn failed(&mut self, now: Timestamp, key: &Key, reason: String, out: &mut Vec<Output>) {
        let Some(assignment) = self.kept.assignment(&key.0, &key.1).cloned() else { return };
        let failures = assignment.failures.saturating_add(1);
        let wait = RETRY_MS.0.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(RETRY_MS.1);
        let retry_ms = now.as_millis().saturating_add(wait);
        self.waiting.remove(key);
        let phase = Phase::Failed { reason };
        self.assign(key, Assignment { phase, failures, retry_ms, ..assignment }, out);
    }

    /// Replaces orders that nobody has confirmed in time.
    pub(super) fn replace_late_orders(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        for (fog, key) in self.orders.late(now) {
            if !self.nodes.get(&fog).is_some_and(|node| node.connected) {
                continue;
            }
            self.counters.unconfirmed += 1;
            self.orders.settle(&fog, &key);
            let here =
                self.kept.assignment(&key.0, &key.1).filter(|assignment| assignment.fog == fog).cloned();
            let Some(assignment) = here else {
                self.end_stray(now, &fog, key, out);
                continue;
            };
            match assignment.phase {
                Phase::Starting if assignment.failures + 1 >= UNCONFIRMED => {
                    self.failed(now, &key, "the fog node does not confirm that it runs".to_owned(), out);
                }
                Phase::Starting => {
                    let failures = assignment.failures + 1;
                    self.assign(&key, Assignment { failures, ..assignment }, out);
                }
                Phase::Ending => {
                    self.unassign(&key, out);
                    self.end_stray(now, &fog, key.clone(), out);
                }
                Phase::Running | Phase::Leaving { .. } | Phase::Failed { .. } => {}
            }
            self.changed.insert(key.0);
        }
    }
}
