//! What nodes say of themselves once a second, and what follows from it.

use crate::{
    PublicKey,
    common::core::bump,
    poa::{
        gossip::{message::Message, signatures::RootGossip},
        shared::{Heard, SILENT_MS},
    },
};
use commonware_p2p::{Recipients, Sender};
use commonware_utils::vec::NonEmptyVec;
use voltmesh_ledger::{Height, State};

/// Peers remembered by what they last said; the network has fewer connections.
const MAX_HEARD: usize = 256;

impl<S: Sender<PublicKey = PublicKey>> RootGossip<S> {
    /// Says how far this node is.
    pub(super) fn tell_status(&mut self) {
        // First: whoever asks this node for blocks must know which epochs they are of.
        let cuts: Vec<_> =
            self.shared.core.finalized().calendar().cuts().map(|(h, e)| (h.get(), e.get())).collect();
        if !cuts.is_empty() {
            self.send(Recipients::All, Message::Cuts(cuts));
        }
        self.tell_decree();
        // Where a committee votes, what the driver may do depends on the time.
        if self.shared.core.finalized().genesis().has_committee() {
            bump(&self.shared.sealed);
        }
        let tip = self.shared.core.tip.borrow();
        self.send(Recipients::All, Message::Status { height: tip.height, epoch: tip.epoch });
        let oldest = self.shared.oldest();
        if oldest > 1 {
            self.send(Recipients::All, Message::Oldest(oldest));
        }
    }

    /// What a peer says of itself: remembered, and asked for what is missing here.
    pub(super) fn heard(&mut self, from: PublicKey, height: u64, epoch: u64) {
        let mut heard = Heard { height, at_ms: self.shared.core.now_ms(), oldest: 1 };
        {
            let mut peers = self.shared.peers.lock();
            heard.oldest = peers.get(&from).map_or(1, |before| before.oldest);
            if peers.len() >= MAX_HEARD && !peers.contains_key(&from) {
                peers.retain(|_, other| heard.at_ms.saturating_sub(other.at_ms) < SILENT_MS);
            }
            if peers.len() < MAX_HEARD || peers.contains_key(&from) {
                peers.insert(from.clone(), heard);
            }
        }
        if epoch > self.epoch() {
            let _ = self.ahead.send((epoch, from));
        } else if self.is_stuck_below(height) || self.is_not_sent(height) {
            // Before a decree may make it count for nothing.
            self.marshal.hint_finalized(Height::new(height), NonEmptyVec::new(from));
        } else if self.ends_our_epoch(height) {
            // It waits for the seal, for which this node may be needed.
            let _ = self.ahead.send((epoch.saturating_add(1), from));
        }
    }

    /// Whether `height` is the last of the epoch that this node is in, has not reached the end of, and needs a seal for.
    pub(super) fn ends_our_epoch(&self, height: u64) -> bool {
        let state = self.shared.core.finalized();
        let (calendar, height) = (state.calendar(), Height::new(height));
        state.genesis().has_committee()
            && height > state.height()
            && calendar.last(state.next_epoch()) == Some(height)
    }

    /// The epoch that others' are compared with: of the newest final block, or where epochs wait for seals and decrees, of
    /// the next one.
    fn epoch(&self) -> u64 {
        let state = self.shared.core.finalized();
        if state.genesis().has_committee() { state.next_epoch().get() } else { state.epoch().get() }
    }

    /// Whether nothing has become final here for a while, and a peer says that `height` has, in the epoch that runs here.
    fn is_stuck_below(&self, height: u64) -> bool {
        let state = self.shared.core.finalized();
        let still = self.shared.decrees.lock().is_still(self.shared.core.now_ms());
        state.genesis().has_committee() && still && self.lacks(&state, height)
    }

    /// Whether a peer has a final block of the epoch that runs here, and nobody sends it: finalizations go to the epoch's
    /// authorities alone, and this node is none of them, as after its admission or rotation until it serves. It asks then,
    /// each time that a peer tells its height.
    fn is_not_sent(&self, height: u64) -> bool {
        let state = self.shared.core.finalized();
        let set = state.authorities_for(state.next_epoch());
        let serves = set.is_some_and(|set| set.contains(&self.shared.core.me));
        !serves && self.lacks(&state, height)
    }

    /// Whether the block of that height is of the epoch that runs here, is not final here, and may count here if it is.
    fn lacks(&self, state: &State, height: u64) -> bool {
        height > state.height().get()
            && state.calendar().epoch_of(Height::new(height)) == state.next_epoch()
            && !self.shared.decrees.lock().has_left(state)
    }
}
