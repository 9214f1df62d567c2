//! Orders of the controller: checked, put in order, carried out, or refused with the reason.

use super::{
    Compiled, MAX_CONFIGURATION_BYTES, Manager, Output, Snapshot, State,
    slot::{Placed, Slot},
};
use crate::{
    Component, Package, Refusal, bindings::voltmesh::function::types::Feedback, host::MAX_STATE_BYTES,
};
use bytes::Bytes;
use std::sync::Arc;
use voltmesh_control::{Epoch, FunctionReport, FunctionState, Lease, MAX_LEASE_BYTES, Order, Work};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId, is_name};

/// Most steps that wait for a release of one function.
const MAX_STEPS: usize = 16;
/// Most functions that wait for a release.
const MAX_WAITING: usize = super::MAX_INSTANCES as usize;
/// Time in ms after which a release is asked for again.
pub(super) const ASK_AGAIN_MS: u64 = 5_000;
/// Most conditions of a function that are the case at a time.
const MAX_CONDITIONS: usize = 64;
/// Most functions whose end is remembered, so that an older lease does not bring them back.
const MAX_ENDED: usize = 10_000;
/// Compiled releases that are kept: 64 of some MB each.
const MAX_COMPONENTS: usize = 64;

/// Vehicle and function.
pub(super) type Key = (VehicleId, String);

/// End of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub epoch: Epoch,
    pub until: Timestamp,
}

/// What waits for a release, in order.
pub(super) enum Step {
    Restore(Box<Snapshot>, Lease, Option<u64>),
    Run(Box<Run>),
    Condition(u64, String, bool),
}

/// Checked order to run a function.
pub(super) struct Run {
    order: (u32, u64),
    release: Digest,
    configuration: serde_json::Value,
    pub(super) lease: Lease,
    lease_bytes: Vec<u8>,
    state: Option<(State, Epoch)>,
}

impl Step {
    fn release(&self) -> Option<Digest> {
        match self {
            Self::Restore(snapshot, ..) => snapshot.running.as_ref().map(|running| running.release),
            Self::Run(run) => Some(run.release),
            Self::Condition(..) => None,
        }
    }
}

impl Manager {
    pub(super) fn order(&mut self, order: Order) {
        let (term, number) = self.last_order;
        if order.term < term {
            let why =
                format!("the order is of term {}, and a controller of term {term} was here", order.term);
            return self.node.refuse(order.number, why);
        }
        // The same again: it was carried out.
        if order.term == term && number.is_some_and(|number| order.number <= number) {
            return;
        }
        self.last_order = (order.term, Some(order.number));
        let at = (order.term, order.number);
        let done = match order.work {
            Work::Run { vehicle, function, release, configuration, lease, state, fleet } => {
                let key = (vehicle, function);
                self.checked(at, &key, release, configuration, &lease, state).and_then(|run| {
                    self.node.share(at, fleet);
                    self.run(key, run)
                })
            }
            Work::End { vehicle, function, hand_over } => self.end(at, (vehicle, function), hand_over),
            Work::Condition { vehicle, function, condition, active } => {
                self.condition(at, (vehicle, function), condition, active)
            }
        };
        if let Err(reason) = done {
            self.node.refuse(order.number, reason);
        }
    }

    /// The lease, if it is this node's, of this vehicle and function, and in force.
    fn lease(&self, key: &Key, text: &str) -> Result<(Lease, Vec<u8>), String> {
        if text.len() > 2 * MAX_LEASE_BYTES {
            return Err("its lease is too large".into());
        }
        let bytes = hex::decode(text).map_err(|error| format!("its lease is no hexadecimal: {error}"))?;
        let lease = Lease::verify(&bytes, &self.settings.controllers)
            .map_err(|error| format!("its lease: {error}"))?;
        if (&lease.vehicle, &lease.function) != (&key.0, &key.1) {
            return Err(format!("its lease is for {} of {}", lease.function, lease.vehicle));
        }
        if lease.fog != self.settings.fog || lease.fog_key != self.settings.fog_key {
            return Err(format!(
                "its lease is for fog node {}, with another key or name than this one",
                lease.fog
            ));
        }
        Ok((lease, bytes))
    }

