//! A final block in one line.

use serde::{Deserialize, Serialize};
use voltmesh_ledger::{Block, Header, Roster, Timestamp};

use super::{
    Names,
    block::{anchored, skipped_views},
    leader,
};

/// One event of `/chain/follow`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinalBlock {
    /// Blocks before it.
    pub height: u64,
    /// Its epoch.
    pub epoch: u64,
    /// The view of the epoch in which it was proposed.
    pub view: u64,
    /// Views between its parent and it that brought no block.
    pub skipped_views: u64,
    /// Key of its leader; absent if this node no longer knows who led then.
    pub leader: Option<String>,
    /// The leader's name, if known.
    pub leader_name: Option<String>,
    /// Transactions in it.
    pub transactions: usize,
    /// Batches that it anchors.
    pub batches: u64,
    /// Records in them, as their anchors say.
    pub records: u64,
    /// Its length.
    pub bytes: usize,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// Milliseconds from its time until this node had it to send as final: longer if the reader is slow. Absent of blocks
    /// that were final before the reader came.
    pub final_after_ms: Option<u64>,
}

impl FinalBlock {
    /// The line for `block`, which follows `parent`; `roster` serves in its epoch. It became final at `at`, if that was
    /// seen.
    pub fn new(
        block: &Block,
        parent: Option<&Header>,
        roster: Option<&Roster>,
        at: Option<Timestamp>,
        names: &Names,
    ) -> Self {
        let header = block.header();
        let leader = roster.and_then(|roster| leader(roster, header.view));
        let (batches, records) = anchored(block);
        Self {
            height: header.height.get(),
            epoch: header.epoch.get(),
            view: header.view,
            skipped_views: skipped_views(header, parent),
            leader: leader.map(ToString::to_string),
            leader_name: leader.and_then(|leader| names.of(leader)),
            transactions: block.transactions().len(),
            batches,
            records,
            bytes: commonware_codec::EncodeSize::encode_size(block),
            time_ms: header.time.as_millis(),
            final_after_ms: at.map(|at| at.as_millis().saturating_sub(header.time.as_millis())),
        }
    }
}
