//! Errors of the spool, one variant per thing a caller would do differently.

use crate::Position;

/// Errors of the spool.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The bound of unacknowledged bytes is reached. Stop taking data until something is acknowledged.
    #[error("the spool is full: {used} of {max} bytes wait for their acknowledgement")]
    Full {
        /// Unacknowledged payload bytes.
        used: u64,
        /// The configured bound.
        max: u64,
    },
    /// Too much is appended and not confirmed: sync first; if syncing fails, stop taking data.
    #[error("{unsynced} bytes wait to be written to disk (at most {max}): the disk is slow or fails")]
    Busy {
        /// Bytes that wait in memory.
        unsynced: usize,
        /// The configured bound.
        max: usize,
    },
    /// The entry exceeds `max_entry`. It will never fit: reject it.
    #[error("an entry of {size} bytes exceeds the bound of {max} bytes")]
    TooLarge {
        /// Size of the entry.
        size: usize,
        /// The configured bound.
        max: usize,
    },
    /// An acknowledgement for a position that is not durable. The caller is wrong: nothing was changed.
    #[error("position {position} cannot be acknowledged: the spool is durable up to {durable}")]
    NotDurable {
        /// The position to acknowledge.
        position: Position,
        /// The first position that is not durable.
        durable: Position,
    },
    /// Reading or writing failed. Nothing is confirmed; unconfirmed entries stay in memory. Try again.
    #[error("spool {name}: {action} failed: {cause}")]
    Storage {
        /// Name of the spool.
        name: String,
        /// What was attempted.
        action: &'static str,
        /// What the storage said.
        cause: String,
    },
    /// What is on disk is not what was confirmed. Copy the folder away and find out why before going on.
    #[error("spool {name}: damaged at position {position}: {cause}")]
    Corrupt {
        /// Name of the spool.
        name: String,
        /// First position that is affected.
        position: Position,
        /// What is wrong.
        cause: String,
    },
    /// The spool's task has ended.
    #[error("the spool is closed")]
    Closed,
}
