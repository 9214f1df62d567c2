//! Limits of one session.

use std::time::Duration;

/// Limits of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet accepted, in bytes; checked before any of it is buffered. Default 1 MiB + 4 KiB: one batch.
    pub max_packet: u32,
    /// Largest CONNECT, which is kept until it is whole, of whoever has a certificate: 1,024 of them at once, with what they are
    /// read into, are some 400 MiB. Default 128 KiB: the largest will, and as much again.
    pub max_connect: u32,
    /// QoS 1 publishes without PUBACK, 1 to 65,535. Default 2,048: 50 ms at 40,000/s. An MQTT 3.1.1 client cannot be told:
    /// it is not read from while it has as many, which one read of 256 KiB may exceed.
    pub receive_maximum: u16,
    /// Payload bytes without PUBACK after which the session is not read from. Default 8 MiB.
    pub max_undecided_bytes: usize,
    /// From the transport's start to CONNECT. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest keep-alive granted; who asks for more, or for none, is told this. Default 60 s.
    pub max_keep_alive: Duration,
    /// Longest silence of an MQTT 3.1.1 session, which cannot be told another keep-alive than it asked for, not even none.
    /// Default 1 h.
    pub max_silence: Duration,
    /// Payload of a will, which is kept as long as its session. Default 64 KiB: 256 MiB of 4,096 sessions.
    pub max_will: usize,
    /// Subscriptions of one session. Default 16.
    pub max_subscriptions: usize,
    /// Publishes queued for the peer beyond its window. Default 1,024.
    pub max_outbound: usize,
    /// Their payload bytes. Default 4 MiB.
    pub max_outbound_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_packet: (1 << 20) + (4 << 10),
            max_connect: 128 << 10,
            receive_maximum: 2048,
            max_undecided_bytes: 8 << 20,
            connect_timeout: Duration::from_secs(5),
            max_keep_alive: Duration::from_secs(60),
            max_silence: Duration::from_secs(3600),
            max_will: 64 << 10,
            max_subscriptions: 16,
            max_outbound: 1024,
            max_outbound_bytes: 4 << 20,
        }
    }
}
