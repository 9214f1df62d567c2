//! What to mine on, and what to do with a block that this node found.

use crate::{
    PublicKey,
    pow::{
        miner::{Found, Job},
        puzzle::{Sealed, name},
        run::Driver,
        solve_time::Luck,
    },
};
use commonware_codec::EncodeSize as _;
use commonware_cryptography::Digestible as _;
use commonware_p2p::{AddressableManager, Blocker, Recipients, Sender};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};
use tracing::debug;
use voltmesh_ledger::{Block, Built, MAX_ANCHORS_PER_AUTHORITY, State, Timestamp, Transaction};

/// Least age of a puzzle's block before new transactions replace it: each time the signatures of all are checked.
const REFRESH: Duration = Duration::from_millis(500);

impl<S, P, B> Driver<S, P, B>
where
    S: Sender<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    /// When this node finds a block by chance, or gives its search newer transactions.
    pub fn alarm(&self) -> Option<SystemTime> {
        match &self.luck {
            Luck::Search { built, since, stale, .. } => (*stale && built.is_some()).then(|| *since + REFRESH),
            Luck::Chance { next, .. } => *next,
        }
    }

    pub fn struck(&mut self, now: SystemTime) {
        let Luck::Chance { chance, next, .. } = &mut self.luck else { return self.aim(now) };
        *next = now.checked_add(chance.draw());
        let (block, state) = self.build();
        self.publish(block, state, 0, now);
    }

    pub fn solved(&mut self, found: Found, now: SystemTime) {
        let Luck::Search { jobs, built, .. } = &mut self.luck else { return };
        // Meanwhile another block may have come.
        if jobs.borrow().number == found.number
            && let Some((block, state)) = built.take()
        {
            self.publish(block, state, found.nonce, now);
            self.aim(now);
        }
    }

    /// Mines on the head of the tree, if this node is an authority of the next block's epoch.
    pub fn aim(&mut self, now: SystemTime) {
        let head = self.tree.head();
        let epoch = head.genesis().epoch_of(head.height().next());
        let mines = head.authorities_for(epoch).is_some_and(|set| set.contains(&self.shared.me));
        let now_ms = self.shared.now_ms();
        if mines {
            self.miner.meter.resume(now_ms);
        } else {
            self.miner.meter.pause(now_ms);
        }
        let fresh = match &mut self.luck {
            Luck::Chance { next, .. } if !mines => {
                *next = None;
                return;
            }
            Luck::Chance { chance, next, .. } => {
                // Chance has no memory: a new head changes nothing about when the next block is found.
                if next.is_none() {
                    *next = now.checked_add(chance.draw());
                }
                return;
            }
            Luck::Search { .. } => mines.then(|| self.build()),
        };
        let Luck::Search { jobs, built, since, stale } = &mut self.luck else { return };
        let name = fresh.as_ref().map(|(block, _)| name(&block.digest(), &self.shared.me));
        (*built, *since, *stale) = (fresh, now, false);
        jobs.send_modify(|job| *job = Job { number: job.number + 1, name });
    }

    /// The next block on the head of the tree, from what waits and is not on its chain.
    fn build(&self) -> (Block, State) {
        let head = self.tree.head();
        let mut left = self.block_bytes;
        let mut anchors: BTreeMap<PublicKey, usize> = BTreeMap::new();
        let mut candidates = self.shared.pool.lock().candidates(usize::MAX, &head, &BTreeSet::new());
        candidates.retain(|transaction| {
            if let Transaction::Anchor(anchor) = transaction {
                // What a block has no room for need not be checked.
                let count = anchors.entry(anchor.authority.clone()).or_default();
                *count += 1;
                if *count > MAX_ANCHORS_PER_AUTHORITY {
                    return false;
                }
            }
            let size = transaction.encode_size();
            let fits = size <= left;
            if fits {
                left -= size;
            }
            fits
        });
        let now = Timestamp::from_millis(self.shared.now_ms());
        let Built { block, state, .. } = head.build(candidates, now);
        (block, state)
    }

    /// Seals a block that this node found and sends it to everyone.
    fn publish(&mut self, block: Block, state: State, nonce: u64, now: SystemTime) {
        let digest = block.digest();
        if self.tree.is_connected(&digest) {
            debug!(%digest, "found a block that another miner found before");
            return;
        }
        let seal = self.rules.seal(&self.key, &digest, nonce);
        let sealed = Sealed::new(block, seal);
        debug!(height = %state.height(), bytes = sealed.bytes.len(), "block found");
        let _ = self.blocks.send(Recipients::All, sealed.bytes.clone(), true);
        let change = self.tree.insert_built(sealed, state);
        self.apply(change, now);
    }
}
