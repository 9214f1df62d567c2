//! Questions to peers for what is missing here, and complaints about what waits for too long.

use crate::{
    PublicKey,
    common::core::bump,
    poa::{
        gossip::{
            censorship::{MAX_OVERDUE, Overdue, PATIENCE_MS},
            message::Message,
            root_signatures::MAX_ASKED,
            signatures::{RootGossip, STATUS_ROUNDS},
        },
        shared::SILENT_MS,
    },
};
use commonware_p2p::{Recipients, Sender};
use tracing::debug;

/// Time after which a missing signature is asked for again, of another peer.
const ASK_AGAIN_MS: u64 = 1_000;

/// Peers that a question goes to at a time.
const ASKED: usize = 3;

impl<S: Sender<PublicKey = PublicKey>> RootGossip<S> {
    /// Names what has waited in this node's pool for too long, if this node is an authority.
    pub(super) fn complain(&mut self) {
        let state = self.shared.core.finalized();
        let Some(authorities) =
            state.authorities_for(state.epoch()).filter(|set| set.contains(&self.shared.core.me))
        else {
            return;
        };
        let now_ms = self.shared.core.now_ms();
        let waiting = self.shared.core.pool.lock().overdue(now_ms.saturating_sub(PATIENCE_MS), now_ms);
        let mut list = self.shared.overdue.lock();
        let fresh: Vec<Overdue> = waiting
            .into_iter()
            .filter(|digest| !list.has_signed(digest, &self.shared.core.me))
            .take(MAX_OVERDUE)
            .map(|digest| Overdue::sign(&self.shared.core.chain_id, &self.key, digest))
            .collect();
        fresh.iter().for_each(|overdue| list.add(overdue, authorities, now_ms));
        drop(list);
        if !fresh.is_empty() {
            debug!(count = fresh.len(), "transactions wait for too long");
            self.send(Recipients::All, Message::Overdue(fresh));
        }
    }

    /// What others call overdue.
    pub(super) fn add_overdue(&self, fresh: &[Overdue]) {
        let state = self.shared.core.finalized();
        let Some(authorities) = state.authorities_for(state.epoch()) else { return };
        let now_ms = self.shared.core.now_ms();
        let mut list = self.shared.overdue.lock();
        fresh.iter().for_each(|overdue| list.add(overdue, authorities, now_ms));
    }

    /// Asks one peer after the other for what is missing.
    pub(super) fn ask(&mut self) {
        let now_ms = self.shared.core.now_ms();
        let peers: Vec<PublicKey> = self
            .shared
            .peers
            .lock()
            .iter()
            .filter(|(_, heard)| now_ms.saturating_sub(heard.at_ms) < SILENT_MS)
            .map(|(key, _)| key.clone())
            .collect();
        let mut heights = self.shared.roots.lock().ask(now_ms, ASK_AGAIN_MS);
        let mut added = false;
        heights.retain(|height| {
            let mut roots = self.shared.roots.lock();
            added |= roots.sign(*height, &self.key).is_some();
            roots.enough(*height).is_none()
        });
        if added {
            bump(&self.shared.signed);
        }
        if peers.is_empty() {
            return;
        }
        if !heights.is_empty() {
            let to = self.some_of(&peers);
            self.send(to, Message::WantReceipts(heights));
        }
        let unsealed = self.shared.seals.lock().ask(now_ms, ASK_AGAIN_MS);
        if let Some(height) = unsealed {
            let to = self.some_of(&peers);
            self.send(to, Message::WantSeals(height));
        }
        let wanted: Vec<u64> =
            self.shared.certificates.lock().wanted.iter().take(MAX_ASKED).copied().collect();
        if !wanted.is_empty() && self.round.is_multiple_of(STATUS_ROUNDS) {
            let to = self.some_of(&peers);
            self.send(to, Message::WantCertificates(wanted));
        }
    }

    /// The next few of `peers`.
    fn some_of(&mut self, peers: &[PublicKey]) -> Recipients<PublicKey> {
        self.turn = self.turn.wrapping_add(ASKED);
        Recipients::Some(
            peers
                .iter()
                .cycle()
                .skip(self.turn % peers.len())
                .take(ASKED.min(peers.len()))
                .cloned()
                .collect(),
        )
    }
}
