//! The keeper's dealings with peers: gives snapshots and hand-overs away, collects attestations, and joins.

use crate::{
    PublicKey,
    poa::{
        gossip::message::Message,
        storage::snapshot_store::CHUNK,
        sync::{
            kept::Kept,
            snapshot_offer::{Chunk, MAX_HANDOVERS_SENT, Offer},
            snapshots::{CHUNKS_PER_TICK, Joined, SnapshotManager, store_checkpoint},
            state_sync::{Input, Output},
        },
    },
};
use commonware_p2p::Sender;
use commonware_runtime::Storage;
use std::sync::Arc;
use tracing::{debug, info, warn};
use voltmesh_ledger::{Checkpoint, Handover, Snapshot};

impl<E, S> SnapshotManager<E, S>
where
    E: Storage,
    S: Sender<PublicKey = PublicKey>,
{
    pub(super) async fn receive(&mut self, from: PublicKey, message: Message) {
        match message {
            Message::WantHandovers(after) if self.served < CHUNKS_PER_TICK => {
                self.served += 1;
                let known = self.shared.known_handovers.lock();
                let some: Vec<Handover> = known
                    .iter()
                    .filter(|handover| handover.height().get() > after)
                    .take(MAX_HANDOVERS_SENT)
                    .cloned()
                    .collect();
                drop(known);
                if !some.is_empty() {
                    self.send(vec![from], Message::Handovers(some));
                }
            }
            Message::WantOffer => {
                let newest = self.kept.values().rev().find_map(Kept::offer);
                if let Some(offer) = newest {
                    self.send(vec![from], Message::Offer(Box::new(offer)));
                }
            }
            Message::WantChunk(height, index) => self.give(from, height, index).await,
            Message::Handovers(handovers) => {
                if !self.trusts_present() {
                    self.recover_handovers(&handovers).await;
                }
                self.advance_join(Input::Handovers(from, handovers)).await;
            }
            Message::Offer(offer) => {
                self.note(&offer);
                self.advance_join(Input::Offer(from, offer)).await;
            }
            Message::Chunk(chunk) => self.advance_join(Input::Chunk(from, chunk)).await,
            _ => {}
        }
    }

    async fn give(&mut self, from: PublicKey, height: u64, index: u32) {
        let Some(len) = self.kept.get(&height).map(|kept| kept.len) else { return };
        let there = (index as usize).checked_mul(CHUNK).is_some_and(|at| at < len);
        if !there || self.served >= CHUNKS_PER_TICK {
            return;
        }
        self.served += 1;
        match self.vault.read_chunk(height, index, len).await {
            Ok(bytes) => self.send(vec![from], Message::Chunk(Chunk { height, index, bytes })),
            Err(error) => warn!(height, %error, "snapshot cannot be read"),
        }
    }

    /// Collects attestations of a snapshot that this node has as well.
    fn note(&mut self, offer: &Offer) {
        let Some(authorities) = self.authorities(&offer.header) else { return };
        let height = offer.header.height;
        let Some(kept) = self.kept.get_mut(&height.get()) else { return };
        if kept.digest != offer.digest {
            warn!(%height, ours = %kept.digest, theirs = %offer.digest, "a peer has another state at this height");
            return;
        }
        for attestation in &offer.attestations {
            if !kept.attestations.contains_key(&attestation.authority)
                && (attestation.height, attestation.digest) == (height, kept.digest)
                && authorities.contains(&attestation.authority)
                && attestation.verify(&self.shared.core.chain_id)
            {
                kept.attestations.insert(attestation.authority.clone(), attestation.clone());
            }
        }
        // Anybody's certificate is as good as another.
        if kept.certificate.is_none()
            && let Some(voters) = self.shared.core.voters_of(offer.header.epoch.get())
            && offer.certificate.verify(&self.shared.core.chain_id, &voters, &kept.header).is_ok()
        {
            kept.certificate = Some(offer.certificate.clone());
        }
    }

    /// Takes hand-overs again that were damaged here.
    async fn recover_handovers(&mut self, handovers: &[Handover]) {
        for handover in handovers {
            match self.trust.extend(handover) {
                Ok(true) => {
                    self.lacks_handovers = false;
                    self.keep_handover(handover).await;
                }
                Ok(false) => {}
                Err(error) => {
                    debug!(%error, "hand-over of a peer not taken");
                    return;
                }
            }
        }
    }

    pub(super) async fn advance_join(&mut self, input: Input) {
        let now_ms = self.shared.core.now_ms();
        for output in self.join.handle(now_ms, &mut self.trust, input) {
            match output {
                Output::Send(to, message) => self.send(to, message),
                Output::Done(verified) => self.begin(verified.0, verified.1).await,
            }
        }
    }

    /// Makes a verified snapshot the one that this node goes on from, now and after a restart.
    async fn begin(&mut self, checkpoint: Checkpoint, snapshot: Snapshot) {
        let fresh = self.shared.core.height() == 0;
        match store_checkpoint(&self.vault, &self.trust, &checkpoint, &snapshot, fresh).await {
            Ok(stored) => {
                let header = snapshot.state.header().clone();
                let height = header.height.get();
                info!(height, "going on from a snapshot of a peer");
                self.shared.known_handovers.lock().clone_from(&self.trust.handovers().to_vec());
                self.pending = None;
                if let Some(kept) = Kept::of(&stored, header.clone()) {
                    self.kept.insert(height, kept);
                }
                let _ = self.joined.send(Joined {
                    state: Arc::new(snapshot.state),
                    epoch_start: snapshot.epoch_start,
                    certificate: checkpoint.certificate,
                    abstain: fresh.then(|| header.epoch.get() + 1),
                });
            }
            Err(error) => panic!("snapshot cannot be written: {error}"),
        }
    }
}
