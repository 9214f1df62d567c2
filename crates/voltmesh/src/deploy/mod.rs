//! A whole system in one folder of this machine, as an operator would set it up: CA, keys, genesis, configurations,
//! enrolments. The demo and the benchmarks start real processes on it.

mod closed_loop;
mod configs;
mod ports;
pub mod process;
pub mod proxy;
mod runtime;
mod site;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use commonware_cryptography::Signer as _;
use rand::RngExt as _;
use voltmesh_control::Opening;
use voltmesh_identity::{Identity, Pki, Role, create_private_dir, read_signing_key, write_private};
use voltmesh_ledger::{Action, Genesis, PrivateKey, PublicKey, RegistryTx, Trust, commitment, private_key};
use voltmesh_telemetry::Timestamp;

pub use closed_loop::DrivenPlan;
pub use configs::{EdgePlan, FogPlan, Pace, Recording, Tuning, TwinPlan};
pub use ports::ReservedPort;
pub use runtime::run_with_processes;
pub use site::Site;

use crate::args::ElectionArgs;
use crate::commands::registry::{elect, write_opening};

/// Certificates of a deployment on one machine live this long, in days.
const DAYS: u32 = 30;

/// Operators of the ledger, and how many of them must sign.
const OPERATORS: usize = 3;
const THRESHOLD: u8 = 2;

/// Name of the controller.
pub const CONTROLLER: &str = "controller";

/// Name of the one that stands by.
pub const STANDBY: &str = "controller-2";

/// What a deployment consists of.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Fog nodes; all are authorities of the ledger.
    pub fogs: usize,
    /// Vehicles.
    pub vehicles: usize,
    /// Whether there is a cloud.
    pub cloud: bool,
    /// Blocks in an epoch of the ledger.
    pub epoch_length: u64,
    /// How it elects leaders and voters.
    pub election: ElectionArgs,
}

/// A deployment's files and keys.
pub struct Deployment {
    /// Its folder.
    pub dir: PathBuf,
    /// Its CA.
    pub pki: Pki,
    /// Its ledger's beginning.
    pub genesis: Genesis,
    operators: Vec<PrivateKey>,
    /// Authorities' public keys, by fog node.
    pub authorities: Vec<PublicKey>,
    /// Vehicles' openings, in order.
    pub vehicles: Vec<Opening>,
}

impl Deployment {
    /// Makes CA, keys and genesis in `dir`.
    pub fn create(dir: &Path, size: Size) -> Result<Self> {
        let pki = Pki::init(&dir.join("pki"))?;
        let issue = |role: Role, id: &str| -> Result<PrivateKey> {
            let issued = pki.issue(&Identity::new(role, id)?, &[], DAYS)?;
            Ok(private_key(&read_signing_key(&issued.folder.join("sign.key"))?.to_bytes()))
        };
        let mut fogs = Vec::new();
        for n in 1..=size.fogs {
            fogs.push(issue(Role::Fog, &fog_name(n))?);
        }
        let mut operators = Vec::new();
        for n in 1..=OPERATORS {
            operators.push(issue(Role::Operator, &format!("op-{n}"))?);
        }
        if size.cloud {
            issue(Role::Cloud, "cloud")?;
        }
        let mut vehicles = Vec::new();
        for n in 1..=size.vehicles {
            let key = issue(Role::Edge, &edge_name(n))?;
            let opening = Opening { salt: random(), key: bytes(&key.public_key()) };
            write_opening(&node_dir(dir, &edge_name(n))?.join("opening.toml"), &opening)?;
            write_private(
                &node_dir(dir, &edge_name(n))?.join("secret"),
                hex::encode(random::<32>()).as_bytes(),
            )?;
            vehicles.push(opening);
        }
        let authorities: Vec<PublicKey> = fogs.iter().map(PrivateKey::public_key).collect();
        let genesis = Genesis::new(
            "demo",
            now(),
            authorities.iter().cloned(),
            operators.iter().map(PrivateKey::public_key),
            THRESHOLD,
            size.epoch_length,
        )?;
        let genesis = elect(genesis, size.election)?;
        fs::write(dir.join("genesis.toml"), genesis.to_toml()).context("cannot write genesis.toml")?;
        Ok(Self { dir: dir.to_owned(), pki, genesis, operators, authorities, vehicles })
    }

