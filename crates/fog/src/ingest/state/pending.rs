//! Records of foreign clients on their way into batches, and those seen lately.

use std::collections::BTreeMap;

use voltmesh_spool::Position;
use voltmesh_telemetry::{Record, Timestamp, VehicleId};

use crate::ingest::{
    block::{Block, Unreadable},
    claim::Answer,
};

use super::{
    marks::{Mark, Marks},
    offers::Claims,
};

/// A spool entry whose records are not all archived.
#[derive(Debug, Clone, Copy, Default)]
pub struct Source {
    pub size: u32,
    pub records: u32,
    /// Records that are not in a durable batch.
    pub unsealed: u32,
    /// Records that are not archived.
    pub open: u32,
}

/// A record on its way into a batch.
#[derive(Debug)]
pub struct Fresh {
    pub record: Record,
    /// The publish that waits for its second copy, and its bytes.
    pub claim: Option<(Answer, Mark, u32)>,
}

/// Records of one client that wait for a batch.
#[derive(Debug)]
pub struct Client {
    pub records: Vec<(Fresh, Position)>,
    pub since: Timestamp,
    /// When to seal them, full or not.
    pub due: Timestamp,
}

/// Samples that were accepted in this wakeup.
#[derive(Debug, Default)]
pub struct Gathering {
    pub block: Block,
    pub records: Vec<(VehicleId, Fresh)>,
}

/// Records on their way into batches, and those seen lately.
#[derive(Debug, Default)]
pub struct Pending {
    pub gathering: Gathering,
    /// Records of entries that are not durable.
    pub undurable: BTreeMap<Position, Vec<(VehicleId, Fresh)>>,
    pub clients: BTreeMap<VehicleId, Client>,
    /// When the first client's batch is due; at once if some client has enough for one.
    pub due: Option<Timestamp>,
    /// When the clients whose last batch is younger than `attest_ms` had it.
    pub sealed_at: BTreeMap<VehicleId, Timestamp>,
    pub pending: usize,
    /// Publishes whose records are being sealed, by job.
    pub sealing: BTreeMap<u64, Claims>,
    pub tickets: u64,
    pub sources: BTreeMap<Position, Source>,
    /// Numbers that are taken, under way or remembered.
    pub marks: Marks,
    /// Records of the spool that this version does not take: they go to the quarantine with the first tick.
    pub unreadable: Vec<Unreadable>,
}

impl Pending {
    /// Records that wait for their attested batch.
    pub fn pending(&self) -> usize {
        self.pending
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    /// Takes all publishes that wait for their batch, or those of clients that wait since `before`.
    pub fn take_claims(&mut self, before: Option<Timestamp>) -> Claims {
        let mut claims = Claims::default();
        let waiting = self.clients.values_mut().filter(|client| before.is_none_or(|at| client.since <= at));
        let waiting = waiting.flat_map(|client| client.records.iter_mut().map(|(fresh, _)| fresh));
        let all = before.is_none();
        let undurable = self.undurable.values_mut().filter(|_| all).flatten().map(|(_, fresh)| fresh);
        for (answer, mark, bytes) in waiting.chain(undurable).filter_map(|fresh| fresh.claim.take()) {
            claims.push(answer, mark, bytes);
        }
        for sealing in self.sealing.values_mut().filter(|_| all) {
            claims.extend(std::mem::take(sealing));
        }
        claims
    }
}
