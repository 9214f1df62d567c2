//! What is on its way to the cloud, and the notices that vehicles have missed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use voltmesh_telemetry::{BatchId, Timestamp, VehicleId};

use crate::ingest::settings::ForwardSettings;

/// An envelope that the cloud does not answer for so long is sent again on the same session: the cloud commits within
/// seconds, an object store within tens of them.
pub const ANSWER_MS: u64 = 60_000;

/// Vehicles that a notice is kept for at most, before the oldest goes.
const NOTICES: usize = 65_536;

/// What is on its way to the cloud.
#[derive(Debug, Default)]
pub struct Uplink {
    pub up: bool,
    pub queue: VecDeque<BatchId>,
    pub queued: BTreeSet<BatchId>,
    pub under_way: BTreeMap<BatchId, (Timestamp, u64)>,
    pub under_way_bytes: u64,
    /// Acknowledged by the cloud, without a notice yet; oldest first.
    pub acknowledged: VecDeque<(Timestamp, BatchId)>,
    /// Held batches whose envelope the cloud has taken.
    pub answered: BTreeSet<BatchId>,
    /// Held batches that are archived by their notice, but whose own envelope is still to be answered.
    pub noticed: BTreeSet<BatchId>,
    pub notices: Notices,
}

/// Notices for vehicles, oldest first.
#[derive(Debug, Default)]
pub struct Notices {
    pub kept: VecDeque<Kept>,
    pub bytes: usize,
}

#[derive(Debug)]
pub struct Kept {
    pub vehicle: VehicleId,
    pub batches: Vec<BatchId>,
    pub payload: Bytes,
    pub delivered: bool,
}

impl Uplink {
    pub fn queued(&self) -> usize {
        self.queue.len() + self.under_way.len()
    }

    pub fn deadline(&self, settings: &ForwardSettings) -> Option<Timestamp> {
        let notice = self.acknowledged.front().map(|(at, _)| at.plus_millis(settings.notice_ms));
        let answer = self.under_way.values().map(|(at, _)| at.plus_millis(ANSWER_MS)).min();
        notice.into_iter().chain(answer).min()
    }

    /// Notices that came while the vehicle was away.
    pub fn missed_notices(&mut self, vehicle: &VehicleId) -> Vec<Bytes> {
        let missed = self.notices.kept.iter_mut().filter(|kept| kept.vehicle == *vehicle && !kept.delivered);
        missed
            .map(|kept| {
                kept.delivered = true;
                kept.payload.clone()
            })
            .collect()
    }

    /// The notice about a batch, if it is still kept.
    pub fn notice_of(&self, vehicle: &VehicleId, batch: &BatchId) -> Option<Bytes> {
        let mut kept = self.notices.kept.iter().rev();
        let found = kept.find(|kept| kept.vehicle == *vehicle && kept.batches.contains(batch))?;
        Some(found.payload.clone())
    }

    /// A batch is not held any more.
    pub fn forget(&mut self, batch: &BatchId) {
        self.answered.remove(batch);
        self.noticed.remove(batch);
    }

    pub fn keep(&mut self, kept: Kept, bound: usize) {
        let size = |kept: &Kept| kept.payload.len() + 32 * kept.batches.len();
        self.notices.bytes += size(&kept);
        self.notices.kept.push_back(kept);
        while self.notices.bytes > bound || self.notices.kept.len() > NOTICES {
            let Some(oldest) = self.notices.kept.pop_front() else { break };
            self.notices.bytes -= size(&oldest);
        }
    }
}
