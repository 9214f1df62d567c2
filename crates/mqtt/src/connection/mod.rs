//! MQTT sessions as state machines, of version 5 on both sides and of 3.1.1 on the server's. The packets are those of `mqtt-protocol-core`; what is decided here is what an
//! ingest point does with them.

mod client;
mod greeting;
mod packets;
mod received;
mod server;
mod strict;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
pub use client::{ClientConnection, ClientInput, ClientOptions, ClientOutput};
pub use server::{Door, Limits, Policy, ServerConnection, ServerInput, ServerOutput};

use crate::Reason;

/// A point on whatever monotonic clock the caller has, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// So many milliseconds after the clock's origin.
    pub const fn from_millis(millis: u64) -> Moment {
        Moment(millis.saturating_mul(1000))
    }

    /// So long after the clock's origin.
    pub fn from_origin(elapsed: Duration) -> Moment {
        Moment(elapsed.as_micros() as u64)
    }

    /// Time since the clock's origin.
    pub fn since_origin(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// Later by a duration, rounded up to a microsecond.
    pub fn after(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(duration.as_nanos().div_ceil(1000) as u64))
    }

    /// Time since an earlier moment; zero if that is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1.1, level 4: acknowledgements carry no reason, and a server can only close.
    V3_1_1,
    /// MQTT 5, level 5.
    V5,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V3_1_1 => "MQTT 3.1.1",
            Version::V5 => "MQTT 5",
        })
    }
}

/// Quality of service of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// QoS 0: sent once, never acknowledged.
    AtMostOnce,
    /// QoS 1: acknowledged by PUBACK.
    AtLeastOnce,
}

/// The sender's own mark on a publish, given back when it is completed.
pub type Tag = u64;

/// Names a received publish until the application has decided on it. Of one connection, never reused within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    sequence: u64,
    /// Zero for QoS 0, where deciding does nothing.
    packet_id: u16,
}

impl Token {
    /// As one number, for an application that keeps no type of ours. Sequences stay below 2^48: at a million publishes
    /// a second, that is nine years of one connection.
    pub const fn to_bits(self) -> u64 {
        self.sequence << 16 | self.packet_id as u64
    }

    /// The token that [`Token::to_bits`] gave.
    pub const fn from_bits(bits: u64) -> Token {
        Token { sequence: bits >> 16, packet_id: bits as u16 }
    }
}

/// A received publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// For accept or reject.
    pub token: Token,
    /// Already allowed by the policy, on a server.
    pub topic: Arc<str>,
    /// As it came.
    pub payload: Bytes,
    /// With QoS 0 nothing is acknowledged.
    pub qos: Qos,
    /// The sender says it may have sent this before.
    pub duplicate: bool,
    /// It was left in CONNECT, and is published because the session ends without the client's word. Its token is of no
    /// use: nobody is there to be answered.
    pub will: bool,
}

/// A publish to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// No wildcards.
    pub topic: Arc<str>,
    /// Any bytes.
    pub payload: Bytes,
    /// QoS 0 completes when it is written.
    pub qos: Qos,
    /// Given back on completion.
    pub tag: Tag,
    /// Set when it may have been sent before, on an earlier connection.
    pub duplicate: bool,
}

impl Outgoing {
    /// A first attempt with QoS 1.
    pub fn new(topic: impl Into<Arc<str>>, payload: Bytes, tag: Tag) -> Outgoing {
        Outgoing { topic: topic.into(), payload, qos: Qos::AtLeastOnce, tag, duplicate: false }
    }
}

/// End of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer said so: DISCONNECT, or a CONNACK that refuses.
    Peer(Reason),
    /// This side said so, on the application's word or because the peer broke a rule.
    Here(Reason),
    /// The transport went away without a word.
    Lost(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Peer(reason) => write!(f, "the peer ended it: {reason}"),
            End::Here(reason) => write!(f, "ended here: {reason}"),
            End::Lost(cause) => write!(f, "the connection was lost: {cause}"),
        }
    }
}
