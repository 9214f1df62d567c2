//! Rows of `copies`: batches that were anchored again, or that held no new record. Their bytes are checked like those of
//! `batches`, and what they hold must be archived.

use super::{
    batches::{Batches, kept, other_columns, prove},
    columns::Columns,
    commits::time_of,
    report::{ArchiveReport, Kind},
};
use crate::{
    archivist::Entry,
    delta::{self, Inspected, schema::day_text, stored_batches},
};
use arrow::array::RecordBatch;
use std::sync::Arc;
use voltmesh_ledger::Trust;

/// Checks every row, and notes the entries of the ledger's log that it explains.
pub(super) async fn check(table: &Inspected, trust: &Trust, found: &mut Batches, report: &mut ArchiveReport) {
    let columns = Columns::of(table);
    for file in table.view.files().iter() {
        let Some(rows) = columns.read(table, file, report).await else { continue };
        for rows in rows {
            report.copies = report.copies.saturating_add(rows.num_rows() as u64);
            check_rows(&rows, &file.day, trust, found, report);
        }
    }
}

fn check_rows(rows: &RecordBatch, day: &str, trust: &Trust, found: &mut Batches, report: &mut ArchiveReport) {
    let columns = delta::Columns(rows);
    let (Ok(stored), Ok(sequences), Ok(times)) =
        (stored_batches(rows), columns.long("sequence"), columns.long("archived_at"))
    else {
        return report.problems_of(Kind::Batch, rows.num_rows() as u64, "copies are not read".to_owned());
    };
    for (at, batch) in stored.iter().enumerate() {
        let proven = match prove(batch, trust) {
            Ok(proven) => proven,
            Err(problem) => {
                report.problem(Kind::Batch, format!("copy of batch {}: {problem}", batch.id));
                continue;
            }
        };
        report.older_forms = report.older_forms.saturating_add(u64::from(proven.older_form));
        let (id, place) = (proven.batch.id, (proven.place, proven.later));
        let mut wrong = Vec::new();
        // A row that stood twice in batches is here as it was there.
        let kept = kept(&proven.batch, batch.kept.as_deref()).unwrap_or_else(|why| {
            wrong.push(why);
            None
        });
        let entry = Entry { batch: Arc::new(proven.batch), kept };
        let notes = time_of(sequences.value(at), times.value(at));
        wrong.extend(other_columns(&rows.slice(at, 1), &entry, notes));
        if day_text(times.value(at)) != day {
            wrong.push(format!("column archived_at: its day is not {day}, where the row lies"));
        }
        if !wrong.is_empty() {
            report.problem(Kind::Batch, format!("copy of batch {id}: {}", wrong.join("; ")));
        }
        found.copy(entry, sequences.value(at), place, report);
    }
}
