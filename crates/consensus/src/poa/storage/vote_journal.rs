//! Looks at the journal of this node's votes before consensus opens it, and never changes it.
//!
//! The journal is what keeps a node from voting twice in one view. Opened, it drops what cannot be read at the end of each
//! of its files, one per view: right for a file that was being written when the process ended, wrong for a vote that was
//! sent long ago. So a copy is opened, and a file that is not among the newest and comes out shorter counts as damaged.
//!
//! **Not provided:** damage in the newest [`OPEN_VIEWS`] files that looks like a write cut short.

use crate::{
    common::error::StartError,
    poa::{engine::schemes::votes_partition, storage::snapshot_store::SnapshotStore},
};
use commonware_codec::Read;
use commonware_consensus::simplex::types::Artifact;
use commonware_cryptography::certificate::Verifier;
use commonware_runtime::{Metrics, ReadOptions, Storage, buffer::paged::CacheRef};
use commonware_storage::journal::segmented::variable::{Config, Journal};
use commonware_utils::NZUsize;
use std::sync::Arc;
use voltmesh_ledger::{Digest, Scheme};

/// Views that may be written to at a time: twice the optimistic ones, with room.
const OPEN_VIEWS: usize = 16;

type Ballots<E> = Journal<E, Artifact<Scheme, Digest>>;

/// Checks the votes of `epoch`, if there are any.
pub(crate) async fn check<E: Storage + Metrics>(
    context: &E,
    vault: &SnapshotStore<E>,
    prefix: &str,
    epoch: u64,
    scheme: &Arc<Scheme>,
    page_cache: CacheRef,
) -> Result<(), StartError> {
    let partition = votes_partition(prefix, epoch);
    let scratch = format!("{partition}-copy");
    vault.drop_partition(&scratch).await?;
    let damaged = |place: String, source: Option<Box<dyn std::error::Error + Send + Sync>>| {
        StartError::Votes { partition: partition.clone(), place, source }
    };
    let before = match vault.copy_all(&partition, &scratch).await {
        Ok(before) => before,
        Err(error @ commonware_runtime::Error::BlobCorrupt(..)) => {
            return Err(damaged("at opening".into(), Some(error.into())));
        }
        Err(error) => return Err(error.into()),
    };
    if before.is_empty() {
        return Ok(());
    }
    let settings = Config {
        partition: scratch.clone(),
        compression: None,
        codec_config: scheme.certificate_codec_config(),
        page_cache,
        write_buffer: NZUsize!(64 * 1024),
    };
    replay(context, settings).await.map_err(|error| damaged("at reading".into(), Some(error.into())))?;
    let after = vault.copy_all(&scratch, &format!("{scratch}-sizes")).await?;
    vault.drop_partition(&format!("{scratch}-sizes")).await?;
    vault.drop_partition(&scratch).await?;
    let settled = before.len().saturating_sub(OPEN_VIEWS);
    for (name, size) in &before[..settled] {
        let left = after.iter().find(|(other, _)| other == name).map_or(0, |(_, size)| *size);
        if left < *size {
            let view: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(damaged(format!("file {view}, offset {left}"), None));
        }
    }
    Ok(())
}

async fn replay<E: Storage + Metrics>(
    context: &E,
    settings: Config<<<Scheme as Verifier>::Certificate as Read>::Cfg>,
) -> Result<(), commonware_storage::journal::Error> {
    let journal = Ballots::<E>::init(context.child("ballots"), settings).await?;
    let mut replay = journal.replay(0, 0, NZUsize!(256 * 1024), ReadOptions::DONT_CACHE).await?;
    while let Some(artifact) = replay.next().await {
        artifact?;
    }
    replay.finish()?;
    Ok(())
}
