//! Everything in one process under one seed: vehicles, fog nodes, cloud, their disks and links, and the operators.

mod build;
mod faults;

use crate::{
    checker::Checker,
    faults::Target,
    net::{Mesh, Net, NodeAddress},
    node::Machine,
    roles::{
        client, cloud, edge,
        fog::{self, Handles},
    },
    store::Store,
};
use commonware_runtime::{Clock as _, Supervisor as _, deterministic};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};
use voltmesh_cloud::{ArchiveError, Claims, Look, look};
use voltmesh_consensus as consensus;
use voltmesh_ledger::{Action, Height, PrivateKey, PublicKey, RegistryTx, Transaction};
use voltmesh_telemetry::Digest;

/// The cloud's place; fog nodes are below, twins and vehicles above.
const CLOUD: NodeAddress = NodeAddress(50);
/// NodeAddress of a second writer of the archive.
const INTRUDER: NodeAddress = NodeAddress(51);
const TWINS: u16 = 60;
const EDGES: u16 = 100;
const CLIENTS: u16 = 150;

/// A crashed process is started again after so long.
const RESTART: Duration = Duration::from_millis(700);

/// 32 bytes for a purpose, from the seed.
fn secret(seed: u64, what: &str, number: u64) -> [u8; 32] {
    *Digest::of(&[b"voltmesh-sim", what.as_bytes(), &seed.to_be_bytes(), &number.to_be_bytes()].concat())
        .as_bytes()
}

/// All nodes and what lies between them.
pub struct World {
    context: deterministic::Context,
    /// Sees all.
    pub checker: Checker,
    /// The links.
    pub net: Net,
    /// The authorities' connections.
    pub mesh: Mesh,
    /// The archive's store.
    pub store: Store,
    handles: Handles,
    machines: BTreeMap<NodeAddress, Machine>,
    fogs: Vec<fog::Setup>,
    edges: Vec<edge::Setup>,
    clients: Vec<client::Setup>,
    cloud: cloud::Setup,
    operators: Vec<PrivateKey>,
    /// Actions that are not in the registry yet.
    wanted: Vec<Action>,
    /// Off until told otherwise.
    off: BTreeSet<NodeAddress>,
    /// Crashed processes and when they start again.
    crashed: BTreeMap<NodeAddress, SystemTime>,
    /// Places whose disk is or was at fault, where a crash is no surprise.
    suspect: BTreeSet<NodeAddress>,
    twin: Option<usize>,
    /// Fog nodes whose authority has equivocated: honest ones have blocked it, and it may never catch up.
    byzantine: BTreeSet<NodeAddress>,
    keys: u64,
    seed: u64,
    crashes: u64,
}

impl World {
    /// Starts everything.
    pub fn start(&mut self) {
        for target in self.targets() {
            self.boot(target);
        }
        for setup in self.clients.clone() {
            let context = self.context.child("node").with_attribute("place", setup.place);
            if let Some(machine) = self.machines.get_mut(&setup.place) {
                machine.start(context, move |context| client::run(context, setup));
            }
        }
    }

    /// Processes that crashed by themselves.
    pub fn crashes(&self) -> u64 {
        self.crashes
    }

    /// Sums of what happened on all disks.
    pub fn disks(&self) -> crate::disk::Counters {
        self.machines.values().map(|machine| machine.disk().counters()).fold(Default::default(), |a, b| a + b)
    }

    fn targets(&self) -> Vec<Target> {
        let fogs = (0..self.fogs.len()).map(Target::Fog);
        fogs.chain((0..self.edges.len()).map(Target::Edge)).chain([Target::Cloud]).collect()
    }

    fn place(&self, target: Target) -> NodeAddress {
        match target {
            Target::Fog(index) => self.fogs[index].place,
            Target::Edge(index) => self.edges[index].place,
            Target::Cloud => CLOUD,
        }
    }

    fn target(&self, place: NodeAddress) -> Option<Target> {
        self.targets().into_iter().find(|target| self.place(*target) == place)
    }

