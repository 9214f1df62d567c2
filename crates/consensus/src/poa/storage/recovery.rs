//! What is on disk when a node starts: the newest good snapshot, and the blocks after it.

use crate::{
    PublicKey,
    common::{
        block_store::Store,
        chain::{Chain, Executed},
        config::Config,
        error::StartError,
        peer_set::PeerSet,
    },
    poa::{
        engine::schemes::Schemes,
        shared::Shared,
        storage::snapshot_store::{SnapshotStore, Unreadable},
        sync::{kept::Kept, snapshots::store_checkpoint},
    },
};
use commonware_consensus::Heightable as _;
use commonware_cryptography::Digestible as _;
use commonware_p2p::AddressableManager;
use commonware_runtime::{Clock, Metrics, Storage};
use std::{collections::BTreeMap, sync::Arc};
use tracing::{info, warn};
use voltmesh_ledger::{Certificate, Digest, Height, Roster, Snapshot, State, Trust};

/// State that a node begins from.
pub(crate) struct Base {
    pub snapshot: Snapshot,
    /// `None` for genesis, and for a block that was final only through a later one.
    pub certificate: Option<Certificate>,
}

/// Contents of the disk besides the blocks.
pub(crate) struct Found {
    pub trust: Trust,
    /// Good snapshots by height.
    pub kept: BTreeMap<u64, Kept>,
    pub base: Base,
}

/// Reads hand-overs and snapshots and chooses where to begin. Takes the configured checkpoint if there is nothing yet.
pub(crate) async fn find<E>(
    config: &Config,
    store: &Store<E>,
    vault: &SnapshotStore<E>,
) -> Result<Found, StartError>
where
    E: Clock + Storage + Metrics,
{
    let mut trust = Trust::from_genesis(config.genesis.clone());
    for handover in vault.read_handovers().await? {
        let height = handover.height();
        trust.extend(&handover).map_err(|error| {
            let file = format!("file {:016x}", height.get());
            StartError::damaged("hand-over", &vault.handovers(), file, Some(error.into()))
        })?;
    }
    let partition = vault.snapshots();
    let mut heights = vault.list(&partition).await?;
    if let Some(checkpoint) = &config.checkpoint
        && heights.is_empty()
        && store.blocks_end().is_none_or(|last| last == 0)
    {
        let snapshot = checkpoint.verify(&mut trust).map_err(StartError::Checkpoint)?;
        store_checkpoint(vault, &trust, checkpoint, &snapshot, true).await?;
        heights = vault.list(&partition).await?;
    }

    let (mut kept, mut base, mut bad) = (BTreeMap::new(), None, None);
    for height in heights.into_iter().rev() {
        let place = format!("file {height:016x}");
        let stored = match vault.read_snapshot(height).await {
            Ok(stored) => stored,
            Err(Unreadable::Incomplete) => {
                info!(height, "a snapshot was not written to its end");
                vault.remove(&partition, height).await?;
                continue;
            }
            Err(Unreadable::Damaged(why)) => {
                warn!(partition, place, why, "snapshot is damaged, taking the one before");
                bad.get_or_insert((place, why));
                continue;
            }
            Err(Unreadable::Storage(error)) => return Err(error.into()),
        };
        let snapshot = match Snapshot::from_bytes(&config.genesis, &stored.snapshot) {
            Ok(snapshot) if snapshot.state.height().get() == height => snapshot,
            result => {
                let why =
                    result.err().map_or_else(|| "it is of another height".into(), |error| error.to_string());
                warn!(partition, place, why, "snapshot is damaged, taking the one before");
                bad.get_or_insert((place, why));
                continue;
            }
        };
        let certificate = match stored.certificate.clone() {
            Some(certificate) => Some(certificate),
            None => store.certificate(height).await?,
        };
        if !is_final(store, &trust, &snapshot, certificate.as_ref()).await? {
            warn!(partition, place, "snapshot is of no final block that is known here, so it is left alone");
            bad.get_or_insert((place, "it is of no final block that is known here".into()));
            continue;
        }
        if let Some(found) = Kept::of(&stored, snapshot.state.header().clone()) {
            kept.insert(height, Kept { certificate: certificate.clone(), ..found });
        }
        if base.is_none() {
            base = Some(Base { snapshot, certificate });
        }
    }
    let base = match base {
        Some(base) => base,
        None if store.begins_with_genesis() => genesis(config),
        None => {
            let (place, why) = bad.unwrap_or_else(|| ("no file".into(), "there is none".into()));
            return Err(StartError::damaged("snapshot", &partition, place, Some(why.into())));
        }
    };
    Ok(Found { trust, kept, base })
}

fn genesis(config: &Config) -> Base {
    let state = State::new(&config.genesis);
    let epoch_start = state.block();
    Base { snapshot: Snapshot { state, epoch_start }, certificate: None }
}

