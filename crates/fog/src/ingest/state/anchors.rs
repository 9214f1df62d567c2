//! What the core knows of the ledger: its newest state, what waits for an anchor, and the anchors under way.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use voltmesh_ledger::{State, Transaction};
use voltmesh_telemetry::{BatchId, Digest, Timestamp};

use crate::ingest::{refusal::Delay, settings::AnchorSettings};

/// Anchors under way at once: as many as one block takes of an authority.
pub const UNDER_WAY: usize = 16;

/// Numbers that are left out at the start, for anchors of an earlier process that may still be in pools.
pub const SKIPPED: u64 = 2 * UNDER_WAY as u64;

/// An anchor that is not final.
#[derive(Debug)]
pub struct UnderWay {
    pub transaction: Transaction,
    pub batches: Vec<BatchId>,
    pub submitted: Timestamp,
}

/// What this node knows of the ledger and waits for.
#[derive(Debug, Default)]
pub struct Anchors {
    pub state: Option<Arc<State>>,
    /// Height of the last final block that was delivered; `state` may be further.
    pub delivered: Option<u64>,
    pub caught_up: bool,
    /// Whether this node's key is an authority's in the next block's epoch.
    pub serves: bool,
    pub registry_root: Option<Digest>,
    pub handovers: Option<Bytes>,
    pub queue: VecDeque<BatchId>,
    pub next_sequence: u64,
    pub under_way: BTreeMap<u64, UnderWay>,
    pub last: Timestamp,
}

impl Anchors {
    pub fn height(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.height().get())
    }

    /// Height of the last final block that was delivered since the start.
    pub fn delivered(&self) -> Option<u64> {
        self.delivered
    }

    pub fn queued(&self) -> usize {
        self.queue.len() + self.under_way.values().map(|under| under.batches.len()).sum::<usize>()
    }

    pub fn handovers(&self) -> Option<Bytes> {
        self.handovers.clone()
    }

    /// Whether a commitment counts: `Ok(Some(height))` if it is revoked.
    pub fn lookup(&self, commitment: &Digest) -> Result<Option<u64>, Delay> {
        let height = self.height();
        let Some(state) = self.state.as_ref().filter(|_| self.caught_up) else {
            return Err(Delay::LedgerBehind { height });
        };
        match state.registry().get(commitment) {
            Some(entry) => Ok(entry.revoked_at.map(|height| height.get())),
            None => Err(Delay::NotEnrolled { commitment: *commitment, height }),
        }
    }

    /// Whether what this node takes can be anchored by it.
    pub fn serves(&self) -> Result<(), Delay> {
        let height = self.height();
        if !self.caught_up {
            return Err(Delay::LedgerBehind { height });
        }
        if self.serves { Ok(()) } else { Err(Delay::NotAuthority { height }) }
    }

    pub fn deadline(&self, settings: &AnchorSettings) -> Option<Timestamp> {
        let next = (!self.queue.is_empty() && self.caught_up && self.under_way.len() < UNDER_WAY)
            .then(|| self.last.plus_millis(settings.every_ms));
        let again =
            self.under_way.values().map(|under| under.submitted.plus_millis(settings.resubmit_ms)).min();
        next.into_iter().chain(again).min()
    }
}
