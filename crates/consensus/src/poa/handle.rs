//! What the rest of the process may ask of the node.

use crate::{
    common::{
        mempool::SubmitError,
        replica::{Final, ProtocolStats, Replica},
    },
    poa::{
        engine::schemes::Schemes,
        retention_guard::RetentionGuard,
        shared::{Marshal, Shared},
        subscription::{Subscription, execute},
        sync::snapshots::Request,
    },
};
use commonware_cryptography::Digestible as _;
use commonware_utils::channel::{mpsc, oneshot};
use std::sync::Arc;
use voltmesh_ledger::{
    AuthoritySet, Block, Certificate, Checkpoint, Epoch, Handover, Header, Height, LogProof, Roster, State,
    Transaction,
};

/// Blocks that [`Handle::roster`] executes again at most: the distance of the states that are kept, doubled once. Some 100
/// µs each with 20 authorities, so a second.
const MAX_REPLAY: usize = 8_192;

/// Newest signed roots among which [`Handle::log_proof`] looks for one whose block has a certificate of its own: all but
/// those around a scattered view do.
const LOG_PROOF_HEIGHTS: usize = 64;

/// How much older than the newest block the one in a proof of the log's extent may be: a minute.
const LOG_PROOF_AGE_MS: u64 = 60_000;

/// Handle of a running node. Cheap to clone; all clones speak of the same node.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) marshal: Marshal,
    pub(crate) keeper: mpsc::UnboundedSender<Request>,
    pub(crate) schemes: Schemes,
}

impl Handle {
    /// Gets a transaction into the ledger: gives it to all authorities, again and again until it is final. What was
    /// submitted before counts as success. Forgotten when the process ends: whoever submits repeats it then, unchanged,
    /// or under a number that leaves room for what others may still hold of it ([`voltmesh_ledger::SEQUENCE_WINDOW`]).
    pub fn submit(&self, transaction: Transaction) -> Result<(), SubmitError> {
        self.shared.core.submit(transaction)
    }

    /// Final blocks from `from` on, in order. At least once: after a restart name the height you have not finished.
    pub fn subscribe(&self, from: Height) -> Subscription {
        Subscription::new(self.shared.clone(), self.marshal.clone(), self.keeper.clone(), from)
    }

    /// Keeps the blocks from `from` on from being pruned until the hold is dropped or advanced: for who delivers them from
    /// a mark of its own.
    pub fn hold(&self, from: Height) -> RetentionGuard {
        RetentionGuard::new(self.shared.clone(), from)
    }

    /// Height of the first final block of those that are here without a gap up to the newest one.
    pub fn oldest(&self) -> Height {
        Height::new(self.shared.oldest())
    }

    /// Blocks that were executed at the start of this process, after the snapshot that it began from.
    pub fn replayed(&self) -> u64 {
        self.shared.replayed
    }

    /// The last epoch in which this node only follows, since it may have voted there and not know for what: it joined from
    /// a snapshot with an empty disk, or its journal of votes was given up.
    pub fn abstains_until(&self) -> Option<Epoch> {
        self.schemes.abstains_until().map(Epoch::new)
    }

    /// The newest snapshot with all that makes it believable, for [`crate::Config::checkpoint`] of another node. `None`
    /// while there is none that f + 1 authorities attest.
    pub async fn checkpoint(&self) -> Option<Checkpoint> {
        let (sender, exported) = oneshot::channel();
        self.keeper.send(Request::Export(sender)).ok()?;
        exported.await.ok()?
    }

    /// The newest final state.
    pub fn state(&self) -> Arc<State> {
        self.shared.core.finalized()
    }

    /// The final block at `height`, if it is here.
    pub async fn block(&self, height: Height) -> Option<Arc<Block>> {
        if height.get() > self.shared.core.height() {
            return None;
        }
        self.marshal.get_block(height).await.map(|block| block.inner_shared())
    }

    /// The certificate of the final block at `height`. `None` also if it is final only through a later block.
    pub async fn certificate(&self, height: Height) -> Option<Certificate> {
        if height.get() > self.shared.core.height() {
            return None;
        }
        self.shared.certificate(&self.marshal, height.get()).await
    }

    /// A proof of the log's extent that is hardly older than [`Self::state`]. Authorities sign only the roots of blocks that
    /// extend the log by themselves, so while it stands still they are asked: whoever calls this bounds the wait, and may
    /// take [`Self::signed_log`] instead.
    pub async fn log_proof(&self) -> Option<LogProof> {
        let newest = self.state();
        let oldest = newest.time().as_millis().saturating_sub(LOG_PROOF_AGE_MS);
        let fresh = |proof: &LogProof| {
            proof.header.log_size == newest.log_size() && proof.header.time.as_millis() >= oldest
        };
        if let Some(proof) = self.signed_log().await.filter(fresh) {
            return Some(proof);
        }
        let mut signed = self.shared.signed.subscribe();
        let header = self.newest_certified().await?;
        let authorities = self.shared.core.authorities_of(header.epoch.get())?;
        self.shared.roots.lock().open(&header, authorities, self.shared.core.now_ms());
        while self.shared.roots.lock().enough(header.height.get()).is_none() {
            signed.changed().await.ok()?;
            if self.shared.core.tip.borrow().stopped {
                return None;
            }
        }
        self.signed_log().await
    }

