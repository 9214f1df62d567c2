//! Settings of the archive: commits, the quarantine, and what it says of itself.

use crate::{
    archivist::{Grouping, QuarantineRoom},
    delta::Settings,
};
use serde::{Deserialize, Serialize};

/// Commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommitConfig {
    /// A commit waits so long for more batches, 1 to 3600000 ms (default 10000): what readers may have to wait. One with
    /// an event of a vehicle's twin waits 200 ms.
    pub interval_ms: u64,
    /// Or so long if it holds fewer than `few_records`, 1 to 3600000 ms (default three times `interval_ms`, at most 30000).
    /// Vehicles and fog nodes offer a batch again that is not answered for 60 s: stay below.
    pub few_interval_ms: Option<u64>,
    /// Fewer records than these are few, 0 to 1000000 (default 100).
    pub few_records: usize,
    /// A commit does not wait once it holds so many records, 1 to 1000000 (default 50000).
    pub max_records: usize,
    /// Deliveries that may wait for a commit, in bytes as they came and unpacked, at least 4 MiB; one vehicle's a quarter of
    /// them (default 134217728). More wait packed, up to half as many bytes; then fog nodes wait.
    pub max_pending_bytes: usize,
    /// A Delta checkpoint each so many commits (default 100).
    pub checkpoint_every: u64,
    /// Merge a day's files of like size once there are so many; 0 never merges (default 32).
    pub compact_files: usize,
    /// Delete merged files after so many hours (default 3): no reader may use a snapshot for longer.
    pub vacuum_hours: u64,
    /// Delete log entries before the latest checkpoint after so many hours (default 1).
    pub log_hours: u64,
}

impl Default for CommitConfig {
    fn default() -> Self {
        let (grouping, settings) = (Grouping::default(), Settings::default());
        Self {
            interval_ms: 10_000,
            few_interval_ms: None,
            few_records: 100,
            max_records: grouping.max_records,
            max_pending_bytes: grouping.max_pending_bytes,
            checkpoint_every: settings.checkpoint_every,
            compact_files: settings.compact_files,
            vacuum_hours: settings.vacuum_hours,
            log_hours: settings.log_hours,
        }
    }
}

/// A commit that holds little waits so long by default, if `interval_ms` allows: half of the time after which vehicles
/// and fog nodes offer a batch again.
const FEW_INTERVAL_MS: u64 = 30_000;

impl CommitConfig {
    /// How long a commit that holds little waits.
    pub(super) fn few_interval_ms(&self) -> u64 {
        let longer = self.interval_ms.saturating_mul(3).min(FEW_INTERVAL_MS);
        self.few_interval_ms.unwrap_or(longer).max(self.interval_ms)
    }

    /// For the core, where each fog node may have so many deliveries under way.
    pub fn grouping(&self, receive_maximum: u16) -> Grouping {
        Grouping {
            interval_ms: self.interval_ms,
            few_interval_ms: self.few_interval_ms(),
            few_records: self.few_records,
            max_records: self.max_records,
            max_deliveries: usize::from(receive_maximum).div_ceil(2),
            max_pending_bytes: self.max_pending_bytes,
        }
    }

    /// For the archive.
    pub fn settings(&self) -> Settings {
        Settings {
            checkpoint_every: self.checkpoint_every,
            compact_files: self.compact_files,
            vacuum_hours: self.vacuum_hours,
            log_hours: self.log_hours,
        }
    }
}

/// Quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuarantineConfig {
    /// Bytes of refused deliveries that are kept, 16 MiB to 1 TiB (default 1 GiB). Nothing leaves the quarantine. One fog node,
    /// or one vehicle whose signature holds, may use a sixteenth of what is left at once, and a sixteenth a day; what goes
    /// beyond is refused, counted, and not kept here.
    pub max_bytes: u64,
}

impl Default for QuarantineConfig {
    fn default() -> Self {
        Self { max_bytes: QuarantineRoom::DEFAULT_BYTES }
    }
}

/// Statements of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatementConfig {
    /// A statement so long after the one before it, if something was archived since, 1 to 3600 s (default 60). One is made
    /// each hour in any case.
    pub every_s: u64,
    /// Hours between two statements that name the head of the cloud's audit log, 0 to 8760; 0 for none (default 24). Receipts
    /// are in `ledger` in the log's folder: `voltmesh audit verify --trust`. Fog nodes of before take none of these statements.
    pub audit_hours: u64,
}

impl Default for StatementConfig {
    fn default() -> Self {
        Self { every_s: 60, audit_hours: 24 }
    }
}
