//! The controller as a pure core: what fog nodes say in, orders to them out.
//!
//! A vehicle's conditions and the policy say which functions it is to have; placement says where; the rest of this room brings
//! there what is elsewhere. Each function of a vehicle is in one [`Phase`], each order is numbered and waits until the fog node's
//! list of what it runs confirms it, and each lease has an epoch of its own, higher than every one before it.
//!
//! **Invariants.** No two leases of a vehicle and function have the same epoch, in whatever order inputs come and wherever the
//! process is killed: epochs and numbers are reserved on disk before they are used. What is sent was persisted before. Without a
//! term, or while it is paused, nothing is ordered; conditions are followed all the same.
//!
//! **Not here:** signatures, clocks, sockets, disks (`run`).

mod advice;
mod copy;
mod counters;
mod history;
mod learn;
mod node;
mod numbers;
mod orders;
mod plan;
mod rebalance;
mod reconcile;
mod reports;
mod requests;
mod room;
mod state;
mod succession;
mod summaries;
mod vehicle;
mod view;
mod vocabulary;

pub use counters::Counters;
pub use history::{Conditioned, Line};
pub use node::{GRACE_MS, SILENT_MS, START_GRACE_MS};
pub use orders::CONFIRM_MS;
pub use reconcile::HAND_OVER_MS;
pub use state::{
    Assignment, Change, Deployment, Kept, Key, MAX_DEPLOYMENTS, MAX_RELEASES, Phase, Receipt, Release,
    Replaced, Written,
};
pub use view::{ConditionView, InstanceView, NodeView, VehicleView};
pub use vocabulary::{Input, Output, Planned, PlannedWork, Refusal, Request, RequestError};

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_telemetry::{Timestamp, VehicleId};

use crate::decisions::{Learning, Log};
use crate::policy::Policy;
use crate::{Assessor, Rules};
use advice::Advice;
use history::History;
use node::Node;
use orders::Orders;
use vehicle::{Trial, Vehicle};

/// Time in ms between two looks at everything that only time changes.
pub const TICK_MS: u64 = 1_000;
/// The same while something waits for a fog node.
pub const BUSY_TICK_MS: u64 = 100;
/// Time in ms after the start, or after a term was taken, in which nothing ends for want of a reason: conditions are not known
/// again before their rules have seen enough summaries.
pub const SETTLING_MS: u64 = 30_000;

/// Time in ms between two times that evidence is persisted, if there is any; what follows from it is persisted at once.
const LEARNED_MS: u64 = 60_000;

/// Time in ms between two looks for what fog nodes run and are not to run: a node may have refused to end it.
const STRAYS_MS: u64 = 5_000;

/// What a controller is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a lease holds, in ms; it is renewed at half of it.
    pub lease_ms: u64,
    /// Memory in MiB for functions of one fog node.
    pub node_memory_mib: u32,
    /// Keys by which fog nodes sign commands, by fog node. Of one that is not named here, the key counts that it says in its
    /// session.
    pub fog_keys: BTreeMap<String, [u8; 32]>,
    /// Groups of vehicles by name.
    pub groups: BTreeMap<String, BTreeSet<VehicleId>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease_ms: 3_600_000,
            node_memory_mib: 1_024,
            fog_keys: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }
}

/// Controller of a fleet.
#[derive(Debug)]
pub struct Controller {
    settings: Settings,
    kept: Kept,
    /// Term that is held now.
    term: Option<u32>,
    /// Highest term that a fog node says it has seen of a controller.
    highest_seen: u32,
    assessor: Assessor,
    policy: Policy,
    nodes: BTreeMap<String, Node>,
    vehicles: BTreeMap<VehicleId, Vehicle>,
    orders: Orders,
    history: History,
    counters: Counters,
    log: Log,
    learning: Learning,
    /// Whether something was learned that is not persisted yet.
    learned: bool,
    /// Functions that run for a condition, since when.
    tried: BTreeMap<Key, Trial>,
    /// Vehicles of which something has changed.
    changed: BTreeSet<VehicleId>,
    /// Functions that wait for a fog node, with the time since when.
    waiting: BTreeMap<Key, Timestamp>,
    /// What placing all vehicles' functions together advises.
    advice: Advice,
    /// Next numbers within the reserved ones.
    next_order: u64,
    next_lease: u32,
    settled_at: Timestamp,
    last_tick: Timestamp,
    last_full_tick: Timestamp,
    last_kept: Timestamp,
    last_strays: Timestamp,
}