    /// The newest proof of the log's extent that needs no more signatures.
    pub async fn signed_log(&self) -> Option<LogProof> {
        let heights = self.shared.roots.lock().newest_enough(LOG_PROOF_HEIGHTS);
        for height in heights {
            let (height, receipts) = (Height::new(height), self.shared.roots.lock().enough(height));
            let Some(certificate) = self.certificate(height).await else { continue };
            let (Some(block), Some(receipts)) = (self.block(height).await, receipts) else { continue };
            if certificate.block() == block.digest() {
                return Some(LogProof::new(block.header().clone(), certificate, receipts));
            }
        }
        None
    }

    /// The header of the newest block with a certificate of its own.
    async fn newest_certified(&self) -> Option<Header> {
        let newest = self.height().get();
        for height in (newest.saturating_sub(LOG_PROOF_HEIGHTS as u64)..=newest).rev() {
            if let Some(certificate) = self.certificate(Height::new(height)).await {
                let block = self.block(Height::new(height)).await?;
                return (certificate.block() == block.digest()).then(|| block.header().clone());
            }
        }
        None
    }

    /// Changes of the authorities since genesis, for trust files; in order. One whose certificate this node has yet to
    /// fetch, or whose block is not sealed yet, ends the list.
    pub async fn handovers(&self) -> Vec<Handover> {
        let changes: Vec<_> =
            self.shared.handovers.lock().iter().map(|(h, change)| (*h, change.clone())).collect();
        let mut out = self.shared.known_handovers.lock().clone();
        let known = out.last().map(|last| last.height().get());
        for (height, change) in changes.into_iter().filter(|(height, _)| Some(*height) > known) {
            let Some(handover) = self.shared.handover(&self.marshal, height, change).await else {
                self.shared.want_certificate(height);
                break;
            };
            out.push(handover);
        }
        out
    }

    /// The authorities of an epoch that has begun or is settled.
    pub fn authorities(&self, epoch: Epoch) -> Option<Arc<AuthoritySet>> {
        self.shared.core.authorities_of(epoch.get())
    }

    /// Those of them that make blocks final.
    pub fn voters(&self, epoch: Epoch) -> Option<Arc<AuthoritySet>> {
        self.shared.core.voters_of(epoch.get())
    }

    /// Who serves and leads in an epoch. Of one long past only a kept state and the blocks after it know the leaders;
    /// `None` if those are more than 8,192, or the epoch is not settled yet. Costly then: for people, one at a time.
    pub async fn roster(&self, epoch: Epoch) -> Option<Arc<Roster>> {
        let mut state = self.state();
        if state.epoch() < epoch {
            return state.roster_for(epoch).cloned();
        }
        for replayed in 0.. {
            if let Some(roster) = state.roster_for(epoch) {
                return Some(roster.clone());
            }
            if replayed == 0 {
                // A state of the epoch after still knows.
                let latest = epoch.get().saturating_add(2).saturating_mul(state.genesis().epoch_length);
                state = self.shared.core.chain.lock().checkpoint(latest.saturating_sub(1))?;
            } else if replayed > MAX_REPLAY {
                return None;
            } else {
                let block = self.marshal.get_block(state.height().next()).await?;
                state = Arc::new(execute(&state, block.inner()).0);
            }
        }
        None
    }

    /// Waits until the block at `height` is final here. False if the node ends before.
    pub async fn reached(&self, height: Height) -> bool {
        let mut tip = self.shared.core.tip.subscribe();
        let reached = tip.wait_for(|tip| tip.stopped || tip.height >= height.get()).await;
        reached.is_ok_and(|tip| tip.height >= height.get())
    }
}

impl Replica for Handle {
    fn submit(&self, transaction: Transaction) -> Result<(), SubmitError> {
        Self::submit(self, transaction)
    }

    fn state(&self) -> Arc<State> {
        Self::state(self)
    }

    fn finals(&self) -> mpsc::UnboundedReceiver<Final> {
        self.shared.core.listen()
    }

    fn detours(&self) -> ProtocolStats {
        ProtocolStats { view_changes: self.shared.core.counts.lock().nullified, ..ProtocolStats::default() }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Cluster, good_link};
    use commonware_runtime::{Runner as _, deterministic};
    use std::{collections::BTreeMap, time::Duration};
    use voltmesh_ledger::{Epoch, Height, testing::Network};

    /// Also of epochs whose states are long forgotten, for there are 256 of those.
    #[test]
    fn rosters_of_all_epochs_are_known() {
        deterministic::Runner::seeded(40).start(|context| async move {
            let mut cluster = Cluster::of(&context, Network::with_epochs(4, 10), good_link()).await;
            for index in 0..4 {
                let mut config = cluster.config(index);
                (config.block_interval, config.idle_interval) = (Duration::ZERO, Duration::ZERO);
                cluster.start_with(index, config).await;
            }
            let handle = cluster.handle(0);
            let mut seen = BTreeMap::new();
            for height in 1..=330 {
                assert!(handle.reached(Height::new(height)).await);
                let state = handle.state();
                seen.extend(state.roster_for(state.epoch()).map(|roster| (state.epoch(), roster.clone())));
            }
            assert!(seen.len() >= 32, "{}", seen.len());
            for (epoch, roster) in &seen {
                assert_eq!(handle.roster(*epoch).await.as_ref(), Some(roster), "{epoch}");
                assert_eq!(handle.voters(*epoch).as_ref(), Some(&roster.voters));
                assert_eq!(handle.authorities(*epoch).as_ref(), Some(&roster.authorities));
            }
            let epoch = handle.state().epoch();
            assert!(handle.roster(epoch.next()).await.is_some(), "settled");
            assert!(handle.roster(Epoch::new(epoch.get() + 5)).await.is_none());
            assert!(handle.roster(Epoch::new(u64::MAX)).await.is_none());
        });
    }
}
