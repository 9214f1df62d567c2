//! Records of clients that are not ours: second copies and attested batches.

use std::path::PathBuf;

use serde::Deserialize;

/// Records of clients that are not ours (`v1/<client>/sample`, JSON).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Foreign {
    /// Acknowledge only when a second fog node holds the record too. Default true. Set it to false only where this
    /// node is alone: its loss then loses what the cloud has not archived.
    pub second_copy: bool,
    /// The opening under which operators have enrolled this node's key, as `voltmesh registry opening` writes it.
    /// Default: the key with a salt derived from it, shown at `/chain/opening`.
    pub opening: Option<PathBuf>,
    /// Time after which a copy is offered to another fog node, milliseconds. Default 250.
    pub offer_ms: u64,
    /// Time after which a publish without a second copy is given up (no PUBACK, 0x97), milliseconds. Default 2000.
    pub copy_ms: u64,
    /// Time after which the holder of a copy asks for it, and then anchors what the first node attested in it,
    /// milliseconds. Default 30000.
    pub takeover_ms: u64,
    /// Time for which a copy that its silent first node did not attest (of an earlier version) is held before it goes to
    /// the quarantine, milliseconds. Default 86400000, a day.
    pub unattested_ms: u64,
    /// Bytes of copies held for one other fog node. Default 256 MiB.
    pub copy_bytes: u64,
    /// Time between two attested batches of a client, milliseconds. A publish waits for its batch if `second_copy` is
    /// true. Default 100.
    pub attest_ms: u64,
    /// Records after which an attested batch is sealed without waiting, 1..=4096. Default 1024.
    pub attest_records: usize,
    /// Records remembered to notice redelivery. Default 1,000,000 (about 64 MB).
    pub remembered: usize,
}

impl Default for Foreign {
    fn default() -> Self {
        Self {
            second_copy: true,
            opening: None,
            offer_ms: 250,
            copy_ms: 2_000,
            takeover_ms: 30_000,
            unattested_ms: 86_400_000,
            copy_bytes: 256 * 1024 * 1024,
            attest_ms: 100,
            attest_records: 1_024,
            remembered: 1_000_000,
        }
    }
}
