//! What readers see of a table: the files of its latest snapshot.

use super::files::{DataFile, Wanted, WholeFile, scan_file, whole_file};
use crate::delta::ArchiveError;
use arrow::array::RecordBatch;
use object_store::ObjectStore;
use std::sync::{Arc, PoisonError, RwLock};

/// The index of a snapshot's files, shared with readers.
type Files = Arc<RwLock<Arc<Vec<Arc<DataFile>>>>>;

/// A read-only handle on a table that follows its writer's commits.
#[derive(Clone)]
pub struct View {
    pub store: Arc<dyn ObjectStore>,
    files: Files,
}

impl View {
    /// A table without files, where one cannot be opened.
    pub fn empty(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, files: Files::default() }
    }

    /// The files of the latest snapshot.
    pub fn files(&self) -> Arc<Vec<Arc<DataFile>>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the files by those of a later snapshot.
    pub(super) fn set(&self, files: Vec<Arc<DataFile>>) {
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
    }

    /// The wanted rows of all files that can hold any.
    pub async fn scan(&self, columns: &[&str], wanted: &Wanted) -> Result<Vec<RecordBatch>, ArchiveError> {
        let mut found = Vec::new();
        for file in self.files().iter().filter(|file| file.can_hold(wanted)) {
            found.extend(self.scan_file(file, columns, wanted).await?);
        }
        found.retain(|batch| batch.num_rows() > 0);
        Ok(found)
    }

    /// All of one file. The partition column is not among its rows' columns.
    pub async fn whole_file(&self, file: &DataFile) -> Result<WholeFile, ArchiveError> {
        whole_file(&self.store, file).await
    }

    /// The wanted rows of one file. The partition column is not among them.
    pub async fn scan_file(
        &self,
        file: &DataFile,
        columns: &[&str],
        wanted: &Wanted,
    ) -> Result<Vec<RecordBatch>, ArchiveError> {
        scan_file(&self.store, file, columns, wanted).await
    }
}
