//! What can be wrong with a message between roles.

use voltmesh_telemetry::Digest;

/// Why a message is refused. All of it is permanent: the same bytes fail again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Size, encoding or signature.
    #[error(transparent)]
    Message(#[from] voltmesh_telemetry::Error),
    /// JSON that is not the message that its topic asks for.
    #[error("{what}: {problem}")]
    Json {
        /// Which message.
        what: &'static str,
        /// What is wrong, and where.
        problem: String,
    },
    /// A signature by a key that is not among those trusted here: add it, or look for who forged it.
    #[error("{what} is signed by key {key_id}, which is of no controller that is trusted here")]
    Untrusted {
        /// Which message.
        what: &'static str,
        /// SHA-256 of the public key.
        key_id: Digest,
    },
    /// JSON that is no status.
    #[error("status: {0}")]
    Status(String),
    /// A text that is no topic of ours.
    #[error("{0:?} is no topic of Voltmesh")]
    Topic(String),
}

impl Error {
    pub(crate) fn limit(what: &'static str, size: usize, limit: usize) -> Result<(), Self> {
        if size > limit {
            Err(voltmesh_telemetry::Error::Oversized { what, size, limit }.into())
        } else {
            Ok(())
        }
    }

    pub(crate) fn inconsistent(what: &'static str, why: &'static str) -> Self {
        voltmesh_telemetry::Error::Inconsistent { what, why }.into()
    }
}
