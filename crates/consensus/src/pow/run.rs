//! The network task: waits for whatever comes next, and tells what became final.

use crate::{
    PublicKey,
    common::{
        chain::Chain,
        config::Config,
        core::{ReplicaCore, bump},
        mempool::SubmitError,
        network::{Channels, Network},
        peer_set::PeerSet,
        replica::Running,
        transactions, watch,
    },
    pow::{
        miner::{Chance, Found, Job, Meter, solve},
        node::{Alive, Miner},
        offers::is_applied,
        puzzle::Rules,
        request::Asked,
        settings::{Settings, Work},
        solve_time::Luck,
        tree::{Change, Settled, Tree},
    },
};
use commonware_cryptography::Signer as _;
use commonware_macros::select_loop;
use commonware_p2p::{AddressableManager, Blocker, Receiver, Sender};
use commonware_runtime::{Clock, Handle as Task, Spawner};
use commonware_utils::{SystemTimeExt as _, channel::mpsc};
use rand::rand_core::CryptoRng;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::{debug, error, info, warn};
use voltmesh_ledger::{Block, Digest, MAX_BLOCK_BYTES, PrivateKey, State, Transaction};

/// Starts a node at genesis. It mines in the epochs of which it is an authority, and follows in the others. Of
/// `config`, the storage partition, the pacing of proposals and the leader's timeout do not apply.
///
/// Asynchronous only as the other agreements are: nothing is waited for.
pub async fn start<E, S, R, P, B>(
    context: E,
    config: Config,
    settings: Settings,
    network: Network<S, R, P, B>,
) -> Running
where
    E: Clock + CryptoRng + Spawner,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let (miner, root) = spawn(context, config, settings, network);
    Running::new(miner.clone(), Alive { miner, root })
}

/// Starts all tasks as children of `context`.
fn spawn<E, S, R, P, B>(
    mut context: E,
    config: Config,
    settings: Settings,
    network: Network<S, R, P, B>,
) -> (Arc<Miner>, Task<()>)
where
    E: Clock + CryptoRng + Spawner,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let me = config.private_key.public_key();
    let target = settings.target(config.genesis.authorities.len());
    let state = State::new(&config.genesis);
    let clock = context.child("clock");
    let clock = Box::new(move || clock.current().epoch_millis());
    let chain = Chain::new(Arc::new(state.clone()), state.block());
    let shared = Arc::new(ReplicaCore::new(me.clone(), chain, clock));
    let Network { channels, peers, blocker } = network;
    let Channels { blocks, backfill, transactions, .. } = channels;
    let mut peers = PeerSet::new(peers, config.addresses.clone());
    peers.update(&state);

    let rate = if settings.work == Work::Puzzle { 0 } else { settings.hash_rate };
    let meter = Meter::new(rate);
    let (solutions, found) = mpsc::unbounded_channel();
    let (luck, search) = match settings.work {
        Work::Puzzle => {
            let jobs = watch::Sender::new(Job { number: 0, name: None });
            let search = solve(jobs.subscribe(), solutions, target, meter.hashes.clone());
            (Luck::Search { jobs, built: None, since: SystemTime::UNIX_EPOCH, stale: false }, Some(search))
        }
        Work::Virtual { seed } => {
            let chance = Chance::new(&settings, target, &me, seed, &mut context);
            (Luck::Chance { chance, next: None, _solutions: solutions }, None)
        }
    };
    let miner = Arc::new(Miner {
        shared: shared.clone(),
        offers: Default::default(),
        figures: Default::default(),
        meter,
    });
    let driver = Driver {
        miner: miner.clone(),
        shared: shared.clone(),
        rules: Rules::new(&state.chain(), target, settings.work == Work::Puzzle),
        tree: Tree::new(state, settings.confirmations),
        key: config.private_key,
        block_bytes: config.block_bytes.min(MAX_BLOCK_BYTES),
        max_clock_drift: config.max_clock_drift,
        luck,
        peers,
        blocker,
        blocks: blocks.0,
        backfill: backfill.0,
        asked: BTreeMap::new(),
        foreign: BTreeSet::new(),
    };
    let root = context.spawn(move |context| async move {
        let mut tasks = vec![
            context.child("transactions").spawn({
                let shared = shared.clone();
                move |context| transactions::run(context, shared, transactions.0, transactions.1)
            }),
            context.child("driver").spawn(move |context| driver.run(context, blocks.1, backfill.1, found)),
        ];
        if let Some(search) = search {
            tasks.push(context.child("search").spawn(move |_| search));
        }
        info!(interval = ?settings.interval, hashes = %target.hashes(), "miner started");
        let (result, index, _) = futures::future::select_all(tasks).await;
        error!(?result, index, "a task of the miner ended");
        shared.stop();
    });
    (miner, root)
}

