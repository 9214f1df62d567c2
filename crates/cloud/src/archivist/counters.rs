//! Counters of the archivist.

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records archived.
    pub records: u64,
    /// Batches archived.
    pub batches: u64,
    /// Batches that came again.
    pub duplicates: u64,
    /// Deliveries refused for good.
    pub quarantined: u64,
    /// Of these, deliveries beyond the share of whoever they are of: refused and not kept.
    pub quarantine_dropped: u64,
    /// Deliveries held off.
    pub refused: u64,
    /// Commits.
    pub commits: u64,
    /// Commits that failed or met another writer.
    pub retries: u64,
}