/// A snapshot is believed if its block is in the archive of final blocks, or its certificate holds.
async fn is_final<E>(
    store: &Store<E>,
    trust: &Trust,
    snapshot: &Snapshot,
    certificate: Option<&Certificate>,
) -> Result<bool, StartError>
where
    E: Clock + Storage + Metrics,
{
    let header = snapshot.state.header();
    if let Some(block) = store.block(header.height.get()).await? {
        return Ok(block.digest() == snapshot.state.block());
    }
    let voters = trust.voters_for(header.epoch);
    let holds = |certificate: &Certificate| {
        voters.is_some_and(|voters| certificate.verify(&trust.chain(), voters, header).is_ok())
    };
    Ok(certificate.is_some_and(holds))
}

/// The chain as the base has it, before the blocks after it are executed.
pub(crate) fn chain(config: &Config, base: &Snapshot) -> Chain {
    let state = Arc::new(base.state.clone());
    let mut chain = Chain::resume(state, base.epoch_start);
    // Subscribers may begin with block 1, as long as it is here.
    chain.keep(Arc::new(State::new(&config.genesis)));
    chain
}

/// Executes the blocks on disk after the base, to the last without a gap. Returns the state that is worth a snapshot, if
/// one was passed.
pub(crate) async fn replay<E, P>(
    config: &Config,
    store: &Store<E>,
    found: &Found,
    shared: &mut Shared,
    schemes: &Schemes,
    peers: &mut PeerSet<P>,
) -> Result<Option<(Arc<State>, Digest)>, StartError>
where
    E: Clock + Storage + Metrics,
    P: AddressableManager<PublicKey = PublicKey>,
{
    let mut state = shared.core.finalized();
    let begin = state.height().get();
    note_past(shared, &found.trust, &state);
    *shared.known_handovers.lock() = found.trust.handovers().to_vec();
    settle_authorities(shared, schemes, &state);
    schemes.pin(state.epoch().get());
    peers.inherit(&state);
    peers.note(&state);
    let mut due = None;
    while let Some(block) = store.block(state.height().next().get()).await? {
        let height = block.height().get();
        let (next, entries) =
            state.execute_final(&block).map_err(|source| StartError::Replay { height, source })?;
        state = Arc::new(next);
        shared.note_decree(&block);
        peers.learn(&block);
        peers.note(&state);
        settle_authorities(shared, schemes, &state);
        let digest = block.digest();
        let executed = Executed { block, digest, state: state.clone(), entries: Arc::new(entries) };
        shared.core.chain.lock().finalize(executed);
        if height.checked_rem(config.snapshot_interval) == Some(0) {
            due = Some((state.clone(), shared.core.chain.lock().last_before_epoch()));
        }
    }
    let tip = state.height().get();
    shared.restored = tip;
    shared.replayed = tip - begin;
    let oldest = store.oldest(tip).max(1);
    *shared.oldest.lock() = oldest;
    shared.core.chain.lock().forget_before(oldest);
    shared.core.tip.send_modify(|tip| {
        tip.height = state.height().get();
        tip.epoch = state.epoch().get();
    });
    Ok(due)
}

/// Whose certificates count in the epochs before the base, as the hand-overs tell.
fn note_past(shared: &Shared, trust: &Trust, state: &State) {
    let Some(present) = state.roster_for(state.epoch()) else { return };
    let first = trust.genesis().roster();
    let mut rosters = shared.core.rosters.lock();
    rosters.insert(0, Arc::new(first));
    for epoch in trust.changes().filter(|epoch| *epoch <= state.epoch()) {
        let (Some(authorities), Some(voters)) = (trust.authorities_for(epoch), trust.voters_for(epoch))
        else {
            continue;
        };
        // Nobody asks who led then.
        let (authorities, voters, leaders) = (authorities.clone(), voters.clone(), present.leaders.clone());
        rosters.insert(epoch.get(), Arc::new(Roster { authorities, voters, leaders }));
    }
}

/// Makes the certificates of all epochs verifiable whose authorities `state` settles.
pub(crate) fn settle_authorities(shared: &Shared, schemes: &Schemes, state: &State) {
    shared.note_authorities(state);
    let epoch = state.epoch();
    let before = epoch.previous();
    for epoch in before.into_iter().chain([epoch, epoch.next(), epoch.next().next()]) {
        if let Some(roster) = state.roster_for(epoch) {
            schemes.insert(epoch.get(), roster);
        }
    }
}

/// Whether marshal has applied more than is here.
pub(crate) fn check_gap(config: &Config, shared: &Shared, applied: Height) -> Result<(), StartError> {
    let here = shared.restored;
    if applied.get() <= here {
        return Ok(());
    }
    Err(StartError::Missing {
        partition: format!("{}-blocks-value", config.partition),
        missing: here + 1,
        applied: applied.get(),
    })
}
