//! Everything in one process under one seed: vehicles, fog nodes, cloud, their disks and roads, and the operators.

use crate::{
    audit::Audit,
    checker::Checker,
    disk::Behaviour,
    faults::{Change, Target},
    link::{Net, Place, Quality},
    mesh::{Fare, Mesh},
    node::{Machine, timestamp},
    options::{Options, Scenario},
    roles::{
        client, cloud, edge,
        fog::{self, Handles},
    },
    store::{self, Store},
};
use commonware_cryptography::Signer as _;
use commonware_runtime::{Clock as _, Supervisor as _, deterministic};
use commonware_utils::sync::Mutex;
use ed25519_dalek::SigningKey;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};
use voltmesh_cloud::{ArchiveError, Claims, Look, Settings as ArchiveSettings, look};
use voltmesh_consensus as consensus;
use voltmesh_control::{Opening, commitment};
use voltmesh_fog::ingest::{AnchorSettings, ForwardSettings, Settings};
use voltmesh_identity::Role;
use voltmesh_ledger::{
    Action, Genesis, Height, PrivateKey, PublicKey, RegistryTx, Transaction, Trust, private_key,
};
use voltmesh_telemetry::{Digest, Secret, VehicleId};

/// The cloud's place; fog nodes are below, twins and vehicles above.
const CLOUD: Place = Place(50);
/// Place of a second writer of the archive.
const INTRUDER: Place = Place(51);
const TWINS: u16 = 60;
const EDGES: u16 = 100;
const CLIENTS: u16 = 150;

/// A crashed process is started again after so long.
const RESTART: Duration = Duration::from_millis(700);

/// Blocks of an epoch: a rotated key serves two epochs later.
const EPOCH: u64 = 12;

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
    /// The roads.
    pub net: Net,
    /// The authorities' connections.
    pub mesh: Mesh,
    /// The archive's store.
    pub store: Store,
    handles: Handles,
    machines: BTreeMap<Place, Machine>,
    fogs: Vec<fog::Setup>,
    edges: Vec<edge::Setup>,
    clients: Vec<client::Setup>,
    cloud: cloud::Setup,
    operators: Vec<PrivateKey>,
    /// Actions that are not in the registry yet.
    wanted: Vec<Action>,
    /// Off until told otherwise.
    off: BTreeSet<Place>,
    /// Crashed processes and when they start again.
    crashed: BTreeMap<Place, SystemTime>,
    /// Places whose disk is or was at fault, where a crash is no surprise.
    suspect: BTreeSet<Place>,
    twin: Option<usize>,
    /// Fog nodes whose authority has equivocated: honest ones have blocked it, and it may never catch up.
    byzantine: BTreeSet<Place>,
    keys: u64,
    seed: u64,
    crashes: u64,
}

