//! Applies final blocks one after the other.

use crate::{
    PublicKey,
    common::{
        chain::{Chain, Executed},
        core::bump,
        peer_set::PeerSet,
    },
    poa::{
        engine::{
            epocher::EpochCalendar,
            epochs::{Ahead, Epochs},
            observer::PendingBlock,
            schemes::Schemes,
        },
        gossip::{root_signatures::Roots, signatures},
        replacement::promise::ReplacementVote,
        shared::{Marshal, SILENT_MS, Shared},
        storage::recovery::settle_authorities,
        subscription::execute,
        sync::snapshots::{Joined, Request},
    },
};
use commonware_consensus::Heightable as _;
use commonware_cryptography::{Digested, Digestible as _};
use commonware_macros::select_loop;
use commonware_p2p::{AddressableManager, Blocker, Sender};
use commonware_runtime::{Clock, Metrics, Spawner, Storage};
use commonware_utils::{Acknowledgement as _, acknowledgement::Exact, channel::mpsc};
use rand::rand_core::CryptoRng;
use std::sync::Arc;
use tracing::{debug, error, info, warn};
use voltmesh_ledger::{
    Block, EpochOpening, Height, PrivateKey, Replacement, RootReceipt, RoundTrips, SealSignature, State,
    Transaction,
};

/// Task that applies final blocks one after the other and enters epochs.
pub(crate) struct Executor<E, S, P, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    pub shared: Arc<Shared>,
    pub schemes: Schemes,
    pub peers: PeerSet<P>,
    pub epochs: Epochs<E, S, B>,
    pub boundaries: EpochCalendar,
    /// Only where a committee votes.
    pub promise: Option<ReplacementVote<E>>,
    pub key: PrivateKey,
    pub signed: mpsc::UnboundedSender<signatures::Event>,
    /// Whether this node signs log roots.
    pub root_receipts: bool,
    /// The epoch whose round trips this node has reported last.
    pub reported: Option<u64>,
    pub marshal: Marshal,
    pub keeper: mpsc::UnboundedSender<Request>,
    /// Blocks between two snapshots; 0 for none.
    pub snapshot_interval: u64,
}

