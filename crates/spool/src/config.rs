//! Configuration and positions.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::time::Duration;

/// Place of an entry in the spool: 0, 1, 2, … in order of appending, never given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Configuration of a spool: its largest size and its layout. All sizes are in bytes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Prefix of the storage partitions: ASCII letters, digits, `-` and `_`. One spool per name.
    pub name: String,
    /// Bound of the payload bytes that are not acknowledged yet. Default 4 GiB. On disk there are at most two
    /// files more than that (see `entries_per_file`), and 12 bytes per entry.
    pub max_bytes: u64,
    /// Largest entry. Default 2 MiB: a batch of at most 1 MiB on the wire with what belongs to it.
    pub max_entry: usize,
    /// Bound of the bytes that are appended but not confirmed, all kept in memory. Default 8 MiB.
    pub max_unsynced: usize,
    /// Entries per file; a file is removed when all its entries are acknowledged. Never change it for an
    /// existing spool. Default 4,096. Every file that is kept takes two file descriptors.
    pub entries_per_file: NonZeroU64,
    /// Bytes gathered before a write to a file. Default 256 KiB.
    pub write_buffer: NonZeroUsize,
    /// Pages of 4 KiB in the read cache. Default 64 (256 KiB).
    pub cache_pages: NonZeroUsize,
    /// Bytes of the newest durable entries that are kept in memory for readers. Default 4 MiB.
    pub recent_bytes: usize,
    /// How often a [`crate::Writer`] makes acknowledgements durable; appends wait meanwhile. What was acknowledged
    /// since the last time comes again after a crash. Default 5 s.
    pub checkpoint_every: Duration,
    /// How long a [`crate::Writer`] waits after a failed sync before it tries again. Default 200 ms.
    pub retry_after: Duration,
}

/// Payload bytes of a page: with its 12 bytes of checksum it fills 4 KiB.
pub(crate) const PAGE: NonZeroU16 = NonZeroU16::new(4084).expect("not zero");
/// Bytes read ahead while replaying.
pub(crate) const REPLAY_BUFFER: NonZeroUsize = NonZeroUsize::new(256 * 1024).expect("not zero");

impl Config {
    /// Defaults under the given name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            max_bytes: 4 << 30,
            max_entry: 2 << 20,
            max_unsynced: 8 << 20,
            entries_per_file: NonZeroU64::new(4096).expect("not zero"),
            write_buffer: NonZeroUsize::new(256 * 1024).expect("not zero"),
            cache_pages: NonZeroUsize::new(64).expect("not zero"),
            recent_bytes: 4 << 20,
            checkpoint_every: Duration::from_secs(5),
            retry_after: Duration::from_millis(200),
        }
    }
}
