//! The shell around the core: channels, clock, pool and final blocks.

use crate::{
    Config, PublicKey, StartError,
    common::{
        chain::{Chain, Executed},
        core::ReplicaCore,
        mempool::SubmitError,
        network::{Channels, Network},
        peer_set::PeerSet,
        replica::{Final, ProtocolStats, Replica, Running},
        transactions,
    },
    pbft::{
        Settings,
        archive::{Archive, Committed},
        certificate::Seat,
        message::{Channel, Message},
        replica::Core,
        vocabulary::{Input, Output, To},
    },
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_cryptography::{Digestible as _, Signer as _};
use commonware_macros::select_loop;
use commonware_p2p::{AddressableManager, Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Handle as Task, IoBuf, Metrics, Spawner, Storage};
use commonware_utils::{SystemTimeExt as _, channel::mpsc};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::{debug, error};
use voltmesh_ledger::{Built, Digest, MAX_BLOCK_BYTES, State, Timestamp, Transaction};

/// Starts a replica of PBFT. Runs on any commonware runtime; writes what is committed to disk and never reads it again.
///
/// # Errors
///
/// If the archive cannot be opened.
///
/// # Panics
///
/// If the key is not that of an authority of the genesis, or the settings are out of range. The replica's task panics when
/// two committed blocks contradict each other, more than f authorities being faulty then, or the disk cannot be written.
pub async fn start<E, S, R, P, B>(
    context: E,
    config: Config,
    settings: Settings,
    network: Network<S, R, P, B>,
) -> Result<Running, StartError>
where
    E: Clock + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
{
    let state = Arc::new(State::new(&config.genesis));
    let me = config.private_key.public_key();
    let clock = context.child("clock");
    let clock = Box::new(move || clock.current().epoch_millis());
    let chain = Chain::new(state.clone(), config.genesis.block().digest());
    let shared = Arc::new(ReplicaCore::new(me, chain, clock));
    shared.note_rosters(&state);
    let Network { channels, peers, .. } = network;
    PeerSet::new(peers, config.addresses.clone()).update(&state);
    let now = Timestamp::from_millis(context.current().epoch_millis());
    let core = Core::new(&config.genesis, config.private_key.clone(), settings, config.max_clock_drift, now);

    let archive = Archive::open(context.child("archive"), &config.partition, config.section_blocks).await?;
    let (committed, to_archive) = mpsc::unbounded_channel();
    let Channels { votes, certificates, blocks, backfill, transactions, .. } = channels;
    let senders =
        Senders { votes: votes.0, certificates: certificates.0, blocks: blocks.0, backfill: backfill.0 };
    let driver = Driver {
        core,
        shared: shared.clone(),
        committed,
        senders,
        block_interval: config.block_interval,
        idle_interval: config.idle_interval,
        block_bytes: config.block_bytes.min(MAX_BLOCK_BYTES),
        turn: None,
    };
    let receivers = [votes.1, certificates.1, blocks.1, backfill.1];
    let root = context.spawn({
        let shared = shared.clone();
        move |context| async move {
            let tasks = vec![
                context.child("transactions").spawn({
                    let shared = shared.clone();
                    move |context| transactions::run(context, shared, transactions.0, transactions.1)
                }),
                context.child("archive").spawn({
                    let shared = shared.clone();
                    move |_| archive.run(shared, to_archive)
                }),
                context.child("agreement").spawn(move |context| driver.run(context, receivers)),
            ];
            let (result, index, _) = futures::future::select_all(tasks).await;
            error!(?result, index, "a task of the replica ended");
            shared.stop();
        }
    });
    Ok(Running::new(Arc::new(Pbft { shared: shared.clone() }), Alive { shared, root }))
}

/// Committed blocks that may wait for the disk before the primary stops proposing: 64 × 1 MiB.
const MAX_BEHIND: u64 = 64;

/// Running replica, as the rest of the process sees it.
struct Pbft {
    shared: Arc<ReplicaCore>,
}

impl Replica for Pbft {
    fn submit(&self, transaction: Transaction) -> Result<(), SubmitError> {
        self.shared.submit(transaction)
    }

    fn state(&self) -> Arc<State> {
        self.shared.finalized()
    }

    fn finals(&self) -> mpsc::UnboundedReceiver<Final> {
        self.shared.listen()
    }

    fn detours(&self) -> ProtocolStats {
        ProtocolStats { view_changes: self.shared.counts.lock().nullified, ..ProtocolStats::default() }
    }
}

/// Guard that ends the replica when it is dropped.
struct Alive {
    shared: Arc<ReplicaCore>,
    root: Task<()>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.shared.stop();
        self.root.abort();
    }
}

struct Senders<S> {
    votes: S,
    certificates: S,
    blocks: S,
    backfill: S,
}

/// Block that the primary is about to build.
struct Turn {
    parent: Digest,
    /// What the intervals count from.
    start: SystemTime,
    /// There was nothing to propose when the pool was last looked at.
    waiting: bool,
}

struct Driver<S> {
    core: Core,
    shared: Arc<ReplicaCore>,
    /// To the archive; see [`MAX_BEHIND`].
    committed: mpsc::UnboundedSender<Committed>,
    senders: Senders<S>,
    block_interval: Duration,
    idle_interval: Duration,
    block_bytes: usize,
    turn: Option<Turn>,
}

