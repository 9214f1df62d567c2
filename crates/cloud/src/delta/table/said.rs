//! What a table's log says beside where its files are: by it, other readers leave out columns, files and rows.

use super::Table;
use crate::delta::{ArchiveError, rows::schema::DAY};
use object_store::path::Path;
use std::collections::{BTreeMap, BTreeSet};

/// What a table's log says of the table and of each file.
pub struct Said {
    /// Names of its columns.
    pub columns: BTreeSet<String>,
    /// Files by path.
    pub files: BTreeMap<Path, SaidOfFile>,
    /// What is unlike any table of ours as a whole.
    pub wrong: Vec<String>,
}

/// What a table's log says of one file.
pub struct SaidOfFile {
    /// Counts and ranges, as JSON.
    pub statistics: Option<String>,
    /// Whether it has a deletion vector: rows of the file that other readers leave out.
    pub has_deleted_rows: bool,
}

impl Table {
    /// What the log says, for a check.
    pub fn said(&self) -> Result<Said, ArchiveError> {
        let state = self.delta.snapshot().map_err(ArchiveError::store)?;
        let columns: BTreeSet<String> = state.schema().fields().map(|field| field.name().clone()).collect();
        let ours = |name: &str| self.schema.index_of(name).is_ok();
        let mut wrong: Vec<String> = columns
            .iter()
            .filter(|name| !ours(name))
            .map(|name| format!("column {name} is not one of the table's"))
            .collect();
        let partitions = state.metadata().partition_columns();
        if partitions.iter().ne([DAY]) {
            wrong.push(format!("its files are grouped by {partitions:?}, not by {DAY}"));
        }
        let logged = state.log_data();
        let files = logged.iter().map(|file| {
            let has_deleted_rows = file.deletion_vector_descriptor().is_some();
            (file.object_store_path(), SaidOfFile { statistics: file.stats(), has_deleted_rows })
        });
        Ok(Said { columns, files: files.collect(), wrong })
    }
}
