//! Checks a whole archive from outside, believing nothing but a trust file.
//!
//! Provided: every column of every row is derived again from the signed bytes and compared; every batch's signature,
//! chain and ledger evidence are checked again; what stands twice, and what must be there and is not, is named: numbers
//! below a watermark, commits, entries of the ledger's log, and what the cloud's own notices claim.
//! Not provided: a check of what nobody signed. `fog`, `archived_at`, `sequence`, `received_at` and `reason` are the
//! cloud's notes: they are checked against each other and against the blocks' times, and no further (docs/proof.md).
//!
//! A file that cannot be read, a column of another type, a missing table: each is a finding, and the check goes on.

mod batches;
mod chains;
mod claims;
mod columns;
mod commits;
mod copies;
mod log;
mod quarantine;
mod records;
mod report;
mod statements;

pub(crate) use batches::prove;
pub use claims::{ClaimError, Claims};
pub(crate) use columns::{Columns as OurColumns, Prints};
pub use log::{LogReport, MAX_ABSENT};
pub use report::{ArchiveReport, MAX_PROBLEMS};

use crate::delta::{self, ArchiveError, Inspected, Location, Reader};
use crate::statement::read_places;
use batches::Batches;
use columns::Columns;
use report::Kind;
use voltmesh_ledger::{AnchoredStatement, Trust};

/// Checks the archive at `location` against `trust`. Reads everything; holds some 120 bytes per record.
pub async fn verify_archive(location: &Location, trust: &Trust) -> Result<ArchiveReport, ArchiveError> {
    verify_claims(location, trust, &Claims::default()).await
}

/// The same, and whether all is there that `claims` say was archived or anchored.
pub async fn verify_claims(
    location: &Location,
    trust: &Trust,
    claims: &Claims,
) -> Result<ArchiveReport, ArchiveError> {
    let tables = delta::inspect(location).await?;
    let places = read_places(location).await?;
    Ok(audit(&tables, &places, trust, claims).await)
}

/// The same as [`verify_archive`] through a reader: what it sees now.
pub async fn verify_reader(reader: &Reader, trust: &Trust) -> Result<ArchiveReport, ArchiveError> {
    Ok(audit(&reader.inspected(), &[], trust, &Claims::default()).await)
}

async fn audit(
    tables: &[Inspected; 4],
    places: &[AnchoredStatement],
    trust: &Trust,
    claims: &Claims,
) -> ArchiveReport {
    let mut report = ArchiveReport::default();
    for table in tables {
        if let Some(wrong) = &table.wrong {
            report.problem(Kind::Table, format!("table {}: {}", table.name, report::causes(wrong)));
        }
    }
    let [records, batches, quarantine, copies] = tables;
    let mut found = Batches::default();
    let columns = Columns::of(batches);
    for file in batches.view.files().iter() {
        let Some(rows) = columns.read(batches, file, &mut report).await else {
            report.unread_batches(file.rows.unwrap_or(1));
            continue;
        };
        for rows in rows {
            found.check(&rows, &file.day, trust, &mut report);
        }
    }
    copies::check(copies, trust, &mut found, &mut report).await;
    quarantine::check(quarantine, trust, &mut found, &mut report).await;
    let expected = found.settle(batches.replay.as_ref(), &mut report);
    records::check(records, expected, &mut report).await;
    claims::check(claims, &found, &mut report);
    statements::check(places, [batches, quarantine], trust, &mut found, &mut report).await;
    report.log = found.log.settle(&mut report);
    report.sound = report.is_sound();
    report
}
