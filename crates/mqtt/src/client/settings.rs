//! Settings of a client.

use std::time::Duration;

use voltmesh_identity::RevocationWatch;

use crate::ClientOptions;

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Towards the server.
    pub options: ClientOptions,
    /// Publishes that wait to be sent, beyond the server's window. Default 4,096.
    pub max_queue: usize,
    /// Events that wait for the application; the server is not read from while it is full. Default 64.
    pub event_queue: usize,
    /// Payload bytes of messages that the application has not accepted, after which the server is not read from.
    /// Default 8 MiB.
    pub max_undecided_bytes: usize,
    /// Ends the session when the server's certificate, or one that it has shown besides, is revoked. Default none.
    pub revoked: Option<RevocationWatch>,
    /// How often to look for a new revocation list and for a certificate that has ended. Default 250 ms.
    pub revocation_poll: Duration,
}

impl Default for ClientSettings {
    fn default() -> ClientSettings {
        ClientSettings {
            options: ClientOptions::default(),
            max_queue: 4096,
            event_queue: 64,
            max_undecided_bytes: 8 << 20,
            revoked: None,
            revocation_poll: Duration::from_millis(250),
        }
    }
}
