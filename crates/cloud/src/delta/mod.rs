//! The archive: four Delta tables, written by one process, exactly once.
//!
//! **Exactly once.** Each commit to `batches` carries, as Delta application transactions, the watermark of every boot
//! that it touches and a sequence number, and the ranges beyond the watermarks in its metadata. All are read from the
//! snapshot that the next commit is made on, and a commit is only ever made on the latest version: if anyone else has
//! written, it fails, and the core judges again. `records` follows with the same sequence number; if a crash comes
//! between the two, opening derives the missing rows from the batches' own bytes.
//!
//! **Durable.** On a local folder a commit returns after data files, log entries and their directories are fsynced.
//!
//! **At a flat cost.** What a commit costs does not grow with the number of commits before it: small files are merged by
//! tiers ([`table::compact`]), and log entries, replaced files and what the library holds of them in memory have an end
//! ([`table::upkeep`]).
//!
//! Provided: detection of a second writer; repair after a crash at any point; bounded numbers of small files.
//! Not provided: a lease that keeps a second writer from trying; expiry of watermarks (about 60 bytes per boot in each
//! checkpoint); removal of files that a crashed commit left behind (they are in no snapshot, and harmless).

mod archive;
mod commit_metadata;
mod definitions;
pub mod durable;
mod error;
mod extent;
mod inspect;
mod location;
mod reader;
mod remove;
mod rows;
mod settings;
mod sizes;
mod table;

pub use archive::Archive;
pub use error::ArchiveError;
pub use extent::Holding;
pub use location::Location;
pub use reader::{Page, Reader, Totals, open_reader};
pub use remove::TableChange;
pub use rows::{ArchivedChannel, ArchivedRow, Cursor, StoredBatch, schema};
pub use settings::Settings;
pub use sizes::{ColumnSize, TableSize};

pub(crate) use commit_metadata::{SEQUENCE, boot_of};
pub(crate) use extent::{ordered_batches, ordered_quarantine};
pub(crate) use inspect::{Inspected, inspect};
pub(crate) use remove::{Removal, Rows};
#[cfg(test)]
pub(crate) use rows::archived_rows;
pub(crate) use rows::{
    Columns, batch_rows, from_micros, of_today, quarantine_rows, record_rows, stored_batches,
};
pub(crate) use table::{DataFile, Replay, SaidOfFile, WholeFile};

/// Threads for blocking work that a runtime needs for an archive: with the allocator's default of one heap a thread each
/// keeps some hundreds of kilobytes for good, and loading a log reads all its entries at once, by one thread each if it
/// may. A load holds one or two while others read for it.
pub const BLOCKING_THREADS: usize = 16;
