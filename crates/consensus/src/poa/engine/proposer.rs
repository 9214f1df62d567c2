//! Builds and checks blocks.

use crate::{
    PublicKey,
    common::chain::Executed,
    poa::{gossip::censorship::GRACE_MS, shared::Shared},
};
use commonware_codec::EncodeSize as _;
use commonware_consensus::{
    Application, Heightable as _, marshal::ancestry::Ancestry, simplex::types::Context,
};
use commonware_cryptography::{Digested, Digestible as _};
use commonware_macros::select;
use commonware_runtime::Clock;
use commonware_utils::SystemTimeExt as _;
use futures::StreamExt as _;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::{debug, warn};
use voltmesh_ledger::{
    Block, Built, Digest, Epoch, EpochOpening, Error, MAX_BLOCK_BYTES, Scheme, State, Timestamp, Transaction,
};

/// While a proposal with transactions is not final, the next one is not held back longer than this: its votes also make
/// the earlier one final.
const OPEN_INTERVAL: Duration = Duration::from_millis(300);

/// Proposer and checker of blocks.
#[derive(Clone)]
pub(crate) struct Proposer {
    pub shared: Arc<Shared>,
    pub block_interval: Duration,
    pub idle_interval: Duration,
    pub block_bytes: usize,
    pub max_clock_drift: Duration,
}

impl Proposer {
    /// The state after the newest block of `ancestry`, executing what has not been executed yet. `None` if the chain
    /// does not end in what is final here.
    async fn state_after(&self, mut ancestry: impl Ancestry<Block>) -> Option<Arc<State>> {
        let mut open = Vec::new();
        let mut state = loop {
            let block = ancestry.next().await?;
            let digest = block.digest();
            {
                let chain = self.shared.core.chain.lock();
                if let Some(state) = chain.state_after(&digest) {
                    break state;
                }
                if block.height().get() <= chain.height() {
                    return None;
                }
            }
            open.push(block);
        };
        while let Some(block) = open.pop() {
            state = self.execute(&state, &block)?.state;
        }
        Some(state)
    }

    /// What the block after `state` must embed in `epoch`, if anything. `None` if it is not here.
    fn mandate(&self, state: &State, epoch: Epoch) -> Option<Option<EpochOpening>> {
        if state.next_epoch() == epoch {
            let seal = |height| self.shared.seals.lock().seal(height).map(EpochOpening::Seal);
            return if state.needs_mandate() { seal(state.height().get()).map(Some) } else { Some(None) };
        }
        let decrees = self.shared.decrees.lock();
        let replacement = decrees.in_force(state).filter(|replacement| replacement.decree.epoch == epoch)?;
        Some(Some(EpochOpening::Decree(Box::new(replacement.clone()))))
    }

    /// Counts what an authority's or controller's share of a block had no room for.
    fn note_quota(&self, rejected: &[(Transaction, Error)]) {
        let over = rejected.iter().filter(|(_, error)| matches!(error, Error::Quota(_)));
        for (_, error) in over.clone().take(1) {
            warn!(%error, "transactions wait for a later block: more than one authority or controller may put into this one");
        }
        self.shared.core.counts.lock().over_quota += over.count() as u64;
    }

    /// What `block` could hold and leaves out, although f + 1 authorities have called it overdue long ago.
    fn left_out(&self, parent: &State, block: &Digested<Block>) -> Option<Digest> {
        let overdue = self.shared.overdue.lock().certain(self.shared.core.now_ms(), GRACE_MS);
        if overdue.is_empty() {
            return None;
        }
        let waiting = self.shared.core.pool.lock().named(&overdue);
        let left_out = waiting.iter().find(|transaction| {
            let taken = block.inner().transactions().contains(transaction);
            !taken && parent.could_also_hold(block.inner(), transaction)
        });
        left_out.map(Transaction::digest)
    }

    fn execute(&self, parent: &State, block: &Digested<Block>) -> Option<Executed> {
        match parent.execute_rest(block.inner(), &self.shared.checked(block.inner())) {
            Ok((state, entries)) => {
                let executed = Executed {
                    block: block.inner_shared(),
                    digest: block.digest(),
                    state: Arc::new(state),
                    entries: Arc::new(entries),
                };
                self.shared.core.chain.lock().propose(executed.clone());
                Some(executed)
            }
            Err(error) => {
                warn!(height = %block.height(), %error, "proposal refused");
                None
            }
        }
    }
}

