//! Decrees of the operators: told to others, and taken from them.

use crate::{
    PublicKey,
    common::core::bump,
    poa::{
        gossip::{message::Message, signatures::RootGossip},
        replacement::tracker::Offered,
    },
};
use commonware_p2p::{Recipients, Sender};
use commonware_utils::vec::NonEmptyVec;
use tracing::debug;
use voltmesh_ledger::Replacement;

impl<S: Sender<PublicKey = PublicKey>> RootGossip<S> {
    /// Tells others of the decree that is to be in force, with those who follow it.
    pub(super) fn tell_decree(&mut self) {
        let known = self.shared.decrees.lock().to_tell().cloned();
        if let Some(replacement) = known {
            self.send(Recipients::All, Message::Decree(Box::new(replacement)));
        }
    }

    pub(super) fn decree(&mut self, from: PublicKey, replacement: Replacement) {
        let state = self.shared.core.finalized();
        if !state.genesis().has_committee() {
            return;
        }
        let after = replacement.decree.after;
        let offered = self.shared.decrees.lock().offer(replacement.clone(), &state);
        match offered {
            Offered::News => bump(&self.shared.sealed),
            Offered::Known => {}
            // Of a block in this node's epoch; others come with it.
            Offered::Behind if state.calendar().epoch_of(after) == state.next_epoch() => {
                self.marshal.hint_finalized(after, NonEmptyVec::new(from));
            }
            Offered::Behind => {}
            Offered::Past => {
                let around = self.shared.core.chain.lock().around(after.get());
                if let Some([at, next]) = around
                    && self.shared.decrees.lock().overtaken(&replacement, &at, next.epoch().get())
                {
                    bump(&self.shared.sealed);
                }
            }
            Offered::Refused(error) => debug!(%from, %error, "decree refused"),
        }
    }

    /// What a peer says of decrees: one that this node has not followed is asked for.
    pub(super) fn cuts(&mut self, from: PublicKey, cuts: Vec<(u64, u64)>) {
        let state = self.shared.core.finalized();
        let (calendar, height) = (state.calendar(), state.height().get());
        let unknown = cuts.iter().find(|(first, epoch)| {
            *first <= height + 1
                && !calendar.cuts().any(|(height, known)| (height.get(), known.get()) == (*first, *epoch))
        });
        if let Some(after) = unknown.and_then(|(first, _)| first.checked_sub(1)) {
            self.send(Recipients::One(from.clone()), Message::WantDecree(after));
        }
        self.shared.decrees.lock().note(from, cuts);
    }
}
