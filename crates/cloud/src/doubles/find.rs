//! Ids that stand more than once.

use crate::delta::{self, ArchiveError, Columns, Inspected, Location};
use arrow::array::Array;
use object_store::path::Path;
use serde::Serialize;
use std::collections::BTreeMap;

/// Ids listed; more are only counted.
pub const MAX_IDS: usize = 1000;

/// Rows that stand twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DoublesReport {
    /// Rows of `records`.
    pub records: u64,
    /// Rows of `records` beyond the first with the same record id.
    pub doubled_records: u64,
    /// Rows of `batches`.
    pub batches: u64,
    /// Rows of `batches` beyond the first with the same batch id.
    pub doubled_batches: u64,
    /// What stands twice, at most [`MAX_IDS`].
    pub ids: Vec<String>,
}

impl DoublesReport {
    /// Whether everything stands once.
    pub fn is_clean(&self) -> bool {
        self.doubled_records == 0 && self.doubled_batches == 0
    }
}

/// A record's id as the table has it.
pub(super) type Key = (u64, i64, i64);

/// Vehicles by name, numbered: a record's key is 24 bytes.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, u64>);

impl Names {
    pub fn number(&mut self, name: &str) -> u64 {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = self.0.len() as u64;
        self.0.insert(name.to_owned(), number);
        number
    }

    pub fn text(&self, (vehicle, boot, number): Key) -> String {
        let name = self.0.iter().find(|(_, n)| **n == vehicle).map_or("?", |(name, _)| name);
        format!("{name}/{boot}/{number}")
    }
}

/// Position of a row: its file and its place in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub file: Path,
    pub row: usize,
}

/// How often each record id stands in `records`, and how many rows there are.
pub(super) async fn record_keys(
    table: &Inspected,
    names: &mut Names,
) -> Result<(BTreeMap<Key, u32>, u64), ArchiveError> {
    let mut keys: BTreeMap<Key, u32> = BTreeMap::new();
    let mut rows = 0;
    for file in table.view.files().iter() {
        for batch in table.view.scan_file(file, &["vehicle", "boot", "number"], &Default::default()).await? {
            rows += batch.num_rows() as u64;
            for key in keys_of(&batch, names)? {
                *keys.entry(key).or_default() += 1;
            }
        }
    }
    Ok((keys, rows))
}

/// The record ids of rows.
pub(super) fn keys_of(rows: &arrow::array::RecordBatch, names: &mut Names) -> Result<Vec<Key>, ArchiveError> {
    let columns = Columns(rows);
    let (vehicles, boots, numbers) =
        (columns.text("vehicle")?, columns.long("boot")?, columns.long("number")?);
    Ok((0..rows.num_rows())
        .map(|at| (names.number(vehicles.value(at)), boots.value(at), numbers.value(at)))
        .collect())
}

/// The rows of every batch id.
pub(super) async fn batch_rows(table: &Inspected) -> Result<BTreeMap<String, Vec<At>>, ArchiveError> {
    let mut ids: BTreeMap<String, Vec<At>> = BTreeMap::new();
    for file in table.view.files().iter() {
        let mut row = 0;
        for batch in table.view.scan_file(file, &["batch_id"], &Default::default()).await? {
            let column = Columns(&batch).text("batch_id")?;
            for at in 0..column.len() {
                ids.entry(column.value(at).to_owned()).or_default().push(At { file: file.path.clone(), row });
                row += 1;
            }
        }
    }
    Ok(ids)
}

/// Finds record ids and batch ids that stand more than once. Holds some 50 bytes per record.
pub async fn check_doubles(location: &Location) -> Result<DoublesReport, ArchiveError> {
    let [records, batches, ..] = delta::open_reader(location).await?.inspected();
    let mut report = DoublesReport::default();
    for (id, rows) in batch_rows(&batches).await? {
        report.batches += rows.len() as u64;
        if rows.len() > 1 {
            report.doubled_batches += rows.len() as u64 - 1;
            if report.ids.len() < MAX_IDS {
                report.ids.push(format!("batch {id}: {} rows", rows.len()));
            }
        }
    }
    let mut names = Names::default();
    let (keys, rows) = record_keys(&records, &mut names).await?;
    report.records = rows;
    for (key, count) in keys.into_iter().filter(|(_, count)| *count > 1) {
        report.doubled_records += u64::from(count) - 1;
        if report.ids.len() < MAX_IDS {
            report.ids.push(format!("record {}: {count} rows", names.text(key)));
        }
    }
    Ok(report)
}
