//! Reading the disk at a node's start: what is final, and what follows from that.

use crate::{
    PublicKey,
    common::{block_store::Store, config::Config, error::StartError, peer_set::PeerSet},
    poa::{
        engine::{epocher::EpochCalendar, schemes::Schemes},
        replacement::promise::ReplacementVote,
        shared::Shared,
        storage::{
            recovery::{self, Found},
            repair,
            snapshot_store::SnapshotStore,
            vote_journal,
        },
    },
};
use commonware_consensus::marshal::Start;
use commonware_cryptography::{Digested, Digestible as _, Signer as _};
use commonware_p2p::AddressableManager;
use commonware_runtime::{Clock, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_utils::{NZU16, NZUsize, SystemTimeExt as _};
use rand::rand_core::CryptoRng;
use std::sync::Arc;
use voltmesh_ledger::{Block, Digest, Scheme, State};

/// Bytes of pages in memory: 1,024 × 4 KiB.
const PAGES: usize = 1_024;

/// Parts of a node that its tasks share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Parts {
    pub shared: Arc<Shared>,
    pub schemes: Schemes,
    pub epocher: EpochCalendar,
    pub page_cache: CacheRef,
}

/// A node after its disk was read: what is final, and what follows from that.
pub(crate) struct Restored<E: Clock + Storage + Metrics, P> {
    pub parts: Parts,
    pub vault: SnapshotStore<E>,
    pub found: Found,
    /// A state that was passed and is worth a snapshot, with the last block before the epoch of the next one.
    pub due: Option<(Arc<State>, Digest)>,
    pub peers: PeerSet<P>,
    /// Only where a committee votes.
    pub promise: Option<ReplacementVote<E>>,
}

/// The archives of final blocks, and where marshal begins in them if it has not come further.
pub(crate) struct History<E: Clock + Storage + Metrics> {
    pub store: Store<E>,
    pub start: Start<Scheme, Digest, Digested<Block>>,
}

/// Reads the disk. What is final on it comes first: only this says which authorities certificates must be of.
pub(crate) async fn open_storage<E, P>(
    context: &E,
    config: &Config,
    manager: P,
) -> Result<(Restored<E, P>, History<E>), StartError>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    P: AddressableManager<PublicKey = PublicKey>,
{
    let page_cache = CacheRef::new(NZU16!(4_084), NZUsize!(PAGES));
    let mut peers = PeerSet::new(manager, config.addresses.clone());
    let schemes = Schemes::new(config.genesis.digest(), config.private_key.clone());
    let vault = SnapshotStore::new(context.child("vault"), &config.partition);
    if config.repair {
        repair::repair(context, config, &vault, &page_cache).await?;
    }
    let store = Store::open(context, &config.partition, page_cache.clone(), config.section_blocks).await?;
    let found = recovery::find(config, &store, &vault).await?;
    if let Some(epoch) = vault.abstains().await? {
        schemes.abstain(epoch);
    }
    let clock = context.child("clock");
    let clock = Box::new(move || clock.current().epoch_millis());
    let me = config.private_key.public_key();
    let mut shared = Shared::new(me, recovery::chain(config, &found.base.snapshot), clock);
    let due = recovery::replay(config, &store, &found, &mut shared, &schemes, &mut peers).await?;
    check_votes(context, config, &vault, &shared, &schemes, &page_cache).await?;
    let shared = Arc::new(shared);
    peers.update(&shared.core.finalized());
    let epocher = EpochCalendar::new(shared.core.finalized().calendar().clone());
    let promise = open_promise(context, config, &shared).await?;
    let start = start(config, &store, &found).await?;
    let parts = Parts { shared, schemes, epocher, page_cache };
    let restored = Restored { parts, vault, found, due, peers, promise };
    Ok((restored, History { store, start }))
}

/// Reads what this node has promised about decrees, where a committee votes.
async fn open_promise<E>(
    context: &E,
    config: &Config,
    shared: &Shared,
) -> Result<Option<ReplacementVote<E>>, StartError>
where
    E: Clock + Storage + Metrics + Spawner,
{
    if !config.genesis.has_committee() {
        return Ok(None);
    }
    let (promise, promised) = ReplacementVote::open(context.child("promise"), &config.partition).await?;
    let state = shared.core.finalized();
    let mut decrees = shared.decrees.lock();
    decrees.restore(promised, shared.core.now_ms());
    decrees.resume(&state, &config.private_key);
    if shared.restored > 0 {
        decrees.listen();
    }
    drop(decrees);
    Ok(Some(promise))
}

/// Looks at the votes of the epoch that the next block belongs to; gives them up if they are damaged and somebody asked
/// for repair.
async fn check_votes<E>(
    context: &E,
    config: &Config,
    vault: &SnapshotStore<E>,
    shared: &Shared,
    schemes: &Schemes,
    page_cache: &CacheRef,
) -> Result<(), StartError>
where
    E: Clock + Storage + Metrics,
{
    let state = shared.core.finalized();
    let epoch = state.next_epoch().get();
    let Some(fixed) = schemes.get(epoch) else { return Ok(()) };
    let prefix = &config.partition;
    match vote_journal::check(context, vault, prefix, epoch, &fixed.scheme, page_cache.clone()).await {
        Err(StartError::Votes { .. }) if config.repair => {
            schemes.abstain(repair::give_up_votes(config, vault, epoch).await?);
            Ok(())
        }
        result => result,
    }
}

/// Where marshal begins if it has not come further: at genesis, or at the snapshot, if blocks before it are not here.
async fn start<E>(
    config: &Config,
    store: &Store<E>,
    found: &Found,
) -> Result<Start<Scheme, Digest, Digested<Block>>, StartError>
where
    E: Clock + Storage + Metrics,
{
    let height = found.base.snapshot.state.height().get();
    let whole = store.begins_with_genesis() && config.history_blocks.is_none();
    if height > 0
        && let Some(certificate) = found.base.certificate.clone()
        && (store.block(height).await?.is_none() || (config.repair && !whole))
    {
        return Ok(Start::Floor(certificate.into()));
    }
    let genesis = config.genesis.block();
    let digest = genesis.digest();
    Ok(Start::Genesis(Digested::precomputed(genesis, digest)))
}
