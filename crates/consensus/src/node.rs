//! The node: puts the parts together.

use crate::{
    PublicKey,
    application::Proposer,
    ballots,
    boundaries::Boundaries,
    config::Config,
    driver::Driver,
    epochs::{Epochs, Schemes, VIEW_RETENTION},
    error::StartError,
    gossip::{self, RootGossip},
    handle::Handle,
    join::Join,
    keeper::{Keeper, MAX_WAITING, Request},
    network::{Channels, Network},
    peers::PeerSet,
    promise::Promise,
    repair,
    reporter::{Inbox, Observer},
    restore::{self, Found},
    shared::Shared,
    store::Store,
    vault::Vault,
};
use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{self, Start, core::Actor, resolver::p2p as backfill, standard::Inline},
    types::ViewDelta,
};
use commonware_cryptography::{Digested, Digestible as _, Signer as _};
use commonware_p2p::{AddressableManager, Blocker, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle as Task, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_utils::{
    NZDuration, NZU16, NZUsize, SystemTimeExt as _,
    channel::{mpsc, oneshot},
};
use rand::rand_core::CryptoRng;
use std::{sync::Arc, time::Duration};
use tracing::{error, info};
use voltmesh_ledger::{Block, Digest, Scheme};

/// Final blocks that marshal hands over before the first of them is applied.
const PENDING: usize = 16;

/// Final blocks that a node behind asks for at a time.
const REPAIR: usize = 64;

/// Unverified blocks kept per sender.
const BLOCKS_PER_SENDER: usize = 16;

/// Bytes of pages in memory: 1,024 × 4 KiB.
const PAGES: usize = 1_024;

/// A running node; dropping it ends it.
pub struct Node {
    handle: Handle,
    /// All other tasks are its descendants, so they end with it.
    root: Task<()>,
}

impl Node {
    /// Restores what is on disk and starts. Runs on any commonware runtime.
    ///
    /// # Panics
    ///
    /// Tasks of the node panic when the disk cannot be written, and when a final block does not follow from the ones
    /// before: going on would harm. Run the process so that it ends then.
    pub async fn start<E, S, R, P, B>(
        context: E,
        config: Config,
        network: Network<S, R, P, B>,
    ) -> Result<Self, StartError>
    where
        E: Clock + CryptoRng + Spawner + Storage + Metrics,
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
        P: AddressableManager<PublicKey = PublicKey>,
        B: Blocker<PublicKey = PublicKey>,
    {
        let (started, ready) = oneshot::channel();
        let root = context.spawn(move |context| async move {
            match assemble(context, config, network).await {
                Ok((handle, tasks)) => {
                    let shared = handle.shared.clone();
                    let _ = started.send(Ok(handle));
                    let (result, index, _) = futures::future::select_all(tasks).await;
                    error!(?result, index, "a task of the node ended");
                    shared.stop();
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        });
        match ready.await {
            Ok(Ok(handle)) => Ok(Self { handle, root }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Stopped),
        }
    }

    /// What the rest of the process may ask of the node.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends the node and waits until its main task has let go of storage and network.
    pub async fn stop(mut self) {
        self.handle.shared.stop();
        self.root.abort();
        let _ = (&mut self.root).await;
    }

    /// Resolves when the node has ended by itself, which is a fault unless the runtime is stopping: end the process.
    pub async fn failed(&mut self) {
        let _ = (&mut self.root).await;
        self.handle.shared.stop();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.shared.stop();
        self.root.abort();
    }
}

/// Restores what is on disk and starts all tasks as children of `context`.
async fn assemble<E, S, R, P, B>(
    context: E,
    config: Config,
    network: Network<S, R, P, B>,
) -> Result<(Handle, Vec<Task<()>>), StartError>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    if config.genesis.epoch_length < 2 {
        return Err(StartError::EpochLength(config.genesis.epoch_length));
    }
    let me = config.private_key.public_key();
    let page_cache = CacheRef::new(NZU16!(4_084), NZUsize!(PAGES));
    let Network { channels, peers: manager, blocker } = network;
    let mut peers = PeerSet::new(manager.clone(), config.addresses.clone());
    let schemes = Schemes::new(config.genesis.digest(), config.private_key.clone());

    // What is final on disk comes first: only this says which authorities certificates must be of.
    let vault = Vault::new(context.child("vault"), &config.partition);
    if config.repair {
        repair::repair(&context, &config, &vault, &page_cache).await?;
    }
    let store = Store::open(&context, &config.partition, page_cache.clone(), config.section_blocks).await?;
    let found = restore::find(&config, &store, &vault).await?;
    if let Some(epoch) = vault.abstains().await? {
        schemes.abstain(epoch);
    }
    let clock = context.child("clock");
    let clock = Box::new(move || clock.current().epoch_millis());
    let mut shared = Shared::new(me.clone(), restore::chain(&config, &found.base.snapshot), clock);
    let due = restore::replay(&config, &store, &found, &mut shared, &schemes, &mut peers).await?;
    check_votes(&context, &config, &vault, &shared, &schemes, &page_cache).await?;
    let shared = Arc::new(shared);
    peers.update(&shared.finalised());
    let epocher = Boundaries::new(shared.finalised().calendar().clone());
    let promise = if config.genesis.has_committee() {
        let (promise, promised) = Promise::open(context.child("promise"), &config.partition).await?;
        let mut decrees = shared.decrees.lock();
        decrees.restore(promised, shared.now_ms());
        decrees.resume(&shared.finalised(), &config.private_key);
        if shared.restored > 0 {
            decrees.listen();
        }
        drop(decrees);
        Some(promise)
    } else {
        None
    };
    let start = start(&config, &store, &found).await?;

    let (inbox, finalised) = mpsc::unbounded_channel();
    let resolver = backfill::init(
        context.child("backfill"),
        backfill::Config {
            public_key: me.clone(),
            peer_provider: manager.clone(),
            blocker: blocker.clone(),
            mailbox_size: NZUsize!(1_024),
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_millis(100),
            priority_requests: false,
            priority_responses: false,
        },
        channels.backfill,
    );
    let (broadcast, buffer) = buffered::Engine::new(
        context.child("blocks"),
        buffered::Config {
            public_key: me,
            mailbox_size: NZUsize!(1_024),
            deque_size: BLOCKS_PER_SENDER,
            priority: true,
            codec_config: (),
            peer_provider: manager,
            strategy: Sequential,
        },
    );
    let (actor, marshal, floor) = Actor::init(
        context.child("marshal"),
        store.certificates,
        store.blocks,
        marshal::Config {
            provider: schemes.clone(),
            epocher: epocher.clone(),
            start,
            partition_prefix: format!("{}-marshal", config.partition),
            mailbox_size: NZUsize!(1_024),
            view_retention: ViewDelta::new(VIEW_RETENTION),
            prunable_items_per_section: config.section_blocks,
            page_cache: page_cache.clone(),
            replay_buffer: NZUsize!(256 * 1024),
            key_write_buffer: NZUsize!(16 * 1024),
            value_write_buffer: NZUsize!(256 * 1024),
            block_codec_config: (),
            max_repair: NZUsize!(REPAIR),
            max_pending_acks: NZUsize!(PENDING),
            strategy: Sequential,
        },
    )
    .await;
    if let Some(processed) = floor.processed() {
        restore::check_gap(&config, &shared, processed.height())?;
    }
    let proposer = Proposer {
        shared: shared.clone(),
        block_interval: config.block_interval,
        idle_interval: config.idle_interval,
        block_bytes: config.block_bytes,
        max_clock_drift: config.max_clock_drift,
    };
    let automaton = Inline::new(context.child("application"), proposer, marshal.clone(), epocher.clone());
    let Channels { votes, certificates, resolver: requests, blocks, transactions, roots, .. } = channels;
    let (epochs, [votes_ahead, certificates_ahead]) = Epochs::new(
        context.child("epochs"),
        &config,
        blocker,
        marshal.clone(),
        automaton,
        Observer(shared.clone()),
        schemes.clone(),
        page_cache,
        epocher.clone(),
        [votes, certificates, requests],
    );

    let (keeper, requests) = mpsc::unbounded_channel();
    let (snapshot_messages, about_snapshots) = mpsc::channel(MAX_WAITING);
    let (jumps, joined) = mpsc::unbounded_channel();
    if let Some((state, epoch_start)) = due
        && found.kept.last_key_value().is_none_or(|(newest, _)| *newest < state.height().get())
    {
        let _ = keeper.send(Request::Write(state, epoch_start));
    }
    let mut records = Keeper {
        shared: shared.clone(),
        marshal: marshal.clone(),
        vault,
        key: config.private_key.clone(),
        sender: roots.0.clone(),
        history_blocks: config.history_blocks,
        trust: found.trust,
        kept: found.kept,
        joined: jumps,
        pending: None,
        join: Join::default(),
        lacks_handovers: false,
        ticks: 0,
        served: 0,
    };
    records.attest();
    let handle = Handle {
        shared: shared.clone(),
        marshal: marshal.clone(),
        keeper: keeper.clone(),
        schemes: schemes.clone(),
    };
    let (signed, signatures) = mpsc::unbounded_channel();
    let (ahead, peers_ahead) = mpsc::unbounded_channel();
    let gossip = RootGossip {
        shared: shared.clone(),
        marshal: marshal.clone(),
        key: config.private_key.clone(),
        sender: roots.0,
        ahead,
        turn: 0,
        round: 0,
        keeper: snapshot_messages,
    };
    let driver = Driver {
        shared: shared.clone(),
        schemes,
        peers,
        epochs,
        boundaries: epocher,
        promise,
        key: config.private_key,
        signed,
        root_receipts: config.root_receipts,
        reported: None,
        marshal,
        keeper,
        snapshot_interval: config.snapshot_interval,
    };
    let tasks = vec![
        broadcast.start(blocks),
        actor.start(Inbox(inbox), buffer, resolver),
        context.child("transactions").spawn({
            let shared = shared.clone();
            move |context| gossip::transactions(context, shared, transactions.0, transactions.1)
        }),
        context.child("roots").spawn(move |context| gossip.run(context, signatures, roots.1)),
        context.child("driver").spawn(move |context| {
            driver.run(context, finalised, votes_ahead, certificates_ahead, peers_ahead, joined)
        }),
        context.child("keeper").spawn(move |context| records.run(context, requests, about_snapshots)),
    ];
    info!(height = shared.restored, "node started");
    Ok((handle, tasks))
}

/// Looks at the votes of the epoch that the next block belongs to; gives them up if they are damaged and somebody asked
/// for repair.
async fn check_votes<E>(
    context: &E,
    config: &Config,
    vault: &Vault<E>,
    shared: &Shared,
    schemes: &Schemes,
    page_cache: &CacheRef,
) -> Result<(), StartError>
where
    E: Clock + Storage + Metrics,
{
    let state = shared.finalised();
    let epoch = state.next_epoch().get();
    let Some(fixed) = schemes.get(epoch) else { return Ok(()) };
    let prefix = &config.partition;
    match ballots::check(context, vault, prefix, epoch, &fixed.scheme, page_cache.clone()).await {
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
