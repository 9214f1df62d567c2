//! Bounds of what is taken in, and of what is kept on disk.

use serde::Deserialize;
use voltmesh_mqtt::Bounds;

/// Bounds of what is taken in. Beyond a bound nothing is acknowledged and the session ends with 0x97, so that the
/// vehicle keeps its data and tries again or elsewhere.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sessions at once. Default 4096. A quarter of them is kept for clients that were here before, while they are away.
    pub sessions: usize,
    /// Sessions of one certificate's identity at once, 1..=4096; the next is refused with 0x97. Default 8.
    pub sessions_per_identity: usize,
    /// Connections of one source address (IPv4, or IPv6 /64) at once. Default: two thirds of `sessions` + 13,824, so that
    /// all vehicles may be behind one address, and a third is left to the others.
    pub connections_per_source: Option<usize>,
    /// TLS handshakes that one source address may begin, per second, 1..=1000000. Default 2000: half a core.
    pub handshakes_per_source_s: u32,
    /// Publishes of one identity, per second, 1..=10000000; beyond it its sessions are not read from. Default 50000: a
    /// gateway of 5,000 vehicles at 10 Hz.
    pub publishes_per_identity_s: u32,
    /// MQTT Receive Maximum of a session: publishes it may have unacknowledged. Default 1024.
    pub receive_maximum: u16,
    /// Largest MQTT packet, bytes: a full batch and its topic. Default 1 MiB + 4 KiB.
    pub packet_bytes: u32,
    /// Largest JSON sample, bytes: 512 cells as text. Default 64 KiB.
    pub sample_bytes: usize,
    /// Bytes received and not yet durable, all sessions together. Default 128 MiB.
    pub inflight_bytes: u64,
    /// Batches held until archived (about 300 bytes of memory each). Default 1,000,000.
    pub held_batches: usize,
    /// Archived batches remembered per vehicle, to notice forks and replays. Default 256.
    pub remembered: usize,
    /// Archive notices kept for vehicles that are not connected, bytes. Default 16 MiB.
    pub notice_bytes: usize,
    /// Threads that verify signatures and recompute roots. Default 0: one per core.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 4_096,
            sessions_per_identity: 8,
            connections_per_source: None,
            handshakes_per_source_s: 2_000,
            publishes_per_identity_s: 50_000,
            receive_maximum: 1_024,
            packet_bytes: 1024 * 1024 + 4096,
            sample_bytes: 64 * 1024,
            inflight_bytes: 128 * 1024 * 1024,
            held_batches: 1_000_000,
            remembered: 256,
            notice_bytes: 16 * 1024 * 1024,
            workers: 0,
        }
    }
}

impl Limits {
    /// Bounds of the MQTT server. What is not configured is in proportion to `sessions`.
    pub fn bounds(&self) -> Bounds {
        let bounds = Bounds::of_sessions(self.sessions);
        Bounds {
            sessions_per_identity: self.sessions_per_identity,
            connections_per_source: self.connections_per_source.unwrap_or(bounds.connections_per_source),
            handshakes_per_source_s: self.handshakes_per_source_s,
            publishes_per_identity_s: self.publishes_per_identity_s,
            undecided_per_identity: bounds.undecided_per_identity.max(2 * usize::from(self.receive_maximum)),
            ..bounds
        }
    }

    /// File descriptors that are never given to connections of vehicles and clients: two for each file of the spool with
    /// 4,096 entries, of which a batch has two; and 1,024 for the ledger's journals, its peers, the quarantine and the
    /// loopback interface.
    pub fn reserved_descriptors(&self) -> usize {
        1_024 + 4 * self.held_batches.div_ceil(4_096)
    }
}

/// Bounds of what is kept on disk.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spool {
    /// The spool's size, bytes: a day of 1,000 vehicles at 1 Hz and 60 bytes a record is 5.2 GB. Default 8 GiB.
    pub capacity_bytes: u64,
    /// Disk kept free for the ledger, bytes: ingest stops first, since consensus cannot go on with a full disk.
    /// Default 1 GiB.
    pub reserve_bytes: u64,
    /// The quarantine's size, bytes; beyond it the oldest entries go, which is counted. Default 256 MiB.
    pub quarantine_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            capacity_bytes: 8 * 1024 * 1024 * 1024,
            reserve_bytes: 1024 * 1024 * 1024,
            quarantine_bytes: 256 * 1024 * 1024,
        }
    }
}
