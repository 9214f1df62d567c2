//! Applies final blocks one after the other.

use crate::{
    PublicKey,
    chain::{Chain, Executed},
    epochs::{Ahead, Epochs, Schemes},
    gossip,
    keeper::{Joined, Request},
    peers::PeerSet,
    reporter::Finalised,
    restore::settle_authorities,
    roots::Roots,
    shared::{Marshal, Shared, bump},
    subscription::execute,
};
use commonware_consensus::Heightable as _;
use commonware_cryptography::{Digested, Digestible as _};
use commonware_macros::select_loop;
use commonware_p2p::{AddressableManager, Blocker, Sender};
use commonware_runtime::{Clock, Metrics, Spawner, Storage};
use commonware_utils::{Acknowledgement as _, acknowledgement::Exact, channel::mpsc};
use rand::rand_core::CryptoRng;
use std::sync::Arc;
use tracing::{debug, info};
use voltmesh_ledger::{Block, PrivateKey, RootReceipt, RoundTrips, State, Transaction};

/// See the module's first line.
pub(crate) struct Driver<E, S, P, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    pub shared: Arc<Shared>,
    pub schemes: Schemes,
    pub peers: PeerSet<P>,
    pub epochs: Epochs<E, S, B>,
    pub key: PrivateKey,
    pub signed: mpsc::UnboundedSender<gossip::Event>,
    /// Whether this node signs log roots.
    pub root_receipts: bool,
    /// The epoch whose round trips this node has reported last.
    pub reported: Option<u64>,
    pub marshal: Marshal,
    pub keeper: mpsc::UnboundedSender<Request>,
    /// Blocks between two snapshots; 0 for none.
    pub snapshot_interval: u64,
}

impl<E, S, P, B> Driver<E, S, P, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    pub async fn run(
        mut self,
        context: E,
        mut finalised: mpsc::UnboundedReceiver<Finalised>,
        mut votes: mpsc::Receiver<Ahead>,
        mut certificates: mpsc::Receiver<Ahead>,
        mut peers: mpsc::UnboundedReceiver<(u64, PublicKey)>,
        mut joined: mpsc::UnboundedReceiver<Joined>,
    ) {
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
            Some(joined) = joined.recv() else break => {
                if !self.jump(joined).await {
                    break;
                }
            },
            Some((epoch, (from, _))) = votes.recv() else break => self.epochs.ahead(epoch, from),
            Some((epoch, (from, _))) = certificates.recv() else break => self.epochs.ahead(epoch, from),
            Some((epoch, from)) = peers.recv() else break => self.epochs.ahead(epoch, from),
            () = self.epochs.ended() => break,
        }
    }

    /// Starts the engine of the epoch that the next block belongs to, unless it runs. False if the node is ending.
    async fn enter(&mut self) -> bool {
        let state = self.shared.finalised();
        let genesis = state.genesis();
        let epoch = genesis.epoch_of(state.height().next()).get();
        if self.epochs.current() == Some(epoch) {
            return true;
        }
        // The engine begins from the last block before its epoch, which in a restart is not the newest one.
        let last = self.shared.chain.lock().last_before_epoch();
        self.epochs.enter(epoch, last).await
    }

    /// Goes on from a verified snapshot further on. False if the node is ending.
    async fn jump(&mut self, joined: Joined) -> bool {
        let Joined { state, epoch_start, certificate, abstain } = joined;
        let height = state.height().get();
        if height <= self.shared.height() {
            debug!(height, "a snapshot came too late to be of use");
            return true;
        }
        info!(height, from = self.shared.height(), "blocks are left out");
        if let Some(epoch) = abstain {
            self.schemes.abstain(epoch);
            // An engine with a key may be running in that very epoch.
            self.epochs.leave().await;
        }
        *self.shared.chain.lock() = Chain::resume(state.clone(), epoch_start);
        *self.shared.oldest.lock() = height;
        let now_ms = self.shared.now_ms();
        self.shared.pool.lock().settle(&state, &[], now_ms);
        self.forget_overdue(now_ms);
        settle_authorities(&self.shared, &self.schemes, &state);
        self.peers.inherit(&state);
        self.peers.update(&state);
        self.shared.tip.send_modify(|tip| {
            tip.height = height;
            tip.epoch = state.epoch().get();
        });
        // Fetches the snapshot's own block, and all after it.
        self.marshal.set_floor(certificate.into());
        self.enter().await
    }

    async fn apply(&mut self, block: Digested<Block>, acknowledgement: Exact) -> bool {
        let height = block.height().get();
        if height <= self.shared.height() {
            // Marshal repeats what it has not noted as applied when the process ended.
            debug!(height, "final block was applied before");
            acknowledgement.acknowledge();
            return true;
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
        if height.checked_rem(self.snapshot_interval) == Some(0) {
            let epoch_start = self.shared.chain.lock().last_before_epoch();
            let _ = self.keeper.send(Request::Write(state, epoch_start));
        }
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
        let second_half = (state.height().get() + 1) % length > length / 2;
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

    /// Signs the log root after the block of `state`, if this node is an authority of its epoch, and collects the others'
    /// signatures.
    fn sign(&self, state: &State, now_ms: u64) {
        let header = state.header();
        let Some(authorities) = state.authorities_for(header.epoch) else { return };
        let mut roots = self.shared.roots.lock();
        roots.open(header, authorities.clone(), now_ms);
        if Roots::in_turn(authorities, &self.shared.me, header.height.get()) {
            let receipt = RootReceipt::sign(&self.shared.chain_id, &self.key, header);
            roots.add(receipt.clone(), header.height.get());
            let _ = self.signed.send(gossip::Event::Signed(receipt));
        }
        drop(roots);
        bump(&self.shared.signed);
    }
}
