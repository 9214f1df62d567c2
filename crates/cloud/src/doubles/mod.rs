//! Rows that stand twice in an archive: found, and removed.
//!
//! Provided: of the rows with one record id, or one batch id, the one stays whose proof verifies; a removed row of
//! `batches` moves to `copies` if its proof verifies, so that its entry of the ledger's log stays explained; each table
//! changes in one commit, made on the version that was looked at; a crash between two of them leaves doubled rows, which a
//! second run removes. Not provided: repair of rows of which no copy verifies: they are named and left as they are.
//!
//! The cloud must be stopped: its commits and these exclude each other, and whoever comes second stops with an error.

mod dedup;
mod find;
mod plan;
mod report;

pub use dedup::dedup;
pub use find::{DoublesReport, MAX_IDS, check_doubles};
pub use report::DedupReport;
