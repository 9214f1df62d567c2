//! One simplex engine per epoch.
//!
//! A block that ends an epoch starts the next one: its engine begins from that block, with the voters and leaders that
//! the ledger fixed an epoch earlier. A node that is not among them follows without an engine.

use crate::{
    PublicKey,
    common::config::Config,
    poa::{
        engine::{
            elector::ByQuality,
            epocher::EpochCalendar,
            follower,
            observer::Observer,
            proposer::Proposer,
            recipients::{Addressed, Audience},
            schemes::{Fixed, Schemes, votes_partition},
        },
        shared::Marshal,
    },
};
use commonware_consensus::{
    Reporters,
    marshal::standard::Inline,
    simplex::{self, Floor, ForwardPolicy, SkipBudget, SkipPolicy},
    types::{Epoch, Epocher as _, ViewDelta},
};
use commonware_cryptography::{Signer as _, certificate::Scheme as _};
use commonware_p2p::{
    Blocker, Channel, Message, Receiver, Sender,
    utils::mux::{Builder as _, MuxHandle, Muxer},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle as Task, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, NZUsize, channel::mpsc, vec::NonEmptyVec};
use rand::rand_core::CryptoRng;
use std::{sync::Arc, time::Duration};
use tracing::{debug, info, warn};
use voltmesh_ledger::{Block, Digest, Height, Scheme};

/// Views behind the final one whose votes are kept, so that late and conflicting ones are noticed.
pub(crate) const VIEW_RETENTION: u64 = 64;

/// The three channels of simplex, split by epoch.
struct Muxed<S: Sender> {
    votes: MuxHandle<S>,
    certificates: MuxHandle<S>,
    resolver: MuxHandle<S>,
}

/// Message for an epoch that this node has not entered: its sender is ahead.
pub(crate) type Ahead = (Channel, Message<PublicKey>);

struct Running {
    epoch: u64,
    task: Task<()>,
}

/// Engine of the running epoch, started and stopped here.
pub(crate) struct Epochs<E, S, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    context: E,
    partition: String,
    leader_timeout: Duration,
    optimistic_views: u64,
    blocker: B,
    marshal: Marshal,
    automaton: Inline<E, Scheme, Proposer, Block, EpochCalendar>,
    observer: Observer,
    schemes: Schemes,
    page_cache: CacheRef,
    epocher: EpochCalendar,
    muxed: Muxed<S>,
    me: PublicKey,
    running: Option<Running>,
    /// The epoch that is to begin once the block before it is sealed; no engine runs.
    waiting: Option<u64>,
}