    fn checked(
        &self,
        order: (u32, u64),
        key: &Key,
        release: Digest,
        configuration: serde_json::Value,
        lease: &str,
        state: Option<FunctionState>,
    ) -> Result<Run, String> {
        let (lease, lease_bytes) = self.lease(key, lease)?;
        if lease.until <= self.node.now {
            return Err("its lease is over; sign one that ends later, or set this node's clock".into());
        }
        if lease.epoch.term > order.0 {
            return Err(format!("its lease {} is of a later term than the order", lease.epoch));
        }
        let size = configuration.to_string().len();
        if size > MAX_CONFIGURATION_BYTES {
            return Err(format!(
                "its configuration has {size} bytes, at most {MAX_CONFIGURATION_BYTES} are taken"
            ));
        }
        if self.settings.withdrawn.contains(&release) {
            return Err(format!("release {release} is withdrawn; order another one"));
        }
        let state = state.map(|state| handed(key, &lease, state)).transpose()?;
        let run = Run { order, release, configuration, lease, lease_bytes, state };
        self.is_newest(key, &run.lease)?;
        Ok(run)
    }

    /// A lower epoch never takes the place of a higher one, and an ended one does not come back.
    fn is_newest(&self, key: &Key, lease: &Lease) -> Result<(), String> {
        let last = self.slot(key).map(|slot| slot.lease.epoch);
        if let Some(last) = last.filter(|last| lease.epoch < *last) {
            return Err(format!("its lease {} is older than {last}, which is in force here", lease.epoch));
        }
        if let Some(ended) = self.ended.get(key).filter(|ended| lease.epoch <= ended.epoch) {
            return Err(format!(
                "its lease {} is not newer than {}, which has ended here",
                lease.epoch, ended.epoch
            ));
        }
        Ok(())
    }

    fn run(&mut self, key: Key, run: Run) -> Result<(), String> {
        if !self.pending.contains_key(&key) && self.pending.len() >= MAX_WAITING {
            return Err("too many functions wait for their releases".into());
        }
        let steps = self.pending.entry(key.clone()).or_default();
        // A later order takes the place of one that still waits.
        let (before, rest) =
            std::mem::take(steps).into_iter().partition::<Vec<_>, _>(|step| matches!(step, Step::Run(_)));
        *steps = rest;
        steps.push(Step::Run(Box::new(run)));
        for step in before {
            if let Step::Run(run) = step {
                self.node.refuse(run.order.1, "a later order came before its release".into());
            }
        }
        self.proceed(&key);
        Ok(())
    }

    /// Carries out what waits and can be, in order.
    fn proceed(&mut self, key: &Key) {
        while let Some(steps) = self.pending.get_mut(key) {
            let Some(release) = steps.first().map(Step::release) else {
                self.pending.remove(key);
                return;
            };
            let component = match release {
                None => None,
                Some(release) => match self.components.get(&release) {
                    Some((_, component)) => Some(component.clone()),
                    None => return self.want(release),
                },
            };
            match (steps.remove(0), component) {
                (Step::Restore(snapshot, lease, kept), Some(component)) => {
                    self.restored(key, *snapshot, lease, component, kept);
                }
                (Step::Run(run), Some(component)) => {
                    let number = run.order.1;
                    if let Err(reason) = self.carry_out(key, *run, component) {
                        self.node.refuse(number, reason);
                    }
                }
                (Step::Condition(number, name, active), _) => {
                    if let Err(reason) = self.tell_condition(key, name, active) {
                        self.node.refuse(number, reason);
                    }
                }
                (_, None) => {}
            }
        }
    }

    fn want(&mut self, release: Digest) {
        let now = self.node.now;
        let asked = self.wanted.get(&release);
        if asked.is_none_or(|asked| asked.plus_millis(ASK_AGAIN_MS) <= now) {
            self.wanted.insert(release, now);
            self.node.out.push(Output::Tell(FunctionReport::Wanted { release }));
        }
    }

