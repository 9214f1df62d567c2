use std::error::Error;

/// Errors of reading and writing the archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Someone else has written to a table. Reload and judge again; find out who it was: one writer per table.
    #[error("another writer has committed to the archive")]
    Conflict,
    /// Disk or object store failed. Try again; nothing is lost, for nothing was acknowledged.
    #[error("the archive's store failed")]
    Store {
        /// What it said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A table's content contradicts itself or is not ours. Restore it, or move it away.
    #[error("the archive is damaged: {what}")]
    Damaged {
        /// Where, and how.
        what: String,
    },
    /// There is no archive there.
    #[error("there is no archive table at {what}")]
    Missing {
        /// Where.
        what: String,
    },
    /// The location is neither a folder nor a supported URL.
    #[error("{what} is neither a folder nor an s3:// URL")]
    Location {
        /// As given.
        what: String,
    },
    /// This build has no S3 support. Build with `--features s3`.
    #[error("{what}: built without the feature s3")]
    NoS3 {
        /// As given.
        what: String,
    },
}

impl ArchiveError {
    pub(crate) fn store(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Store { source: source.into() }
    }
}