impl<E, S, P, B> Executor<E, S, P, B>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    S: Sender<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    pub async fn run(
        mut self,
        context: E,
        mut finalized: mpsc::UnboundedReceiver<PendingBlock>,
        mut votes: mpsc::Receiver<Ahead>,
        mut certificates: mpsc::Receiver<Ahead>,
        mut peers: mpsc::UnboundedReceiver<(u64, PublicKey)>,
        mut joined: mpsc::UnboundedReceiver<Joined>,
    ) {
        let mut sealed = self.shared.sealed.subscribe();
        if !self.enter().await {
            return;
        }
        select_loop! {
            context,
            on_stopped => {},
            Some((block, acknowledgement)) = finalized.recv() else break => {
                if !self.apply(block, acknowledgement).await {
                    break;
                }
            },
            Some(joined) = joined.recv() else break => {
                if !self.jump(joined).await {
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
        let state = self.shared.core.finalized();
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
        if !self.shared.decrees.lock().has_listened(heard, self.shared.core.now_ms()) {
            self.epochs.pause(epoch).await;
            return true;
        }
        // The engine begins from the last block before its epoch, which in a restart is not the newest one.
        let last = self.shared.core.chain.lock().last_before_epoch();
        self.epochs.enter(epoch, last).await
    }

    /// Votes of a later epoch. Where decrees may cut epochs short, only the peers' calendars say what to ask them for.
    fn voted(&self, epoch: u64, from: PublicKey) {
        if !self.shared.core.finalized().genesis().has_committee() {
            self.epochs.ahead(epoch, from, None);
        }
    }

    /// `from` is in a later epoch.
    fn ahead(&self, epoch: u64, from: PublicKey) {
        let state = self.shared.core.finalized();
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
        let now_ms = self.shared.core.now_ms();
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
                let _ = self.signed.send(signatures::Event::Followed(Box::new(current.clone())));
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
            self.shared.core.rosters.lock().insert(epoch, roster);
        }
        Some(self.epochs.enter(epoch, state.block()).await)
    }

    /// Goes on from a verified snapshot further on. False if the node is ending.
    async fn jump(&mut self, joined: Joined) -> bool {
        let Joined { state, epoch_start, certificate, abstain } = joined;
        let height = state.height().get();
        if height <= self.shared.core.height() {
            debug!(height, "a snapshot came too late to be of use");
            return true;
        }
        info!(height, from = self.shared.core.height(), "blocks are left out");
        if let Some(epoch) = abstain {
            self.schemes.abstain(epoch);
            // An engine with a key may be running in that very epoch.
            self.epochs.leave().await;
        }
        *self.shared.core.chain.lock() = Chain::resume(state.clone(), epoch_start);
        *self.shared.oldest.lock() = height;
        let now_ms = self.shared.core.now_ms();
        self.shared.core.pool.lock().settle(&state, &[], now_ms);
        self.forget_overdue(now_ms);
        self.boundaries.set(state.calendar().clone());
        self.shared.decrees.lock().advance(state.height(), now_ms);
        settle_authorities(&self.shared, &self.schemes, &state);
        self.peers.inherit(&state);
        self.peers.update(&state);
        self.shared.core.tip.send_modify(|tip| {
            tip.height = height;
            tip.epoch = state.epoch().get();
        });
        // Fetches the snapshot's own block, and all after it.
        self.marshal.set_floor(certificate.into());
        self.enter().await
    }

    async fn apply(&mut self, block: Digested<Block>, acknowledgement: Exact) -> bool {
        let height = block.height().get();
        if height <= self.shared.core.height() {
            // Marshal repeats what it has not noted as applied when the process ended.
            debug!(height, "final block was applied before");
            acknowledgement.acknowledge();
            return true;
        }
        let decreed = block.inner().mandate().and_then(EpochOpening::decree);
        if let Some(promised) = self.shared.decrees.lock().broken_by(block.height(), decreed) {
            error!(
                height,
                epoch = %promised.epoch,
                "the old committee made a block final after this node had promised to follow the operators' decree: wipe this node's ledger and come back under a rotated key"
            );
            return false;
        }
        let known = self.shared.core.chain.lock().proposal(&block.digest());
        let executed = known.unwrap_or_else(|| {
            let (state, entries) = execute(&self.shared.core.finalized(), block.inner());
            Executed {
                block: block.inner_shared(),
                digest: block.digest(),
                state: Arc::new(state),
                entries: Arc::new(entries),
            }
        });
        let Executed { block, state, entries, digest } = executed.clone();
        self.shared.core.chain.lock().finalize(executed);
        let now_ms = self.shared.core.now_ms();
        self.shared.core.announce(&block, digest, now_ms);
        self.shared.note_decree(&block);
        {
            let mut decrees = self.shared.decrees.lock();
            decrees.advance(state.height(), now_ms);
            decrees.take_up(&state);
        }
        let waited = self.shared.core.pool.lock().settle(&state, block.transactions(), now_ms);
        self.forget_overdue(now_ms);
        {
            let mut counts = self.shared.core.counts.lock();
            waited.into_iter().for_each(|ms| counts.latency(ms));
        }
        settle_authorities(&self.shared, &self.schemes, &state);
        self.peers.learn(&block);
        self.peers.update(&state);
        if !entries.is_empty() && self.root_receipts {
            self.sign(&state, now_ms);
        }
        self.report(&state);
        self.shared.core.tip.send_modify(|tip| {
            tip.height = height;
            tip.epoch = state.epoch().get();
        });
        if height.checked_rem(self.snapshot_interval) == Some(0) {
            let epoch_start = self.shared.core.chain.lock().last_before_epoch();
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
        let pool = self.shared.core.pool.lock();
        self.shared.overdue.lock().retain(now_ms, |digest| pool.holds(digest));
    }

    /// In the second half of each epoch: what this node has measured of the others goes to the ledger.
    fn report(&mut self, state: &State) {
        let (epoch, length) = (state.epoch(), state.genesis().epoch_length);
        let first = state.calendar().bounds(epoch).map_or(0, |(first, _)| first.get());
        let second_half = (state.height().get() - first + 1) % length > length / 2;
        if !second_half || self.reported == Some(epoch.get()) || state.has_reported(&self.shared.core.me) {
            return;
        }
        let Some(authorities) = state.authorities_for(epoch).filter(|set| set.contains(&self.shared.core.me))
        else {
            return;
        };
        let Some(micros) = self.shared.round_trips.lock().report(authorities) else { return };
        self.reported = Some(epoch.get());
        let report = RoundTrips::sign(&self.shared.core.chain_id, &self.key, epoch, micros);
        self.shared.core.offer(Transaction::RoundTrips(report));
    }

    /// Signs the block of `state`, the last of its epoch, if this node is an authority there, and collects the others'
    /// signatures. True if they are enough.
    fn seal(&self, state: &State) -> bool {
        let (header, mut seals) = (state.header(), self.shared.seals.lock());
        let height = header.height.get();
        if let Some(authorities) = state.authorities_for(header.epoch)
            && seals.open(header, authorities.clone(), self.shared.core.now_ms())
            && authorities.contains(&self.shared.core.me)
        {
            let signature = SealSignature::sign(&self.shared.core.chain_id, &self.key, header);
            seals.add(signature.clone());
            let _ = self.signed.send(signatures::Event::Sealed(signature));
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
        if Roots::in_turn(authorities, needed, &self.shared.core.me, header.height.get()) {
            let receipt = RootReceipt::sign(&self.shared.core.chain_id, &self.key, header);
            roots.add(receipt.clone(), header.height.get());
            let _ = self.signed.send(signatures::Event::Signed(receipt));
        }
        drop(roots);
        bump(&self.shared.signed);
    }
}
