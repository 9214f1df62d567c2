//! What can be wrong with a message between roles.

/// Why a message is refused. All of it is permanent: the same bytes fail again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Size, encoding or signature.
    #[error(transparent)]
    Message(#[from] voltmesh_telemetry::Error),
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
