use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::End;

/// Errors of a connection; each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on. Choose another, or stop what holds it.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Too few file descriptors are allowed. Allow more.
    #[error(
        "{limit} file descriptors are allowed, {least} are needed at least: raise the limit with `ulimit -n` or \
         LimitNOFILE in the systemd unit"
    )]
    Descriptors {
        /// How many are allowed.
        limit: usize,
        /// How many are needed.
        least: usize,
    },
    /// No TCP connection. Try another server, or later.
    #[error("cannot reach {address}")]
    Unreachable {
        /// Whom.
        address: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake failed: a certificate of one side does not suit the other. Look at both with
    /// `voltmesh pki show`.
    #[error("no TLS session with {address}; compare both certificates with `voltmesh pki show`")]
    Tls {
        /// With whom.
        address: String,
        /// What TLS said.
        #[source]
        source: io::Error,
    },
    /// The server refused, or the connection ended before it was open.
    #[error("{address} did not open the MQTT connection: {end}")]
    Refused {
        /// Who.
        address: String,
        /// How it ended.
        end: End,
    },
    /// The time to connect has passed. Try another server, or later.
    #[error("{address} took longer than {limit:?} to connect")]
    Timeout {
        /// Who.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// The connection is gone; what was not completed may not have arrived. Connect again.
    #[error("the connection is closed")]
    Closed,
    /// The queue for this connection is full. Wait for completions.
    #[error("the queue of this connection is full")]
    Full,
    /// A topic, filter or option that MQTT does not allow. A fault of the caller or its configuration.
    #[error("not possible in MQTT 5: {problem}")]
    Invalid {
        /// What is wrong.
        problem: String,
    },
}
