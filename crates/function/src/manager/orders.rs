//! Orders of the controller: checked, put in order, carried out, or refused with the reason.

use super::{
    Manager, Output, State,
    bounds::{MAX_CONFIGURATION_BYTES, MAX_INSTANCES},
    slot::{Placed, Slot},
    steps::{ASK_AGAIN_MS, Key, Run, Step},
};
use crate::{Component, bindings::voltmesh::function::types::Feedback, host::MAX_STATE_BYTES};
use std::sync::Arc;
use voltmesh_control::{Epoch, FunctionReport, FunctionState, Lease, MAX_LEASE_BYTES, Order, Work};
use voltmesh_telemetry::{Digest, is_name};

/// Most steps that wait for a release of one function.
const MAX_STEPS: usize = 16;
/// Most functions that wait for a release.
const MAX_WAITING: usize = MAX_INSTANCES as usize;
/// Most conditions of a function that are the case at a time.
const MAX_CONDITIONS: usize = 64;
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
    pub(super) fn lease(&self, key: &Key, text: &str) -> Result<(Lease, Vec<u8>), String> {
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
    pub(super) fn proceed(&mut self, key: &Key) {
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

    /// Refuses what waits and cannot be done any more.
    pub(super) fn drop_runs(&mut self, key: &Key, reason: &str, gone: impl Fn(&Run) -> bool) {
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