impl<E, S, B> Epochs<E, S, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    /// Splits the channels. Returns, besides, the votes and certificates of epochs that this node has not entered.
    #[allow(clippy::too_many_arguments)]
    pub fn new<R: Receiver<PublicKey = PublicKey>>(
        context: E,
        config: &Config,
        blocker: B,
        marshal: Marshal,
        automaton: Inline<E, Scheme, Proposer, Block, EpochCalendar>,
        observer: Observer,
        schemes: Schemes,
        page_cache: CacheRef,
        epocher: EpochCalendar,
        [votes, certificates, resolver]: [(S, R); 3],
    ) -> (Self, [mpsc::Receiver<Ahead>; 2]) {
        let (mux, votes, votes_ahead) =
            Muxer::builder(context.child("votes"), votes.0, votes.1).with_backup().build();
        mux.start();
        let (mux, certificates, certificates_ahead) =
            Muxer::builder(context.child("certificates"), certificates.0, certificates.1)
                .with_backup()
                .build();
        mux.start();
        let (mux, resolver) = Muxer::new(context.child("requests"), resolver.0, resolver.1);
        mux.start();
        let this = Self {
            context,
            leader_timeout: config.leader_timeout,
            optimistic_views: config.optimistic_views,
            partition: config.partition.clone(),
            blocker,
            marshal,
            automaton,
            observer,
            schemes,
            page_cache,
            epocher,
            muxed: Muxed { votes, certificates, resolver },
            me: config.private_key.public_key(),
            running: None,
            waiting: None,
        };
        (this, [votes_ahead, certificates_ahead])
    }

    /// The epoch whose engine runs.
    pub fn current(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.epoch)
    }

    /// Stops the engine that runs, for good: its epoch has ended. That of `next` may not start yet.
    pub async fn pause(&mut self, next: u64) {
        self.waiting = Some(next);
        if let Some(previous) = self.running.take() {
            info!(epoch = previous.epoch, "epoch ended here");
            previous.task.abort();
            let _ = previous.task.await;
            self.forget(previous.epoch).await;
        }
    }

    /// Stops the engine that runs and starts that of `epoch`, from the last block before it. False if the node is being
    /// stopped.
    pub async fn enter(&mut self, epoch: u64, last: Digest) -> bool {
        self.waiting = None;
        if let Some(previous) = self.running.take() {
            previous.task.abort();
            let _ = previous.task.await;
            self.forget(previous.epoch).await;
        }
        // Left behind if the node was killed between two engines.
        if let Some(before) = epoch.checked_sub(1) {
            self.forget(before).await;
        }
        let Some(Fixed { scheme, roster }) = self.schemes.get(epoch) else {
            unreachable!("voters of the next epoch are known before it begins");
        };
        let reporter = Reporters::from((self.observer.clone(), self.automaton.clone()));
        let context = self.context.child("engine").with_attribute("epoch", epoch);
        let Ok(certificates) = self.muxed.certificates.register(epoch).await else {
            debug!(epoch, "network closed, no epoch entered");
            return false;
        };
        if scheme.me().is_none() {
            let blocker = self.blocker.clone();
            let task = context.spawn(move |context| {
                follower::run(context, epoch, scheme, certificates.1, blocker, reporter)
            });
            info!(epoch, votes = false, "entered epoch");
            self.running = Some(Running { epoch, task });
            return true;
        }
        let settings = simplex::Config {
            scheme: scheme.as_ref().clone(),
            elector: ByQuality::new(roster.clone(), 2 * self.leader_timeout, self.optimistic_views),
            blocker: self.blocker.clone(),
            automaton: self.automaton.clone(),
            relay: self.automaton.clone(),
            reporter,
            track_historical_votes: true,
            strategy: Sequential,
            partition: self.partition(epoch),
            mailbox_size: NZUsize!(1_024),
            epoch: Epoch::new(epoch),
            floor: Floor::Genesis(last),
            replay_buffer: NZUsize!(256 * 1024),
            write_buffer: NZUsize!(64 * 1024),
            page_cache: self.page_cache.clone(),
            leader_timeout: self.leader_timeout,
            certification_timeout: self.leader_timeout + Duration::from_millis(500),
            timeout_retry: Duration::from_secs(1),
            view_retention: ViewDelta::new(VIEW_RETENTION),
            skip: SkipPolicy::Enabled {
                timeout: 2 * self.leader_timeout + Duration::from_secs(1),
                budget: SkipBudget::Participants,
            },
            fetch_timeout: NZDuration!(Duration::from_secs(1)),
            fetch_retry_delay: Duration::from_millis(100),
            // Everybody was sent the block; forwarding it to a leader not yet heard of would cost as much again.
            forward: ForwardPolicy::Disabled,
        };
        let engine = simplex::Engine::new(context, settings);
        let (Ok(votes), Ok(resolver)) =
            (self.muxed.votes.register(epoch).await, self.muxed.resolver.register(epoch).await)
        else {
            debug!(epoch, "network closed, no engine started");
            return false;
        };
        let audience = Arc::new(Audience::new(&roster, &self.me));
        let votes = (Addressed::votes(votes.0, audience.clone()), votes.1);
        let certificates = (Addressed::certificates(certificates.0, audience), certificates.1);
        let task = engine.start(votes, certificates, resolver);
        info!(epoch, votes = true, "entered epoch");
        self.running = Some(Running { epoch, task });
        true
    }

    /// Stops the engine that runs, without starting another one.
    pub async fn leave(&mut self) {
        if let Some(previous) = self.running.take() {
            previous.task.abort();
            let _ = previous.task.await;
        }
    }

    /// Resolves if the engine that runs ends, which it should not.
    pub async fn ended(&mut self) {
        match &mut self.running {
            Some(running) => {
                let result = (&mut running.task).await;
                warn!(epoch = running.epoch, ?result, "engine ended");
            }
            None => futures::future::pending().await,
        }
    }

    /// `from` is in `epoch`, later than ours: asks it for the block that ends our epoch, or for the one at `cut` if a decree
    /// has ended it there.
    pub fn ahead(&self, epoch: u64, from: PublicKey, cut: Option<Height>) {
        let Some(current) = self.current().or(self.waiting) else { return };
        if epoch > current
            && let Some(last) = self.epocher.last(Epoch::new(current))
        {
            debug!(%from, epoch, current, "peer is in a later epoch");
            let last = cut.map_or(last, |cut| last.min(cut));
            self.marshal.hint_finalized(last, NonEmptyVec::new(from));
        }
    }

    fn partition(&self, epoch: u64) -> String {
        votes_partition(&self.partition, epoch)
    }

    /// Votes of a finished epoch are of no use any more: its last block is final.
    async fn forget(&mut self, epoch: u64) {
        if let Err(error) = self.context.remove(&self.partition(epoch), None).await {
            debug!(epoch, %error, "no votes of that epoch to remove");
        }
    }
}

impl<E, S, B> Drop for Epochs<E, S, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.task.abort();
        }
    }
}
