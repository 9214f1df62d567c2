//! How a node is put together: storage, marshal, engine, tasks.

use crate::{
    PublicKey,
    common::{
        block_store::Store,
        config::Config,
        error::StartError,
        network::{Channels, Network},
        transactions,
    },
    poa::{
        engine::{
            epochs::{Ahead, Epochs, VIEW_RETENTION},
            observer::{Inbox, Observer, PendingBlock},
            proposer::Proposer,
        },
        executor::Executor,
        gossip::signatures::RootGossip,
        handle::Handle,
        shared::Marshal,
        storage::{
            opening::{History, Parts, Restored, open_storage},
            recovery,
        },
        sync::{
            snapshots::{MAX_WAITING, Request, SnapshotManager},
            state_sync::Join,
        },
    },
};
use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{self, core::Actor, resolver::p2p as backfill, standard::Inline},
    types::ViewDelta,
};
use commonware_p2p::{AddressableManager, Blocker, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle as Task, Metrics, Spawner, Storage};
use commonware_utils::{NZDuration, NZUsize, channel::mpsc};
use rand::rand_core::CryptoRng;
use std::time::Duration;
use tracing::info;

/// Final blocks that marshal hands over before the first of them is applied.
const PENDING: usize = 16;

/// Final blocks that a node behind asks for at a time.
const REPAIR: usize = 64;

/// Unverified blocks kept per sender.
const BLOCKS_PER_SENDER: usize = 16;

/// Restores what is on disk and starts all tasks as children of `context`.
pub(super) async fn assemble<E, S, R, P, B>(
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
    let Network { channels, peers: manager, blocker } = network;
    let Channels { votes, certificates, resolver, blocks, backfill, transactions, roots } = channels;
    let (restored, history) = open_storage(&context, &config, manager.clone()).await?;
    let (inbox, finalized) = mpsc::unbounded_channel();
    let (marshal, begin) = open_marshal(
        &context,
        &config,
        restored.parts.clone(),
        history,
        [backfill, blocks],
        (manager, blocker.clone()),
        inbox,
    )
    .await?;
    let (epochs, ahead) =
        start_engine(&context, &config, &restored.parts, &marshal, blocker, [votes, certificates, resolver]);
    Ok(start_tasks(
        context,
        config,
        restored,
        marshal,
        begin,
        (epochs, ahead),
        finalized,
        [transactions, roots],
    ))
}

/// Function that starts the tasks of marshal, once everything else is there.
type Begin = Box<dyn FnOnce() -> Vec<Task<()>> + Send>;

/// Opens marshal, which orders final blocks, fetches missing ones and hands them to `inbox`, and the exchange of blocks.
async fn open_marshal<E, S, R, P, B>(
    context: &E,
    config: &Config,
    parts: Parts,
    History { store, start }: History<E>,
    [requests, blocks]: [(S, R); 2],
    (manager, blocker): (P, B),
    inbox: mpsc::UnboundedSender<PendingBlock>,
) -> Result<(Marshal, Begin), StartError>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let me = &parts.shared.core.me;
    let resolver = backfill::init(
        context.child("backfill"),
        backfill::Config {
            public_key: me.clone(),
            peer_provider: manager.clone(),
            blocker,
            mailbox_size: NZUsize!(1_024),
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_millis(100),
            priority_requests: false,
            priority_responses: false,
        },
        requests,
    );
    let (broadcast, buffer) = buffered::Engine::new(
        context.child("blocks"),
        buffered::Config {
            public_key: me.clone(),
            mailbox_size: NZUsize!(1_024),
            deque_size: BLOCKS_PER_SENDER,
            priority: true,
            codec_config: (),
            peer_provider: manager,
            strategy: Sequential,
        },
    );
    let settings = marshal::Config {
        provider: parts.schemes.clone(),
        epocher: parts.epocher.clone(),
        start,
        partition_prefix: format!("{}-marshal", config.partition),
        mailbox_size: NZUsize!(1_024),
        view_retention: ViewDelta::new(VIEW_RETENTION),
        prunable_items_per_section: config.section_blocks,
        page_cache: parts.page_cache.clone(),
        replay_buffer: NZUsize!(256 * 1024),
        key_write_buffer: NZUsize!(16 * 1024),
        value_write_buffer: NZUsize!(256 * 1024),
        block_codec_config: (),
        max_repair: NZUsize!(REPAIR),
        max_pending_acks: NZUsize!(PENDING),
        strategy: Sequential,
    };
    let Store { certificates: archive, blocks: bodies, .. } = store;
    let (actor, marshal, floor) = Actor::init(context.child("marshal"), archive, bodies, settings).await;
    if let Some(processed) = floor.processed() {
        recovery::check_gap(config, &parts.shared, processed.height())?;
    }
    let begin = move || vec![broadcast.start(blocks), actor.start(Inbox(inbox), buffer, resolver)];
    Ok((marshal, Box::new(begin)))
}

