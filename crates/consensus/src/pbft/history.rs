//! Committed blocks that peers may ask for, and what was asked of them.

use super::{
    certificate::{Certificate, Seat},
    message::{MAX_ANSWER, MAX_ANSWER_BYTES},
};
use commonware_codec::EncodeSize as _;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_ledger::{Block, Digest, Height, Timestamp};

/// Milliseconds without a new block, while one is under way, after which a replica says how far it is. It doubles
/// up to 2 s.
const FIRST_STATUS_MS: u64 = 500;

/// Most committed blocks kept for peers: 400 s at ten a second.
const HISTORY_BLOCKS: usize = 4_096;

/// Bytes of blocks kept for peers beyond [`RECENT_BLOCKS`].
const HISTORY_BYTES: usize = 64 * 1024 * 1024;

/// Blocks that are in memory anyhow, see [`crate::chain`].
const RECENT_BLOCKS: usize = 256;

/// Committed blocks, the newest of them without a gap.
#[derive(Default)]
pub(super) struct History {
    blocks: BTreeMap<Height, (Arc<Block>, Certificate)>,
    bytes: usize,
}

impl History {
    pub fn push(&mut self, block: Arc<Block>, certificate: Certificate) {
        self.bytes += block.encode_size();
        self.blocks.insert(block.header().height, (block, certificate));
    }

    /// Forgets what is too much, but nothing after `stable`, the newest stable checkpoint.
    pub fn prune(&mut self, stable: Height) {
        while let Some(entry) = self.blocks.first_entry() {
            let many = self.bytes > HISTORY_BYTES;
            let size = entry.get().0.encode_size();
            let (first, count) = (*entry.key(), self.blocks.len());
            if first >= stable || !(count > HISTORY_BLOCKS || many && count > RECENT_BLOCKS) {
                return;
            }
            self.blocks.remove(&first);
            self.bytes -= size;
        }
    }

    pub fn digest(&self, height: Height) -> Option<Digest> {
        self.certificate(height).map(|certificate| certificate.ballot.digest)
    }

    pub fn certificate(&self, height: Height) -> Option<&Certificate> {
        self.blocks.get(&height).map(|(_, certificate)| certificate)
    }

    pub fn newest(&self) -> Option<&Certificate> {
        self.blocks.last_key_value().map(|(_, (_, certificate))| certificate)
    }

    pub fn block(&self, height: Height) -> Option<&Arc<Block>> {
        self.blocks.get(&height).map(|(block, _)| block)
    }

    /// An answer's blocks from `from` on.
    pub fn answer(&self, from: Height) -> Vec<(Certificate, Block)> {
        let mut out = Vec::new();
        let mut bytes = 0;
        // A gap at the beginning must not be skipped.
        let known = self.blocks.contains_key(&from);
        for (block, certificate) in self.blocks.range(from..).filter(|_| known).map(|(_, entry)| entry) {
            bytes += block.encode_size() + certificate.encode_size();
            if out.len() == MAX_ANSWER || (!out.is_empty() && bytes > MAX_ANSWER_BYTES) {
                break;
            }
            out.push((certificate.clone(), block.as_ref().clone()));
        }
        out
    }
}

/// State of catching up: what was asked of peers, and how far they say they are.
pub(super) struct Catcher {
    /// How far each peer is, as it says.
    pub heard: BTreeMap<Seat, Height>,
    pub status_at: Timestamp,
    pub wait_ms: u64,
    /// Until when an answer to a fetch is waited for.
    pub fetching: Option<Timestamp>,
    /// Blocks asked for, and when they are asked for again.
    pub wanted: BTreeMap<(Height, Digest), Timestamp>,
    /// Counts questions, so that each goes to the next peers.
    pub turn: usize,
}

impl Catcher {
    pub fn new(now: Timestamp) -> Self {
        Self {
            heard: BTreeMap::new(),
            status_at: now.plus_millis(FIRST_STATUS_MS),
            wait_ms: FIRST_STATUS_MS,
            fetching: None,
            wanted: BTreeMap::new(),
            turn: 0,
        }
    }

    /// A peer is at least so far.
    pub fn heard(&mut self, from: Seat, height: Height) {
        let heard = self.heard.entry(from).or_insert(height);
        *heard = height.max(*heard);
    }

    /// A block was executed.
    pub fn progress(&mut self, now: Timestamp, height: Height) {
        self.wait_ms = FIRST_STATUS_MS;
        self.status_at = now.plus_millis(self.wait_ms);
        self.wanted.retain(|(other, _), _| *other > height);
    }

    /// When there is something to ask or to say.
    pub fn deadline(&self) -> Timestamp {
        let wanted = self.wanted.values().min().copied();
        wanted.map_or(self.status_at, |at| at.min(self.status_at))
    }
}
