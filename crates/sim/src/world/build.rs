//! Building the world: keys, genesis and setups of all nodes, from the seed.

use super::{CLIENTS, CLOUD, EDGES, INTRUDER, World, address, secret};
use crate::{
    audit::Audit,
    checker::Checker,
    net::{Mesh, Net, NodeAddress},
    node::{Machine, timestamp},
    options::{Options, Scenario},
    roles::{
        client, cloud, edge,
        fog::{self, Handles},
    },
    store::Store,
};
use commonware_cryptography::Signer as _;
use commonware_runtime::{Supervisor as _, deterministic};
use commonware_utils::sync::Mutex;
use ed25519_dalek::SigningKey;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};
use voltmesh_consensus as consensus;
use voltmesh_control::{Opening, commitment};
use voltmesh_fog::ingest::{AnchorSettings, ForwardSettings, Settings};
use voltmesh_identity::Role;
use voltmesh_ledger::{Action, Genesis, PrivateKey, Trust, private_key};
use voltmesh_telemetry::{Secret, VehicleId};

/// Blocks of an epoch: a rotated key serves two epochs later.
const EPOCH: u64 = 12;

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
        let fog_place = |index: usize| NodeAddress(1 + index as u16);
        let edge_place = |index: usize| NodeAddress(EDGES + index as u16);
        let fog_names: BTreeMap<NodeAddress, String> =
            (0..options.fogs).map(|index| (fog_place(index), format!("fog-{}", index + 1))).collect();
        let client_place = |index: usize| NodeAddress(CLIENTS + index as u16);
        let cars = (0..options.vehicles).map(|n| (edge_place(n), (Role::Edge, format!("car-{}", n + 1))));
        let meters =
            (0..options.clients).map(|n| (client_place(n), (Role::Client, format!("meter-{}", n + 1))));
        let peers: BTreeMap<NodeAddress, (Role, String)> = cars.chain(meters).collect();

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
}

fn ledger(keys: &[PrivateKey], index: usize, genesis: &Genesis, block_ms: u64) -> consensus::Config {
    let mut config = consensus::Config::new(keys[index].clone(), genesis.clone());
    for (other, key) in keys.iter().enumerate().filter(|(other, _)| *other != index) {
        config.addresses.insert(key.public_key(), address(NodeAddress(1 + other as u16)));
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
