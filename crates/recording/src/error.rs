//! Errors of reading a recording.

use std::path::{Path, PathBuf};

/// An error of reading a recording.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read: check that it exists and may be read.
    #[error("{}: {doing} failed", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is of no known format, or damaged where nothing after it can be read.
    #[error("{place}: {problem}")]
    Format {
        /// File, and line where there is one.
        place: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A mapping names what the file does not have, or has twice: correct the configuration.
    #[error("{place}: {problem}")]
    Mapping {
        /// Which file or key.
        place: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
}

impl Error {
    /// For `map_err` of an operation on `path`.
    pub fn file<'a>(path: &'a Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::File { path: path.to_owned(), doing, source }
    }

    /// Of a file's format.
    pub fn format(place: impl ToString, problem: impl Into<String>) -> Self {
        Self::Format { place: place.to_string(), problem: problem.into() }
    }

    /// Of a mapping.
    pub fn mapping(place: impl ToString, problem: impl Into<String>) -> Self {
        Self::Mapping { place: place.to_string(), problem: problem.into() }
    }
}
