//! The core of one fog node's functions: orders, samples and answers in; events, commands and reports out. No clock, socket or disk.

mod backoff;
mod bounds;
mod compiler;
mod counters;
mod ends;
mod messages;
mod node;
mod orders;
mod releases;
mod restore;
mod slot;
mod snapshot;
mod steps;
mod upgrade;

pub use bounds::{MAX_CONFIGURATION_BYTES, MAX_INSTANCES};
pub use compiler::{Compiled, Compiler};
pub use counters::Counters;
pub use messages::{Input, Output, Settings};
pub use snapshot::{MAX_SNAPSHOT_BYTES, Previous, Running, Sent, Snapshot, State};

use crate::{Clock, Component, Host, Sample, bindings::Input as Given, host::MAX_SAMPLES};
use node::Node;
use slot::Slot;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use steps::{ASK_AGAIN_MS, Ended, Key, Step};
use voltmesh_control::{FunctionReport, Instance, Room};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

/// Least time in ms between two reports of all instances: 1 MiB five times a second at most.
const TELL_MS: u64 = 200;

/// Functions of one fog node.
pub struct Manager {
    settings: Settings,
    host: Arc<Host>,
    node: Node,
    /// Compiled releases, with the order in which they were made.
    components: BTreeMap<Digest, (u64, Arc<Component>)>,
    components_made: u64,
    slots: BTreeMap<VehicleId, BTreeMap<String, Slot>>,
    ended: BTreeMap<Key, Ended>,
    pending: BTreeMap<Key, Vec<Step>>,
    /// Releases that were asked for, and when.
    wanted: BTreeMap<Digest, Timestamp>,
    /// Term, and number within it, of the last order.
    last_order: (u32, Option<u64>),
    /// When each slot is to be woken.
    wakes: BTreeSet<(Timestamp, Key)>,
    scheduled: BTreeMap<Key, Timestamp>,
    told: Option<Timestamp>,
}

