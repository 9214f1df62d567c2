//! What removing doubled rows did, or would do.

use crate::delta::TableChange;
use serde::Serialize;

/// Report on what [`super::dedup`] did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DedupReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Rows of `records` removed.
    pub removed_records: u64,
    /// Rows of `batches` removed.
    pub removed_batches: u64,
    /// Those of them that moved to `copies`.
    pub moved: u64,
    /// Rows that stand twice and stay, for none of them verifies, or not against the batch that stays.
    pub left: u64,
    /// Each table's rows before and after, and its version; empty if nothing was to do.
    pub tables: Vec<TableChange>,
    /// Line by line what was removed, kept and left, at most [`super::MAX_IDS`] lines.
    pub log: Vec<String>,
}