    fn carry_out(&mut self, key: &Key, run: Run, component: Arc<Component>) -> Result<(), String> {
        self.is_newest(key, &run.lease)?;
        let manifest = &component.manifest;
        if manifest.name != key.1 {
            return Err(format!("release {} is of function {}, not {}", run.release, manifest.name, key.1));
        }
        let lacks = manifest.capabilities.iter().find(|name| !self.settings.capabilities.contains(*name));
        if let Some(lacks) = lacks {
            return Err(format!("it needs `{lacks}`, which this node does not have"));
        }
        if let Err(error) = component.validator.validate(&run.configuration) {
            let at = error.instance_path().to_string();
            return Err(format!("its configuration does not fit the schema at `{at}`: {error}")
                .chars()
                .take(512)
                .collect());
        }
        if let Some((state, _)) = &run.state
            && !manifest.imports(state.version)
        {
            return Err(format!(
                "release {} does not import state of version {}",
                manifest.release, state.version
            ));
        }
        let placed = Placed { component, configuration: run.configuration };
        if self.slot(key).is_none() {
            return self.begin(key, placed, run.lease, run.lease_bytes, run.state, run.order);
        }
        let Some(slot) = self.slots.get_mut(&key.0).and_then(|functions| functions.get_mut(&key.1)) else {
            return Ok(());
        };
        let node = &mut self.node;
        let newer = run.state.filter(|(_, epoch)| *epoch > slot.lease.epoch);
        if let Some((state, _)) = newer {
            slot.adopt(placed, &state)?;
        } else if placed.component.digest != slot.placed.component.digest {
            slot.upgrade(node, placed)?;
        } else if placed.configuration != slot.placed.configuration {
            slot.reconfigure(node, placed.configuration)?;
        }
        slot.renew(run.lease, run.lease_bytes);
        slot.order = run.order;
        slot.persist(node);
        node.changed = true;
        self.reschedule(key);
        Ok(())
    }

    fn begin(
        &mut self,
        key: &Key,
        placed: Placed,
        lease: Lease,
        lease_bytes: Vec<u8>,
        state: Option<(State, Epoch)>,
        order: (u32, u64),
    ) -> Result<(), String> {
        let instances = self.instances();
        if instances >= self.settings.most_instances {
            return Err(format!("this node has no room: {instances} functions run, and it may run no more"));
        }
        let state = state.map(|(state, _)| state);
        let mut guest = placed.start(state.as_ref()).map_err(|failure| failure.to_string())?;
        let state = placed.export(&mut guest).map_err(|failure| failure.to_string())?;
        let mut slot = Slot::new(lease, lease_bytes, placed, guest, state, order, self.node.now);
        slot.persist(&mut self.node);
        self.node.changed = true;
        self.ended.remove(key);
        self.slots.entry(key.0.clone()).or_default().insert(key.1.clone(), slot);
        self.reschedule(key);
        Ok(())
    }

    fn end(&mut self, order: (u32, u64), key: Key, hand_over: bool) -> Result<(), String> {
        let mut known = false;
        for step in self.pending.remove(&key).unwrap_or_default() {
            known = true;
            match step {
                Step::Run(run) => self.node.refuse(run.order.1, "its end came before its release".into()),
                Step::Condition(..) => {}
                Step::Restore(snapshot, lease, _) => {
                    if let Some(running) = snapshot.running.filter(|_| hand_over) {
                        self.node.out.push(Output::Tell(FunctionReport::State(FunctionState {
                            vehicle: key.0.clone(),
                            function: key.1.clone(),
                            version: running.state.version,
                            state: hex::encode(&running.state.bytes),
                            epoch: snapshot.epoch,
                        })));
                    }
                    self.remember(key.clone(), Ended { epoch: lease.epoch, until: lease.until }, order);
                }
            }
        }
        let slot = self.slots.get_mut(&key.0).and_then(|functions| functions.remove(&key.1));
        let Some(mut slot) = slot else {
            return if known { Ok(()) } else { Err("this function does not run here".into()) };
        };
        if self.slots.get(&key.0).is_some_and(|functions| functions.is_empty()) {
            self.slots.remove(&key.0);
        }
        self.reschedule(&key);
        if hand_over {
            let state = slot.handed_over(&mut self.node);
            self.node.out.push(Output::Tell(FunctionReport::State(state)));
        }
        self.remember(key, Ended { epoch: slot.lease.epoch, until: slot.lease.until }, order);
        self.node.changed = true;
        Ok(())
    }

    /// Remembers an end, here and across the process's.
    fn remember(&mut self, key: Key, ended: Ended, order: (u32, u64)) {
        self.node.out.push(Output::Persist(Box::new(Snapshot {
            vehicle: key.0.clone(),
            function: key.1.clone(),
            order,
            epoch: (ended.epoch.term, ended.epoch.count),
            until_ms: ended.until.as_millis(),
            running: None,
        })));
        self.note_end(key, ended);
    }

    fn note_end(&mut self, key: Key, ended: Ended) {
        if self.ended.len() >= MAX_ENDED {
            let now = self.node.now;
            self.ended.retain(|_, ended| ended.until > now);
            let soonest = self.ended.iter().min_by_key(|(_, ended)| ended.until).map(|(key, _)| key.clone());
            if let Some(soonest) = soonest.filter(|_| self.ended.len() >= MAX_ENDED) {
                self.ended.remove(&soonest);
            }
        }
        self.ended.insert(key, ended);
    }

