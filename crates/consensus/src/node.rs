//! The node: puts the parts together and applies final blocks.

use crate::{
    PublicKey,
    application::Proposer,
    boundaries::Boundaries,
    chain::{Chain, Executed},
    config::Config,
    epochs::{Ahead, Epochs, Schemes, VIEW_RETENTION},
    gossip::{self, RootGossip, SILENT_MS},
    handle::Handle,
    network::{Channels, Network},
    peers::PeerSet,
    promise::Promise,
    reporter::{Finalised, Inbox, Observer},
    roots::Roots,
    shared::{Shared, bump},
    store::{BLOCKS_PER_SECTION, Store},
    subscription::execute,
};
use commonware_broadcast::buffered;
use commonware_consensus::{
    Heightable as _,
    marshal::{self, Start, core::Actor, resolver::p2p as backfill, standard::Inline},
    types::ViewDelta,
};
use commonware_cryptography::{Digested, Digestible as _, Signer as _};
use commonware_macros::select_loop;
use commonware_p2p::{AddressableManager, Blocker, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle as Task, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_utils::{
    Acknowledgement as _, NZDuration, NZU16, NZUsize, SystemTimeExt as _,
    acknowledgement::Exact,
    channel::{mpsc, oneshot},
};
use rand::rand_core::CryptoRng;
use std::{sync::Arc, time::Duration};
use tracing::{debug, error, info, warn};
use voltmesh_ledger::{
    Block, Height, Mandate, PrivateKey, Replacement, RootReceipt, RoundTrips, SealSignature, State,
    Transaction,
};

/// Final blocks that marshal hands over before the first of them is applied.
const PENDING: usize = 16;

/// Final blocks that a node behind asks for at a time.
const REPAIR: usize = 64;

/// Unverified blocks kept per sender.
const BLOCKS_PER_SENDER: usize = 16;

/// Bytes of pages in memory: 1,024 × 4 KiB.
const PAGES: usize = 1_024;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Consensus needs epochs of at least two blocks. Choose another `epoch_length` for the chain.
    #[error("an epoch of {0} blocks is too short, want at least 2")]
    EpochLength(u64),
    /// The archive on disk cannot be read. Restore the disk, or wipe it and come back under a rotated key.
    #[error("archive of {what} cannot be read")]
    Archive {
        /// Of what.
        what: &'static str,
        /// Why.
        #[source]
        source: commonware_storage::archive::Error,
    },
    /// What this node has promised about a replaced committee cannot be read. Restore the disk, or wipe it and come back
    /// under a rotated key.
    #[error("the promise to follow a decree cannot be read: {why}")]
    Promise {
        /// Why.
        why: String,
    },
    /// The runtime is being stopped.
    #[error("stopped while starting")]
    Stopped,
    /// The archive's blocks do not follow from the genesis: it belongs to another chain, or is damaged.
    #[error("archived block {height} does not follow")]
    Replay {
        /// Which block.
        height: u64,
        /// Why.
        #[source]
        source: voltmesh_ledger::Error,
    },
}

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

    // What is final on disk comes first: only these blocks say which authorities certificates must be of.
    let store = Store::open(&context, &config.partition, page_cache.clone()).await?;
    let genesis = config.genesis.block();
    let state = State::new(&config.genesis);
    let chain = Chain::new(Arc::new(state), genesis.digest());
    let clock = context.child("clock");
    let clock = Box::new(move || clock.current().epoch_millis());
    let mut shared = Shared::new(me.clone(), chain, clock);
    restore(&store, &mut shared, &schemes, &mut peers).await?;
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
    let (actor, marshal, _) = Actor::init(
        context.child("marshal"),
        store.certificates,
        store.blocks,
        marshal::Config {
            provider: schemes.clone(),
            epocher: epocher.clone(),
            start: Start::Genesis(Digested::precomputed(genesis.clone(), genesis.digest())),
            partition_prefix: format!("{}-marshal", config.partition),
            mailbox_size: NZUsize!(1_024),
            view_retention: ViewDelta::new(VIEW_RETENTION),
            prunable_items_per_section: BLOCKS_PER_SECTION,
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

    let handle = Handle { shared: shared.clone(), marshal: marshal.clone() };
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
            driver.run(context, finalised, votes_ahead, certificates_ahead, peers_ahead)
        }),
    ];
    info!(height = shared.restored, "node started");
    Ok((handle, tasks))
}

