//! Settings of a server.

use std::time::Duration;

use voltmesh_audit::Recorder;

use crate::{Bounds, Limits};

/// Settings of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Of each session.
    pub limits: Limits,
    /// Of each source address, of each identity and of all together.
    pub bounds: Bounds,
    /// Payload bytes without PUBACK in all sessions, after which none is read from. An identity may have as many as are
    /// free for all others; its sessions are not read from beyond. Default 256 MiB.
    pub max_undecided_bytes: usize,
    /// Events that wait for the application; sessions are not read from while it is full. Default 256.
    pub event_queue: usize,
    /// How often to look for a new revocation list and for certificates that have ended. Default 250 ms.
    pub revocation_poll: Duration,
    /// Where refusals are entered by address or identity, and revocation lists that are taken over. Default: nowhere.
    pub audit: Recorder,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            limits: Limits::default(),
            bounds: Bounds::default(),
            max_undecided_bytes: 256 << 20,
            event_queue: 256,
            revocation_poll: Duration::from_millis(250),
            audit: Recorder::none(),
        }
    }
}
