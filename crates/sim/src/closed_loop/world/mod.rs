//! Vehicles, fog nodes and a controller on one simulated clock, with messages that take time.

mod faults;

use super::checker::Checker;
use super::controller_node::{ControllerNode, ControllerOutput};
use super::fog_node::{FogNode, FogOutput};
use super::messages::{FromController, FromVehicle, Up};
use super::vehicle::{Vehicle, VehicleOutput};
use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::collections::BTreeMap;
use voltmesh_control::FunctionReport;
use voltmesh_sdn::assess;
use voltmesh_sdn::controller::Input;
use voltmesh_telemetry::{Timestamp, VehicleId};

/// Messages: how long they take, and what else happens to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Longest time of a message in ms; at least 1.
    pub delay_ms: u64,
    /// Of 1,000 messages, so many come twice.
    pub doubled: u32,
    /// Of 1,000 messages, so many are overtaken by later ones.
    pub overtaken: u32,
}

impl Weather {
    /// Good links: 1 to 8 ms, once, in order.
    pub const GOOD: Self = Self { delay_ms: 8, doubled: 0, overtaken: 0 };
}

/// Event that is under way, or due.
enum Happening {
    Second { vehicle: usize },
    FogSecond { fog: usize },
    ToFog { fog: usize, life: u64, vehicle: usize, message: FromVehicle },
    ToController { fog: usize, session: u64, up: Up },
    Acknowledged { fog: usize, session: u64 },
    FromController { fog: usize, session: u64, message: FromController },
    ToVehicle { vehicle: usize, message: Bytes },
    Saved { vehicle: usize, life: u64 },
    Durable { fog: usize, life: u64, end: u64 },
    Connect { vehicle: usize, fog: usize },
    Link { fog: usize },
}

/// Direction between two nodes: messages of one direction keep their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    VehicleToFog(usize, usize),
    FogToVehicle(usize, usize),
    FogToController(usize),
    ControllerToFog(usize),
}

/// Everything.
pub struct World {
    /// The clock.
    pub now: Timestamp,
    /// Fog nodes.
    pub fogs: Vec<FogNode>,
    /// The controller.
    pub controller: ControllerNode,
    /// Vehicles.
    pub vehicles: Vec<Vehicle>,
    /// What must hold.
    pub checker: Checker,
    /// Messages now.
    pub weather: Weather,
    /// Conditions that began or ended.
    pub conditions: Vec<(Timestamp, assess::Change)>,
    /// Fog nodes that the controller is cut off from, and vehicles that are cut off from every fog node.
    pub cut_fogs: Vec<bool>,
    /// See above.
    pub cut_vehicles: Vec<bool>,
    /// Fog node that each vehicle wants.
    at: Vec<usize>,
    sessions: u64,
    term: u32,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    order: u64,
    last: BTreeMap<Way, Timestamp>,
    rng: StdRng,
}

impl World {
    /// All processes down, all vehicles at the first fog node.
    pub fn new(
        now: Timestamp,
        controller: ControllerNode,
        fogs: Vec<FogNode>,
        vehicles: Vec<Vehicle>,
        seed: u64,
    ) -> Self {
        let mut world = Self {
            now,
            cut_fogs: vec![false; fogs.len()],
            cut_vehicles: vec![false; vehicles.len()],
            at: vec![0; vehicles.len()],
            fogs,
            controller,
            vehicles,
            checker: Checker::default(),
            weather: Weather::GOOD,
            conditions: Vec::new(),
            sessions: 0,
            term: 0,
            queue: BTreeMap::new(),
            order: 0,
            last: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
        };
        for fog in 0..world.fogs.len() {
            world.put(100 + fog as u64 * 37, Happening::FogSecond { fog });
        }
        for vehicle in 0..world.vehicles.len() {
            world.put(500 + vehicle as u64 * 53, Happening::Second { vehicle });
        }
        world
    }

    /// Every process starts.
    ///
    /// # Errors
    /// Why functions cannot run.
    pub fn start(&mut self) -> Result<(), String> {
        self.start_controller();
        for fog in 0..self.fogs.len() {
            self.start_fog(fog)?;
        }
        for vehicle in 0..self.vehicles.len() {
            self.reconnect(vehicle);
        }
        Ok(())
    }