/// Executes the blocks on disk, from the first to the last without a gap.
async fn restore<E, P>(
    store: &Store<E>,
    shared: &mut Shared,
    schemes: &Schemes,
    peers: &mut PeerSet<P>,
) -> Result<(), StartError>
where
    E: Clock + Storage + Metrics,
    P: AddressableManager<PublicKey = PublicKey>,
{
    let mut state = shared.finalised();
    settle_authorities(shared, schemes, &state);
    peers.note(&state);
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
        shared.chain.lock().finalise(executed);
    }
    shared.restored = state.height().get();
    shared.tip.send_modify(|tip| {
        tip.height = state.height().get();
        tip.epoch = state.epoch().get();
    });
    Ok(())
}

/// Makes the certificates of all epochs verifiable whose authorities `state` settles.
fn settle_authorities(shared: &Shared, schemes: &Schemes, state: &State) {
    shared.note_authorities(state);
    let epoch = state.epoch();
    for epoch in [epoch, epoch.next(), epoch.next().next()] {
        if let Some(roster) = state.roster_for(epoch) {
            schemes.insert(epoch.get(), roster);
        }
    }
}

/// Applies final blocks one after the other.
struct Driver<E, S, P, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    shared: Arc<Shared>,
    schemes: Schemes,
    peers: PeerSet<P>,
    epochs: Epochs<E, S, B>,
    boundaries: Boundaries,
    /// Only where a committee votes.
    promise: Option<Promise<E>>,
    key: PrivateKey,
    signed: mpsc::UnboundedSender<gossip::Event>,
    root_receipts: bool,
    /// The epoch whose round trips this node has reported last.
    reported: Option<u64>,
}

