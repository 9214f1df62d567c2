//! Keys, releases, policy and processes of a closed loop, put together.

use super::controller_node::ControllerNode;
use super::fog_node::FogNode;
use super::shipped::{self, Published};
use super::vehicle::{Body, Build, Vehicle};
use super::world::World;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use voltmesh_battery::twin::Setup;
use voltmesh_battery::{Cell, CellParams, Chemistry};
use voltmesh_function::Host;
use voltmesh_sdn::controller::Settings;
use voltmesh_sdn::{Policy, Rules, policy};
use voltmesh_telemetry::Timestamp;

/// Capacity of a group of simulated packs in Ah.
pub const CAPACITY_AH: f64 = 60.0;

/// Unix time in ms at which simulations begin: any.
pub const START_MS: u64 = 1_767_600_000_000;

/// How long a lease holds by default, in ms.
pub const LEASE_MS: u64 = 3_600_000;
/// Functions that a fog node has room for where that is not drawn.
pub const ROOM: u32 = 256;

/// Instances of functions in one process, over all nodes.
const INSTANCES: u32 = 512;

/// A vehicle to be.
pub struct Car {
    build: Build,
    body: Box<dyn Body>,
}

impl Car {
    /// A vehicle with that many groups of typical NMC cells of [`CAPACITY_AH`].
    ///
    /// # Errors
    /// Why it cannot be named or built.
    pub fn typical(name: &str, groups: usize, body: Box<dyn Body>) -> Result<Self, String> {
        let cell =
            Cell::new(CellParams::typical(Chemistry::Nmc, CAPACITY_AH)).map_err(|error| error.to_string())?;
        Self::of(name, Arc::new(cell), 1, groups, body)
    }

    /// A vehicle of these cells, of which its twin knows.
    ///
    /// # Errors
    /// Why it cannot be named.
    pub fn of(
        name: &str,
        cell: Arc<Cell>,
        parallel: usize,
        groups: usize,
        body: Box<dyn Body>,
    ) -> Result<Self, String> {
        let id = name.parse().map_err(|error| format!("{error}"))?;
        let setup = Setup { parallel, series: groups, ..Setup::default() };
        let groups = u16::try_from(groups).unwrap_or(u16::MAX);
        let controllers = vec![controller_key().verifying_key()];
        Ok(Self { build: Build { id, controllers, cell, setup, groups }, body })
    }
}

/// Parts of a world.
pub struct Fleet {
    /// Fog nodes.
    pub fogs: usize,
    /// Vehicles.
    pub vehicles: Vec<Car>,
    /// Which functions they have when.
    pub policy: Policy,
    /// Releases on the controller's disk.
    pub published: Vec<Published>,
    /// What functions run in.
    pub host: Arc<Host>,
    /// How long a lease holds, in ms.
    pub lease_ms: u64,
    /// Functions that a fog node has room for.
    pub most_instances: u32,
    /// Of delays.
    pub seed: u64,
}

/// Key of the controller, by which it signs leases.
pub fn controller_key() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

/// Key of a fog node, from 1, by which it signs commands.
pub fn fog_key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n.wrapping_add(100); 32])
}

fn publisher_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// The shipped functions, signed by this simulation's publisher.
///
/// # Errors
/// Why one of them is none.
pub fn shipped() -> Result<Vec<Published>, String> {
    shipped::publish_shipped(&publisher_key())
}

/// Any other function, signed by the same.
///
/// # Errors
/// Why it is none.
pub fn publish(manifest: &voltmesh_function::Manifest, component: &[u8]) -> Result<Published, String> {
    shipped::publish(manifest, component, &publisher_key())
}

/// A host that several worlds may share.
///
/// # Errors
/// Why there is none.
pub fn host() -> Result<Arc<Host>, String> {
    Host::shared(INSTANCES).map(Arc::new)
}

/// The policy that is shipped, with the battery of every vehicle.
///
/// # Errors
/// What is wrong with it.
pub fn shipped_policy(capacity_ah: f64, cells: usize) -> Result<Policy, String> {
    let text =
        format!("{}\n[[battery]]\ncapacity_ah = {capacity_ah:.3}\ncells = {cells}\n", policy::DEFAULTS);
    Policy::parse(&text).map_err(|error| error.to_string())
}

/// A world of which nothing has started.
///
/// # Errors
/// Why a key is none.
pub fn world(fleet: Fleet) -> Result<World, String> {
    let now = Timestamp::from_millis(START_MS);
    let controllers = vec![controller_key().verifying_key()];
    let publishers = vec![publisher_key().verifying_key()];
    let (mut fogs, mut fog_keys) = (Vec::new(), BTreeMap::new());
    for n in 1..=fleet.fogs {
        let number = u8::try_from(n).ok().filter(|n| *n < 100).ok_or("too many fog nodes")?;
        let (name, key) = (format!("fog-{n}"), fog_key(number));
        fog_keys.insert(name.clone(), key.verifying_key().to_bytes());
        let (controllers, publishers, host) = (controllers.clone(), publishers.clone(), fleet.host.clone());
        fogs.push(FogNode::new(name, key, controllers, publishers, host, fleet.most_instances));
    }
    let settings = Settings { fog_keys, lease_ms: fleet.lease_ms, ..Settings::default() };
    let controller =
        ControllerNode::new(controller_key(), settings, Rules::default(), fleet.policy, &fleet.published);
    let vehicles = fleet.vehicles.into_iter().map(|car| Vehicle::new(car.build, car.body, now)).collect();
    Ok(World::new(now, controller, fogs, vehicles, fleet.seed))
}
