//! What ends the cloud.

use crate::{config::ConfigError, delta::ArchiveError};
use voltmesh_http::TokenError;

/// Errors that end the cloud.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Correct the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificates, keys or revocation list.
    #[error(transparent)]
    Identity(#[from] voltmesh_identity::Error),
    /// The certificate is another participant's.
    #[error("the certificate in {folder} is of {found}, but this is urn:voltmesh:cloud:{id}")]
    Name {
        /// Where.
        folder: String,
        /// Whose it is.
        found: String,
        /// The configured id.
        id: String,
    },
    /// The trust file.
    #[error("the trust file {path} cannot be used")]
    Trust {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: Box<voltmesh_ledger::Error>,
    },
    /// The token of the HTTP interface.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// MQTT.
    #[error(transparent)]
    Mqtt(#[from] voltmesh_mqtt::Error),
    /// A file or socket.
    #[error("{what}")]
    Io {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    pub(super) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}