/// Task of a miner: takes blocks, mines, and announces what became final.
pub(super) struct Driver<S, P, B> {
    pub miner: Arc<Miner>,
    pub shared: Arc<ReplicaCore>,
    pub rules: Rules,
    pub tree: Tree,
    pub key: PrivateKey,
    pub block_bytes: usize,
    pub max_clock_drift: Duration,
    pub luck: Luck,
    pub peers: PeerSet<P>,
    pub blocker: B,
    pub blocks: S,
    pub backfill: S,
    /// One question to a peer at a time; there are no more peers than connections.
    pub asked: BTreeMap<PublicKey, Asked>,
    pub foreign: BTreeSet<Digest>,
}

impl<S, P, B> Driver<S, P, B>
where
    S: Sender<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    async fn run<E, R>(
        mut self,
        context: E,
        mut blocks: R,
        mut backfill: R,
        mut found: mpsc::UnboundedReceiver<Found>,
    ) where
        E: Clock + Spawner,
        R: Receiver<PublicKey = PublicKey>,
    {
        let mut pooled = self.shared.pooled.subscribe();
        self.aim(context.current());
        select_loop! {
            context,
            on_start => {
                let alarm = self.alarm();
                let alarm = async {
                    match alarm {
                        Some(at) => context.sleep_until(at).await,
                        None => pending().await,
                    }
                };
            },
            on_stopped => {},
            Ok((from, bytes)) = blocks.recv() else break => {
                self.take(&from, bytes.into(), context.current());
            },
            Ok((from, bytes)) = backfill.recv() else break => self.backfill(from, bytes.into(), context.current()),
            Some(found) = found.recv() else break => self.solved(found, context.current()),
            Ok(()) = pooled.changed() else break => {
                if let Luck::Search { stale, .. } = &mut self.luck {
                    *stale = true;
                }
            },
            () = alarm => self.struck(context.current()),
        }
    }

    /// Follows the tree: pool, final blocks, and what to mine on.
    pub fn apply(&mut self, change: Change, now: SystemTime) {
        self.miner.figures.lock().forks = self.tree.forks();
        let Change { abandoned, adopted, undone, finals, .. } = change;
        if adopted.is_empty() {
            return;
        }
        if let Some((count, state)) = undone {
            error!(count, height = %state.height(), "final blocks are undone: a longer chain leaves ours below them");
            self.miner.figures.lock().conflicting_finals += count;
            *self.shared.chain.lock() = Chain::new(state.clone(), state.block());
        }
        for settled in finals {
            self.announce(settled);
        }
        let head = self.tree.head();
        let now_ms = self.shared.now_ms();
        {
            let mut pool = self.shared.pool.lock();
            for block in &adopted {
                pool.settle(&head, block.transactions(), now_ms);
            }
        }
        self.give_back(&head, &abandoned);
        self.aim(now);
    }

    fn announce(&mut self, settled: Settled) {
        let Settled { block, digest, state } = settled;
        // Nobody subscribes here, so that no older states and blocks need to stay.
        *self.shared.chain.lock() = Chain::new(state.clone(), digest);
        self.shared.announce(&block, digest, self.shared.now_ms());
        self.miner.offers.lock().settle(&state);
        self.peers.learn(&block);
        self.peers.update(&state);
        self.shared.tip.send_modify(|tip| {
            tip.height = state.height().get();
            tip.epoch = state.epoch().get();
        });
    }

    /// Gives back to the pool what was on abandoned blocks and is not on the chain that ends in `head`.
    fn give_back(&mut self, head: &State, abandoned: &[Arc<Block>]) {
        let mut offers = self.miner.offers.lock();
        if abandoned.is_empty() && !offers.refused {
            return;
        }
        let finalized = self.shared.finalized();
        let now_ms = self.shared.now_ms();
        let mut pool = self.shared.pool.lock();
        offers.refused = false;
        for transaction in offers.missing(head) {
            match pool.insert(transaction.clone(), &finalized, now_ms, true) {
                Ok(_) | Err(SubmitError::Conflict { .. }) => {}
                Err(SubmitError::Full { .. }) => offers.refused = true,
                Err(SubmitError::Invalid(why)) => {
                    warn!(%why, "a transaction of this node can no longer be in any block");
                    offers.forget(&transaction);
                }
            }
        }
        let transactions = abandoned.iter().flat_map(|block| block.transactions());
        for transaction in transactions.filter(|transaction| !is_applied(transaction, head)) {
            // This node's own are offers still, unless they were final: then they become offers again.
            let mine =
                matches!(transaction, Transaction::Anchor(anchor) if anchor.authority == self.shared.me);
            if mine && offers.room().is_ok() {
                offers.add(transaction.clone());
            }
            if let Err(error) = pool.insert(transaction.clone(), &finalized, now_ms, mine) {
                debug!(%error, "transaction of an abandoned block not taken back: whoever offers it does it again");
                offers.refused |= mine && matches!(error, SubmitError::Full { .. });
            }
        }
        drop((pool, offers));
        bump(&self.shared.pooled);
    }
}
