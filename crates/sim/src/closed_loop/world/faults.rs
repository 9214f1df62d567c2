//! What begins, ends and fails: processes, sessions, links, and what operators do.

use super::{Happening, World};
use crate::closed_loop::fog_node::FogNode;
use crate::closed_loop::shipped::Published;
use rand::RngExt as _;
use voltmesh_sdn::controller::{Input, Request};

impl World {
    /// The controller's process starts, or starts again, with the next term.
    pub fn start_controller(&mut self) {
        self.term += 1;
        let out = self.controller.start(self.now, self.term);
        self.controller_outputs(out);
        for fog in 0..self.fogs.len() {
            self.put(50, Happening::Link { fog });
        }
    }

    /// The controller's process is killed, between any two things that it does.
    pub fn kill_controller(&mut self) {
        let most = self.rng.random_range(0..6);
        self.controller.handle(self.now, Input::Tick, most);
        self.controller.kill();
        self.fogs.iter_mut().for_each(FogNode::disconnected);
    }

    /// An operator publishes a release.
    pub fn publish(&mut self, published: &Published) {
        if self.controller.is_up() {
            let out = self.controller.publish(self.now, published);
            self.controller_outputs(out);
        }
    }

    /// An operator asks for something; what is refused, or finds no controller, is let be.
    pub fn request(&mut self, request: Request) {
        let out = self.controller.request(self.now, request);
        self.controller_outputs(out);
    }

    /// A fog node's process starts with what is on its disk.
    ///
    /// # Errors
    /// Why functions cannot run.
    pub fn start_fog(&mut self, fog: usize) -> Result<(), String> {
        if self.fogs[fog].is_up() {
            return Ok(());
        }
        let out = self.fogs[fog].start(self.now)?;
        self.fog_outputs(fog, out);
        self.put(50, Happening::Link { fog });
        for vehicle in 0..self.vehicles.len() {
            if self.at[vehicle] == fog {
                self.reconnect(vehicle);
            }
        }
        Ok(())
    }

    /// A fog node's process is killed; its vehicles lose their sessions.
    pub fn kill_fog(&mut self, fog: usize) {
        self.unlink(fog);
        self.fogs[fog].kill();
        for vehicle in &mut self.vehicles {
            if vehicle.session.is_some_and(|(at, _)| at == fog) {
                vehicle.session = None;
            }
        }
    }

    /// A vehicle's agent is killed and starts again.
    pub fn restart_vehicle(&mut self, vehicle: usize) {
        self.end_session(vehicle);
        self.vehicles[vehicle].restart(self.now);
        self.reconnect(vehicle);
    }

    /// A vehicle goes to another fog node; commands of the last one may still be under way.
    pub fn roam(&mut self, vehicle: usize, fog: usize) {
        self.at[vehicle] = fog;
        self.reconnect(vehicle);
    }

    /// The way between controller and fog node is cut, or open again.
    pub fn cut_fog(&mut self, fog: usize, cut: bool) {
        self.cut_fogs[fog] = cut;
        if cut { self.unlink(fog) } else { self.put(50, Happening::Link { fog }) }
    }

    /// The ways between a vehicle and all fog nodes are cut, or open again.
    pub fn cut_vehicle(&mut self, vehicle: usize, cut: bool) {
        self.cut_vehicles[vehicle] = cut;
        if cut { self.end_session(vehicle) } else { self.reconnect(vehicle) }
    }

    pub(super) fn reconnect(&mut self, vehicle: usize) {
        let (fog, ms) = (self.at[vehicle], self.rng.random_range(20..200));
        self.put(ms, Happening::Connect { vehicle, fog });
    }

    fn end_session(&mut self, vehicle: usize) {
        if let Some((fog, _)) = self.vehicles[vehicle].session.take() {
            let id = self.vehicles[vehicle].id().clone();
            self.fogs[fog].session(self.now, &id, false);
        }
    }

    pub(super) fn connect(&mut self, vehicle: usize, fog: usize) {
        let here = self.vehicles[vehicle].session.is_some_and(|(at, _)| at == fog);
        if self.cut_vehicles[vehicle] || self.at[vehicle] != fog || here || !self.fogs[fog].is_up() {
            return;
        }
        self.end_session(vehicle);
        self.sessions += 1;
        self.vehicles[vehicle].session = Some((fog, self.sessions));
        let id = self.vehicles[vehicle].id().clone();
        self.fogs[fog].session(self.now, &id, true);
        let out = self.vehicles[vehicle].send();
        self.vehicle_outputs(vehicle, out);
    }

    pub(super) fn link(&mut self, fog: usize) {
        let up = self.fogs[fog].is_up() && self.controller.is_up();
        if !up || self.cut_fogs[fog] || self.fogs[fog].link.is_some() {
            return;
        }
        self.sessions += 1;
        self.fogs[fog].connected(self.sessions);
        let name = self.fogs[fog].name.clone();
        let out = self.controller.handle(self.now, Input::FogUp { fog: name }, usize::MAX);
        self.controller_outputs(out);
        self.pump(fog);
    }

    fn unlink(&mut self, fog: usize) {
        if self.fogs[fog].link.is_none() {
            return;
        }
        self.fogs[fog].disconnected();
        let name = self.fogs[fog].name.clone();
        let out = self.controller.handle(self.now, Input::FogDown { fog: name }, usize::MAX);
        self.controller_outputs(out);
    }
}