impl<S: Sender<PublicKey = PublicKey>> Driver<S> {
    async fn run<E, R>(mut self, context: E, receivers: [R; 4])
    where
        E: Clock + Spawner,
        R: Receiver<PublicKey = PublicKey>,
    {
        let [mut votes, mut certificates, mut blocks, mut backfill] = receivers;
        let mut pooled = self.shared.pooled.subscribe();
        let mut archived = self.shared.tip.subscribe();
        select_loop! {
            context,
            on_start => {
                self.propose(context.current());
                let wake = self.wake();
            },
            on_stopped => {},
            Ok(message) = votes.recv() else break => {
                self.receive(context.current(), Channel::Votes, message);
            },
            Ok(message) = certificates.recv() else break => {
                self.receive(context.current(), Channel::Certificates, message);
            },
            Ok(message) = blocks.recv() else break => {
                self.receive(context.current(), Channel::Blocks, message);
            },
            Ok(message) = backfill.recv() else break => {
                self.receive(context.current(), Channel::Backfill, message);
            },
            Ok(()) = pooled.changed() else break => {
                if let Some(turn) = &mut self.turn {
                    turn.waiting = false;
                }
            },
            Ok(()) = archived.changed() else break => {},
            _ = context.sleep_until(wake) => self.handle(context.current(), Input::Tick),
        }
    }

    fn receive(&mut self, now: SystemTime, channel: Channel, (from, bytes): (PublicKey, IoBuf)) {
        let Some(seat) = self.core.voters.seat(&from) else {
            debug!(%from, "message of a stranger");
            return;
        };
        match Message::decode(bytes) {
            Ok(message) if message.channel() == channel => {
                if let Message::PrePrepare { block, .. } = &message {
                    let checked = self.shared.checked(block);
                    self.handle(now, Input::Checked(block.digest(), checked));
                }
                self.handle(now, Input::Message(seat, message));
            }
            Ok(_) => debug!(%from, ?channel, "message on the wrong channel"),
            Err(error) => debug!(%from, ?channel, %error, "malformed message"),
        }
    }

    /// Hands the core an input and does what it asks.
    fn handle(&mut self, now: SystemTime, input: Input) {
        for output in self.core.handle(Timestamp::from_millis(now.epoch_millis()), input) {
            match output {
                Output::Send(to, message) => self.send(to, &message),
                Output::Final(executed, certificate) => {
                    let _ = self.committed.send((executed, certificate));
                }
                Output::Entered(view) => {
                    let mut counts = self.shared.counts.lock();
                    counts.view = view.get();
                    // Each view before this one ended without serving to the end.
                    counts.nullified = view.get();
                }
            }
        }
    }

    fn send(&mut self, to: To, message: &Message) {
        let recipients = match to {
            To::All => Recipients::All,
            To::One(seat) => match self.key(seat) {
                Some(key) => Recipients::One(key),
                None => return,
            },
        };
        // Whoever waits for a vote waits for a block; whoever catches up has time.
        let (sender, urgent) = match message.channel() {
            Channel::Votes => (&mut self.senders.votes, true),
            Channel::Certificates => (&mut self.senders.certificates, true),
            Channel::Blocks => (&mut self.senders.blocks, true),
            Channel::Backfill => (&mut self.senders.backfill, false),
        };
        let _ = sender.send(recipients, message.encode(), urgent);
    }

    fn key(&self, seat: Seat) -> Option<PublicKey> {
        self.core.voters.key(seat).cloned()
    }

    /// As the primary, builds the next block when it is time: not before the block interval, and not before there is
    /// something to propose or the idle interval is over.
    fn propose(&mut self, now: SystemTime) {
        while let Some(parent) = self.core.parent() {
            if parent.height().get() > self.shared.height() + MAX_BEHIND {
                break;
            }
            let digest = parent.block();
            if self.turn.as_ref().is_none_or(|turn| turn.parent != digest) {
                let time = SystemTime::UNIX_EPOCH + Duration::from_millis(parent.time().as_millis());
                // A parent whose time is ahead of our clock must not make us wait longer than any other.
                self.turn = Some(Turn { parent: digest, start: time.min(now), waiting: false });
            }
            let Some(turn) = &mut self.turn else { return };
            let idle_over = now >= turn.start + self.idle_interval;
            if now < turn.start + self.block_interval || (turn.waiting && !idle_over) {
                return;
            }
            let candidates = self.shared.pool.lock().candidates(self.block_bytes, &parent, &BTreeSet::new());
            let time = Timestamp::from_millis(now.epoch_millis());
            let Built { block, state, entries, .. } = parent.build(candidates, time);
            if block.transactions().is_empty() && !idle_over {
                turn.waiting = true;
                return;
            }
            let (block, state, entries) = (Arc::new(block), Arc::new(state), Arc::new(entries));
            let executed = Executed { digest: block.digest(), block, state, entries };
            debug!(height = %executed.state.height(), "block built");
            self.handle(now, Input::Propose(executed));
        }
        self.turn = None;
    }

    /// When there is something to do without a message.
    fn wake(&self) -> SystemTime {
        let turn = self
            .turn
            .as_ref()
            .map(|turn| turn.start + if turn.waiting { self.idle_interval } else { self.block_interval });
        let core = SystemTime::UNIX_EPOCH + Duration::from_millis(self.core.deadline().as_millis());
        turn.map_or(core, |turn| turn.min(core))
    }
}