    fn condition(&mut self, order: (u32, u64), key: Key, name: String, active: bool) -> Result<(), String> {
        if !is_name(&name) {
            return Err("its condition has no valid name".into());
        }
        if let Some(steps) = self.pending.get_mut(&key) {
            if steps.len() >= MAX_STEPS {
                return Err("too many orders wait for its release".into());
            }
            steps.push(Step::Condition(order.1, name, active));
            return Ok(());
        }
        self.tell_condition(&key, name, active)?;
        Ok(())
    }

    fn tell_condition(&mut self, key: &Key, name: String, active: bool) -> Result<(), String> {
        let last = self.last_order;
        let Some(slot) = self.slots.get_mut(&key.0).and_then(|functions| functions.get_mut(&key.1)) else {
            return Err("this function does not run here".into());
        };
        if !slot.conditions.contains_key(&name) && active && slot.conditions.len() >= MAX_CONDITIONS {
            return Err(format!("{MAX_CONDITIONS} conditions are the case already"));
        }
        let known =
            if active { slot.conditions.insert(name.clone(), true) } else { slot.conditions.remove(&name) };
        // What it was told already is not told again.
        if known.is_some() != active {
            slot.feedback(&mut self.node, Feedback::Condition((name, active)));
        }
        slot.order = (last.0, last.1.unwrap_or_default());
        slot.persist(&mut self.node);
        self.reschedule(key);
        Ok(())
    }

    /// A release: checked, compiled, and what waited for it carried out.
    pub(super) fn release(&mut self, bytes: &Bytes) {
        let known = Package::digest_of(bytes).and_then(|digest| self.components.get(&digest));
        let compiled = match known {
            // What came before was signed by a publisher; this one need not be.
            Some((_, component)) => Package::open(bytes, &self.settings.publishers, &self.settings.withdrawn)
                .map(|_| component.clone())
                .map_err(|refusal| refusal.chain()),
            None => return self.compiled(self.compiler().compile(bytes)),
        };
        self.compiled(Compiled { digest: Package::digest_of(bytes), result: compiled });
    }

    /// A release that was compiled: what waited for it is carried out.
    pub(super) fn compiled(&mut self, compiled: Compiled) {
        let withdrawn = compiled.digest.filter(|digest| self.settings.withdrawn.contains(digest));
        let result = match withdrawn {
            Some(digest) => Err(Refusal::Withdrawn(digest).chain()),
            None => compiled.result,
        };
        match result {
            Ok(component) => {
                let digest = component.digest();
                self.wanted.remove(&digest);
                if !self.components.contains_key(&digest) {
                    self.components_made += 1;
                    self.components.insert(digest, (self.components_made, component));
                }
                for key in self.waiting_for(digest) {
                    self.proceed(&key);
                }
                self.evict();
            }
            Err(why) => {
                self.node.counters.refused_releases += 1;
                let reason = format!("the release is refused: {why}");
                self.node.warn(reason.clone());
                let Some(digest) = compiled.digest else { return };
                for key in self.waiting_for(digest) {
                    self.drop_runs(&key, &reason, |run| run.release == digest);
                }
            }
        }
    }

    fn waiting_for(&self, release: Digest) -> Vec<Key> {
        let waits = |steps: &[Step]| steps.iter().any(|step| step.release() == Some(release));
        self.pending.iter().filter(|(_, steps)| waits(steps)).map(|(key, _)| key.clone()).collect()
    }

    /// Refuses what waits and cannot be done any more.
    fn drop_runs(&mut self, key: &Key, reason: &str, gone: impl Fn(&Run) -> bool) {
        let Some(steps) = self.pending.get_mut(key) else { return };
        let (dropped, rest) = std::mem::take(steps)
            .into_iter()
            .partition::<Vec<_>, _>(|step| matches!(step, Step::Run(run) if gone(run)));
        *steps = rest;
        for step in dropped {
            if let Step::Run(run) = step {
                self.node.refuse(run.order.1, reason.to_owned());
            }
        }
        self.proceed(key);
    }

    /// Asks again for releases that did not come, and gives up orders whose leases are over.
    pub(super) fn review(&mut self) {
        let now = self.node.now;
        let keys: Vec<Key> = self.pending.keys().cloned().collect();
        for key in keys {
            self.drop_runs(&key, "its release did not come before its lease was over", |run| {
                run.lease.until <= now
            });
        }
        let waited: Vec<Digest> = self.pending.values().flatten().filter_map(Step::release).collect();
        self.wanted.retain(|release, _| waited.contains(release));
        for release in waited {
            if !self.components.contains_key(&release) {
                self.want(release);
            }
        }
    }

