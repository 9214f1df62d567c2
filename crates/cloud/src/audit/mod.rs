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
mod ranges;
mod records;
mod report;
mod settled;
mod statements;
mod statistics;

pub(crate) use batches::prove;
pub use claims::{ClaimError, Claims};
pub(crate) use columns::{Columns as OurColumns, Prints};
pub use report::{ArchiveReport, Later, LogReport, MAX_ABSENT, MAX_PROBLEMS};
pub use settled::{Look, look, verify_settled};

use crate::delta::{ArchiveError, Inspected, Location, Reader, SEQUENCE};
use crate::statement::{read_places, read_statements};

use batches::Batches;
use bytes::Bytes;
use columns::Columns;
use log::Known;
use report::Kind;
use voltmesh_control::ArchiveStatement;
use voltmesh_ledger::{AnchoredStatement, Trust};
use voltmesh_telemetry::{error_chain, merkle::leaf_hash};

/// Checks the archive at `location` against `trust`. Reads everything; holds some 120 bytes per record.
pub async fn verify_archive(location: &Location, trust: &Trust) -> Result<ArchiveReport, ArchiveError> {
    verify_claims(location, trust, &Claims::default()).await
}

/// The same, and whether all is there that `claims` say was archived or anchored. An archive that is being written is looked
/// at as [`verify_settled`] says.
pub async fn verify_claims(
    location: &Location,
    trust: &Trust,
    claims: &Claims,
) -> Result<ArchiveReport, ArchiveError> {
    let looking = async || look(location, trust, claims).await;
    verify_settled(looking, |report| report.sound, tokio::time::sleep).await
}

async fn verify_tables(
    tables: &[Inspected; 4],
    location: &Location,
    trust: &Trust,
    claims: &Claims,
) -> ArchiveReport {
    let (mut damaged, mut kept) = (Vec::new(), Vec::new());
    let places = read_places(location).await.unwrap_or_else(|error| {
        damaged.push(error);
        Vec::new()
    });
    if claims.leaves.is_some() {
        kept = read_statements(location).await.unwrap_or_else(|error| {
            damaged.push(error);
            Vec::new()
        });
    }
    let mut report = audit(tables, &places, &kept, trust, claims).await;
    for error in damaged {
        report.problem(Kind::Table, format!("statements: {}", error_chain(&error)));
    }
    report.sound = report.is_sound();
    report
}

/// The same as [`verify_archive`] through a reader: what it sees now.
pub async fn verify_reader(reader: &Reader, trust: &Trust) -> Result<ArchiveReport, ArchiveError> {
    Ok(audit(&reader.inspected(), &[], &[], trust, &Claims::default()).await)
}

/// Commits that a table's log counts.
fn sequence(table: &Inspected) -> Option<i64> {
    table.replay.as_ref().map(|replay| replay.transactions.get(SEQUENCE).copied().unwrap_or(0))
}

async fn audit(
    tables: &[Inspected; 4],
    places: &[AnchoredStatement],
    kept: &[Bytes],
    trust: &Trust,
    claims: &Claims,
) -> ArchiveReport {
    let mut report = ArchiveReport::default();
    for table in tables {
        if let Some(wrong) = &table.wrong {
            report.problem(Kind::Table, format!("table {}: {}", table.name, error_chain(wrong)));
        }
        for wrong in table.said.iter().flat_map(|said| &said.wrong) {
            report.problem(Kind::Table, format!("table {}: {wrong}", table.name));
        }
        for what in table.replay.iter().flat_map(|replay| &replay.unread) {
            let text =
                format!("table {}: other readers may believe {what}, which is not checked", table.name);
            report.problem(Kind::Table, text);
        }
    }
    let [records, batches, quarantine, copies] = tables;
    // `batches` is written first, and was looked at last.
    if let (Some(said), Some(archived)) = (sequence(records), sequence(batches))
        && said > archived
    {
        let text = format!("the log of records counts {said} commits, that of batches {archived}");
        report.problem(Kind::Unaccounted, text);
    }
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
    statements::check(places, [batches, quarantine, copies], trust, &mut found, &mut report).await;
    let known = Known {
        batches: found.ids.keys().map(|id| leaf_hash(id.as_bytes())).collect(),
        // A batch that is gone does not pass for a statement: its bytes are none.
        statements: kept
            .iter()
            .filter(|bytes| ArchiveStatement::peek(bytes).is_ok())
            .map(|bytes| leaf_hash(AnchoredStatement::leaf(bytes).as_bytes()))
            .collect(),
        leaves: claims.leaves.as_ref(),
    };
    report.log = found.log.settle(trust, &known, &mut report);
    if let Some(later) = &mut report.later {
        later.known_until = trust.known_until().get();
    }
    report.sound = report.is_sound();
    report
}
