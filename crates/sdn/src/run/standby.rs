//! State of the copies: those that stand by and have one, and what this controller copies while it stands by itself.

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_telemetry::Digest;

use super::copies::Incoming;
use crate::controller::Release;

/// State of the copies that this controller gives and takes.
pub(super) struct Standby {
    /// Those that may have a copy.
    pub peers: BTreeSet<String>,
    /// SHA-256 of the configured rules: rules that replace others are not copied.
    pub configured_rules: Digest,
    /// Those of them that have subscribed to a copy, and whether they have it, but for what changes.
    pub followers: BTreeMap<String, bool>,
    /// Copies that come in pieces, by who sends them.
    pub incoming: BTreeMap<String, Incoming>,
    /// Releases whose packages are not here yet.
    pub missing: BTreeMap<Digest, Release>,
}

impl Standby {
    /// Nothing is copied yet.
    pub fn new(peers: BTreeSet<String>, configured_rules: Digest) -> Self {
        Self {
            peers,
            configured_rules,
            followers: BTreeMap::new(),
            incoming: BTreeMap::new(),
            missing: BTreeMap::new(),
        }
    }

    /// Whether another controller may be copied, so that operators ask the one that commands.
    pub fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    /// A controller wants a copy.
    pub fn follow(&mut self, peer: &str) {
        self.followers.insert(peer.to_owned(), false);
    }

    /// A controller's session is over.
    pub fn leave(&mut self, peer: &str) {
        self.followers.remove(peer);
    }

    /// This controller commands, or does not any more: a later copy is whole.
    pub fn begin_anew(&mut self) {
        self.followers.values_mut().for_each(|has| *has = false);
    }
}
