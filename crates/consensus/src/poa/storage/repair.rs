//! Moves away what is damaged on disk, when somebody has asked for it, so that it is fetched from peers again.
//!
//! Nothing is deleted: what is damaged goes to a partition named `…-damaged`. Marshal forgets how far it had come and so
//! asks peers for every block that is missing. Votes are not repaired: the node follows without voting until the epoch
//! after the next one.

use crate::{
    common::{
        block_store::{self, Partitions, Store, What},
        config::Config,
        error::StartError,
    },
    poa::{
        engine::schemes::votes_partition,
        storage::snapshot_store::{SnapshotStore, Unreadable},
    },
};
use commonware_runtime::{Clock, Metrics, Storage, buffer::paged::CacheRef};
use commonware_storage::archive::{Archive, Error, Identifier};
use std::collections::BTreeSet;
use tracing::warn;
use voltmesh_ledger::{Handover, Snapshot, Trust};

/// Repairs archives, snapshots and hand-overs before they are opened.
pub(crate) async fn repair<E>(
    context: &E,
    config: &Config,
    vault: &SnapshotStore<E>,
    page_cache: &CacheRef,
) -> Result<(), StartError>
where
    E: Clock + Storage + Metrics,
{
    for what in [What::Certificates, What::Blocks] {
        archive(context, config, vault, page_cache, what).await?;
    }
    snapshots(config, vault).await?;
    handovers(config, vault).await?;
    begin_anew_if_lost(context, config, vault, page_cache).await?;
    // How far blocks were applied: with gaps in what is before, marshal would never look for it.
    vault.drop_partition(&format!("{}-marshal-application-metadata", config.partition)).await?;
    Ok(())
}

/// Damage of an archive.
enum Damage {
    /// It cannot even be opened.
    All(Error),
    /// The files that begin with these heights.
    Files(BTreeSet<u64>),
}

async fn archive<E>(
    context: &E,
    config: &Config,
    vault: &SnapshotStore<E>,
    page_cache: &CacheRef,
    what: What,
) -> Result<(), StartError>
where
    E: Clock + Storage + Metrics,
{
    let partitions = Partitions::of(&config.partition, what);
    let context = context.child("repair").with_attribute("archive", what.name());
    let mut damage = inspect(&context, config, page_cache, what).await;
    if let Damage::All(error) = &damage {
        // Without the marks of what was checked before, opening cuts each file where it ends early.
        warn!(archive = what.name(), %error, "archive cannot be opened, a copy of it is put aside");
        for partition in [&partitions.keys, &partitions.values] {
            vault.copy_all(partition, &format!("{partition}-damaged")).await?;
        }
        vault.move_all_away(&partitions.metadata).await?;
        damage = inspect(&context.child("cut"), config, page_cache, what).await;
    }
    match damage {
        Damage::All(error) => {
            warn!(archive = what.name(), %error, "archive cannot be opened, all of it is moved away");
            vault.move_all_away(&partitions.keys).await?;
            vault.move_all_away(&partitions.values).await?;
            vault.move_all_away(&partitions.metadata).await?;
        }
        Damage::Files(files) => {
            for file in &files {
                warn!(
                    archive = what.name(),
                    file = format!("{file:016x}"),
                    "file is damaged, it is moved away"
                );
                vault.move_away(&partitions.keys, &file.to_be_bytes()).await?;
                vault.move_away(&partitions.values, &file.to_be_bytes()).await?;
            }
            // It says of the files moved away that they are there.
            if !files.is_empty() {
                vault.move_all_away(&partitions.metadata).await?;
            }
        }
    }
    Ok(())
}

async fn inspect<E>(context: &E, config: &Config, page_cache: &CacheRef, what: What) -> Damage
where
    E: Clock + Storage + Metrics,
{
    let (prefix, section, cache) = (&config.partition, config.section_blocks, page_cache.clone());
    match what {
        What::Blocks => match block_store::open_blocks(context, prefix, cache, section).await {
            Ok(archive) => Damage::Files(unreadable(&archive, section.get()).await),
            Err(error) => Damage::All(error),
        },
        What::Certificates => match block_store::open_certificates(context, prefix, cache, section).await {
            Ok(archive) => Damage::Files(unreadable(&archive, section.get()).await),
            Err(error) => Damage::All(error),
        },
    }
}

/// Blocks without the state before them are of no use: the node then joins as one that had nothing.
async fn begin_anew_if_lost<E>(
    context: &E,
    config: &Config,
    vault: &SnapshotStore<E>,
    page_cache: &CacheRef,
) -> Result<(), StartError>
where
    E: Clock + Storage + Metrics,
{
    if !vault.list(&vault.snapshots()).await?.is_empty() {
        return Ok(());
    }
    let context = context.child("repaired");
    let store = Store::open(&context, &config.partition, page_cache.clone(), config.section_blocks).await?;
    let usable = store.begins_with_genesis();
    drop(store);
    if usable {
        return Ok(());
    }
    warn!("blocks are left without a snapshot before them, they are moved away");
    for what in [What::Certificates, What::Blocks] {
        let Partitions { metadata, keys, values } = Partitions::of(&config.partition, what);
        for partition in [metadata, keys, values] {
            vault.move_all_away(&partition).await?;
        }
    }
    Ok(())
}

/// Reads everything; returns the files that hold something unreadable.
async fn unreadable<A: Archive>(archive: &A, section: u64) -> BTreeSet<u64> {
    let mut files = BTreeSet::new();
    for (first, last) in archive.ranges().collect::<Vec<_>>() {
        for index in first..=last {
            let file = index / section * section;
            if !files.contains(&file) && archive.get(Identifier::Index(index)).await.is_err() {
                files.insert(file);
            }
        }
    }
    files
}

async fn snapshots<E: Storage>(config: &Config, vault: &SnapshotStore<E>) -> Result<(), StartError> {
    let partition = vault.snapshots();
    for height in vault.list(&partition).await? {
        let good = match vault.read_snapshot(height).await {
            Ok(stored) => Snapshot::from_bytes(&config.genesis, &stored.snapshot).is_ok(),
            Err(Unreadable::Storage(error)) => return Err(error.into()),
            Err(_) => false,
        };
        if !good {
            warn!(height, "snapshot is damaged, it is moved away");
            vault.move_away(&partition, &height.to_be_bytes()).await?;
        }
    }
    Ok(())
}

/// Hand-overs are a chain: what follows a damaged one cannot be checked and is asked for again as well.
async fn handovers<E: Storage>(config: &Config, vault: &SnapshotStore<E>) -> Result<(), StartError> {
    let partition = vault.handovers();
    let mut trust = Trust::from_genesis(config.genesis.clone());
    let mut broken = false;
    for height in vault.list(&partition).await? {
        let found: Option<Handover> = vault.read_handover(height).await.ok();
        broken |= found.is_none_or(|handover| trust.extend(&handover).is_err());
        if broken {
            warn!(height, "hand-over is damaged, it is moved away");
            vault.move_away(&partition, &height.to_be_bytes()).await?;
        }
    }
    Ok(())
}

/// Gives up the votes of `epoch`: first notes that this node must not vote there and in the next one, then moves them away.
pub(crate) async fn give_up_votes<E: Storage>(
    config: &Config,
    vault: &SnapshotStore<E>,
    epoch: u64,
) -> Result<u64, StartError> {
    let last = epoch + 1;
    warn!(epoch, last, "journal of votes is damaged, so this node follows without voting");
    vault.abstain(last).await?;
    vault.move_all_away(&votes_partition(&config.partition, epoch)).await?;
    Ok(last)
}
