//! Setup of a fog node.

use crate::{
    checker::Checker,
    net::{Mesh, Net, NodeAddress},
};
use commonware_utils::sync::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_consensus::{self as consensus, Handle};
use voltmesh_fog::ingest::Settings;
use voltmesh_mqtt::Role;

/// Handles of all running authorities, for the operators' transactions.
pub type Handles = Arc<Mutex<BTreeMap<NodeAddress, Handle>>>;

/// Setup of a fog node.
#[derive(Clone)]
pub struct Setup {
    /// Where it listens.
    pub place: NodeAddress,
    /// Of its core.
    pub settings: Settings,
    /// Of its authority.
    pub ledger: consensus::Config,
    /// What connects it with the others.
    pub net: Net,
    /// The authorities' connections.
    pub mesh: Mesh,
    /// The cloud's place.
    pub cloud: NodeAddress,
    /// Who connects from where: what certificates would say.
    pub peers: BTreeMap<NodeAddress, (Role, String)>,
    /// Sees all.
    pub checker: Checker,
    /// Where this node's handle is put.
    pub handles: Handles,
}
