//! Joins a chain whose first blocks nobody has any more: from the snapshot of a peer.
//!
//! When nothing moves although peers are ahead, and one of them has pruned what comes next here, this asks for hand-overs,
//! then for snapshots, and downloads one that it would believe: its block is final by voters whom the hand-overs name, and
//! f + 1 authorities of its epoch attest the digest. What was downloaded must have that digest, so a lying peer costs time
//! only. Pure: the node's keeper sends and stores.

use crate::{
    PublicKey,
    poa::{
        gossip::message::Message,
        storage::snapshot_store::CHUNK,
        sync::snapshot_offer::{Chunk, Offer},
    },
};
use std::collections::BTreeMap;
use tracing::{debug, info, warn};
use voltmesh_ledger::{Attestation, Checkpoint, Digest, Handover, Snapshot, Trust, believe};

/// How long nothing may move before blocks count as gone, in milliseconds: five rounds of asking for them.
const STUCK_MS: u64 = 10_000;

/// Between two questions for snapshots and hand-overs, in milliseconds.
const ASK_MS: u64 = 1_000;

/// Without a piece for so long, the next peer is asked, in milliseconds.
const STALLED_MS: u64 = 5_000;

/// How long a peer that sent what does not hold, or nothing, is not asked again, in milliseconds.
const SHUNNED_MS: u64 = 30_000;

/// Pieces asked for at a time: 8 × 256 KiB = 2 MiB under way.
const WINDOW: u32 = 8;

/// Snapshots considered at a time; peers hold at most two each, and honest ones the same.
const MAX_CANDIDATES: usize = 8;

/// A peer as it last spoke of itself.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    pub key: PublicKey,
    pub height: u64,
    /// First block that it still holds.
    pub oldest: u64,
}

/// Event that [`Join`] is told of.
pub(crate) enum Input {
    /// Time goes by; this node's height, and the peers heard of.
    Tick { height: u64, peers: Vec<Ahead> },
    /// From a peer.
    Handovers(PublicKey, Vec<Handover>),
    /// From a peer.
    Offer(PublicKey, Box<Offer>),
    /// From a peer.
    Chunk(PublicKey, Chunk),
}

/// Action that [`Join`] asks for.
pub(crate) enum Output {
    Send(Vec<PublicKey>, Message),
    /// Verified; without hand-overs, which `trust` has followed.
    Done(Box<(Checkpoint, Snapshot)>),
}

struct Candidate {
    offer: Offer,
    attestations: BTreeMap<PublicKey, Attestation>,
}

struct Download {
    key: (u64, Digest),
    from: PublicKey,
    pieces: BTreeMap<u32, bytes::Bytes>,
    /// The first piece not asked for.
    next: u32,
    heard_ms: u64,
}

#[derive(Default)]
enum Phase {
    #[default]
    Idle,
    Asking,
    Downloading(Download),
}

/// State machine that joins a chain from a peer's snapshot.
#[derive(Default)]
pub(crate) struct Join {
    phase: Phase,
    height: u64,
    moved_ms: u64,
    asked_ms: u64,
    /// By height and digest.
    candidates: BTreeMap<(u64, Digest), Candidate>,
    /// Peers that sent what does not hold, or nothing, and until when they are not heard.
    shunned: BTreeMap<PublicKey, u64>,
}

impl Join {
    pub fn handle(&mut self, now_ms: u64, trust: &mut Trust, input: Input) -> Vec<Output> {
        match input {
            Input::Tick { height, peers } => self.tick(now_ms, trust, height, &peers),
            Input::Handovers(from, handovers) => self.handovers(now_ms, trust, from, &handovers),
            Input::Offer(from, offer) => self.offer(now_ms, trust, from, *offer),
            Input::Chunk(from, chunk) => self.chunk(now_ms, trust, &from, chunk),
        }
    }

    fn tick(&mut self, now_ms: u64, trust: &Trust, height: u64, peers: &[Ahead]) -> Vec<Output> {
        if height != self.height || self.moved_ms == 0 {
            (self.height, self.moved_ms) = (height, now_ms);
        }
        let gone = peers.iter().any(|peer| peer.height > height && peer.oldest > height + 1);
        if now_ms.saturating_sub(self.moved_ms) < STUCK_MS || !gone {
            if !matches!(self.phase, Phase::Idle) {
                debug!(height, "blocks come again, no snapshot needed");
                *self = Self { height, moved_ms: self.moved_ms, ..Self::default() };
            }
            return Vec::new();
        }
        if let Phase::Downloading(download) = &self.phase {
            if now_ms.saturating_sub(download.heard_ms) < STALLED_MS {
                return Vec::new();
            }
            self.drop_source(now_ms);
        }
        if matches!(self.phase, Phase::Idle) {
            info!(height, "peers have pruned the next blocks, looking for a snapshot");
            self.phase = Phase::Asking;
        }
        if now_ms.saturating_sub(self.asked_ms) < ASK_MS {
            return Vec::new();
        }
        self.asked_ms = now_ms;
        self.shunned.retain(|_, until| *until > now_ms);
        let to: Vec<PublicKey> =
            peers.iter().filter(|peer| peer.height > height).map(|peer| peer.key.clone()).collect();
        vec![
            Output::Send(to.clone(), Message::WantHandovers(last_height(trust))),
            Output::Send(to, Message::WantOffer),
        ]
    }

