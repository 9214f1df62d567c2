//! One function of one vehicle: its lease, its instance, its numbers.

mod outputs;
mod persistence;
mod placed;
mod sent;

pub(super) use placed::Placed;

use super::{
    Previous, State,
    backoff::{Failures, Rate},
    node::Node,
};
use crate::{
    FailurePolicy,
    bindings::{Input as Given, voltmesh::function::types::Feedback},
    host::{Asked, Failure, Guest},
};
use sent::Awaited;
use std::collections::BTreeMap;
use voltmesh_control::{Action, FunctionState, Instance, InstanceState, Lease};
use voltmesh_telemetry::Timestamp;

/// Longest time in ms between two ticks of a function.
const TICK_MS: u64 = 1_000;
/// Least time in ms between two snapshots.
const PERSIST_MS: u64 = 1_000;
/// Time in ms after which a state that only changed, without an event or command, is in a snapshot.
const PERSIST_QUIET_MS: u64 = 10_000;
/// Events at once, and events a second for long: a function says what changed.
const EVENTS: (u64, u64) = (64, 10);
/// Commands at once, and commands a second for long: each kind of action every three seconds or so.
const COMMANDS: (u64, u64) = (32, 2);
/// Most feedback that waits for an instance that does not run.
const MAX_WAITING: usize = 64;
/// Time in ms after which a withdrawn command is not in force any more: a round trip, and clocks that differ.
const WITHDRAW_MS: u64 = 3_000;

/// First calls after an upgrade: the release before stays ready.
pub(super) struct Probation {
    /// Calls to go.
    pub left: u32,
    /// The instance before; it gets the same inputs, and its answers are used from the call on in which the new one fails.
    pub shadow: Option<Guest>,
    pub placed: Placed,
    /// Its state at the upgrade, should the shadow fail too.
    pub state: State,
}

/// Whether its instance runs.
pub(super) enum Phase {
    Running(Box<Guest>),
    /// It failed and starts again then.
    Waiting(Timestamp),
    /// It failed too often.
    Failed,
}

/// One function of one vehicle.
pub(super) struct Slot {
    pub lease: Lease,
    pub lease_bytes: Vec<u8>,
    pub placed: Placed,
    pub phase: Phase,
    pub probation: Option<Probation>,
    pub previous: Option<Previous>,
    /// The last exported state.
    pub state: State,
    pub conditions: BTreeMap<String, bool>,
    pub order: (u32, u64),
    pub failures: Failures,
    pub next_event: u64,
    next_command: u64,
    reserved: u64,
    sent: BTreeMap<u64, Awaited>,
    waiting: Vec<Feedback>,
    last_sequence: u64,
    last_tick: Timestamp,
    persisted: Timestamp,
    unpersisted: Option<Timestamp>,
    paused: bool,
    calls: u64,
    traps: u64,
    events: Rate,
    commands: Rate,
    /// What the lease allows.
    allowed: Rate,
}

impl Slot {
    pub fn new(
        lease: Lease,
        lease_bytes: Vec<u8>,
        placed: Placed,
        guest: Guest,
        state: State,
        order: (u32, u64),
        now: Timestamp,
    ) -> Self {
        let allowed = u64::from(lease.allowed.commands_per_min);
        Self {
            lease,
            lease_bytes,
            placed,
            phase: Phase::Running(Box::new(guest)),
            probation: None,
            previous: None,
            state,
            conditions: BTreeMap::new(),
            order,
            failures: Failures::default(),
            next_event: 0,
            next_command: 0,
            reserved: 0,
            sent: BTreeMap::new(),
            waiting: Vec::new(),
            last_sequence: 0,
            last_tick: now,
            persisted: now,
            unpersisted: None,
            paused: false,
            calls: 0,
            traps: 0,
            events: Rate::new(EVENTS.0, EVENTS.1),
            commands: Rate::new(COMMANDS.0, COMMANDS.1),
            allowed: Rate::per_min(allowed, allowed),
        }
    }

    pub fn epoch(&self) -> (u32, u32) {
        (self.lease.epoch.term, self.lease.epoch.count)
    }

