//! Keeps what is committed on disk before it counts as final, in the archive that proof of authority uses.

use crate::{
    StartError,
    common::{
        block_store::{self, What},
        chain::Executed,
        core::ReplicaCore,
    },
    pbft::certificate::Certificate,
};
use commonware_runtime::{Clock, Metrics, Storage, buffer::paged::CacheRef};
use commonware_storage::{
    archive::{Archive as _, Error, prunable},
    translator::EightCap,
};
use commonware_utils::{NZU16, NZUsize, SystemTimeExt as _, channel::mpsc};
use std::{num::NonZeroU64, sync::Arc};
use voltmesh_ledger::Digest;

/// Blocks that one sync may serve: those that came while the disk was busy.
const TOGETHER: usize = 16;

/// A block and why it is final.
pub(super) type Committed = (Executed, Certificate);

/// Archive of committed blocks and their certificates on disk.
pub(super) struct Archive<E: Storage + Metrics + Clock> {
    clock: E,
    blocks: block_store::Blocks<E>,
    certificates: prunable::Archive<EightCap, E, Digest, Certificate>,
}

impl<E: Storage + Metrics + Clock> Archive<E> {
    /// Opens, or creates, the archive of the node whose partitions begin with `prefix`.
    pub async fn open(context: E, prefix: &str, section: NonZeroU64) -> Result<Self, StartError> {
        let pages = CacheRef::new(NZU16!(4_084), NZUsize!(64));
        let damaged = |what| move |source| block_store::unopened(prefix, what, source);
        let blocks = block_store::open_blocks(&context, prefix, pages.clone(), section)
            .await
            .map_err(damaged(What::Blocks))?;
        let partitions = block_store::Partitions::of(prefix, What::Certificates);
        let settings = block_store::settings(partitions, pages, section, ());
        let certificates = prunable::Archive::init(context.child("certificates"), settings)
            .await
            .map_err(damaged(What::Certificates))?;
        Ok(Self { clock: context, blocks, certificates })
    }

    /// Stores what is committed, then applies it.
    ///
    /// # Panics
    ///
    /// If the disk cannot be written: what is not there must not be called final.
    pub async fn run(mut self, shared: Arc<ReplicaCore>, mut committed: mpsc::UnboundedReceiver<Committed>) {
        while let Some(first) = committed.recv().await {
            let mut due = vec![first];
            while due.len() < TOGETHER
                && let Ok(next) = committed.try_recv()
            {
                due.push(next);
            }
            self = self.keep(&due).await.expect("the archive must be writable");
            let now_ms = self.clock.current().epoch_millis();
            due.into_iter().for_each(|(executed, _)| apply(&shared, executed, now_ms));
        }
    }

    async fn keep(self, due: &[Committed]) -> Result<Self, Error> {
        let Self { clock, mut blocks, mut certificates } = self;
        for (executed, certificate) in due {
            let height = executed.block.header().height.get();
            blocks = blocks.put(height, executed.digest, &executed.block).await?;
            certificates = certificates.put(height, executed.digest, certificate).await?;
        }
        let (blocks, certificates) = futures::future::try_join(blocks.sync(), certificates.sync()).await?;
        Ok(Self { clock, blocks, certificates })
    }
}

fn apply(shared: &ReplicaCore, executed: Executed, now_ms: u64) {
    let Executed { block, digest, state, .. } = executed.clone();
    shared.chain.lock().finalize(executed);
    shared.announce(&block, digest, now_ms);
    let waited = shared.pool.lock().settle(&state, block.transactions(), now_ms);
    {
        let mut counts = shared.counts.lock();
        waited.into_iter().for_each(|ms| counts.latency(ms));
    }
    shared.tip.send_modify(|tip| {
        tip.height = state.height().get();
        tip.epoch = state.epoch().get();
    });
}
