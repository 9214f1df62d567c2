//! The archive of final blocks and their certificates.

use crate::node::StartError;
use commonware_cryptography::certificate::Verifier as _;
use commonware_runtime::{Clock, Metrics, Storage, buffer::paged::CacheRef};
use commonware_storage::{
    archive::{Archive as _, Identifier, prunable},
    translator::EightCap,
};
use commonware_utils::{NZU64, NZUsize};
use std::{num::NonZeroU64, sync::Arc};
use voltmesh_ledger::{Block, Digest, Finalization, Scheme};

/// Blocks per file: at ten blocks a second some seven minutes; pruning drops whole files.
pub(crate) const BLOCKS_PER_SECTION: NonZeroU64 = NZU64!(4_096);

/// Certificates by height.
pub(crate) type Certificates<E> = prunable::Archive<EightCap, E, Digest, Finalization>;
/// Blocks by height.
pub(crate) type Blocks<E> = prunable::Archive<EightCap, E, Digest, Arc<Block>>;

/// Both archives, and reading them before marshal owns them.
pub(crate) struct Store<E: Storage + Metrics + Clock> {
    pub certificates: Certificates<E>,
    pub blocks: Blocks<E>,
}

impl<E: Storage + Metrics + Clock> Store<E> {
    pub async fn open(context: &E, prefix: &str, page_cache: CacheRef) -> Result<Self, StartError> {
        let certificates = prunable::Archive::init(
            context.child("certificates"),
            settings(
                prefix,
                "certificates",
                page_cache.clone(),
                Scheme::certificate_codec_config_unbounded(),
            ),
        )
        .await
        .map_err(|source| StartError::Archive { what: "certificates", source })?;
        let blocks =
            prunable::Archive::init(context.child("blocks"), settings(prefix, "blocks", page_cache, ()))
                .await
                .map_err(|source| StartError::Archive { what: "blocks", source })?;
        Ok(Self { certificates, blocks })
    }

    /// The final block at `height`, if it is here.
    pub async fn block(&self, height: u64) -> Result<Option<Arc<Block>>, StartError> {
        self.blocks
            .get(Identifier::Index(height))
            .await
            .map_err(|source| StartError::Archive { what: "blocks", source })
    }
}

fn settings<C>(
    prefix: &str,
    what: &str,
    key_page_cache: CacheRef,
    codec_config: C,
) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{prefix}-{what}-metadata"),
        key_partition: format!("{prefix}-{what}-key"),
        key_page_cache,
        value_partition: format!("{prefix}-{what}-value"),
        compression: None,
        codec_config,
        items_per_section: BLOCKS_PER_SECTION,
        key_write_buffer: NZUsize!(16 * 1024),
        value_write_buffer: NZUsize!(256 * 1024),
        replay_buffer: NZUsize!(256 * 1024),
    }
}
