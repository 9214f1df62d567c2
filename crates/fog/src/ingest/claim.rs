//! A publish that waits, and the two answers that end it with a PUBACK.

use voltmesh_mqtt::SessionId;

/// A publish that waits for its answer. `token` and `arrived_us` are the shell's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub session: SessionId,
    /// Which of that session.
    pub token: u64,
    /// When it arrived, for the latency of its answer.
    pub arrived_us: u64,
}

/// An answer to a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Which publish.
    pub claim: Claim,
    /// MQTT reason code, below 0x80.
    pub reason: u8,
}

/// A permanent rejection, whose publish is in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which publish.
    pub claim: Claim,
    /// MQTT reason code, 0x80 and above.
    pub reason: u8,
    /// What, where and the remedy, for the sender.
    pub why: String,
}
