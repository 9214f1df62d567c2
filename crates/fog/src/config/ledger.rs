//! The ledger that a node is an authority of, and its peers there.

use std::path::PathBuf;

use serde::Deserialize;
use voltmesh_ledger::Checkpoint;

/// The ledger this node is an authority of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The chain's genesis, TOML. No default.
    pub genesis: PathBuf,
    /// The other authorities and how to reach them. Default: none.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Accept authorities from addresses other than the configured ones (behind address translation). Default false.
    #[serde(default)]
    pub any_source_address: bool,
    /// Least time between blocks, milliseconds, 20..=60000. Default 100.
    #[serde(default = "default_block_ms")]
    pub block_ms: u64,
    /// Longest time between blocks when nothing happens, milliseconds, 100..=600000. Default 1000.
    #[serde(default = "default_idle_block_ms")]
    pub idle_block_ms: u64,
    /// Time between two anchors of this node, milliseconds, 10..=60000. Default 100.
    #[serde(default = "default_anchor_ms")]
    pub anchor_ms: u64,
    /// Batches after which an anchor is submitted without waiting, 1..=512. Default 512.
    #[serde(default = "default_anchor_batches")]
    pub anchor_batches: usize,
    /// Time after which an anchor that is not finalised is submitted again, milliseconds. Default 3000.
    #[serde(default = "default_resubmit_ms")]
    pub resubmit_ms: u64,
    /// Blocks between two snapshots of the ledger's state, 0..=1000000; 0 for none. All nodes of a chain need the same, since
    /// f + 1 of them must attest a snapshot before anyone believes it. Default 4096.
    #[serde(default = "default_snapshot_blocks")]
    pub snapshot_blocks: u64,
    /// Final blocks that stay on disk, 0 for all; older ones are pruned, but none after the last snapshot but one, nor what
    /// this node has yet to deliver. Default 16384, some 1 kB each; all without snapshots.
    #[serde(default)]
    pub history_blocks: Option<u64>,
    /// Hours between two heads of this node's audit log that go onto the ledger, 0..=8760; 0 for none. The receipts are in
    /// `ledger` in the log's folder: `voltmesh audit verify --trust`. Default 24.
    #[serde(default = "default_audit_hours")]
    pub audit_hours: u32,
    /// What a node with an empty disk begins from instead of genesis, checked before it is believed. Never in a file, which
    /// would outlive its use: `voltmesh fog --checkpoint`. Default: none.
    #[serde(skip)]
    pub checkpoint: Option<Checkpoint>,
    /// Whether damage on the ledger's disk is moved away and fetched from peers again. Never in a file, since somebody must
    /// have looked each time: `voltmesh fog --repair-ledger`. Default false.
    #[serde(skip)]
    pub repair: bool,
}

/// Default of [`Ledger::history_blocks`]: four and a half hours of a chain on which nothing happens, 27 minutes at ten blocks a
/// second. An idle node of four stays below 50 MB with it (ADR 21).
const HISTORY_BLOCKS: u64 = 16_384;

impl Ledger {
    /// Final blocks that stay on disk; `None` for all.
    pub fn history(&self) -> Option<u64> {
        let default = if self.snapshot_blocks == 0 { 0 } else { HISTORY_BLOCKS };
        Some(self.history_blocks.unwrap_or(default)).filter(|blocks| *blocks > 0)
    }
}
fn default_block_ms() -> u64 {
    100
}
fn default_idle_block_ms() -> u64 {
    1_000
}
fn default_anchor_ms() -> u64 {
    100
}
fn default_anchor_batches() -> usize {
    512
}
fn default_resubmit_ms() -> u64 {
    3_000
}
fn default_audit_hours() -> u32 {
    24
}
fn default_snapshot_blocks() -> u64 {
    4_096
}

/// Another authority.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its public key: 64 hex digits, or the file `sign.pub` that holds it. A node's own entry is left out.
    pub key: String,
    /// Its p2p address, host:port.
    pub address: String,
    /// Its name, for people: `voltmesh chain` shows it beside the key. Default: none.
    #[serde(default)]
    pub name: Option<String>,
}
