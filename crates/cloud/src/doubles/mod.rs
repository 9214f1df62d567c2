//! Rows that stand twice in an archive: found, and removed.
//!
//! Provided: of the rows with one record id, or one batch id, the one stays whose proof verifies; a removed row of
//! `batches` moves to `copies` if its proof verifies, so that its entry of the ledger's log stays explained; each table
//! changes in one commit, made on the version that was looked at; a crash between two of them leaves doubled rows, which a
//! second run removes. Not provided: repair of rows of which no copy verifies: they are named and left as they are.
//!
//! The cloud must be stopped: its commits and these exclude each other, and whoever comes second stops with an error.

mod find;
mod plan;

pub use find::{DoublesReport, MAX_IDS, check_doubles};

use crate::{
    delta::{self, Archive, ArchiveError, Location, Settings, TableChange},
    doubles::plan::{Plan, plan},
};
use serde::Serialize;
use voltmesh_ledger::Trust;

/// Report on what [`dedup`] did, or would do.
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
    /// Line by line what was removed, kept and left, at most [`MAX_IDS`] lines.
    pub log: Vec<String>,
}

/// Removes doubled rows from the archive at `location`, judged by `trust`; with `dry_run` only says which.
pub async fn dedup(location: &Location, trust: &Trust, dry_run: bool) -> Result<DedupReport, ArchiveError> {
    if dry_run {
        let Plan { report, .. } = plan(&delta::open_reader(location).await?.inspected(), trust).await?;
        return Ok(DedupReport { dry_run, ..report });
    }
    // As the cloud opens it: what a crash left between two tables is repaired first.
    let (mut archive, _) = Archive::open(location, Settings::default()).await?;
    let Plan { removal, mut report } = plan(&archive.reader().inspected(), trust).await?;
    if report.removed_records + report.removed_batches > 0 {
        report.tables = archive.remove(&removal).await?.to_vec();
    }
    Ok(report)
}
