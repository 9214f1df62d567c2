//! How often the archive writes checkpoints and merges files, and how long it keeps what is replaced.

/// Settings of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A Delta checkpoint each so many commits (default 100).
    pub checkpoint_every: u64,
    /// A day's small files of like size are merged once there are so many (default 32); 0 never merges.
    pub compact_files: usize,
    /// Files that merging replaced are deleted after so many hours, when no reader uses them any more (default 3).
    pub vacuum_hours: u64,
    /// Log entries older than the latest checkpoint are deleted after so many hours (default 1).
    pub log_hours: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { checkpoint_every: 100, compact_files: 32, vacuum_hours: 3, log_hours: 1 }
    }
}
