//! Removal of rows that stand twice: one commit a table, on the loaded version and no other.

use super::{
    Archive, ArchiveError,
    rows::{
        of_today,
        schema::{DAY, day_number},
    },
    table::{DataFile, Table, joined},
};
use arrow::{
    array::{ArrayRef, BooleanArray, Date32Array, RecordBatch},
    compute::filter_record_batch,
    datatypes::{DataType, Field, Schema},
};
use object_store::path::Path;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Rows of a table: by file, their places in it.
pub(crate) type Rows = BTreeMap<Path, BTreeSet<usize>>;

/// Files with the places of rows in them.
type Chosen<'a> = Vec<(Arc<DataFile>, &'a BTreeSet<usize>)>;

/// Rows to remove.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    /// Of `records`.
    pub records: Rows,
    /// Of `batches`.
    pub batches: Rows,
    /// Those rows of `batches` that prove another entry of the ledger's log: they move to `copies`.
    pub moved: Rows,
}

/// Effect of a removal on one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableChange {
    /// Which table.
    pub table: &'static str,
    /// Rows before.
    pub before: u64,
    /// Rows after.
    pub after: u64,
    /// The table's version after it.
    pub version: u64,
}

impl Archive {
    /// Removes rows, and keeps what only they prove in `copies`. In an order in which a crash between two commits leaves
    /// rows doubled, never lost: `copies`, `records`, `batches`.
    pub(crate) async fn remove(&mut self, removal: &Removal) -> Result<[TableChange; 3], ArchiveError> {
        let mut copies = change(&self.copies);
        let moved = rows_of(&self.batches, &removal.moved).await?;
        if !moved.is_empty() {
            self.copies.append_rows(&joined(&moved)?, Vec::new(), Value::Null).await?;
        }
        let mut records = change(&self.records);
        take_out(&mut self.records, &removal.records, json!({ "sequence": self.sequence })).await?;
        let mut batches = change(&self.batches);
        // Our metadata again: it holds the ranges beyond the watermarks, and only the latest commit's is read.
        let metadata = self.metadata.clone();
        take_out(&mut self.batches, &removal.batches, metadata).await?;
        for (change, table) in
            [(&mut copies, &self.copies), (&mut records, &self.records), (&mut batches, &self.batches)]
        {
            (change.after, change.version) = (count(table), table.version());
        }
        Ok([records, batches, copies])
    }
}

fn change(table: &Table) -> TableChange {
    TableChange { table: table.name(), before: count(table), ..TableChange::default() }
}

fn count(table: &Table) -> u64 {
    table.view().files().iter().filter_map(|file| file.rows).sum()
}

/// The chosen rows of each file, with their day.
async fn rows_of(table: &Table, chosen: &Rows) -> Result<Vec<RecordBatch>, ArchiveError> {
    let mut found = Vec::new();
    for (file, places) in files(table, chosen)? {
        found.push(split(table, &file, places, true).await?);
    }
    Ok(found)
}

async fn take_out(table: &mut Table, gone: &Rows, metadata: Value) -> Result<(), ArchiveError> {
    if gone.values().all(BTreeSet::is_empty) {
        return Ok(());
    }
    let (mut old, mut adds) = (Vec::new(), Vec::new());
    for (file, places) in files(table, gone)? {
        let rest = split(table, &file, places, false).await?;
        adds.extend(table.write_files(&rest).await?);
        old.push(file);
    }
    table.exchange(&old, adds, metadata).await
}

fn files<'a>(table: &Table, chosen: &'a Rows) -> Result<Chosen<'a>, ArchiveError> {
    let files = table.view().files();
    let chosen = chosen.iter().filter(|(_, places)| !places.is_empty());
    chosen
        .map(|(path, places)| {
            let file = files.iter().find(|file| file.path == *path);
            // It was there when the rows were chosen.
            file.map(|file| (file.clone(), places)).ok_or(ArchiveError::Conflict)
        })
        .collect()
}

/// The rows of a file that are, or are not, at these places, with their day.
async fn split(
    table: &Table,
    file: &DataFile,
    places: &BTreeSet<usize>,
    keep: bool,
) -> Result<RecordBatch, ArchiveError> {
    let damaged = |what: String| ArchiveError::Damaged { what };
    let day = day_number(&file.day).ok_or_else(|| damaged(format!("{} lies on no day", file.path)))?;
    let rows = table.view().scan_file(file, &[], &Default::default()).await?;
    let rows = of_today(joined(&rows)?)?;
    let mask: BooleanArray = (0..rows.num_rows()).map(|at| Some(places.contains(&at) == keep)).collect();
    let rows = filter_record_batch(&rows, &mask).map_err(ArchiveError::store)?;
    // Partition columns are in the path, not in the files.
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(DAY, DataType::Date32, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Date32Array::from_value(day, rows.num_rows())) as ArrayRef);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(ArchiveError::store)
}
