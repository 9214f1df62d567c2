//! Whom this node keeps connections with.

use crate::{
    PublicKey,
    common::network::{AddressBook, MAX_PEERS},
};
use commonware_p2p::{Address, AddressableManager};
use commonware_utils::ordered::Map;
use std::{collections::BTreeSet, net::SocketAddr};
use tracing::info;
use voltmesh_ledger::{Action, Block, State, Transaction};

/// The authorities of now, of the next epoch and of the one after (so that a newcomer can catch up before it serves),
/// and those in the configuration that have not left.
pub(crate) struct PeerSet<P> {
    manager: P,
    addresses: AddressBook,
    /// Every key that was ever an authority here.
    seen: BTreeSet<PublicKey>,
    tracked: BTreeSet<PublicKey>,
    last: Option<u64>,
}

impl<P: AddressableManager<PublicKey = PublicKey>> PeerSet<P> {
    pub fn new(manager: P, addresses: AddressBook) -> Self {
        Self { manager, addresses, seen: BTreeSet::new(), tracked: BTreeSet::new(), last: None }
    }

    /// Learns from a final block: a rotated key lives where the old one did.
    pub fn learn(&mut self, block: &Block) {
        for transaction in block.transactions() {
            let Transaction::Registry(registry) = transaction else { continue };
            for action in &registry.actions {
                if let Action::RotateAuthority { old, new } = action
                    && let Some(address) = self.addresses.get(old).cloned()
                {
                    self.addresses.entry(new.clone()).or_insert(address);
                }
            }
        }
    }

    /// Learns from a state what [`Self::learn`] would have from all blocks before it.
    pub fn inherit(&mut self, state: &State) {
        for old in self.addresses.keys().cloned().collect::<Vec<_>>() {
            let Some(address) = self.addresses.get(&old).cloned() else { continue };
            // A chain of rotations; a retired key never returns, so it ends.
            let mut key = &old;
            while let Some(new) = state.successors().get(key) {
                self.addresses.entry(new.clone()).or_insert_with(|| address.clone());
                key = new;
            }
        }
        self.seen.extend(state.admitted().keys().cloned());
        self.seen.extend(state.retired().iter().cloned());
    }

    /// Notes who serves after the block of `state`, without changing connections: while blocks are replayed.
    pub fn note(&mut self, state: &State) -> BTreeSet<PublicKey> {
        let epoch = state.epoch();
        let serving: BTreeSet<PublicKey> =
            [state.authorities_for(epoch), state.authorities_for(epoch.next())]
                .into_iter()
                .flatten()
                .chain([state.planned_authorities()])
                .flat_map(|set| set.keys().cloned())
                .collect();
        self.seen.extend(serving.iter().cloned());
        serving
    }

    /// Keeps connections with those who serve after the block of `state`, and drops those who do not any more.
    pub fn update(&mut self, state: &State) {
        let mut peers = self.note(state);
        let newcomers = self.addresses.keys().filter(|key| !self.seen.contains(*key)).cloned();
        // One place is this node's own, tracked or not.
        let room = (MAX_PEERS - 1).saturating_sub(peers.len());
        peers.extend(newcomers.take(room).collect::<Vec<_>>());
        if peers == self.tracked {
            return;
        }
        // Sets are numbered by the block that changed them, the first one after a start by the block restored.
        let height = state.height().get();
        if self.last.is_some_and(|last| last >= height) {
            return;
        }
        let nowhere = Address::Symmetric(SocketAddr::from(([0, 0, 0, 0], 0)));
        let map: Map<PublicKey, Address> =
            Map::from_iter_dedup(peers.iter().take(MAX_PEERS - 1).map(|key| {
                (key.clone(), self.addresses.get(key).cloned().unwrap_or_else(|| nowhere.clone()))
            }));
        info!(height, peers = peers.len(), "peer set changed");
        self.manager.track(height, map);
        self.last = Some(height);
        self.tracked = peers;
    }
}
