//! The offering side of second copies: offers under way, and those that are settled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use voltmesh_ledger::PublicKey;
use voltmesh_mqtt::SessionId;
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Digest, Timestamp};

use super::marks::Mark;
use crate::config::Foreign;
use crate::ingest::{block::SealedBlock, claim::Answer};

/// Least time between two offers while one is under way: 250 messages a second, half of the channel's quota.
pub const PACE_MS: u64 = 4;

/// Publishes that wait for their second copy.
#[derive(Debug, Default)]
pub struct Claims {
    pub answers: Vec<Answer>,
    pub marks: Vec<Mark>,
    pub bytes: u64,
}

impl Claims {
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    pub fn push(&mut self, answer: Answer, mark: Mark, bytes: u32) {
        self.answers.push(answer);
        self.marks.push(mark);
        self.bytes += u64::from(bytes);
    }

    pub fn extend(&mut self, other: Self) {
        self.answers.extend(other.answers);
        self.marks.extend(other.marks);
        self.bytes += other.bytes;
    }

    pub fn sessions(&self) -> Vec<SessionId> {
        self.answers.iter().map(|answer| answer.claim.session).collect()
    }
}

/// Batches that wait for their second copy, in one offer.
#[derive(Debug)]
pub struct Offer {
    pub block: Bytes,
    pub claims: Claims,
    pub batches: Vec<BatchId>,
    /// The last of the entries that hold these batches here.
    pub last: Position,
    pub since: Timestamp,
    pub sent: Timestamp,
    pub asked: Vec<PublicKey>,
    pub holders: Vec<PublicKey>,
}

/// Batches for the next offer.
#[derive(Debug, Default)]
pub struct Gathering {
    pub block: SealedBlock,
    pub claims: Claims,
    pub batches: Vec<BatchId>,
    pub last: Position,
    pub since: Option<Timestamp>,
}

/// An offer that was answered or given up, whose batches are not all archived.
#[derive(Debug)]
pub struct Settling {
    pub holders: Vec<PublicKey>,
    pub open: usize,
}

/// State of the offering side.
#[derive(Debug, Default)]
pub struct Copies {
    pub peers: Vec<PublicKey>,
    pub turn: usize,
    pub gathering: Gathering,
    pub last_offer: Timestamp,
    pub offers: BTreeMap<Digest, Offer>,
    pub settling: BTreeMap<Digest, Settling>,
    /// The offers that a held batch is in.
    pub of_batch: BTreeMap<BatchId, Vec<Digest>>,
    pub settled: BTreeSet<Digest>,
    pub settled_order: VecDeque<Digest>,
    /// Settled, not yet said to the holders.
    pub news: BTreeMap<PublicKey, Vec<Digest>>,
}

impl Copies {
    pub fn set_peers(&mut self, peers: Vec<PublicKey>) {
        self.peers = peers;
    }

    pub fn deadline(&self, settings: &Foreign) -> Option<Timestamp> {
        let gathered = self.gathering.since.map(|since| match self.peers.is_empty() {
            true => since.plus_millis(settings.copy_ms),
            false => self.last_offer.plus_millis(PACE_MS),
        });
        let waiting = self.offers.values().filter(|offer| offer.holders.is_empty());
        let offers = waiting.map(|offer| {
            offer.sent.plus_millis(settings.offer_ms).min(offer.since.plus_millis(settings.copy_ms))
        });
        gathered.into_iter().chain(offers).min()
    }

    /// The next peer, one that was not asked yet if there is one.
    pub fn next_peer(&mut self, asked: &[PublicKey]) -> Option<PublicKey> {
        let count = self.peers.len();
        let order = (0..count).map(|step| (self.turn + step) % count);
        let at =
            order.clone().find(|at| !asked.contains(&self.peers[*at])).or_else(|| order.clone().next())?;
        self.turn = at + 1;
        Some(self.peers[at].clone())
    }

    /// Number of settled offers that are remembered.
    #[cfg(test)]
    pub fn settled(&self) -> usize {
        self.settled.len()
    }
}
