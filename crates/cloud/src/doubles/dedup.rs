//! Removes the rows that a plan names.

use super::{
    plan::{Plan, plan},
    report::DedupReport,
};
use crate::delta::{self, Archive, ArchiveError, Location, Settings};
use voltmesh_ledger::Trust;

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