impl World {
    /// Builds it; nothing runs yet. Vehicles take samples until `ends`.
    pub(crate) fn new(
        context: deterministic::Context,
        seed: u64,
        options: &Options,
        scenario: &Scenario,
        ends: SystemTime,
    ) -> Self {
        let checker = Checker::default();
        let net = Net::new(context.child("net"), seed ^ 0x6e65_7400);
        let mesh = Mesh::new(context.child("mesh"), net.clone(), seed ^ 0x6d65_7368);
        let audit = Audit::new(checker.clone());
        let store = Store::new(context.child("store"), seed ^ 0x6172_6368, audit);
        let keys: Vec<PrivateKey> =
            (0..options.fogs as u64).map(|n| private_key(&secret(seed, "authority", n))).collect();
        let operators: Vec<PrivateKey> = (0..3).map(|n| private_key(&secret(seed, "operator", n))).collect();
        let genesis = Genesis::new(
            "sim",
            timestamp(&context),
            keys.iter().map(|key| key.public_key()),
            operators.iter().map(|key| key.public_key()),
            2,
            EPOCH,
        );
        let genesis = genesis.unwrap_or_else(|error| panic!("the simulation's genesis is wrong: {error}"));
        let cloud_key = private_key(&secret(seed, "cloud", 0));
        let handles = Handles::default();
        let fog_place = |index: usize| Place(1 + index as u16);
        let edge_place = |index: usize| Place(EDGES + index as u16);
        let fog_names: BTreeMap<Place, String> =
            (0..options.fogs).map(|index| (fog_place(index), format!("fog-{}", index + 1))).collect();
        let client_place = |index: usize| Place(CLIENTS + index as u16);
        let cars = (0..options.vehicles).map(|n| (edge_place(n), (Role::Edge, format!("car-{}", n + 1))));
        let meters =
            (0..options.clients).map(|n| (client_place(n), (Role::Client, format!("meter-{}", n + 1))));
        let peers: BTreeMap<Place, (Role, String)> = cars.chain(meters).collect();

        let mut wanted = Vec::new();
        let mut fogs = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let name: VehicleId =
                fog_names[&fog_place(index)].parse().unwrap_or_else(|_| unreachable!("a valid name"));
            let setup = fog::Setup {
                place: fog_place(index),
                settings: fog_settings(seed, index, name, key, &genesis, &cloud_key),
                ledger: ledger(&keys, index, &genesis, scenario.block_ms),
                net: net.clone(),
                mesh: mesh.clone(),
                cloud: CLOUD,
                peers: peers.clone(),
                checker: checker.clone(),
                handles: handles.clone(),
            };
            wanted.push(Action::EnrolVehicle {
                commitment: commitment(&setup.settings.fog, &setup.settings.opening),
            });
            fogs.push(setup);
        }
        let mut trust = Trust::from_genesis(genesis.clone());
        trust.add_cloud(cloud_key.public_key());
        let mut edges = Vec::new();
        for index in 0..options.vehicles {
            let place = edge_place(index);
            let vehicle: VehicleId = peers[&place].1.parse().unwrap_or_else(|_| unreachable!("a valid name"));
            let key = SigningKey::from_bytes(&secret(seed, "vehicle", index as u64));
            let salt = secret(seed, "salt", index as u64);
            let opening = Opening { salt, key: key.verifying_key().to_bytes() };
            wanted.push(Action::EnrolVehicle { commitment: commitment(&vehicle, &opening) });
            edges.push(edge::Setup {
                place,
                vehicle,
                key,
                salt,
                trust: trust.clone(),
                fogs: fog_names.iter().map(|(place, name)| (*place, name.clone())).collect(),
                net: net.clone(),
                checker: checker.clone(),
                sample_ms: scenario.sample_ms,
                samples: scenario.samples,
                batch_records: scenario.batch_records,
                ends,
                new_vehicle: index % 2 == 0,
                seed: seed ^ index as u64,
            });
        }
        let clients: Vec<client::Setup> = (0..options.clients)
            .map(|index| client::Setup {
                place: client_place(index),
                name: peers[&client_place(index)].1.parse().unwrap_or_else(|_| unreachable!("a valid name")),
                fogs: fog_names.keys().copied().collect(),
                net: net.clone(),
                checker: checker.clone(),
                // At most ten a second: each is an own message, and all that came together is attested together.
                sample_ms: scenario.sample_ms.max(100) * 2,
                ends,
            })
            .collect();
        let cloud = cloud::Setup {
            place: CLOUD,
            trust: Arc::new(Mutex::new(Trust::from_genesis(genesis.clone()))),
            key: voltmesh_ledger::signing_key(&cloud_key),
            net: net.clone(),
            store: store.clone(),
            settings: scenario.archive,
            checker: checker.clone(),
            fogs: fog_names,
            grouping: scenario.grouping,
        };
        let mut rng = StdRng::seed_from_u64(seed ^ 0x6469_736b);
        let places = fogs.iter().map(|f| f.place).chain(edges.iter().map(|e| e.place));
        let places = places.chain(clients.iter().map(|c| c.place)).chain([CLOUD, INTRUDER]);
        let machines = places.map(|place| (place, Machine::new(rng.random()))).collect();
        Self {
            context,
            checker,
            net,
            mesh,
            store,
            handles,
            machines,
            fogs,
            edges,
            clients,
            cloud,
            operators,
            wanted,
            off: BTreeSet::new(),
            crashed: BTreeMap::new(),
            suspect: BTreeSet::new(),
            twin: None,
            byzantine: BTreeSet::new(),
            keys: options.fogs as u64,
            seed,
            crashes: 0,
        }
    }

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

    fn place(&self, target: Target) -> Place {
        match target {
            Target::Fog(index) => self.fogs[index].place,
            Target::Edge(index) => self.edges[index].place,
            Target::Cloud => CLOUD,
        }
    }

    fn target(&self, place: Place) -> Option<Target> {
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
    fn stop(&mut self, place: Place, power: bool) {
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

    /// Makes a change.
    pub fn apply(&mut self, change: Change) {
        self.checker.note("fault", format!("{change:?}").as_bytes());
        tracing::debug!(?change, "fault");
        match change {
            Change::PowerOff(target) | Change::Kill(target) => {
                let place = self.place(target);
                self.off.insert(place);
                self.crashed.remove(&place);
                self.stop(place, matches!(change, Change::PowerOff(_)));
            }
            Change::Wipe(index) => self.wipe(index),
            Change::Start(target) => self.boot(target),
            Change::Fill(target, free) => {
                self.behave(target, |behaviour, used| behaviour.capacity = used + free)
            }
            Change::Slow(target, ms) => {
                self.behave(target, |behaviour, _| behaviour.sync_us = 1_000..=ms * 1_000)
            }
            Change::FailSyncs(target, rate) => {
                self.behave(target, |behaviour, _| behaviour.sync_failures_per_mille = rate);
            }
            Change::Heal(target) => self.behave(target, |behaviour, _| *behaviour = Behaviour::default()),
            Change::Cut(a, b) => self.net.cut(self.place(a), self.place(b)),
            Change::Join(a, b) => self.net.heal(self.place(a), self.place(b)),
            Change::BadLinks(loss) => self.net.set(Quality {
                latency_ms: 5..=300,
                loss_per_mille: loss,
                resets_per_100_000: loss * 10,
            }),
            Change::GoodLinks => self.net.set(Quality::default()),
            Change::BadMesh(lost, doubled, reordered) => self.mesh.set(Fare {
                latency_ms: 1..=150,
                loss_per_mille: lost,
                duplicates_per_mille: doubled,
                reordered_per_mille: reordered,
            }),
            Change::GoodMesh => self.mesh.set(Fare::default()),
            Change::BadStore(fault) => self.store.set(store::Behaviour {
                latency_ms: (fault.latency_ms / 20).max(1)..=fault.latency_ms,
                refused_per_mille: fault.refused,
                unanswered_per_mille: fault.unanswered,
                list_lag_ms: fault.list_lag_ms,
            }),
            Change::GoodStore => self.store.set(store::Behaviour::default()),
            Change::Intrude => self.intrude(),
            Change::Twin(index) => self.start_twin(index),
            Change::Single(index) => self.end_twin(index),
            Change::Skew(index, ms) => {
                let place = self.fogs[index].place;
                if let Some(machine) = self.machines.get_mut(&place) {
                    machine.set_clock_error_ms(ms);
                }
                if !self.off.contains(&place) {
                    self.stop(place, false);
                    self.boot(Target::Fog(index));
                }
            }
        }
    }

    /// Ends all faults: what is off starts, what is cut is joined.
    pub fn calm(&mut self) {
        for change in [Change::GoodLinks, Change::GoodMesh, Change::GoodStore] {
            self.apply(change);
        }
        if let Some(index) = self.twin {
            self.apply(Change::Single(index));
        }
        let targets = self.targets();
        for (n, a) in targets.iter().enumerate() {
            self.apply(Change::Heal(*a));
            for b in &targets[..n] {
                if self.net.is_cut(self.place(*a), self.place(*b)) {
                    self.apply(Change::Join(*a, *b));
                }
            }
        }
        for target in targets {
            self.boot(target);
        }
    }

    fn behave(&mut self, target: Target, change: impl FnOnce(&mut Behaviour, u64)) {
        let place = self.place(target);
        self.suspect.insert(place);
        let Some(machine) = self.machines.get(&place) else { return };
        let mut behaviour = machine.disk().behaviour();
        change(&mut behaviour, machine.disk().used());
        machine.disk().set(behaviour);
    }

    /// The fog node loses its disk. It never comes back under its old key.
    fn wipe(&mut self, index: usize) {
        let place = self.fogs[index].place;
        self.off.insert(place);
        self.crashed.remove(&place);
        self.stop(place, false);
        if let Some(machine) = self.machines.get_mut(&place) {
            machine.wipe();
        }
        let old = self.fogs[index].ledger.private_key.public_key();
        let key = private_key(&secret(self.seed, "authority", self.keys));
        self.keys += 1;
        self.wanted.push(Action::RotateAuthority { old, new: key.public_key() });
        self.fogs[index].ledger.private_key = key.clone();
        self.fogs[index].settings.key = key.clone();
        // Its own enrolment names the key it attests with.
        let opening = voltmesh_fog::own_opening(&voltmesh_ledger::signing_key(&key));
        self.fogs[index].settings.opening = opening;
        self.wanted
            .push(Action::EnrolVehicle { commitment: commitment(&self.fogs[index].settings.fog, &opening) });
        let address = address(place);
        for fog in &mut self.fogs {
            fog.ledger.addresses.insert(key.public_key(), address.clone());
        }
    }

    fn intrude(&mut self) {
        let Some(machine) = self.machines.get_mut(&INTRUDER) else { return };
        machine.kill();
        let context = self.context.child("node").with_attribute("place", INTRUDER);
        let context = context.with_attribute("start", machine.starts());
        // It merges whatever there is.
        let settings = ArchiveSettings { compact_files: 2, ..self.cloud.settings };
        let store = self.store.clone();
        machine.start(context, move |context| cloud::intrude(context, store, settings));
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
        lane.run(&self.store, &self.context, work).await
    }

    fn start_twin(&mut self, index: usize) {
        self.twin = Some(index);
        self.suspect.insert(self.fogs[index].place);
        self.byzantine.insert(self.fogs[index].place);
        let fog = self.fogs[index].clone();
        let on = !self.off.contains(&fog.place);
        if on {
            self.stop(fog.place, false);
            self.boot(Target::Fog(index));
        }
        let place = Place(TWINS + index as u16);
        let machine = self.machines.entry(place).or_insert_with(|| Machine::new(0));
        let context = self.context.child("node").with_attribute("place", place);
        let context = context.with_attribute("start", machine.starts());
        let setup = fog::Setup { place, ..fog };
        machine.start(context, move |context| fog::twin(context, setup, false));
    }

    fn end_twin(&mut self, index: usize) {
        self.twin = None;
        let place = Place(TWINS + index as u16);
        self.stop(place, false);
        self.machines.remove(&place);
        if !self.off.contains(&self.fogs[index].place) {
            self.stop(self.fogs[index].place, false);
            self.boot(Target::Fog(index));
        }
    }

    /// What happens by itself now and then: crashed processes are noticed and started again, operators repeat what
    /// the registry lacks.
    pub fn tend(&mut self) {
        let now = self.context.current();
        let panicked: Vec<(Place, String)> =
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
        let due: Vec<Place> =
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

fn address(place: Place) -> commonware_p2p::Address {
    commonware_p2p::Address::Symmetric(([10, 0, 0, place.0 as u8], 7_000).into())
}

fn ledger(keys: &[PrivateKey], index: usize, genesis: &Genesis, block_ms: u64) -> consensus::Config {
    let mut config = consensus::Config::new(keys[index].clone(), genesis.clone());
    for (other, key) in keys.iter().enumerate().filter(|(other, _)| *other != index) {
        config.addresses.insert(key.public_key(), address(Place(1 + other as u16)));
    }
    config.block_interval = Duration::from_millis(block_ms);
    config
}

fn fog_settings(
    seed: u64,
    index: usize,
    fog: VehicleId,
    key: &PrivateKey,
    genesis: &Genesis,
    cloud: &PrivateKey,
) -> Settings {
    let opening = voltmesh_fog::own_opening(&voltmesh_ledger::signing_key(key));
    Settings {
        fog,
        key: key.clone(),
        chain: genesis.digest(),
        opening,
        secret: Secret::new(secret(seed, "fog secret", index as u64)),
        cloud_keys: vec![voltmesh_ledger::signing_key(cloud).verifying_key()],
        limits: voltmesh_fog::config::Limits::default(),
        spool: voltmesh_fog::config::Spool {
            reserve_bytes: 128 * 1024,
            ..voltmesh_fog::config::Spool::default()
        },
        foreign: voltmesh_fog::config::Foreign::default(),
        anchors: AnchorSettings { every_ms: 200, batches: 512, resubmit_ms: 3_000 },
        forward: ForwardSettings { window: 256, window_bytes: 16 << 20, notice_ms: 8_000 },
    }
}