impl Controller {
    /// A controller that goes on from what was kept. It holds no term yet.
    #[must_use]
    pub fn new(now: Timestamp, settings: Settings, kept: Kept, rules: Rules, policy: Policy) -> Self {
        // Who held a function before may come back.
        let holders = kept.all().map(|(_, _, assignment)| assignment.fog.clone());
        let nodes = holders.map(|fog| (fog, Node::awaited(now))).collect();
        let changed = kept.assignments.keys().cloned().collect();
        let waits = |phase: &Phase| !matches!(phase, Phase::Running | Phase::Failed { .. });
        let waiting = kept
            .all()
            .filter(|(.., assignment)| waits(&assignment.phase))
            .map(|(vehicle, function, _)| ((vehicle.clone(), function.clone()), now));
        Self {
            waiting: waiting.collect(),
            advice: Advice::default(),
            next_order: kept.orders,
            next_lease: kept.leases,
            log: Log::restore(kept.decisions.values().cloned()),
            learning: kept.learning.clone(),
            learned: false,
            tried: BTreeMap::new(),
            settings,
            kept,
            term: None,
            highest_seen: 0,
            assessor: Assessor::new(rules),
            policy,
            nodes,
            vehicles: BTreeMap::new(),
            orders: Orders::default(),
            history: History::default(),
            counters: Counters::default(),
            changed,
            settled_at: later(now, SETTLING_MS),
            last_tick: now,
            last_full_tick: now,
            last_kept: now,
            last_strays: now,
        }
    }

