//! Errors of what the crate is given.

/// Reason why parameters, data or a request are not usable.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Parameters of a cell contradict themselves. Correct the file, or fit it anew.
    #[error("cell parameters: {what}")]
    Parameters {
        /// Which, and how.
        what: String,
    },
    /// Too little data, or data that do not cover what is to be found out. Give more, or other, files.
    #[error("{name}: {what}")]
    Data {
        /// The data set.
        name: String,
        /// What is missing.
        what: String,
    },
    /// No parameters explain the data: they may be of several cells, or in other units.
    #[error("the fit does not converge: {what}")]
    Fit {
        /// What went wrong.
        what: String,
    },
}

impl Error {
    /// [`Self::Parameters`].
    pub(crate) fn parameters(what: impl Into<String>) -> Self {
        Self::Parameters { what: what.into() }
    }

    /// [`Self::Data`].
    pub(crate) fn data(name: &str, what: impl Into<String>) -> Self {
        Self::Data { name: name.into(), what: what.into() }
    }
}