impl<E, S, P, B> Driver<E, S, P, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    async fn run(
        mut self,
        context: E,
        mut finalised: mpsc::UnboundedReceiver<Finalised>,
        mut votes: mpsc::Receiver<Ahead>,
        mut certificates: mpsc::Receiver<Ahead>,
        mut peers: mpsc::UnboundedReceiver<(u64, PublicKey)>,
    ) {
        let mut sealed = self.shared.sealed.subscribe();
        if !self.enter().await {
            return;
        }
        select_loop! {
            context,
            on_stopped => {},
            Some((block, acknowledgement)) = finalised.recv() else break => {
                if !self.apply(block, acknowledgement).await {
                    break;
                }
            },
            Some((epoch, (from, _))) = votes.recv() else break => self.voted(epoch, from),
            Some((epoch, (from, _))) = certificates.recv() else break => self.voted(epoch, from),
            Some((epoch, from)) = peers.recv() else break => self.ahead(epoch, from),
            Ok(()) = sealed.changed() else break => {
                if !self.enter().await {
                    break;
                }
            },
            () = self.epochs.ended() => break,
        }
    }

    /// Starts the engine of the epoch that the next block belongs to, unless it runs or may not yet: a committee's needs
    /// the seal of the block before, and no decree against it. False if the node is ending.
    async fn enter(&mut self) -> bool {
        let state = self.shared.finalised();
        if let Some(decree) = self.shared.decrees.lock().replaced() {
            error!(
                after = %decree.after,
                "what the old committee made final after this block counts for nothing, since its operators replaced it: wipe this node's ledger and come back under a rotated key"
            );
            return false;
        }
        if let Some(entered) = self.follow(&state).await {
            return entered;
        }
        let epoch = state.next_epoch().get();
        if self.epochs.current() == Some(epoch) {
            return true;
        }
        if state.needs_mandate() && !self.seal(&state) {
            self.epochs.pause(epoch).await;
            return true;
        }
        let heard = self.shared.has_heard(&state.stalled().authorities);
        if !self.shared.decrees.lock().has_listened(heard, self.shared.now_ms()) {
            self.epochs.pause(epoch).await;
            return true;
        }
        // The engine begins from the last block before its epoch, which in a restart is not the newest one.
        let last = self.shared.chain.lock().last_before_epoch();
        self.epochs.enter(epoch, last).await
    }

    /// Votes of a later epoch. Where decrees may cut epochs short, only the peers' calendars say what to ask them for.
    fn voted(&self, epoch: u64, from: PublicKey) {
        if !self.shared.finalised().genesis().has_committee() {
            self.epochs.ahead(epoch, from, None);
        }
    }

    /// `from` is in a later epoch.
    fn ahead(&self, epoch: u64, from: PublicKey) {
        let state = self.shared.finalised();
        let cut = {
            let decrees = self.shared.decrees.lock();
            let followed = decrees.in_force(&state).is_some();
            // At the cut itself there is nothing to ask for but the decree; and whoever has left an epoch stays away.
            let cut = decrees.next_cut(&from, state.height().get() + u64::from(followed));
            if !followed && (cut == Some(state.height().get() + 1) || decrees.has_left(&state)) {
                return;
            }
            cut.map(|first| Height::new(first - 1))
        };
        self.epochs.ahead(epoch, from, cut);
    }

    /// Follows the decree about the newest final block, if there is one: `None` if not, or not yet.
    async fn follow(&mut self, state: &State) -> Option<bool> {
        let promise = self.promise.as_mut()?;
        let now_ms = self.shared.now_ms();
        let ahead = self.shared.is_behind(&state.stalled().authorities, SILENT_MS);
        let decree = self.shared.decrees.lock().to_promise(state, ahead, now_ms);
        if let Some(decree) = decree {
            warn!(after = %decree.after, epoch = %decree.epoch, "this node follows the operators' decree and leaves the committee");
            // On disk before the engine stops, and both before anybody hears of it.
            promise.keep(&decree).await;
            self.epochs.pause(decree.epoch.get()).await;
            let mut decrees = self.shared.decrees.lock();
            decrees.promise(decree, state, &self.key);
            if let Some(current) = decrees.current() {
                let _ = self.signed.send(gossip::Event::Followed(Box::new(current.clone())));
            }
        }
        let (replacement, left) = {
            let decrees = self.shared.decrees.lock();
            (decrees.in_force(state).cloned(), decrees.has_left(state))
        };
        let Some(Replacement { decree, .. }) = replacement else {
            if left {
                self.epochs.pause(state.next_epoch().next().get()).await;
            }
            return left.then_some(true);
        };
        let epoch = decree.epoch.get();
        if self.epochs.current() == Some(epoch) {
            return Some(true);
        }
        info!(after = %decree.after, epoch, "the operators' decree is in force");
        self.boundaries.set(state.calendar().cut(decree.first(), decree.epoch));
        for (epoch, roster) in (epoch..).zip(state.decreed(&decree)) {
            let roster = Arc::new(roster);
            self.schemes.insert(epoch, &roster);
            self.shared.rosters.lock().insert(epoch, roster);
        }
        Some(self.epochs.enter(epoch, state.block()).await)
    }

    async fn apply(&mut self, block: Digested<Block>, acknowledgement: Exact) -> bool {
        let height = block.height().get();
        if height <= self.shared.height() {
            // Marshal repeats what it has not noted as applied when the process ended.
            debug!(height, "final block was applied before");
            acknowledgement.acknowledge();
            return true;
        }
        let decreed = block.inner().mandate().and_then(Mandate::decree);
        if let Some(promised) = self.shared.decrees.lock().broken_by(block.height(), decreed) {
            error!(
                height,
                epoch = %promised.epoch,
                "the old committee made a block final after this node had promised to follow the operators' decree: wipe this node's ledger and come back under a rotated key"
            );
            return false;
        }
        let known = self.shared.chain.lock().proposal(&block.digest());
        let executed = known.unwrap_or_else(|| {
            let (state, entries) = execute(&self.shared.finalised(), block.inner());
            Executed {
                block: block.inner_shared(),
                digest: block.digest(),
                state: Arc::new(state),
                entries: Arc::new(entries),
            }
        });
        let Executed { block, state, entries, digest } = executed.clone();
        self.shared.chain.lock().finalise(executed);
        let now_ms = self.shared.now_ms();
        self.shared.announce(&block, digest, now_ms);
        self.shared.note_decree(&block);
        {
            let mut decrees = self.shared.decrees.lock();
            decrees.advance(state.height(), now_ms);
            decrees.take_up(&state);
        }
        let waited = self.shared.pool.lock().settle(&state, block.transactions(), now_ms);
        self.forget_overdue(now_ms);
        {
            let mut counts = self.shared.counts.lock();
            waited.into_iter().for_each(|ms| counts.latency(ms));
        }
        settle_authorities(&self.shared, &self.schemes, &state);
        self.peers.learn(&block);
        self.peers.update(&state);
        if !entries.is_empty() && self.root_receipts {
            self.sign(&state, now_ms);
        }
        self.report(&state, now_ms);
        self.shared.tip.send_modify(|tip| {
            tip.height = height;
            tip.epoch = state.epoch().get();
        });
        // Before the acknowledgement, so that a restart in between enters the same epoch.
        if !self.enter().await {
            return false;
        }
        acknowledgement.acknowledge();
        true
    }

    /// What is final, or waits nowhere here, is overdue no more.
    fn forget_overdue(&self, now_ms: u64) {
        let pool = self.shared.pool.lock();
        self.shared.overdue.lock().retain(now_ms, |digest| pool.holds(digest));
    }

    /// In the second half of each epoch: what this node has measured of the others goes to the ledger.
    fn report(&mut self, state: &State, now_ms: u64) {
        let (epoch, length) = (state.epoch(), state.genesis().epoch_length);
        let first = state.calendar().bounds(epoch).map_or(0, |(first, _)| first.get());
        let second_half = (state.height().get() - first + 1) % length > length / 2;
        if !second_half || self.reported == Some(epoch.get()) || state.has_reported(&self.shared.me) {
            return;
        }
        let Some(authorities) = state.authorities_for(epoch).filter(|set| set.contains(&self.shared.me))
        else {
            return;
        };
        let Some(micros) = self.shared.round_trips.lock().report(authorities) else { return };
        self.reported = Some(epoch.get());
        let report = RoundTrips::sign(&self.shared.chain_id, &self.key, epoch, micros);
        self.shared.offer(Transaction::RoundTrips(report), state, now_ms);
    }

    /// Signs the block of `state`, the last of its epoch, if this node is an authority there, and collects the others'
    /// signatures. True if they are enough.
    fn seal(&self, state: &State) -> bool {
        let (header, mut seals) = (state.header(), self.shared.seals.lock());
        let height = header.height.get();
        if let Some(authorities) = state.authorities_for(header.epoch)
            && seals.open(header, authorities.clone(), self.shared.now_ms())
            && authorities.contains(&self.shared.me)
        {
            let signature = SealSignature::sign(&self.shared.chain_id, &self.key, header);
            seals.add(signature.clone());
            let _ = self.signed.send(gossip::Event::Sealed(signature));
        }
        seals.seal(height).is_some()
    }

    /// Signs the log root after the block of `state`, if this node is an authority of its epoch, and collects the others'
    /// signatures.
    fn sign(&self, state: &State, now_ms: u64) {
        let header = state.header();
        let Some(authorities) = state.authorities_for(header.epoch) else { return };
        let mut roots = self.shared.roots.lock();
        roots.open(header, authorities.clone(), now_ms);
        let needed = state.genesis().root_quorum(authorities);
        if Roots::in_turn(authorities, needed, &self.shared.me, header.height.get()) {
            let receipt = RootReceipt::sign(&self.shared.chain_id, &self.key, header);
            roots.add(receipt.clone(), header.height.get());
            let _ = self.signed.send(gossip::Event::Signed(receipt));
        }
        drop(roots);
        bump(&self.shared.signed);
    }
}
