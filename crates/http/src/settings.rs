//! Bounds of the server, each with its default and arithmetic.

use std::time::Duration;

/// Bounds of a server. Each holds for loopback, too: other programs of the machine are strangers as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections at once. Default 256: with [`Self::handshakes`], 352 descriptors at most, a third of the usual 1,024.
    pub connections: usize,
    /// Of these, of one source address (IPv6: one /64), or on TLS of one identity. Default 64: four sources to fill all places.
    pub connections_per_source: usize,
    /// TLS handshakes at once, apart from connections. Default 64: an honest one takes some 5 ms of one core and two round trips.
    pub handshakes: usize,
    /// Of these, of one source address. Default 32.
    pub handshakes_per_source: usize,
    /// Longest TLS handshake. Default 5 s: 10 round trips at 500 ms.
    pub handshake: Duration,
    /// Longest wait for a whole request header, counted from the end of the request before, so idle connections end with it as well.
    /// Default 10 s.
    pub header: Duration,
    /// Largest header with request line, in bytes. Default 16 KiB; of at most 64 fields.
    pub header_bytes: usize,
    /// Longest wait for a request's body. Default 10 s: 64 KiB at 6.4 KiB/s.
    pub body: Duration,
    /// Largest body of a request, in bytes. Default 64 KiB.
    pub body_bytes: usize,
    /// Longest wait from header to answer. Default 60 s. An answer that has begun may last: events do.
    pub answer: Duration,
    /// Longest time in which a client takes nothing of what is sent to it. Default 30 s.
    pub stalled: Duration,
    /// Time for requests under way when the server stops. Default 2 s.
    pub shutdown: Duration,
    /// Beginnings of paths whose answers are entered in the audit log as reads. Default: none.
    pub recorded: &'static [&'static str],
    /// Beginnings of paths whose answers cost much: as many are worked on as there are turns. Default: none.
    pub costly: &'static [&'static str],
    /// Turns at once; one source or identity has half of them. Default: as many as processors, 2 at least.
    pub costly_at_once: usize,
    /// How often revoked and ended certificates are looked for. Default 250 ms.
    pub revocation_poll: Duration,
}

impl Settings {
    /// Most fields of a header.
    pub const HEADER_FIELDS: usize = 64;

    /// Sockets beyond the bounds that are being closed or told that there is no room.
    pub(crate) const CLOSING: usize = 32;

    /// Descriptors that a server may hold, its listening socket apart.
    pub fn descriptors(&self) -> usize {
        self.connections + self.handshakes + Self::CLOSING
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_source: 64,
            handshakes: 64,
            handshakes_per_source: 32,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(10),
            header_bytes: 16 << 10,
            body: Duration::from_secs(10),
            body_bytes: 64 << 10,
            answer: Duration::from_secs(60),
            stalled: Duration::from_secs(30),
            shutdown: Duration::from_secs(2),
            recorded: &[],
            costly: &[],
            costly_at_once: std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)),
            revocation_poll: Duration::from_millis(250),
        }
    }
}
