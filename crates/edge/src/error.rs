//! What can go wrong, one variant per thing a caller would do differently.

use std::path::{Path, PathBuf};

/// Errors of the edge role.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong: correct it.
    #[error("configuration {place}: {problem}")]
    Config {
        /// File or key.
        place: String,
        /// What is wrong, and what is wanted.
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {action} failed", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A source's data is not what its configuration says.
    #[error("source {place}: {problem}")]
    Source {
        /// File and line, or interface.
        place: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Recorded files or a DBC file are not what the configuration says: correct it, or the files.
    #[error(transparent)]
    Recording(#[from] voltmesh_recording::Error),
    /// What was recorded is not plausible: correct the configuration, or accept it with `--accept-doubtful`.
    #[error("source: {0}; `voltmesh inspect` shows what is read; --accept-doubtful takes it as it is")]
    Doubtful(String),
    /// The spool cannot be opened.
    #[error("spool")]
    Spool(#[from] voltmesh_spool::Error),
    /// The spool holds something that is not a batch of this program.
    #[error("{0}; keep the folder and start with an empty one")]
    Entry(String),
    /// Another process uses the data folder: stop it first.
    #[error("{} is used by another process: stop that agent first", folder.display())]
    InUse {
        /// Which folder.
        folder: PathBuf,
    },
    /// The boot counter cannot be kept, or the clock is not set.
    #[error("boot counter: {0}")]
    Boot(String),
    /// Certificate or keys.
    #[error("identity")]
    Identity(#[from] voltmesh_identity::Error),
    /// The trust file.
    #[error("trust file {}", path.display())]
    Trust {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<voltmesh_ledger::Error>,
    },
}

impl Error {
    /// Whether the source gives no usable sample.
    #[must_use]
    pub const fn is_of_source(&self) -> bool {
        matches!(self, Self::Source { .. } | Self::Recording(_) | Self::Doubtful(_))
    }

    pub(crate) fn file(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { path, action, source }
    }

    pub(crate) fn config(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config { place: place.into(), problem: problem.into() }
    }

    pub(crate) fn source(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Source { place: place.into(), problem: problem.into() }
    }
}