    /// Takes what happens and says what is to be done.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Term(term) => self.take_term(now, term, &mut out),
            Input::FogUp { fog } => self.fog_up(now, &fog),
            Input::FogDown { fog } => self.fog_down(now, &fog),
            Input::Summaries { fog, summaries } => self.summaries(now, &fog, *summaries, &mut out),
            Input::Report { fog, report } => self.report(now, &fog, *report, &mut out),
            Input::Copied { whole, changes } => self.copy(whole, changes, &mut out),
            Input::Improved { moves } => self.improved(now, moves),
            Input::Written(written) => self.change(Change::Written { written }, &mut out),
            Input::Tick => self.tick(now, &mut out),
        }
        self.work_off(now, &mut out);
        out
    }

    /// When it wants to be woken with [`Input::Tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let busy = !self.waiting.is_empty();
        let tick = later(self.last_tick, if busy { BUSY_TICK_MS } else { TICK_MS });
        let holding = self.nodes.values().filter(|node| !node.given_up).map(Node::dies);
        // Never at once again: what is due was done in this tick.
        let dies = holding.min().map(|dies| dies.max(later(self.last_tick, 1)));
        Some(dies.map_or(tick, |dies| dies.min(tick)))
    }

    /// What is kept.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Counts since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether orders may be given now, and under which term.
    fn commands(&self) -> Option<u32> {
        self.term.filter(|_| !self.kept.paused)
    }

    /// Does a change and has it persisted.
    fn change(&mut self, change: Change, out: &mut Vec<Output>) {
        self.kept.apply(&change);
        out.push(Output::Persist(change));
    }

    fn take_term(&mut self, now: Timestamp, term: Option<u32>, out: &mut Vec<Output>) {
        if self.term == term {
            return;
        }
        self.term = None;
        self.orders.clear();
        let Some(term) = term else { return };
        if term < self.kept.term {
            return;
        }
        if term > self.kept.term {
            self.change(Change::Term { term }, out);
            (self.next_order, self.next_lease) = (0, 0);
        }
        self.term = Some(term);
        self.take_over(now, out);
        self.settled_at = later(now, SETTLING_MS);
        self.changed.extend(self.kept.assignments.keys().cloned());
        self.changed.extend(self.vehicles.keys().cloned());
    }

    fn fog_up(&mut self, now: Timestamp, fog: &str) {
        let node = self.nodes.entry(fog.to_owned()).or_insert_with(|| Node::awaited(now));
        node.connect(now);
        node.key = self.settings.fog_keys.get(fog).copied();
    }

    fn fog_down(&mut self, now: Timestamp, fog: &str) {
        if let Some(node) = self.nodes.get_mut(fog) {
            node.disconnect(now);
            node.running = None;
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.last_tick = now;
        for change in self.assessor.tick(now) {
            self.condition(now, change, out);
        }
        self.look_at_nodes(now);
        self.replace_late_orders(now, out);
        self.changed.extend(self.waiting.keys().map(|(vehicle, _)| vehicle.clone()));
        if now.as_millis() >= self.last_full_tick.as_millis() + TICK_MS {
            self.last_full_tick = now;
            self.look_at_vehicles(now);
            self.look_at_trials(now, out);
            self.look_for_better(now, out);
        }
        if now.as_millis() >= self.last_kept.as_millis() + LEARNED_MS {
            self.last_kept = now;
            self.keep_learning(out);
        }
        if now.as_millis() >= self.last_strays.as_millis() + STRAYS_MS {
            self.last_strays = now;
            self.end_strays(now, out);
        }
    }

    /// Gives up fog nodes that are dead.
    fn look_at_nodes(&mut self, now: Timestamp) {
        let died: BTreeSet<String> = self
            .nodes
            .iter_mut()
            .filter(|(_, node)| !node.given_up && node.is_dead(now))
            .map(|(fog, node)| {
                node.given_up = true;
                fog.clone()
            })
            .collect();
        if died.is_empty() {
            return;
        }
        let at_them = self.kept.all().filter(|(_, _, assignment)| died.contains(&assignment.fog));
        let vehicles: BTreeSet<VehicleId> = at_them.map(|(vehicle, ..)| vehicle.clone()).collect();
        self.changed.extend(vehicles);
        died.iter().for_each(|fog| self.orders.forget(fog));
    }

    /// Forgets vehicles that nobody sees, and finds leases to renew and failures to try again.
    fn look_at_vehicles(&mut self, now: Timestamp) {
        let gone = |vehicle: &Vehicle| now.as_millis() > vehicle.seen.as_millis() + vehicle::GONE_MS;
        let gone: Vec<VehicleId> =
            self.vehicles.iter().filter(|(_, vehicle)| gone(vehicle)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.assessor.forget(&id);
            self.advice.forget(&id);
            self.vehicles.remove(&id);
            self.changed.insert(id);
        }
        let half = self.settings.lease_ms / 2;
        let due = self.kept.all().filter(|(_, _, assignment)| match assignment.phase {
            Phase::Failed { .. } => now.as_millis() >= assignment.retry_ms,
            _ => now.as_millis() + half >= assignment.until_ms,
        });
        let due: Vec<VehicleId> = due.map(|(vehicle, ..)| vehicle.clone()).collect();
        self.changed.extend(due);
        // What stays for a minimum time only, and what nobody could run: by and by.
        let pending = self.vehicles.iter().filter(|(_, vehicle)| {
            !vehicle.unplaced.is_empty()
                || vehicle.selected.iter().any(|wanted| wanted.reasons.iter().all(|reason| reason.over))
        });
        self.changed.extend(pending.map(|(id, _)| id.clone()));
        self.changed.extend(self.advice.vehicles().cloned());
    }

    /// Brings every vehicle of which something has changed to what is wanted.
    fn work_off(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            return;
        }
        let mut used = self.used();
        for vehicle in changed {
            self.select(now, &vehicle);
            if self.commands().is_some() {
                self.reconcile(now, &vehicle, &mut used, out);
            }
        }
    }
}

/// A time so many ms later.
fn later(now: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(ms))
}

#[cfg(test)]
pub(crate) use tests::summary_for_tests;

#[cfg(test)]
mod tests;