impl Manager {
    /// A node without functions. The error says which setting is wrong.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let host = Host::new(settings.most_instances.min(MAX_INSTANCES))?;
        Self::with_host(settings, Arc::new(host))
    }

    /// The same with a host that other nodes of this process may use too ([`Host::shared`]); it has room for all their instances.
    pub fn with_host(settings: Settings, host: Arc<Host>) -> Result<Self, String> {
        if !(1..=MAX_INSTANCES).contains(&settings.most_instances) {
            return Err(format!("most_instances is {}; want 1 to {MAX_INSTANCES}", settings.most_instances));
        }
        Ok(Self {
            settings,
            host,
            node: Node::default(),
            components: BTreeMap::new(),
            components_made: 0,
            slots: BTreeMap::new(),
            ended: BTreeMap::new(),
            pending: BTreeMap::new(),
            wanted: BTreeMap::new(),
            last_order: (0, None),
            wakes: BTreeSet::new(),
            scheduled: BTreeMap::new(),
            told: None,
        })
    }

    /// What follows from an input. Time never runs backwards: an earlier `now` counts as the last one.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        self.node.now = self.node.now.max(now);
        match input {
            Input::Order(order) => self.order(order),
            Input::Controllers { keys, term } => {
                self.settings.controllers = keys;
                self.last_order = self.last_order.max((term, None));
            }
            Input::Release(bytes) => self.release(&bytes),
            Input::Compiled(compiled) => self.compiled(compiled),
            Input::Withdrawn(withdrawn) => {
                self.settings.withdrawn = withdrawn;
                self.withdraw();
            }
            Input::Samples { vehicle, samples } => self.samples(&vehicle, samples),
            Input::Report { vehicle, report } => self.give(&vehicle, move || Given::Report(report)),
            Input::Answer { vehicle, answer } => {
                let key = (vehicle, answer.function.clone());
                let slot = self.slots.get_mut(&key.0).and_then(|functions| functions.get_mut(&key.1));
                if let Some(slot) = slot {
                    slot.answered(&mut self.node, &answer);
                    self.reschedule(&key);
                }
                self.node.out.push(Output::Tell(FunctionReport::Answer { vehicle: key.0, answer }));
            }
            Input::Kept { through } => {
                self.node.kept = self.node.kept.max(through.min(self.node.sequence));
            }
            Input::Restore { snapshot, kept } => self.restore(*snapshot, kept),
            Input::Tick => self.review(),
        }
        self.wake();
        self.tell();
        std::mem::take(&mut self.node.out)
    }

    /// When to be woken with [`Input::Tick`].
    pub fn deadline(&self) -> Option<Timestamp> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        let tell = self.told.filter(|_| self.node.changed).map(|told| told.plus_millis(TELL_MS));
        let ask = self.wanted.values().min().map(|asked| asked.plus_millis(ASK_AGAIN_MS));
        [wake, tell, ask].into_iter().flatten().min()
    }

    /// Room for more functions.
    pub fn room(&self) -> Room {
        Room {
            instances: self.instances(),
            most_instances: self.settings.most_instances,
            load: self.node.load(),
            capabilities: self.settings.capabilities.iter().cloned().collect(),
        }
    }

    /// Every instance, for the beginning of a controller's session.
    pub fn running(&self) -> Vec<Instance> {
        self.slots.values().flat_map(BTreeMap::values).map(Slot::instance).collect()
    }

    /// Counters for monitoring.
    pub fn counters(&self) -> Counters {
        self.node.counters
    }

    /// The clock that ends calls which take too long; run it on a thread. Without it, fuel alone bounds a call.
    pub fn clock(&self) -> Clock {
        self.host.clock()
    }

    fn instances(&self) -> u32 {
        self.slots.values().map(|functions| functions.len() as u32).sum()
    }

    fn slot(&self, key: &Key) -> Option<&Slot> {
        self.slots.get(&key.0)?.get(&key.1)
    }

    fn samples(&mut self, vehicle: &VehicleId, mut samples: Vec<Sample>) {
        if !samples.is_sorted_by_key(|sample| sample.time_ms) {
            samples.sort_by_key(|sample| sample.time_ms);
        }
        for samples in samples.chunks(MAX_SAMPLES) {
            self.give(vehicle, || Given::Samples(samples.to_vec()));
        }
    }

    fn give(&mut self, vehicle: &VehicleId, given: impl Fn() -> Given) {
        let Some(functions) = self.slots.get_mut(vehicle) else { return };
        let mut changed = Vec::new();
        for (function, slot) in functions {
            slot.give(&mut self.node, vec![given()]);
            let key = (vehicle.clone(), function.clone());
            if self.scheduled.get(&key).copied() != slot.due() {
                changed.push(key);
            }
        }
        for key in changed {
            self.reschedule(&key);
        }
    }

    /// Notes when a slot is to be woken.
    fn reschedule(&mut self, key: &Key) {
        let due = self.slot(key).and_then(Slot::due);
        let before = match due {
            Some(due) => self.scheduled.insert(key.clone(), due),
            None => self.scheduled.remove(key),
        };
        if before != due {
            if let Some(before) = before {
                self.wakes.remove(&(before, key.clone()));
            }
            if let Some(due) = due {
                self.wakes.insert((due, key.clone()));
            }
        }
    }

    fn wake(&mut self) {
        let now = self.node.now;
        let due: Vec<Key> =
            self.wakes.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key.clone()).collect();
        for key in due {
            let slot = self.slots.get_mut(&key.0).and_then(|functions| functions.get_mut(&key.1));
            if let Some(slot) = slot {
                slot.wake(&mut self.node);
            }
            self.reschedule(&key);
        }
    }

    /// Tells the controller of all instances when one has changed, not too often.
    fn tell(&mut self) {
        let now = self.node.now;
        if self.node.changed && self.told.is_none_or(|told| told.plus_millis(TELL_MS) <= now) {
            (self.node.changed, self.told) = (false, Some(now));
            let instances = self.running();
            self.node.out.push(Output::Tell(FunctionReport::Running { instances }));
        }
    }
}
