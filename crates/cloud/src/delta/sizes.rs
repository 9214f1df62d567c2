//! Sizes of the archive in bytes: by table, and by column.

use super::{
    ArchiveError, Reader,
    rows::schema::{BATCHES, COPIES, QUARANTINE, RECORDS},
    table::{View, metadata},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Data files of a table's latest snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// The table's name and folder.
    pub table: &'static str,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A column in the data files of a table's latest snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnSize {
    /// The table's name.
    pub table: &'static str,
    /// The column's name.
    pub column: String,
    /// Its compressed bytes.
    pub bytes: u64,
}

impl Reader {
    fn tables(&self) -> [(&'static str, &View); 4] {
        [
            (RECORDS, &self.records),
            (BATCHES, &self.batches),
            (QUARANTINE, &self.quarantine),
            (COPIES, &self.copies),
        ]
    }

    /// Data files of the latest snapshots of the tables.
    pub fn sizes(&self) -> [TableSize; 4] {
        self.tables().map(|(table, view)| {
            let files = view.files();
            let bytes = files.iter().map(|file| file.size).sum();
            TableSize { table, files: files.len() as u64, bytes }
        })
    }

    /// The columns of all tables in these files, the largest first. What is left of a table's bytes is headers and footers.
    pub async fn column_sizes(&self) -> Result<Vec<ColumnSize>, ArchiveError> {
        let mut all = Vec::new();
        for (table, view) in self.tables() {
            let mut columns: BTreeMap<String, u64> = BTreeMap::new();
            for file in view.files().iter() {
                let metadata = metadata(&view.store, file).await?;
                for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
                    let name = column.column_path().parts().first().cloned().unwrap_or_default();
                    *columns.entry(name).or_default() += u64::try_from(column.compressed_size()).unwrap_or(0);
                }
            }
            all.extend(columns.into_iter().map(|(column, bytes)| ColumnSize { table, column, bytes }));
        }
        all.sort_by_key(|column| std::cmp::Reverse(column.bytes));
        Ok(all)
    }
}
