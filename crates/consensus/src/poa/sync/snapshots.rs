//! Keeps the node able to run for years: writes snapshots, prunes what nobody needs, stores hand-overs, and gives all of
//! that to peers that join.

use crate::{
    PublicKey,
    poa::{
        gossip::message::Message,
        shared::{Change, Marshal, SILENT_MS, Shared},
        storage::snapshot_store::{SnapshotStore, Stored},
        sync::{
            kept::Kept,
            state_sync::{Ahead, Input, Join, last_height},
        },
    },
};
use commonware_codec::Encode as _;
use commonware_macros::select_loop;
use commonware_p2p::{Recipients, Sender};
use commonware_runtime::{Clock, Spawner, Storage};
use commonware_utils::channel::{mpsc, oneshot};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tracing::{debug, info, warn};
use voltmesh_ledger::{
    Attestation, AuthoritySet, Certificate, Checkpoint, Digest, Handover, Header, Height, PrivateKey,
    Snapshot, State, Trust,
};

/// How often things are looked after.
const TICK: Duration = Duration::from_millis(500);

/// Ticks between two questions for attestations that are missing: 5 s.
const ASK_TICKS: u64 = 10;

/// Pieces of snapshots, and messages of hand-overs, given away per tick: 64 × 272 KiB = 17 MiB, 34 MiB/s to all peers
/// together.
pub(super) const CHUNKS_PER_TICK: u32 = 64;

/// Messages of peers that wait for the keeper; more are dropped, since peers ask again: 256 × 256 KiB = 64 MiB at most.
pub(crate) const MAX_WAITING: usize = 256;

/// Snapshots that stay: the newest, and the one before in case the newest is damaged.
const KEPT: usize = 2;

/// Request of the rest of the node about snapshots.
pub(crate) enum Request {
    /// This final state is worth a snapshot; with the last block before the epoch of the next one. The driver asks once
    /// per interval, and only the last one counts, so few wait.
    Write(Arc<State>, Digest),
    /// A state at or below that height from which blocks are here, or else the lowest one that is.
    Load(u64, oneshot::Sender<Option<Arc<State>>>),
    /// The newest snapshot with everything that others need to believe it.
    Export(oneshot::Sender<Option<Checkpoint>>),
}

/// A verified snapshot of a peer, for the driver to go on from.
pub(crate) struct Joined {
    pub state: Arc<State>,
    pub epoch_start: Digest,
    pub certificate: Certificate,
    /// The last epoch in which this node must not vote.
    pub abstain: Option<u64>,
}

/// Task that writes snapshots, prunes blocks, stores hand-overs and serves all of it to peers.
pub(crate) struct SnapshotManager<E, S> {
    pub shared: Arc<Shared>,
    pub marshal: Marshal,
    pub vault: SnapshotStore<E>,
    pub key: PrivateKey,
    pub sender: S,
    pub history_blocks: Option<u64>,
    pub trust: Trust,
    /// By height.
    pub kept: BTreeMap<u64, Kept>,
    pub joined: mpsc::UnboundedSender<Joined>,
    /// Waits for the certificate of its block, and for hand-overs.
    pub pending: Option<(Arc<State>, Digest)>,
    pub join: Join,
    /// A hand-over of this node does not follow from those before it: some were lost.
    pub lacks_handovers: bool,
    pub ticks: u64,
    /// Pieces given away in this tick.
    pub served: u32,
}