    fn boot(&mut self, target: Target) {
        let place = self.place(target);
        self.off.remove(&place);
        self.crashed.remove(&place);
        let Some(machine) = self.machines.get_mut(&place) else { return };
        if machine.is_running() {
            return;
        }
        machine.kill();
        let context = self.context.child("node").with_attribute("place", place);
        let context = context.with_attribute("start", machine.starts());
        self.checker.note("start", &place.0.to_be_bytes());
        match target {
            Target::Fog(index) => {
                let (setup, half) = (self.fogs[index].clone(), (self.twin == Some(index)).then_some(true));
                machine.start(context, move |context| fog::run(context, setup, half));
            }
            Target::Edge(index) => {
                let setup = self.edges[index].clone();
                machine.start(context, move |context| edge::run(context, setup));
            }
            Target::Cloud => {
                let setup = self.cloud.clone();
                machine.start(context, move |context| cloud::run(context, setup));
            }
        }
    }

    /// Ends a node's process. With `power`, its disk forgets what was not synced.
    fn stop(&mut self, place: NodeAddress, power: bool) {
        self.handles.lock().remove(&place);
        self.mesh.leave(place);
        if let Some(machine) = self.machines.get_mut(&place) {
            if power { machine.power_cut() } else { machine.kill() }
        }
        if power {
            self.net.silence(place)
        } else {
            self.net.reset(place)
        }
        self.checker.note(if power { "power" } else { "kill" }, &place.0.to_be_bytes());
    }

    /// Lets simulated time pass.
    pub async fn wait(&self, duration: Duration) {
        self.context.sleep(duration).await;
    }

    /// Looks at the archive once by the product's own audit.
    pub async fn look(&self) -> Result<Look, ArchiveError> {
        let trust = self.cloud.trust.lock().clone();
        let (lane, location) = (self.store.lane(), self.store.location());
        let work = async move { look(&location, &trust, &Claims::default()).await };
        self.store.run(&lane, &self.context, work).await
    }

    /// What happens by itself now and then: crashed processes are noticed and started again, operators repeat what
    /// the registry lacks.
    pub fn tend(&mut self) {
        let now = self.context.current();
        let panicked: Vec<(NodeAddress, String)> =
            self.machines.iter().filter_map(|(place, machine)| Some((*place, machine.panic()?))).collect();
        for (place, why) in panicked {
            self.crashes += 1;
            self.stop(place, false);
            tracing::debug!(%place, why, "crashed");
            if self.target(place).is_some() {
                self.crashed.insert(place, now + RESTART);
            }
            if place == INTRUDER {
                self.checker.problem(format!("the second writer crashed: {why}"));
            }
            // A twin is Byzantine: whatever becomes of it is no surprise.
            if self.target(place).is_some() && !self.suspect.contains(&place) {
                self.checker.problem(format!("{place} crashed though its disk is well: {why}"));
            }
        }
        let due: Vec<NodeAddress> =
            self.crashed.iter().filter(|(_, at)| **at <= now).map(|(place, _)| *place).collect();
        for place in due {
            if let Some(target) = self.target(place).filter(|_| !self.off.contains(&place)) {
                self.boot(target);
            }
        }
        self.operate();
    }

    fn operate(&mut self) {
        let handles = self.handles.lock().clone();
        let Some(state) = handles.values().map(consensus::Handle::state).max_by_key(|state| state.height())
        else {
            return;
        };
        let registry = state.registry();
        let planned: BTreeSet<PublicKey> = state.planned_authorities().keys().cloned().collect();
        self.wanted.retain(|action| match action {
            Action::EnrolVehicle { commitment } => registry.get(commitment).is_none(),
            Action::RotateAuthority { new, .. } => !planned.contains(new),
            _ => true,
        });
        if self.wanted.is_empty() {
            return;
        }
        let transaction = RegistryTx::new(state.chain(), state.nonce(), self.wanted.clone());
        let transaction = transaction.sign(&self.operators[0]).sign(&self.operators[1]);
        for handle in handles.values() {
            let _ = handle.submit(Transaction::Registry(transaction.clone()));
        }
    }

    /// The least and greatest height of those that were always honest.
    pub fn heights(&self) -> (Height, Height) {
        let handles = self.handles.lock();
        let honest = || handles.iter().filter(|(place, _)| !self.byzantine.contains(place));
        let heights = || honest().map(|(_, handle)| handle.height());
        (heights().min().unwrap_or(Height::zero()), heights().max().unwrap_or(Height::zero()))
    }
}

fn address(place: NodeAddress) -> commonware_p2p::Address {
    commonware_p2p::Address::Symmetric(([10, 0, 0, place.0 as u8], 7_000).into())
}
