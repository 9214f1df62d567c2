//! The archive of final blocks and their certificates.

use crate::common::error::StartError;
use commonware_cryptography::certificate::Verifier as _;
use commonware_runtime::{Clock, Metrics, Storage, buffer::paged::CacheRef};
use commonware_storage::{
    archive::{Archive as _, Error, Identifier, prunable},
    translator::EightCap,
};
use commonware_utils::{NZU64, NZUsize};
use std::{num::NonZeroU64, sync::Arc};
use voltmesh_ledger::{Block, Certificate, Digest, Finalization, Scheme};

/// Blocks per file: at ten blocks a second some seven minutes; pruning drops whole files.
pub(crate) const BLOCKS_PER_SECTION: NonZeroU64 = NZU64!(4_096);

/// Certificates by height.
pub(crate) type Certificates<E> = prunable::Archive<EightCap, E, Digest, Finalization>;
/// Blocks by height.
pub(crate) type Blocks<E> = prunable::Archive<EightCap, E, Digest, Arc<Block>>;

/// The two archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Certificates,
    Blocks,
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Blocks => "blocks",
        }
    }
}

/// Partitions of an archive.
pub(crate) struct Partitions {
    pub metadata: String,
    pub keys: String,
    pub values: String,
}

impl Partitions {
    pub fn of(prefix: &str, what: What) -> Self {
        let partition = |part| format!("{prefix}-{}-{part}", what.name());
        Self { metadata: partition("metadata"), keys: partition("key"), values: partition("value") }
    }
}

/// Both archives, and reading them before marshal owns them.
pub(crate) struct Store<E: Storage + Metrics + Clock> {
    pub certificates: Certificates<E>,
    pub blocks: Blocks<E>,
    prefix: String,
    section: NonZeroU64,
}

impl<E: Storage + Metrics + Clock> Store<E> {
    pub async fn open(
        context: &E,
        prefix: &str,
        page_cache: CacheRef,
        section: NonZeroU64,
    ) -> Result<Self, StartError> {
        let damaged = |what| move |source| unopened(prefix, what, source);
        let certificates = open_certificates(context, prefix, page_cache.clone(), section)
            .await
            .map_err(damaged(What::Certificates))?;
        let blocks =
            open_blocks(context, prefix, page_cache, section).await.map_err(damaged(What::Blocks))?;
        Ok(Self { certificates, blocks, prefix: prefix.into(), section })
    }

    /// The final block at `height`, if it is here.
    pub async fn block(&self, height: u64) -> Result<Option<Arc<Block>>, StartError> {
        let found = self.blocks.get(Identifier::Index(height)).await;
        found.map_err(|source| unread(&self.prefix, What::Blocks, height, self.section, source))
    }

    /// The certificate of the final block at `height`, if it is here.
    pub async fn certificate(&self, height: u64) -> Result<Option<Certificate>, StartError> {
        let found = self.certificates.get(Identifier::Index(height)).await;
        let found =
            found.map_err(|source| unread(&self.prefix, What::Certificates, height, self.section, source))?;
        Ok(found.map(Certificate::from))
    }

    /// Height of the last block that is here, after gaps or not.
    pub fn blocks_end(&self) -> Option<u64> {
        self.blocks.last_index()
    }

    /// Whether a node can start from genesis: its first blocks are here, or there are none at all.
    pub fn begins_with_genesis(&self) -> bool {
        self.blocks.first_index().is_none_or(|first| first <= 1)
    }

    /// Height of the first block of those without a gap up to `tip`; the one after `tip` if that is not here.
    pub fn oldest(&self, tip: u64) -> u64 {
        let holds = self.blocks.ranges().find(|(first, last)| (*first..=*last).contains(&tip));
        holds.map_or(tip + 1, |(first, _)| first)
    }
}

pub(crate) async fn open_certificates<E: Storage + Metrics + Clock>(
    context: &E,
    prefix: &str,
    page_cache: CacheRef,
    section: NonZeroU64,
) -> Result<Certificates<E>, Error> {
    let codec = Scheme::certificate_codec_config_unbounded();
    let settings = settings(Partitions::of(prefix, What::Certificates), page_cache, section, codec);
    prunable::Archive::init(context.child("certificates"), settings).await
}

pub(crate) async fn open_blocks<E: Storage + Metrics + Clock>(
    context: &E,
    prefix: &str,
    page_cache: CacheRef,
    section: NonZeroU64,
) -> Result<Blocks<E>, Error> {
    let settings = settings(Partitions::of(prefix, What::Blocks), page_cache, section, ());
    prunable::Archive::init(context.child("blocks"), settings).await
}

pub(crate) fn unopened(prefix: &str, what: What, source: Error) -> StartError {
    let Partitions { metadata, keys, values } = Partitions::of(prefix, what);
    let partition = format!("{keys} (or {values}, {metadata})");
    StartError::damaged(what.name(), &partition, "at opening", Some(source.into()))
}

fn unread(prefix: &str, what: What, height: u64, section: NonZeroU64, source: Error) -> StartError {
    let file = height / section * section.get();
    let place = format!("file {file:016x}, height {height}");
    StartError::damaged(what.name(), &Partitions::of(prefix, what).values, place, Some(source.into()))
}

pub(crate) fn settings<C>(
    partitions: Partitions,
    key_page_cache: CacheRef,
    items_per_section: NonZeroU64,
    codec_config: C,
) -> prunable::Config<EightCap, C> {
    let Partitions { metadata, keys, values } = partitions;
    prunable::Config {
        translator: EightCap,
        metadata_partition: metadata,
        key_partition: keys,
        key_page_cache,
        value_partition: values,
        compression: None,
        codec_config,
        items_per_section,
        key_write_buffer: NZUsize!(16 * 1024),
        value_write_buffer: NZUsize!(256 * 1024),
        replay_buffer: NZUsize!(256 * 1024),
    }
}