impl<E, S> SnapshotManager<E, S>
where
    E: Storage,
    S: Sender<PublicKey = PublicKey>,
{
    pub async fn run<C: Clock + Spawner>(
        mut self,
        context: C,
        mut requests: mpsc::UnboundedReceiver<Request>,
        mut messages: mpsc::Receiver<(PublicKey, Message)>,
    ) {
        let mut next = context.current() + TICK;
        select_loop! {
            context,
            on_stopped => {},
            Some(request) = requests.recv() else break => self.request(request).await,
            Some((from, message)) = messages.recv() else break => self.receive(from, message).await,
            _ = context.sleep_until(next) => {
                next = context.current() + TICK;
                self.tick().await;
            },
        }
    }

    /// Attests the snapshots that are on disk from before: what others said of them is asked for again.
    pub fn attest(&mut self) {
        for kept in self.kept.values_mut() {
            let serves = self.shared.core.authorities_of(kept.header.epoch.get());
            if serves.is_some_and(|set| set.contains(&self.shared.core.me)) {
                let (chain, height) = (&self.shared.core.chain_id, kept.header.height);
                let attestation = Attestation::sign(chain, &self.key, height, kept.digest);
                kept.attestations.insert(self.shared.core.me.clone(), attestation);
            }
        }
    }

    async fn request(&mut self, request: Request) {
        match request {
            Request::Write(state, epoch_start) => {
                if let Some((late, epoch_start)) = self.pending.take()
                    && self.store_handovers().await.is_none_or(|waits| waits > late.height().get())
                {
                    // Its block will hardly get a certificate of its own any more.
                    self.write(late, epoch_start).await;
                }
                self.pending = Some((state, epoch_start));
                self.settle().await;
            }
            Request::Load(height, answer) => {
                let _ = answer.send(self.load(height).await);
            }
            Request::Export(answer) => {
                let _ = answer.send(self.export().await);
            }
        }
    }

    async fn tick(&mut self) {
        self.ticks += 1;
        self.served = 0;
        self.settle().await;
        let now_ms = self.shared.core.now_ms();
        let peers = self.peers(now_ms);
        let lacks = self.kept.last_key_value().is_some_and(|(_, kept)| {
            self.authorities(&kept.header)
                .is_some_and(|set| kept.attestations.len() < self.trust.genesis().root_quorum(&set))
        });
        if self.ticks.is_multiple_of(ASK_TICKS) && !peers.is_empty() {
            let to: Vec<PublicKey> = peers.iter().map(|peer| peer.key.clone()).collect();
            if lacks {
                self.send(to.clone(), Message::WantOffer);
            }
            if !self.trusts_present() {
                self.send(to, Message::WantHandovers(last_height(&self.trust)));
            }
        }
        let input = Input::Tick { height: self.shared.core.height(), peers };
        self.advance_join(input).await;
    }

    fn peers(&self, now_ms: u64) -> Vec<Ahead> {
        let peers = self.shared.peers.lock();
        let heard = peers.iter().filter(|(_, heard)| now_ms.saturating_sub(heard.at_ms) < SILENT_MS);
        heard
            .map(|(key, heard)| Ahead { key: key.clone(), height: heard.height, oldest: heard.oldest })
            .collect()
    }

    pub(super) fn send(&mut self, to: Vec<PublicKey>, message: Message) {
        let _ = self.sender.send(Recipients::Some(to), message.encode(), false);
    }

    pub(super) fn authorities(&self, header: &Header) -> Option<Arc<AuthoritySet>> {
        self.shared.core.authorities_of(header.epoch.get())
    }

    /// Whether the hand-overs lead to the authorities of now. They do not if some were damaged and moved away.
    pub(super) fn trusts_present(&self) -> bool {
        if self.lacks_handovers {
            return false;
        }
        let state = self.shared.core.finalized();
        let waits = !self.shared.handovers.lock().is_empty();
        let same = state.roster_for(state.epoch()).is_some_and(|roster| {
            self.trust.authorities_for(state.epoch()) == Some(&roster.authorities)
                && self.trust.voters_for(state.epoch()) == Some(&roster.voters)
        });
        waits || same
    }

    /// Stores what has got its certificate meanwhile.
    async fn settle(&mut self) {
        let waits = self.store_handovers().await;
        let Some((state, epoch_start)) = self.pending.clone() else { return };
        // A restart from this snapshot would forget hand-overs before it.
        if waits.is_some_and(|height| height <= state.height().get()) {
            return;
        }
        if self.certificate(&state).await.is_none() {
            self.shared.want_certificate(state.height().get());
            return;
        }
        self.pending = None;
        self.write(state, epoch_start).await;
        self.prune().await;
    }

    async fn certificate(&self, state: &State) -> Option<Certificate> {
        let certificate = self.shared.certificate(&self.marshal, state.height().get()).await?;
        (certificate.block() == state.block()).then_some(certificate)
    }

    /// Writes down hand-overs whose certificates are here. Returns the height of the first that waits for one.
    async fn store_handovers(&mut self) -> Option<u64> {
        loop {
            let first =
                self.shared.handovers.lock().first_key_value().map(|(h, change)| (*h, change.clone()));
            let (height, change) = first?;
            if height > last_height(&self.trust) {
                let Some(handover) = self.handover(height, change).await else { return Some(height) };
                match self.trust.extend(&handover) {
                    Ok(true) => self.keep_handover(&handover).await,
                    Ok(false) => {}
                    Err(error) => {
                        debug!(height, %error, "a hand-over waits for the ones before it");
                        self.lacks_handovers = true;
                        return Some(height);
                    }
                }
            }
            self.shared.handovers.lock().remove(&height);
        }
    }

    /// A change with what makes it believable, if that is here.
    async fn handover(&self, height: u64, change: Change) -> Option<Handover> {
        let handover = self.shared.handover(&self.marshal, height, change).await;
        if handover.is_none() {
            self.shared.want_certificate(height);
        }
        handover
    }

    pub(super) async fn keep_handover(&mut self, handover: &Handover) {
        if let Err(error) = self.vault.write_handover(handover).await {
            panic!("hand-over cannot be written: {error}");
        }
        let mut known = self.shared.known_handovers.lock();
        if known.last().is_none_or(|last| last.height() < handover.height()) {
            known.push(handover.clone());
        }
    }

    /// Writes a snapshot, and then removes those before the last two.
    async fn write(&mut self, state: Arc<State>, epoch_start: Digest) {
        let height = state.height().get();
        let certificate = self.certificate(&state).await;
        let header = state.header().clone();
        let snapshot = Snapshot { state: State::clone(&state), epoch_start }.to_bytes();
        let mut stored = Stored { snapshot, certificate, attestations: Vec::new() };
        let Some(digest) = Snapshot::digest_of(&stored.snapshot) else { return };
        if self.authorities(&header).is_some_and(|set| set.contains(&self.shared.core.me)) {
            let chain = &self.shared.core.chain_id;
            stored.attestations.push(Attestation::sign(chain, &self.key, header.height, digest));
        }
        if let Err(error) = self.vault.write_snapshot(height, &stored).await {
            panic!("snapshot cannot be written: {error}");
        }
        info!(height, bytes = stored.snapshot.len(), "snapshot written");
        let Some(kept) = Kept::of(&stored, header) else { return };
        let offer = kept.offer();
        self.kept.insert(height, kept);
        self.remove_old().await;
        if let Some(offer) = offer {
            let _ = self.sender.send(Recipients::All, Message::Offer(Box::new(offer)).encode(), false);
        }
    }

    /// The last two snapshots stay, and the one that a holder's blocks follow from.
    async fn remove_old(&mut self) {
        let held = self.shared.holds.lock().lowest();
        let needed = held.and_then(|from| self.kept.range(..from).next_back().map(|(height, _)| *height));
        let recent: Vec<u64> = self.kept.keys().rev().take(KEPT).copied().collect();
        let old: Vec<u64> =
            self.kept.keys().copied().filter(|h| !recent.contains(h) && Some(*h) != needed).collect();
        for height in old {
            if let Err(error) = self.vault.remove(&self.vault.snapshots(), height).await {
                panic!("snapshot cannot be removed: {error}");
            }
            self.kept.remove(&height);
        }
    }

    /// Prunes blocks and certificates that are older than wanted, if two snapshots are younger and nobody holds them.
    async fn prune(&mut self) {
        let Some(history) = self.history_blocks.filter(|_| self.kept.len() >= KEPT) else { return };
        let Some(first) = self.kept.keys().next().copied() else { return };
        let held = self.shared.holds.lock().lowest();
        let oldest = self.shared.oldest();
        // A holder before the first snapshot goes on from genesis, so all blocks stay, if they are still all here.
        if oldest <= 1 && held.is_some_and(|from| from <= first) {
            return;
        }
        let mut to = first.min(self.shared.core.height().saturating_sub(history));
        if let Some((pending, _)) = self.shared.handovers.lock().first_key_value() {
            to = to.min(*pending);
        }
        if to <= oldest {
            return;
        }
        info!(to, "pruning blocks before");
        *self.shared.oldest.lock() = to;
        self.shared.core.chain.lock().forget_before(to);
        self.marshal.prune(Height::new(to));
    }

    /// See [`Request::Load`].
    async fn load(&self, height: u64) -> Option<Arc<State>> {
        let oldest = self.shared.oldest();
        let usable = |at: &&u64| **at + 1 >= oldest;
        let below = self.kept.range(..=height).map(|(at, _)| at).rev().find(usable);
        let at = below.or_else(|| self.kept.range(height..).map(|(at, _)| at).find(usable))?;
        let stored = match self.vault.read_snapshot(*at).await {
            Ok(stored) => stored,
            Err(why) => {
                warn!(height = at, ?why, "snapshot cannot be read");
                return None;
            }
        };
        let state = self.shared.core.finalized();
        let snapshot = Snapshot::from_bytes(state.genesis(), &stored.snapshot);
        snapshot.ok().map(|snapshot| Arc::new(snapshot.state))
    }

    /// See [`Request::Export`].
    async fn export(&self) -> Option<Checkpoint> {
        for (height, kept) in self.kept.iter().rev() {
            let enough = self
                .authorities(&kept.header)
                .is_some_and(|set| kept.attestations.len() >= self.trust.genesis().root_quorum(&set));
            let (Some(certificate), true) = (kept.certificate.clone(), enough) else { continue };
            let Ok(stored) = self.vault.read_snapshot(*height).await else { continue };
            let mut handovers = self.shared.known_handovers.lock().clone();
            handovers.retain(|handover| handover.height() <= kept.header.height);
            return Some(Checkpoint {
                handovers,
                certificate,
                attestations: kept.attestations.values().cloned().collect(),
                snapshot: stored.snapshot,
            });
        }
        None
    }
}

/// Writes down a verified checkpoint. A node that had nothing before does not know whether it voted under its key: it
/// abstains in the epoch of the checkpoint and in the next one.
pub(crate) async fn store_checkpoint<E: Storage>(
    vault: &SnapshotStore<E>,
    trust: &Trust,
    checkpoint: &Checkpoint,
    snapshot: &Snapshot,
    fresh: bool,
) -> Result<Stored, commonware_runtime::Error> {
    let header = snapshot.state.header();
    for handover in trust.handovers() {
        vault.write_handover(handover).await?;
    }
    if fresh {
        vault.abstain(header.epoch.get() + 1).await?;
    }
    let stored = Stored {
        snapshot: checkpoint.snapshot.clone(),
        certificate: Some(checkpoint.certificate.clone()),
        attestations: checkpoint.attestations.clone(),
    };
    vault.write_snapshot(header.height.get(), &stored).await?;
    Ok(stored)
}