    /// Goes on by so many ms; every step is checked.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now.plus_millis(ms);
        loop {
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let deadlines =
                self.fogs.iter().map(FogNode::deadline).chain(self.vehicles.iter().map(Vehicle::deadline));
            let controller = self.controller.core().and_then(|core| core.deadline());
            let due = deadlines.chain([queued, controller]).flatten().min();
            let Some(due) = due.filter(|due| *due <= until) else { break };
            self.now = self.now.max(due);
            self.step();
            for vehicle in &self.vehicles {
                self.checker.vehicle(self.now, vehicle.id(), vehicle.commands());
            }
        }
        self.now = until;
    }

    fn step(&mut self) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= self.now
        {
            let happening = entry.remove();
            self.happen(happening);
        }
        for fog in 0..self.fogs.len() {
            if self.fogs[fog].deadline().is_some_and(|due| due <= self.now) {
                let out = self.fogs[fog].tick(self.now);
                self.fog_outputs(fog, out);
            }
        }
        for vehicle in 0..self.vehicles.len() {
            if self.vehicles[vehicle].deadline().is_some_and(|due| due <= self.now) {
                let out = self.vehicles[vehicle].tick(self.now);
                self.vehicle_outputs(vehicle, out);
            }
        }
        if self.controller.core().and_then(|core| core.deadline()).is_some_and(|due| due <= self.now) {
            let out = self.controller.handle(self.now, Input::Tick, usize::MAX);
            self.controller_outputs(out);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Second { vehicle } => {
                let out = self.vehicles[vehicle].second(now);
                self.vehicle_outputs(vehicle, out);
                if !self.vehicles[vehicle].ended {
                    self.put(1_000, Happening::Second { vehicle });
                }
            }
            Happening::FogSecond { fog } => {
                self.fogs[fog].second(now);
                self.pump(fog);
                self.put(1_000, Happening::FogSecond { fog });
            }
            Happening::ToFog { fog, life, vehicle, message } => {
                if self.fogs[fog].life == life && self.fogs[fog].is_up() {
                    let id = self.vehicles[vehicle].id().clone();
                    let out = self.fogs[fog].vehicle(now, &id, message);
                    self.fog_outputs(fog, out);
                }
            }
            Happening::ToController { fog, session, up } => {
                if self.fogs[fog].link == Some(session) {
                    self.heard(fog, session, &up, usize::MAX);
                }
            }
            Happening::Acknowledged { fog, session } => {
                if self.fogs[fog].link == Some(session) {
                    let out = self.fogs[fog].acknowledged(now);
                    self.fog_outputs(fog, out);
                }
            }
            Happening::FromController { fog, session, message } => {
                if self.fogs[fog].link == Some(session) {
                    let out = self.fogs[fog].controller(now, message);
                    self.fog_outputs(fog, out);
                }
            }
            Happening::ToVehicle { vehicle, message } => {
                let (taken, out) = self.vehicles[vehicle].command(now, &message);
                if let Some(taken) = taken {
                    self.checker.command(taken);
                }
                self.vehicle_outputs(vehicle, out);
            }
            Happening::Saved { vehicle, life } => {
                if self.vehicles[vehicle].life == life {
                    let out = self.vehicles[vehicle].saved(now);
                    self.vehicle_outputs(vehicle, out);
                }
            }
            Happening::Durable { fog, life, end } => {
                if self.fogs[fog].life == life && self.fogs[fog].is_up() {
                    let out = self.fogs[fog].durable(now, end);
                    self.fog_outputs(fog, out);
                }
            }
            Happening::Connect { vehicle, fog } => self.connect(vehicle, fog),
            Happening::Link { fog } => self.link(fog),
        }
    }

    /// A message has reached the controller; it does at most so much of what follows.
    fn heard(&mut self, fog: usize, session: u64, up: &Up, most: usize) {
        if !self.controller.is_up() {
            return;
        }
        let Some(input) = ControllerNode::read(&self.fogs[fog].name, up) else { return };
        let out = self.controller.handle(self.now, input, most);
        self.controller_outputs(out);
        if let Up::Event(_, bytes) = up
            && let Ok(FunctionReport::Event(event)) = FunctionReport::decode(bytes)
        {
            self.checker.acknowledged(self.now, event);
        }
        self.send(Way::ControllerToFog(fog), Happening::Acknowledged { fog, session });
    }

    fn put(&mut self, in_ms: u64, happening: Happening) {
        self.order += 1;
        self.queue.insert((self.now.plus_millis(in_ms), self.order), happening);
    }

    /// Sends on a way: in order, unless it is overtaken.
    fn send(&mut self, way: Way, happening: Happening) {
        let delay_ms = self.rng.random_range(1..=self.weather.delay_ms);
        let arrives = self.now.plus_millis(delay_ms);
        let last = self.last.entry(way).or_default();
        // What is acknowledged one by one comes in order.
        let may = !matches!(happening, Happening::ToController { .. } | Happening::Acknowledged { .. });
        let overtaken = self.rng.random_range(0..1_000) < self.weather.overtaken && may;
        let at = if overtaken { self.now.plus_millis(delay_ms * 3) } else { arrives.max(*last) };
        if !overtaken {
            *last = at;
        }
        self.order += 1;
        self.queue.insert((at, self.order), happening);
    }

    fn is_doubled(&mut self) -> bool {
        self.weather.doubled > 0 && self.rng.random_range(0..1_000) < self.weather.doubled
    }

    fn vehicle_outputs(&mut self, vehicle: usize, out: Vec<VehicleOutput>) {
        for output in out {
            match output {
                VehicleOutput::Save => {
                    let (life, ms) = (self.vehicles[vehicle].life, self.rng.random_range(1..=4));
                    // One after the other, as a disk does.
                    self.put(ms, Happening::Saved { vehicle, life });
                }
                VehicleOutput::Send(message) => {
                    let Some((fog, _)) = self.vehicles[vehicle].session else { continue };
                    let life = self.fogs[fog].life;
                    for _ in 0..=usize::from(self.is_doubled()) {
                        let message = message.clone();
                        let to = Happening::ToFog { fog, life, vehicle, message };
                        self.send(Way::VehicleToFog(vehicle, fog), to);
                    }
                }
            }
        }
    }

    fn fog_outputs(&mut self, fog: usize, out: Vec<FogOutput>) {
        for output in out {
            match output {
                FogOutput::Append { end } => {
                    let (life, ms) = (self.fogs[fog].life, self.rng.random_range(1..=6));
                    self.put(ms, Happening::Durable { fog, life, end });
                }
                FogOutput::Command { vehicle, message } => self.command(fog, &vehicle, message),
            }
        }
        self.pump(fog);
    }

    /// A command goes to the vehicle if its session is here.
    fn command(&mut self, fog: usize, id: &VehicleId, message: Bytes) {
        let Some(vehicle) = self.vehicles.iter().position(|vehicle| vehicle.id() == id) else { return };
        if self.vehicles[vehicle].session.is_none_or(|(at, _)| at != fog) || self.cut_vehicles[vehicle] {
            return;
        }
        for _ in 0..=usize::from(self.is_doubled()) {
            let message = message.clone();
            self.send(Way::FogToVehicle(vehicle, fog), Happening::ToVehicle { vehicle, message });
        }
    }

    /// What a fog node has for the controller leaves.
    fn pump(&mut self, fog: usize) {
        while let Some(up) = self.fogs[fog].next_up() {
            let Some(session) = self.fogs[fog].link else { return };
            self.send(Way::FogToController(fog), Happening::ToController { fog, session, up });
        }
    }

    fn controller_outputs(&mut self, out: Vec<ControllerOutput>) {
        for output in out {
            match output {
                ControllerOutput::Send { fog, message } => {
                    let Some(fog) = self.fogs.iter().position(|node| node.name == fog) else { continue };
                    let Some(session) = self.fogs[fog].link else { continue };
                    for _ in 0..=usize::from(self.is_doubled()) {
                        let message = message.clone();
                        let to = Happening::FromController { fog, session, message };
                        self.send(Way::ControllerToFog(fog), to);
                    }
                }
                ControllerOutput::Condition(change) => self.conditions.push((self.now, change)),
                // Terms are given in order here: nobody holds a higher one.
                ControllerOutput::Superseded => {}
            }
        }
    }

    /// At the end: what is durable is kept once and acknowledged. Returns how many events are lost. Vehicles go on until then: what a
    /// function said in the last second may be under way.
    pub fn audit_events(&mut self) -> u64 {
        let under_way_ms = self.now.as_millis().saturating_sub(1_000);
        let durable: Vec<_> = self
            .fogs
            .iter()
            .flat_map(|fog| fog.events().map(|(position, event)| (fog.name.as_str(), position, event)))
            .filter(|(_, _, event)| event.at_ms < under_way_ms)
            .collect();
        self.checker.kept(self.now, durable.into_iter())
    }
}