impl<E: Clock> Application<E> for Proposer {
    type SigningScheme = Scheme;
    type Context = Context<Digest, PublicKey>;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (clock, context): (E, Self::Context),
        ancestry: impl Ancestry<Block>,
        (): (),
    ) -> Option<Digested<Block>> {
        let parent = ancestry.peek()?.clone();
        let state = self.state_after(ancestry).await?;
        let mandate = self.mandate(&state, context.round.epoch())?;
        // A parent whose time is ahead of our clock must not make us wait longer than any other.
        let parent_time =
            SystemTime::UNIX_EPOCH + Duration::from_millis(parent.inner().header().time.as_millis());
        let start = parent_time.min(clock.current());
        clock.sleep_until(start + self.block_interval).await;

        let open = self.shared.core.chain.lock().has_open_transactions(&parent.digest());
        let idle = if open { OPEN_INTERVAL.min(self.idle_interval) } else { self.idle_interval };
        let latest = start + idle;
        let mut pooled = self.shared.core.pooled.subscribe();
        loop {
            pooled.borrow_and_update();
            let overdue = self.shared.overdue.lock().certain(self.shared.core.now_ms(), 0);
            let candidates = self.shared.core.pool.lock().candidates(
                self.block_bytes.min(MAX_BLOCK_BYTES),
                &state,
                &overdue,
            );
            let now = clock.current();
            let now_ms = Timestamp::from_millis(now.epoch_millis());
            let votes = self.shared.votes.lock().newest(state.ancestors());
            let view = context.round.view().get();
            let Built { block, state: next, entries, rejected } =
                state.build_opening(mandate.clone(), view, votes, candidates, now_ms);
            if !block.transactions().is_empty() || now >= latest {
                self.note_quota(&rejected);
                debug!(height = %block.height(), bytes = block.encode_size(), "block built");
                let digest = block.digest();
                let block = Arc::new(block);
                self.shared.core.chain.lock().propose(Executed {
                    block: block.clone(),
                    digest,
                    state: Arc::new(next),
                    entries: Arc::new(entries),
                });
                return Some(Digested::precomputed(block, digest));
            }
            select! {
                result = pooled.changed() => {
                    result.ok()?;
                },
                _ = clock.sleep_until(latest) => {},
            }
        }
    }

    async fn verify(
        &mut self,
        (clock, view): (E, Self::Context),
        mut ancestry: impl Ancestry<Block>,
    ) -> bool {
        let Some(block) = ancestry.next().await else { return false };
        // The last block of an epoch comes again in later views, but not here.
        let found = block.inner().header().view;
        if found != view.round.view().get() {
            warn!(leader = %view.leader, found, round = %view.round, "proposal names another view than its own");
            return false;
        }
        if block.inner().header().epoch != view.round.epoch() {
            warn!(leader = %view.leader, round = %view.round, "proposal names another epoch than its own");
            return false;
        }
        let Some(parent) = self.state_after(ancestry).await else {
            // Another chain is final here, or the node is being stopped: no verdict helps anybody.
            debug!(height = %block.height(), "proposal does not build on what is final");
            return futures::future::pending().await;
        };
        if self.execute(&parent, &block).is_none() {
            return false;
        }
        if let Some(left_out) = self.left_out(&parent, &block) {
            // No verdict: others may not know yet that it is overdue.
            warn!(leader = %view.leader, %left_out, "a proposal leaves out what f + 1 authorities wait for, so the vote is withheld");
            self.shared.core.counts.lock().censored += 1;
            return futures::future::pending().await;
        }
        // A time ahead of ours may become acceptable, so the vote waits instead of being cast against.
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(block.inner().header().time.as_millis());
        let acceptable = time.checked_sub(self.max_clock_drift).unwrap_or(SystemTime::UNIX_EPOCH);
        if let Ok(wait) = acceptable.duration_since(clock.current())
            && !wait.is_zero()
        {
            self.shared.core.counts.lock().clock_ahead += 1;
            let ahead = wait + self.max_clock_drift;
            warn!(leader = %view.leader, ?ahead, "a proposal is ahead of this clock, so the vote waits: check the time synchronisation of its leader and of this node");
        }
        clock.sleep_until(acceptable).await;
        true
    }
}
