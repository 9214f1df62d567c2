//! Rows of `records`, each against the record that was signed.

use super::{
    columns::{Columns, Prints},
    report::{ArchiveReport, Kind},
};
use crate::{
    archivist::Entry,
    delta::{self, Inspected, schema},
};
use arrow::array::{Array, RecordBatch};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_telemetry::{Boot, Digest, Timestamp, VehicleId};

/// Expected row of a record.
struct Row {
    print: Print,
    /// Its other possible rows, where its batch is archived more than once: each copy has its own block.
    others: Vec<Print>,
    /// Rows found.
    seen: u32,
}

/// Digest of a row that a batch asks for.
struct Print {
    row: Digest,
    /// Whether that batch is proven, and not of an epoch whose authorities the trust file does not know.
    proven: bool,
}

impl Row {
    /// The print that a row has, if it is one of them.
    fn print(&self, row: &Digest) -> Option<&Print> {
        std::iter::once(&self.print).chain(&self.others).find(|print| print.row == *row)
    }
}

/// The rows that the batches ask for.
#[derive(Default)]
pub(super) struct Expected {
    boots: BTreeMap<(VehicleId, Boot), BTreeMap<u64, Row>>,
    /// Samples of foreign clients that their batch does not archive, for another one holds them: by vehicle and number
    /// what they are.
    left_out: Vec<(VehicleId, u64, Digest)>,
    /// What is archived of foreign clients.
    foreign: BTreeMap<(VehicleId, u64), Digest>,
    /// Content of foreign records that were refused alone.
    refused: BTreeSet<Digest>,
    prints: Option<Prints>,
}

impl Expected {
    /// Asks for the rows of a batch that was archived on `day`, and is proven or of an epoch whose authorities are not known.
    pub fn batch(&mut self, entry: &Entry, day: &str, proven: bool) {
        let header = &entry.batch.header;
        let prints = self.prints.get_or_insert_with(|| Prints::of(&schema::records()));
        let rows = delta::record_rows(std::slice::from_ref(entry), Timestamp::from_millis(0));
        let prints = match rows.and_then(|rows| prints.digests(&rows, day)) {
            Ok(prints) => prints,
            Err(error) => unreachable!("a verified batch has rows of our columns: {error}"),
        };
        let mut numbers: Vec<u64> = entry.kept_records().map(|record| record.number.get()).collect();
        numbers.sort_unstable();
        let boot = self.boots.entry((header.vehicle.clone(), header.boot)).or_default();
        for (number, row) in numbers.into_iter().zip(prints) {
            let print = Print { row, proven };
            match boot.get_mut(&number) {
                None => {
                    boot.insert(number, Row { print, others: Vec::new(), seen: 0 });
                }
                Some(known) if known.print(&row).is_none() => known.others.push(print),
                Some(_) => {}
            }
        }
        if header.boot.is_foreign() {
            self.foreign_batch(entry);
        }
    }

    fn foreign_batch(&mut self, entry: &Entry) {
        let vehicle = &entry.batch.header.vehicle;
        for (record, position) in entry.batch.records.iter().zip(0u32..) {
            let (number, content) = (record.number.get(), Digest::of(&record.to_canonical()));
            if entry.kept.as_ref().is_none_or(|kept| kept.contains(&position)) {
                self.foreign.insert((vehicle.clone(), number), content);
            } else {
                self.left_out.push((vehicle.clone(), number, content));
            }
        }
    }

    /// Notes a foreign record that was refused alone.
    pub fn refused(&mut self, content: Digest) {
        self.refused.insert(content);
    }

    /// What was left out must be archived from another batch, or refused.
    fn left_out(&self, report: &mut ArchiveReport) {
        for (vehicle, number, content) in &self.left_out {
            let held = self.foreign.get(&(vehicle.clone(), *number));
            if held != Some(content) && !self.refused.contains(content) {
                let why = if held.is_some() {
                    "only another sample has its number"
                } else {
                    "no other batch holds it"
                };
                let text =
                    format!("record {vehicle}/0/{number}: its batch leaves it out by `kept`, and {why}");
                report.problem(Kind::Missing, text);
            }
        }
    }

    fn missing(&self, report: &mut ArchiveReport) {
        for ((vehicle, boot), rows) in &self.boots {
            for (number, _) in rows.iter().filter(|(_, row)| row.seen == 0) {
                let text = format!("record {vehicle}/{boot}/{number} was archived, but its row is gone");
                report.problem(Kind::Missing, text);
            }
        }
    }
}

/// Checks every row, and that none is missing.
pub(super) async fn check(table: &Inspected, mut expected: Expected, report: &mut ArchiveReport) {
    let columns = Columns::of(table);
    let mut prints = Prints::of(&schema::records());
    for file in table.view.files().iter() {
        let Some(rows) = columns.read(table, file, report).await else {
            report.unread_records(file.rows.unwrap_or(1));
            continue;
        };
        for rows in rows {
            let Ok(prints) = prints.digests(&rows, &file.day) else {
                report.unread_records(rows.num_rows() as u64);
                continue;
            };
            check_rows(&rows, &prints, &mut expected, report);
        }
    }
    expected.left_out(report);
    expected.missing(report);
}

fn check_rows(rows: &RecordBatch, prints: &[Digest], expected: &mut Expected, report: &mut ArchiveReport) {
    let columns = delta::Columns(rows);
    let (Ok(vehicles), Ok(boots), Ok(numbers)) =
        (columns.text("vehicle"), columns.long("boot"), columns.long("number"))
    else {
        return report.unread_records(rows.num_rows() as u64);
    };
    for (at, print) in prints.iter().enumerate().take(vehicles.len()) {
        let (vehicle, boot, number) = (vehicles.value(at), boots.value(at), numbers.value(at));
        report.records = report.records.saturating_add(1);
        match report.vehicles.get_mut(vehicle) {
            Some(count) => *count += 1,
            None => drop(report.vehicles.insert(vehicle.to_owned(), 1)),
        }
        let key = vehicle.parse().ok().zip(u64::try_from(boot).ok().map(Boot::new));
        let row = key.and_then(|key| expected.boots.get_mut(&key));
        let row = row.and_then(|rows| rows.get_mut(&u64::try_from(number).ok()?));
        let Some(row) = row else {
            report.problem(
                Kind::Tampered,
                format!("record {vehicle}/{boot}/{number}: no verified batch holds it"),
            );
            continue;
        };
        row.seen += 1;
        match row.print(print) {
            Some(Print { proven: true, .. }) => report.verified = report.verified.saturating_add(1),
            Some(_) => report.unproven = report.unproven.saturating_add(1),
            None => report.problem(
                Kind::Tampered,
                format!("record {vehicle}/{boot}/{number}: the row is not what was signed"),
            ),
        }
        if row.seen > 1 {
            report.problem(
                Kind::Doubled,
                format!("record {vehicle}/{boot}/{number} stands {} times", row.seen),
            );
        }
    }
}
