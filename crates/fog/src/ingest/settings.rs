//! What the core is told once: its keys, its bounds and its pace.

use ed25519_dalek::VerifyingKey;
use voltmesh_control::Opening;
use voltmesh_ledger::Digest as ChainId;
use voltmesh_ledger::PrivateKey;
use voltmesh_telemetry::{Secret, VehicleId};

use crate::config::{Cloud, Foreign, Ledger, Limits, Spool};

/// What the core is told once.
#[derive(Clone)]
pub struct Settings {
    /// The node's name.
    pub fog: VehicleId,
    /// The authority's key.
    pub key: PrivateKey,
    /// Identity of the chain.
    pub chain: ChainId,
    /// Opening of this node's own commitment, enrolled so that it may attest foreign records.
    pub opening: Opening,
    /// What salts of attested batches are derived from.
    pub secret: Secret,
    /// Keys of which any may sign archive notices and statements: two while one replaces the other, none without a cloud.
    pub cloud_keys: Vec<VerifyingKey>,
    /// Bounds of what is taken in.
    pub limits: Limits,
    /// Bounds of what is kept.
    pub spool: Spool,
    /// Foreign records.
    pub foreign: Foreign,
    /// Pace of anchors.
    pub anchors: AnchorSettings,
    /// Pace of forwarding.
    pub forward: ForwardSettings,
}

/// Pace of anchors; see [`Ledger`].
#[derive(Debug, Clone, Copy)]
pub struct AnchorSettings {
    /// Between two anchors.
    pub every_ms: u64,
    /// Batches that do not wait.
    pub batches: usize,
    /// Before an anchor is submitted again.
    pub resubmit_ms: u64,
}

impl From<&Ledger> for AnchorSettings {
    fn from(ledger: &Ledger) -> Self {
        Self { every_ms: ledger.anchor_ms, batches: ledger.anchor_batches, resubmit_ms: ledger.resubmit_ms }
    }
}

/// Pace of forwarding; see [`Cloud`].
#[derive(Debug, Clone, Copy)]
pub struct ForwardSettings {
    /// Batches under way.
    pub window: usize,
    /// Bytes under way.
    pub window_bytes: u64,
    /// Before a batch without a notice is sent again.
    pub notice_ms: u64,
}

impl From<&Cloud> for ForwardSettings {
    fn from(cloud: &Cloud) -> Self {
        Self { window: cloud.window, window_bytes: cloud.window_bytes, notice_ms: cloud.notice_ms }
    }
}