    /// Forgets compiled releases that nobody runs, the oldest first.
    fn evict(&mut self) {
        while self.components.len() > MAX_COMPONENTS {
            let unused =
                self.components.iter().filter(|(_, (_, component))| Arc::strong_count(component) == 1);
            let Some(oldest) = unused.min_by_key(|(_, (made, _))| *made).map(|(digest, _)| *digest) else {
                return;
            };
            self.components.remove(&oldest);
        }
    }

    /// Takes up what was persisted.
    pub(super) fn restore(&mut self, snapshot: Snapshot, kept: Option<u64>) {
        let key = (snapshot.vehicle.clone(), snapshot.function.clone());
        let (term, number) = self.last_order;
        let (its_term, its_number) = snapshot.order;
        if (its_term, Some(its_number)) > (term, number) {
            self.last_order = (its_term, Some(its_number));
        }
        let Some(running) = &snapshot.running else {
            self.note_end(key, Ended { epoch: snapshot.lease_epoch(), until: snapshot.until() });
            return;
        };
        let lease = match self.lease(&key, &running.lease) {
            Ok((lease, _)) => lease,
            Err(why) => {
                let text = format!("function {} of vehicle {} is not taken up again: {why}", key.1, key.0);
                return self.node.warn(text);
            }
        };
        if self.slot(&key).is_some() || self.pending.contains_key(&key) {
            return self
                .node
                .warn(format!("function {} of vehicle {} runs already; its snapshot is left", key.1, key.0));
        }
        self.pending.insert(key.clone(), vec![Step::Restore(Box::new(snapshot), lease, kept)]);
        self.proceed(&key);
    }

    fn restored(
        &mut self,
        key: &Key,
        snapshot: Snapshot,
        lease: Lease,
        component: Arc<Component>,
        kept: Option<u64>,
    ) {
        let Some(running) = snapshot.running else { return };
        let placed = Placed { component, configuration: running.configuration.clone() };
        match Slot::restored(running, snapshot.order, lease, placed, kept, &mut self.node) {
            Ok(mut slot) => {
                slot.persist(&mut self.node);
                self.slots.entry(key.0.clone()).or_default().insert(key.1.clone(), slot);
                self.node.changed = true;
                self.reschedule(key);
            }
            Err(failure) => {
                self.node.warn(format!(
                    "function {} of vehicle {} is not taken up again: {failure}",
                    key.1, key.0
                ));
            }
        }
    }

    /// Turns off what may not run any more.
    pub(super) fn withdraw(&mut self) {
        let withdrawn = self.settings.withdrawn.clone();
        self.components.retain(|digest, _| !withdrawn.contains(digest));
        let keys: Vec<Key> = self.pending.keys().cloned().collect();
        for key in keys {
            self.drop_runs(&key, "its release was withdrawn", |run| withdrawn.contains(&run.release));
        }
        let mut changed = Vec::new();
        for (vehicle, functions) in &mut self.slots {
            for (function, slot) in functions {
                let gone = |placed: &Placed| withdrawn.contains(&placed.component.digest);
                if slot.probation.as_ref().is_some_and(|probation| gone(&probation.placed)) {
                    slot.probation = None;
                }
                if gone(&slot.placed) {
                    slot.switch_off(&mut self.node, "its release was withdrawn");
                    changed.push((vehicle.clone(), function.clone()));
                }
            }
        }
        for key in changed {
            self.reschedule(&key);
        }
    }
}

/// A state that another holder handed over, if it is this function's and not newer than the lease.
fn handed(key: &Key, lease: &Lease, state: FunctionState) -> Result<(State, Epoch), String> {
    if (&state.vehicle, &state.function) != (&key.0, &key.1) {
        return Err(format!("its state is of {} of {}", state.function, state.vehicle));
    }
    let epoch = Epoch { term: state.epoch.0, count: state.epoch.1 };
    if epoch > lease.epoch {
        return Err(format!("its state is of lease {epoch}, which is newer than its lease {}", lease.epoch));
    }
    if state.state.len() > 2 * MAX_STATE_BYTES {
        return Err(format!("its state is beyond {MAX_STATE_BYTES} bytes"));
    }
    let bytes = hex::decode(&state.state).map_err(|error| format!("its state is no hexadecimal: {error}"))?;
    Ok((State { version: state.version, bytes }, epoch))
}
