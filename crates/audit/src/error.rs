//! Errors of an audit log.

use std::path::{Path, PathBuf};

/// Reason why a log cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of it. Let this user read and write it, or make room.
    #[error("the audit log: cannot {action} {}", path.display())]
    File {
        /// What was tried: read, write, list, …
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes this log. Stop it, or give this one folders of its own.
    #[error("another process writes the audit log in {}: stop it first, or give this one folders of its own", folder.display())]
    InUse {
        /// The log's folder.
        folder: PathBuf,
    },
    /// There is no log. Name the folder `audit` in a role's data folder.
    #[error("{} holds no audit log: want the folder `audit` in the data folder of a role, or in a CA's folder", path.display())]
    Absent {
        /// Where.
        path: PathBuf,
    },
    /// A noted head is not one. Write `NUMBER:HASH` as `voltmesh audit verify` prints it.
    #[error("{text:?} is no head of an audit log: want NUMBER:HASH, as `voltmesh audit verify` prints it")]
    Head {
        /// What was given, cut to 120 characters.
        text: String,
    },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }
}
