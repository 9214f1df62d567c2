//! The state that all blocks so far lead to, and what the next block may do.
//!
//! [`State`] and its plain parts are here; what it answers and does stands beside, one file an idea: [`log`], [`serving`] (who
//! serves and how well), [`epochs`] (seals, replacements), [`controllers`] (and functions, events), [`build`] and [`execute`].

pub(crate) mod anchor_signatures;
pub(crate) mod build;
pub(crate) mod control;
pub(crate) mod controllers;
pub(crate) mod draft;
pub(crate) mod entry;
pub(crate) mod epochs;
pub(crate) mod execute;
pub(crate) mod fact;
mod first_block;
pub(crate) mod inclusion;
pub(crate) mod log;
pub(crate) mod registry;
pub(crate) mod registry_path;
pub(crate) mod registry_proof;
pub(crate) mod sequence;
mod serving;
pub(crate) mod snapshot;

use crate::{
    block::{Block, header::Header},
    commitment::Commitment,
    election::Election,
    genesis::Genesis,
    operators::Operators,
    roster::{calendar::Calendar, schedule::Schedule},
    state::{control::Control, registry::Registry, registry_proof::RegistryProof, sequence::Window},
    types::{Digest, Epoch, Height, PublicKey},
};
use commonware_cryptography::Digestible as _;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_telemetry::{Timestamp, merkle::Frontier};

/// State of the ledger after some block: pure, deterministic, cheap to clone (large parts are shared).
#[derive(Clone, Debug)]
pub struct State {
    genesis: Arc<Genesis>,
    chain: Digest,
    header: Header,
    block: Digest,
    registry: Registry,
    operators: Arc<Operators>,
    nonce: u64,
    schedule: Schedule,
    calendar: Calendar,
    pub(crate) election: Election,
    log: Frontier,
    records: u64,
    windows: Arc<BTreeMap<PublicKey, Window>>,
    control: Arc<Control>,
}

impl State {
    /// The state after block 0.
    pub fn new(genesis: &Genesis) -> Self {
        let block = genesis.block();
        Self {
            chain: genesis.digest(),
            header: block.header().clone(),
            block: block.digest(),
            registry: Registry::default(),
            operators: Arc::new(genesis.operators.clone()),
            nonce: 0,
            calendar: Calendar::new(genesis.epoch_length),
            schedule: Schedule::new(Arc::new(genesis.authorities.clone()), genesis.roster()),
            election: Election::new(&genesis.authorities),
            log: Frontier::new(),
            records: 0,
            windows: Arc::default(),
            control: Arc::default(),
            genesis: Arc::new(genesis.clone()),
        }
    }

    /// Where the chain began.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The chain's identity.
    pub fn chain(&self) -> Digest {
        self.chain
    }

    /// Height of the last block.
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Header of the last block.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Digest of the last block.
    pub fn block(&self) -> Digest {
        self.block
    }

    /// Epoch of the last block.
    pub fn epoch(&self) -> Epoch {
        self.header.epoch
    }

    /// Time of the last block.
    pub fn time(&self) -> Timestamp {
        self.header.time
    }

    /// Vehicles and other signers of batches.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The proof of a registry entry against the last header's root.
    pub fn prove(&self, commitment: &Commitment) -> Option<RegistryProof> {
        self.registry.prove(commitment)
    }

    /// Those who sign registry transactions.
    pub fn operators(&self) -> &Operators {
        &self.operators
    }

    /// The nonce of the next registry transaction.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The header that this state's contents lead to, without the body.
    fn commit(&self, height: Height, parent: Digest, time: Timestamp, epoch: Epoch, view: u64) -> Header {
        Header {
            height,
            parent,
            time,
            epoch,
            view,
            body: Block::body_digest(None, None, &[]),
            log_size: self.log.size(),
            log_root: self.log.root(),
            registry_root: self.registry.root(),
            authorities: self.schedule.planned.digest(),
            election: self.election.digest(),
        }
    }
}
