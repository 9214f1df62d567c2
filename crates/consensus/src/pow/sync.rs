//! Blocks of others: checked, put into the tree, and fetched when they are missing.

use crate::{
    PublicKey,
    pow::{
        puzzle::Sealed,
        request::{Asked, Taken},
        run::Driver,
        tree::Refusal,
        wire::Message,
    },
};
use bytes::Bytes;
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_p2p::{AddressableManager, Blocker, Recipients, Sender, block};
use std::time::SystemTime;
use tracing::{debug, error, warn};
use voltmesh_ledger::{Digest, Timestamp};

/// Time after which a peer, or anyone about the same block, is asked again.
const ASK_AGAIN_MS: u64 = 1_000;

/// Foreign blocks below the oldest state that are remembered, so that each is counted once.
const MAX_FOREIGN: usize = 1_024;

impl<S, P, B> Driver<S, P, B>
where
    S: Sender<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    /// Answers a request, or takes an answer.
    pub fn backfill(&mut self, from: PublicKey, bytes: Bytes, now: SystemTime) {
        match Message::decode(bytes) {
            Ok(Message::Ask { wanted, have }) => {
                let blocks = self.tree.blocks_to(&wanted, &have);
                if !blocks.is_empty() {
                    let _ =
                        self.backfill.send(Recipients::One(from), Message::Answer(blocks).encode(), false);
                }
            }
            Ok(Message::Answer(blocks)) => self.answered(&from, blocks, now),
            Err(error) => {
                block!(self.blocker, from, %error, "malformed request or answer");
            }
        }
    }

    fn answered(&mut self, from: &PublicKey, blocks: Vec<Bytes>, now: SystemTime) {
        let Some(Asked { wanted, .. }) = self.asked.remove(from) else {
            debug!(%from, "an answer that was not asked for");
            return;
        };
        let mut connected = 0;
        let mut foreign = 0;
        // What is flooded at such a height may come from a node that has just started; an answer leads to a block above.
        for bytes in blocks {
            let taken = self.take(from, bytes, now);
            connected += taken.connected;
            if let Some(digest) = taken.foreign
                && self.foreign.len() < MAX_FOREIGN
                && self.foreign.insert(digest)
            {
                foreign += 1;
            }
        }
        if foreign > 0 {
            error!(%from, foreign, "final blocks here and there differ, from below the oldest state held: this node cannot follow");
            self.miner.figures.lock().conflicting_finals += foreign;
        }
        if connected > 0 && !self.tree.is_connected(&wanted) {
            self.ask(from, wanted);
        }
    }

    /// Checks a block and puts it into the tree.
    pub fn take(&mut self, from: &PublicKey, bytes: Bytes, now: SystemTime) -> Taken {
        let sealed = match Sealed::decode(bytes) {
            Ok(sealed) => sealed,
            Err(error) => {
                block!(self.blocker, from.clone(), %error, "malformed block");
                return Taken::default();
            }
        };
        let digest = sealed.digest;
        if self.tree.knows(&digest) {
            return Taken::default();
        }
        if let Err(error) = self.rules.check(&sealed) {
            block!(self.blocker, from.clone(), %error, "forged block");
            return Taken::default();
        }
        let drift_ms = u64::try_from(self.max_clock_drift.as_millis()).unwrap_or(u64::MAX);
        let clock = Timestamp::from_millis(self.shared.now_ms());
        if let Err(error) = sealed.block.header().check_clock(clock, drift_ms) {
            // Whoever builds on it makes it come again.
            self.shared.counts.lock().clock_ahead += 1;
            warn!(%from, %error, "a block is ahead of this clock and waits for the next one: check the time synchronisation");
            return Taken::default();
        }
        match self.tree.insert(sealed) {
            Ok(change) => {
                let connected = change.connected;
                if let Some(missing) = change.missing {
                    self.ask_soon(from, missing);
                }
                self.apply(change, now);
                Taken { connected, foreign: None }
            }
            Err(error @ Refusal::TooDeep { .. }) => {
                debug!(%from, %error, "block not taken");
                Taken { connected: 0, foreign: Some(digest) }
            }
            Err(error) => {
                block!(self.blocker, from.clone(), %error, "invalid block");
                Taken::default()
            }
        }
    }

    /// Asks for what leads to a block, unless an answer is on its way. There is no timer: the next block that misses
    /// its parent asks again.
    fn ask_soon(&mut self, from: &PublicKey, wanted: Digest) {
        let now_ms = self.shared.now_ms();
        let recent = |asked: &Asked| now_ms.saturating_sub(asked.at_ms) < ASK_AGAIN_MS;
        let waits = self.asked.get(from).is_some_and(recent)
            || self.asked.values().any(|asked| asked.wanted == wanted && recent(asked));
        if !waits {
            self.ask(from, wanted);
        }
    }

    fn ask(&mut self, from: &PublicKey, wanted: Digest) {
        self.asked.insert(from.clone(), Asked { wanted, at_ms: self.shared.now_ms() });
        let message = Message::Ask { wanted, have: self.tree.locator() };
        let _ = self.backfill.send(Recipients::One(from.clone()), message.encode(), false);
    }
}