    /// The decision of two of three operators that these actions happen.
    pub fn decide(&self, nonce: u64, actions: Vec<Action>) -> RegistryTx {
        let signers = self.operators.iter().take(usize::from(THRESHOLD));
        signers.fold(RegistryTx::new(self.genesis.digest(), nonce, actions), RegistryTx::sign)
    }

    /// Enrols every vehicle, and every fog node, which attests for foreign clients.
    pub fn enrolments(&self) -> Result<Vec<Action>> {
        let vehicles = self.vehicles.iter().enumerate();
        let mut actions: Vec<Action> =
            vehicles.map(|(n, opening)| enrolment(&edge_name(n + 1), opening)).collect();
        for fog in 1..=self.authorities.len() {
            actions.push(self.attestation(fog)?);
        }
        Ok(actions)
    }

    /// Admits the controllers whose keys are issued: the ledger gives terms to them.
    pub fn admissions(&self) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        for name in [CONTROLLER, STANDBY] {
            let path = self.pki.folder_of(&Identity::new(Role::Controller, name)?).join("sign.key");
            if path.exists() {
                let key = private_key(&read_signing_key(&path)?.to_bytes()).public_key();
                actions.push(Action::AdmitController { key });
            }
        }
        Ok(actions)
    }

    /// Enrols a fog node's present key.
    fn attestation(&self, fog: usize) -> Result<Action> {
        let folder = self.pki.folder_of(&Identity::new(Role::Fog, &fog_name(fog))?);
        let key = read_signing_key(&folder.join("sign.key"))?;
        Ok(enrolment(&fog_name(fog), &voltmesh_fog::own_opening(&key)))
    }

    /// Gives a fog node a new signing key, as after the loss of its disk. Returns what operators have to decide.
    pub fn rotate(&mut self, fog: usize) -> Result<Vec<Action>> {
        let folder = self.pki.folder_of(&Identity::new(Role::Fog, &fog_name(fog))?);
        let key = ed25519_dalek::SigningKey::from_bytes(&random());
        voltmesh_identity::write_signing_key(&folder, &key)?;
        let new = private_key(&key.to_bytes()).public_key();
        let old = std::mem::replace(&mut self.authorities[fog - 1], new.clone());
        Ok(vec![Action::RotateAuthority { old, new }, self.attestation(fog)?])
    }

    /// The public key that signs archive notices.
    pub fn cloud_key(&self) -> Result<PublicKey> {
        let folder = self.pki.folder_of(&Identity::new(Role::Cloud, "cloud")?);
        Ok(private_key(&read_signing_key(&folder.join("sign.key"))?.to_bytes()).public_key())
    }

    /// Trust that starts at this genesis.
    pub fn trust(&self) -> Trust {
        Trust::from_genesis(self.genesis.clone())
    }

    /// A node's own folder, made if absent.
    pub fn node_dir(&self, name: &str) -> Result<PathBuf> {
        node_dir(&self.dir, name)
    }
}

/// `fog-1`, counted from 1.
pub fn fog_name(n: usize) -> String {
    format!("fog-{n}")
}

/// `edge-1`, counted from 1.
pub fn edge_name(n: usize) -> String {
    format!("edge-{n}")
}

/// Loopback at a port.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn enrolment(name: &str, opening: &Opening) -> Action {
    Action::EnrolVehicle { commitment: commitment(name, &opening.salt, &opening.key) }
}

fn node_dir(dir: &Path, name: &str) -> Result<PathBuf> {
    let folder = dir.join(name);
    create_private_dir(&folder)?;
    Ok(folder)
}

fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    rand::rng().fill(&mut out[..]);
    out
}

fn bytes(key: &PublicKey) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(key.as_ref());
    out
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}