    fn handovers(
        &mut self,
        now_ms: u64,
        trust: &mut Trust,
        from: PublicKey,
        handovers: &[Handover],
    ) -> Vec<Output> {
        if !matches!(self.phase, Phase::Asking) || self.shunned.contains_key(&from) {
            return Vec::new();
        }
        let mut news = false;
        for handover in handovers {
            match trust.extend(handover) {
                Ok(new) => news |= new,
                Err(error) => {
                    warn!(%from, %error, "peer sent a hand-over that does not hold");
                    self.shunned.insert(from, now_ms + SHUNNED_MS);
                    return Vec::new();
                }
            }
        }
        // There may be more than fit one message.
        let more = Output::Send(vec![from], Message::WantHandovers(last_height(trust)));
        if news { vec![more] } else { Vec::new() }
    }

    fn offer(&mut self, now_ms: u64, trust: &Trust, from: PublicKey, offer: Offer) -> Vec<Output> {
        let key = (offer.header.height.get(), offer.digest);
        if !matches!(self.phase, Phase::Asking) || key.0 <= self.height || self.shunned.contains_key(&from) {
            return Vec::new();
        }
        let authorities = trust.authorities_for(offer.header.epoch);
        let counts = |attestation: &Attestation| {
            authorities.is_some_and(|set| set.contains(&attestation.authority))
                && (attestation.height.get(), attestation.digest) == key
                && attestation.verify(&trust.chain())
        };
        let good: Vec<Attestation> =
            offer.attestations.iter().filter(|found| counts(found)).cloned().collect();
        if !self.candidates.contains_key(&key) {
            if self.candidates.len() >= MAX_CANDIDATES {
                self.candidates.pop_first();
            }
            self.candidates.insert(key, Candidate { offer: offer.clone(), attestations: BTreeMap::new() });
        }
        let Some(candidate) = self.candidates.get_mut(&key) else { return Vec::new() };
        candidate.attestations.extend(good.into_iter().map(|found| (found.authority.clone(), found)));
        // Each peer may have another certificate, and one of them may lie about it.
        let attestations: Vec<Attestation> = candidate.attestations.values().cloned().collect();
        match believe(trust, &offer.header, &offer.certificate, &offer.digest, &attestations) {
            Ok(()) => {
                candidate.offer = offer;
                self.download(now_ms, key, from)
            }
            Err(error) => {
                debug!(%from, height = key.0, %error, "snapshot not believed yet");
                Vec::new()
            }
        }
    }

    fn download(&mut self, now_ms: u64, key: (u64, Digest), from: PublicKey) -> Vec<Output> {
        info!(%from, height = key.0, "downloading a snapshot");
        let pieces = BTreeMap::new();
        self.phase = Phase::Downloading(Download { key, from, pieces, next: 0, heard_ms: now_ms });
        self.ask_chunks()
    }

    /// Asks for pieces as far as the window allows.
    fn ask_chunks(&mut self) -> Vec<Output> {
        let Phase::Downloading(download) = &mut self.phase else { return Vec::new() };
        let Some(candidate) = self.candidates.get(&download.key) else { return Vec::new() };
        let mut out = Vec::new();
        let most = candidate.offer.chunks().min(download.pieces.len() as u32 + WINDOW);
        while download.next < most {
            let question = Message::WantChunk(download.key.0, download.next);
            out.push(Output::Send(vec![download.from.clone()], question));
            download.next += 1;
        }
        out
    }

    fn chunk(&mut self, now_ms: u64, trust: &mut Trust, from: &PublicKey, chunk: Chunk) -> Vec<Output> {
        let Phase::Downloading(download) = &mut self.phase else { return Vec::new() };
        let Some(candidate) = self.candidates.get(&download.key) else { return Vec::new() };
        let offer = &candidate.offer;
        let len = (offer.len as usize).saturating_sub(chunk.index as usize * CHUNK).min(CHUNK);
        let fits = chunk.height == download.key.0 && chunk.index < download.next && chunk.bytes.len() == len;
        if download.from != *from || !fits || download.pieces.contains_key(&chunk.index) {
            return Vec::new();
        }
        download.heard_ms = now_ms;
        download.pieces.insert(chunk.index, chunk.bytes);
        if (download.pieces.len() as u32) < offer.chunks() {
            return self.ask_chunks();
        }
        let bytes =
            download.pieces.values().fold(Vec::with_capacity(offer.len as usize), |mut all, piece| {
                all.extend_from_slice(piece);
                all
            });
        let checkpoint = Checkpoint {
            handovers: Vec::new(),
            certificate: offer.certificate.clone(),
            attestations: candidate.attestations.values().cloned().collect(),
            snapshot: bytes.into(),
        };
        match checkpoint.verify(trust) {
            Ok(snapshot) => {
                *self = Self::default();
                vec![Output::Done(Box::new((checkpoint, snapshot)))]
            }
            Err(error) => {
                warn!(%from, %error, "peer sent another snapshot than it offered");
                self.drop_source(now_ms);
                Vec::new()
            }
        }
    }

    /// Gives up on the peer of the download for a while.
    fn drop_source(&mut self, now_ms: u64) {
        if let Phase::Downloading(download) = std::mem::replace(&mut self.phase, Phase::Asking) {
            self.shunned.insert(download.from, now_ms + SHUNNED_MS);
            self.candidates.remove(&download.key);
        }
    }
}

/// Height of the newest hand-over.
pub(crate) fn last_height(trust: &Trust) -> u64 {
    trust.handovers().last().map_or(0, |handover| handover.height().get())
}

#[cfg(test)]
mod tests;