/// Engines of epochs, and the votes and certificates of epochs that this node has not entered.
type Engines<E, S, B> = (Epochs<E, S, B>, [mpsc::Receiver<Ahead>; 2]);

/// Prepares the engines: who proposes, what is observed, which channels.
fn start_engine<E, S, R, B>(
    context: &E,
    config: &Config,
    parts: &Parts,
    marshal: &Marshal,
    blocker: B,
    channels: [(S, R); 3],
) -> Engines<E, S, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let proposer = Proposer {
        shared: parts.shared.clone(),
        block_interval: config.block_interval,
        idle_interval: config.idle_interval,
        block_bytes: config.block_bytes,
        max_clock_drift: config.max_clock_drift,
    };
    let epocher = parts.epocher.clone();
    let automaton = Inline::new(context.child("application"), proposer, marshal.clone(), epocher.clone());
    Epochs::new(
        context.child("epochs"),
        config,
        blocker,
        marshal.clone(),
        automaton,
        Observer(parts.shared.clone()),
        parts.schemes.clone(),
        parts.page_cache.clone(),
        epocher,
        channels,
    )
}

/// Starts all tasks. Their order is that in which they may first run.
#[allow(clippy::too_many_arguments)]
fn start_tasks<E, S, R, P, B>(
    context: E,
    config: Config,
    restored: Restored<E, P>,
    marshal: Marshal,
    begin: Begin,
    (epochs, [votes_ahead, certificates_ahead]): Engines<E, S, B>,
    finalized: mpsc::UnboundedReceiver<PendingBlock>,
    [transactions, roots]: [(S, R); 2],
) -> (Handle, Vec<Task<()>>)
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let Restored { parts: Parts { shared, schemes, epocher, .. }, vault, found, due, peers, promise } =
        restored;
    let (keeper, requests) = mpsc::unbounded_channel();
    let (snapshot_messages, about_snapshots) = mpsc::channel(MAX_WAITING);
    let (jumps, joined) = mpsc::unbounded_channel();
    if let Some((state, epoch_start)) = due
        && found.kept.last_key_value().is_none_or(|(newest, _)| *newest < state.height().get())
    {
        let _ = keeper.send(Request::Write(state, epoch_start));
    }
    let mut records = SnapshotManager {
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
    let driver = Executor {
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
    let mut tasks = begin();
    let core = shared.core.clone();
    tasks.extend([
        context
            .child("transactions")
            .spawn(move |context| transactions::run(context, core, transactions.0, transactions.1)),
        context.child("roots").spawn(move |context| gossip.run(context, signatures, roots.1)),
        context.child("driver").spawn(move |context| {
            driver.run(context, finalized, votes_ahead, certificates_ahead, peers_ahead, joined)
        }),
        context.child("keeper").spawn(move |context| records.run(context, requests, about_snapshots)),
    ]);
    info!(height = shared.restored, "node started");
    (handle, tasks)
}
