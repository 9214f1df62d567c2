//! What a table says of itself, for a report.

use super::Table;
use crate::report::Said;

impl Table {
    /// For a report, after the last row; `clock` is what the recording's clock said.
    #[must_use]
    pub fn said(&self, clock: Vec<String>) -> Said {
        let (column, meaning) = self.time();
        let clock = std::iter::once(format!("time is column {column:?}: {meaning}")).chain(clock).collect();
        Said {
            format: self.format().to_owned(),
            clock,
            sources: self.mapping().map(|found| (found.quantity, found.source.clone())).collect(),
            skipped: self.skipped().clone(),
            warnings: self.warnings(),
            doubts: self.doubts().to_vec(),
            unused: self.unused_columns().to_vec(),
        }
    }
}
