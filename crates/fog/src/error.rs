use std::{net::SocketAddr, path::PathBuf};

/// Why a fog node does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong: change the file.
    #[error("configuration: {what}")]
    Config {
        /// What is wrong, and where.
        what: String,
    },
    /// A file cannot be used: check path and rights.
    #[error("cannot {action} {path}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Certificates or keys: see `voltmesh pki`.
    #[error("credentials")]
    Identity(#[from] voltmesh_identity::Error),
    /// The spool cannot be opened or closed.
    #[error("spool")]
    Spool(#[from] voltmesh_spool::Error),
    /// The ledger's node does not start.
    #[error("ledger")]
    Ledger(#[source] Box<voltmesh_consensus::StartError>),
    /// The MQTT listener does not start.
    #[error("MQTT")]
    Mqtt(#[from] voltmesh_mqtt::Error),
    /// An address cannot be listened on: it is in use, or not this machine's.
    #[error("cannot listen for {what} on {address}")]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The model or the list of places cannot be used: train or fetch it again.
    #[error("{path}")]
    Stations {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: voltmesh_stations::Error,
    },
    /// A feed at an address cannot be asked as configured: change `stations.feed` or `stations.web`.
    #[error("stations.web: the feed at {address}")]
    Feed {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: crate::stations::web::WebError,
    },
    /// The routing service gives no distances now: estimate them.
    #[error("the routing service {what}")]
    Routing {
        /// What it did.
        what: String,
    },
    /// The node has stopped by itself: the log says more.
    #[error("the fog node has stopped: {why}")]
    Stopped {
        /// What ended.
        why: String,
    },
}

impl From<voltmesh_consensus::StartError> for Error {
    fn from(error: voltmesh_consensus::StartError) -> Self {
        Self::Ledger(Box::new(error))
    }
}

impl Error {
    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::Config { what: what.into() }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