    fn who(&self) -> String {
        format!(
            "function {} {} of vehicle {}",
            self.lease.function, self.placed.component.manifest.release, self.lease.vehicle
        )
    }

    /// When something is to be done here.
    pub fn due(&self) -> Option<Timestamp> {
        let call = match self.phase {
            _ if self.paused => None,
            Phase::Running(_) => Some(self.last_tick.plus_millis(TICK_MS).min(self.lease.until)),
            Phase::Waiting(until) => Some(until.min(self.lease.until)),
            Phase::Failed => None,
        };
        let expiry = self.sent.values().map(|sent| sent.expires).min();
        [call, expiry, self.unpersisted].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn wake(&mut self, node: &mut Node) {
        let now = node.now;
        let expired: Vec<u64> =
            self.sent.iter().filter(|(_, sent)| sent.expires <= now).map(|(number, _)| *number).collect();
        for number in expired {
            if self.sent.remove(&number).is_some_and(|sent| !sent.replaced) {
                self.feedback(node, Feedback::Expired(number));
            }
        }
        if self.is_paused(node) {
        } else if let Phase::Waiting(until) = self.phase {
            if until <= now {
                self.start(node);
            }
        } else if self.last_tick.plus_millis(TICK_MS) <= now {
            self.give(node, Vec::new());
        }
        if self.unpersisted.is_some_and(|due| due <= now) {
            self.persist(node);
        }
    }

    /// Whether its lease is over; said once.
    fn is_paused(&mut self, node: &mut Node) -> bool {
        let over = self.lease.until <= node.now;
        if over && !self.paused {
            self.paused = true;
            let who = self.who();
            node.warn(format!(
                "{who}: its lease {} is over; it is paused until the controller renews it",
                self.lease.epoch
            ));
        }
        self.paused = over;
        over
    }

    /// A lease that takes the place of the last one.
    pub fn renew(&mut self, lease: Lease, bytes: Vec<u8>) {
        if lease.epoch > self.lease.epoch {
            self.next_event = 0;
        }
        self.paused = false;
        let allowed = u64::from(lease.allowed.commands_per_min);
        self.allowed.set(allowed, allowed);
        (self.lease, self.lease_bytes) = (lease, bytes);
    }

    /// Gives feedback now, or when it runs again.
    pub fn feedback(&mut self, node: &mut Node, feedback: Feedback) {
        if matches!(self.phase, Phase::Running(_)) && !self.is_paused(node) && !node.is_full() {
            self.give(node, vec![Given::Feedback(feedback)]);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push(feedback);
        } else {
            node.counters.missed += 1;
        }
    }

    /// One call.
    pub fn give(&mut self, node: &mut Node, inputs: Vec<Given>) {
        if self.is_paused(node) || node.is_full() {
            node.counters.missed += 1;
            self.last_tick = node.now;
            return;
        }
        let Phase::Running(guest) = &mut self.phase else {
            node.counters.missed += 1;
            return;
        };
        let mut given: Vec<Given> = self.waiting.drain(..).map(Given::Feedback).collect();
        given.extend(inputs);
        let ticks = self.last_tick.plus_millis(TICK_MS) <= node.now;
        if ticks {
            self.last_tick = node.now;
            given.push(Given::Tick);
        }
        self.calls += 1;
        node.counters.calls += 1;
        let now_ms = node.now.as_millis();
        let answer = guest.handle(now_ms, &given);
        node.burn(guest.used());
        // The release before an upgrade gets the same, so that it can go on from this very call.
        let before = self.probation.as_mut().and_then(|probation| {
            let answer = probation.shadow.as_mut()?.handle(now_ms, &given);
            if answer.is_err() {
                probation.shadow = None;
            }
            answer.ok()
        });
        let feedback = given.iter().any(|input| matches!(input, Given::Feedback(_)));
        match answer.and_then(|answer| self.admit(node.now, answer)) {
            Ok(answer) => {
                self.passed();
                self.carry_out(node, answer, ticks || feedback);
            }
            Err(failure) => {
                let who = self.who();
                node.failed(&who, &failure);
                self.traps += 1;
                node.changed = true;
                if self.probation.is_some() {
                    self.roll_back(node, &failure, before);
                } else {
                    self.fail(node, &failure);
                }
            }
        }
    }

    /// Takes the state out, for a restart or a snapshot.
    fn export(&mut self, node: &mut Node, acted: bool) {
        let Phase::Running(guest) = &mut self.phase else { return };
        let state = self.placed.export(guest);
        node.burn(guest.used());
        match state {
            Ok(state) => {
                if acted || state != self.state {
                    let wait = if acted { PERSIST_MS } else { PERSIST_QUIET_MS };
                    let due = self.persisted.plus_millis(wait).max(node.now);
                    self.unpersisted = Some(self.unpersisted.map_or(due, |before| before.min(due)));
                }
                self.state = state;
            }
            Err(failure) => self.broke(node, &failure),
        }
        if self.unpersisted.is_some_and(|due| due <= node.now) {
            self.persist(node);
        }
    }

    /// A failure outside a call: told, counted, and the instance stops.
    fn broke(&mut self, node: &mut Node, failure: &Failure) {
        let who = self.who();
        node.failed(&who, failure);
        self.traps += 1;
        node.changed = true;
        self.fail(node, failure);
    }

    /// Stops the instance, for a while or for good.
    pub fn fail(&mut self, node: &mut Node, failure: &Failure) {
        match self.failures.record(node.now) {
            Some(until) => self.phase = Phase::Waiting(until),
            None => self.switch_off(node, &failure.to_string()),
        }
    }

    /// Off for good; the manifest says what becomes of its commands.
    pub fn switch_off(&mut self, node: &mut Node, why: &str) {
        self.phase = Phase::Failed;
        self.probation = None;
        node.changed = true;
        if self.is_paused(node) {
            self.persist(node);
            return;
        }
        let policy = self.placed.component.manifest.failure;
        let commands = match policy {
            FailurePolicy::Hold => "its last commands stay in force until they expire",
            FailurePolicy::Withdraw => "its commands are withdrawn",
        };
        self.say_of(node, "off", format!("the function is off, {commands}: {why}"));
        if policy == FailurePolicy::Withdraw {
            // A later command of the same kind takes its place, and is soon over.
            let in_force: Vec<Action> = self
                .sent
                .values()
                .filter(|sent| !sent.replaced && sent.expires > node.now.plus_millis(WITHDRAW_MS))
                .map(|sent| sent.action.clone())
                .collect();
            for action in in_force {
                let reason = "the function is off".into();
                self.command(node, Asked { action, valid_ms: WITHDRAW_MS, reason });
            }
        }
        self.persist(node);
    }

    /// Starts again from the last exported state.
    pub fn start(&mut self, node: &mut Node) {
        match self.placed.start(Some(&self.state)) {
            Ok(guest) => {
                self.phase = Phase::Running(Box::new(guest));
                self.last_tick = node.now;
                node.changed = true;
                if !self.waiting.is_empty() {
                    self.give(node, Vec::new());
                }
            }
            Err(failure) => self.broke(node, &failure),
        }
    }

    /// The state for the next holder.
    pub fn handed_over(&mut self, node: &mut Node) -> FunctionState {
        if let Phase::Running(guest) = &mut self.phase {
            match self.placed.export(guest) {
                Ok(state) => self.state = state,
                Err(failure) => {
                    let who = self.who();
                    node.failed(&who, &failure);
                    node.warn(format!("{who}: its last exported state is handed over"));
                }
            }
        }
        FunctionState {
            vehicle: self.lease.vehicle.clone(),
            function: self.lease.function.clone(),
            version: self.state.version,
            state: hex::encode(&self.state.bytes),
            epoch: self.epoch(),
        }
    }

    pub fn instance(&self) -> Instance {
        Instance {
            vehicle: self.lease.vehicle.clone(),
            function: self.lease.function.clone(),
            release: self.placed.component.digest,
            epoch: self.epoch(),
            state: match self.phase {
                Phase::Running(_) => InstanceState::Running,
                Phase::Waiting(_) => InstanceState::BackingOff,
                Phase::Failed => InstanceState::Failed,
            },
            calls: self.calls,
            traps: self.traps,
        }
    }
}
