//! What a fog node is told: one TOML file. Every default is stated at its field; unknown keys are refused.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ed25519_dalek::{VerifyingKey, pkcs8::DecodePublicKey as _};
use serde::Deserialize;
use voltmesh_http::{Confinement, Names};
use voltmesh_identity::ExpiredList;
use voltmesh_ledger::{Checkpoint, MAX_CLOUD_KEYS};
use voltmesh_mqtt::Bounds;

use crate::Error;

mod functions;
mod stations;

pub use functions::{Controller, Functions};
pub use stations::{FeedSource, Stations};

/// A configuration file with every key at its default, explained.
pub const DEFAULTS: &str = include_str!("../fog.toml");

/// The largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The configuration of one fog node. Paths that are not absolute count from the file's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of spool, quarantine and ledger; created if absent. No default.
    pub data: PathBuf,
    /// Folder with `tls.crt`, `tls.key`, `ca.crt` and `sign.key`, as `voltmesh pki issue fog:<id>` makes it. The
    /// certificate names the node; `sign.key` signs votes, anchors and attested batches. No default.
    pub credentials: PathBuf,
    /// The revocation list of the CA; a change takes effect within a second. No default.
    pub crl: PathBuf,
    /// What to do when that list is past its time. Default `warn`.
    #[serde(default)]
    pub expired_crl: ExpiredList,
    /// Addresses to listen on.
    #[serde(default)]
    pub listen: Listen,
    /// Who may use the loopback interface.
    #[serde(default)]
    pub http: Http,
    /// The ledger and its authorities.
    pub ledger: Ledger,
    /// Where batches go. Without it, batches wait in the spool.
    pub cloud: Option<Cloud>,
    /// Bounds of what is taken in.
    #[serde(default)]
    pub ingest: Limits,
    /// Bounds of what is kept on disk.
    #[serde(default)]
    pub spool: Spool,
    /// Records of clients that are not ours.
    #[serde(default)]
    pub foreign: Foreign,
    /// Controllers that are told of vehicles and send functions. Default: none, and no function runs.
    pub controller: Option<Controller>,
    /// Bounds of functions.
    #[serde(default)]
    pub functions: Functions,
    /// How its process is confined.
    #[serde(default)]
    pub process: Confinement,
    /// Forecasts of charging stations and advice to drivers. Default: none, and `/stations/…` answers 404.
    pub stations: Option<Stations>,
}

/// Addresses to listen on.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// MQTT 5 over mutual TLS, for vehicles and clients. Default 0.0.0.0:8883.
    pub mqtt: SocketAddr,
    /// Authorities of the ledger. Default 0.0.0.0:7000.
    pub p2p: SocketAddr,
    /// `/metrics`, `/status`, `/tx`, `/chain/…`, `/stations/…`; loopback only. Default 127.0.0.1:9100.
    pub http: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            mqtt: ([0, 0, 0, 0], 8883).into(),
            p2p: ([0, 0, 0, 0], 7000).into(),
            http: ([127, 0, 0, 1], 9100).into(),
        }
    }
}

/// Who may use the loopback interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Further names of it, `host` or `host:port`. Default: none but loopback names and the address that is listened on.
    pub hosts: Vec<String>,
    /// Pages that may ask, such as `https://fleet.example`. Default: none but its own.
    pub origins: Vec<String>,
    /// A file with a token of at least 16 characters that requests which change something must carry as `Authorization: Bearer …`.
    /// Default: none; registry transactions and decrees carry their own signatures.
    pub token_file: Option<PathBuf>,
}

impl Http {
    /// What it is called, and by whom it may be asked.
    pub(crate) fn names(&self) -> Result<Names, Error> {
        Names::parse(&self.hosts, &self.origins).map_err(|error| Error::Config { what: error.to_string() })
    }
}

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

/// The cloud that archives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    /// Its MQTT listener, host:port. No default.
    pub address: String,
    /// The Ed25519 key that signs archive notices: 64 hex digits, or the file `sign.pub` that holds it; or a list of 1 to 16,
    /// while one replaces another. No default.
    pub notice_key: NoticeKeys,
    /// Batches under way to the cloud at once, 1..=65535. Default 256.
    #[serde(default = "default_window")]
    pub window: usize,
    /// Bytes under way to the cloud at once. Default 16 MiB.
    #[serde(default = "default_window_bytes")]
    pub window_bytes: u64,
    /// Time after the cloud's PUBACK within which its archive notice is expected; then the batch is sent again,
    /// milliseconds. Default 60000.
    #[serde(default = "default_notice_ms")]
    pub notice_ms: u64,
}

/// Keys in hex of which any may sign archive notices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMore")]
pub struct NoticeKeys(pub Vec<String>);

/// One text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl TryFrom<OneOrMore> for NoticeKeys {
    type Error = &'static str;

    fn try_from(keys: OneOrMore) -> Result<Self, Self::Error> {
        let keys = match keys {
            OneOrMore::One(key) => vec![key],
            OneOrMore::More(keys) => keys,
        };
        // As many as a trust file may name.
        let fits = (1..=MAX_CLOUD_KEYS).contains(&keys.len());
        fits.then_some(Self(keys)).ok_or("wants a key, or a list of 1 to 16")
    }
}

fn default_window() -> usize {
    256
}
fn default_window_bytes() -> u64 {
    16 * 1024 * 1024
}
fn default_notice_ms() -> u64 {
    60_000
}

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

/// Longest `sign.pub`: an Ed25519 key in PEM has 113 bytes.
const MAX_KEY_FILE: u64 = 4096;

/// A key in 64 hex digits: as it is, or read from the `sign.pub` that is named instead, relative to `base`.
fn key(named: &str, base: &Path) -> Result<String, String> {
    if named.len() == 64 && named.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(named.to_ascii_lowercase());
    }
    let path = base.join(named);
    let wrong =
        |why: String| format!("{named:?} is neither 64 hex digits nor a sign.pub: {}: {why}", path.display());
    let size = std::fs::metadata(&path).map_err(|error| wrong(error.to_string()))?.len();
    if size > MAX_KEY_FILE {
        return Err(wrong(format!("{size} bytes, at most {MAX_KEY_FILE}")));
    }
    let pem = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let key = VerifyingKey::from_public_key_pem(&pem).map_err(|error| wrong(error.to_string()))?;
    Ok(voltmesh_telemetry::Digest::new(key.to_bytes()).to_string())
}

impl Config {
    /// Reads and checks a file; relative paths count from its folder.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |error: std::io::Error| Error::Config {
            what: format!("cannot read {}: {error}", path.display()),
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_FILE {
            return Err(Error::Config {
                what: format!("{} has {size} bytes, at most {MAX_FILE}", path.display()),
            });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(".")))
            .map_err(|error| Error::Config { what: format!("{}: {error}", path.display()) })
    }

    /// Parses and checks a text; relative paths count from `base`.
    ///
    /// ```
    /// let text = r#"
    ///     data = "data"
    ///     credentials = "pki/fog-fog-1"
    ///     crl = "pki/crl.pem"
    ///     [ledger]
    ///     genesis = "genesis.toml"
    /// "#;
    /// let config = voltmesh_fog::Config::parse(text, std::path::Path::new("/etc/voltmesh")).unwrap();
    /// assert_eq!(config.data, std::path::Path::new("/etc/voltmesh/data"));
    /// assert!(voltmesh_fog::Config::parse(&format!("colour = 1\n{text}"), std::path::Path::new("/")).is_err());
    /// ```
    pub fn parse(text: &str, base: &Path) -> Result<Self, Error> {
        let mut config: Self =
            toml::from_str(text).map_err(|error| Error::Config { what: error.to_string() })?;
        for path in [&mut config.data, &mut config.credentials, &mut config.crl, &mut config.ledger.genesis] {
            *path = base.join(&*path);
        }
        for path in config.foreign.opening.iter_mut().chain(&mut config.http.token_file) {
            *path = base.join(&*path);
        }
        if let Some(stations) = &mut config.stations {
            stations.resolve(base);
        }
        for peer in &mut config.ledger.peers {
            peer.key = key(&peer.key, base).map_err(|why| Error::config(format!("ledger.peers: {why}")))?;
        }
        if let Some(cloud) = &mut config.cloud {
            for notice_key in &mut cloud.notice_key.0 {
                *notice_key =
                    key(notice_key, base).map_err(|why| Error::config(format!("cloud.notice_key: {why}")))?;
            }
        }
        if let Some(controller) = &mut config.controller {
            for named in &mut controller.keys {
                *named = key(named, base).map_err(|why| Error::config(format!("controller.keys: {why}")))?;
            }
        }
        for named in &mut config.functions.publishers {
            *named = key(named, base).map_err(|why| Error::config(format!("functions.publishers: {why}")))?;
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        let within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if range.contains(&value) {
                return Ok(());
            }
            Err(Error::Config {
                what: format!("{key} = {value} is outside {}..={}", range.start(), range.end()),
            })
        };
        self.http.names()?;
        if !self.listen.http.ip().is_loopback() {
            return Err(Error::Config {
                what: format!(
                    "listen.http = {} is not loopback: it asks for no certificate",
                    self.listen.http
                ),
            });
        }
        within("ledger.block_ms", self.ledger.block_ms, 20..=60_000)?;
        within("ledger.idle_block_ms", self.ledger.idle_block_ms, 100..=600_000)?;
        within("ledger.anchor_ms", self.ledger.anchor_ms, 10..=60_000)?;
        within("ledger.anchor_batches", self.ledger.anchor_batches as u64, 1..=512)?;
        within("ledger.audit_hours", self.ledger.audit_hours.into(), 0..=8_760)?;
        within("ledger.snapshot_blocks", self.ledger.snapshot_blocks, 0..=1_000_000)?;
        if self.ledger.history().is_some() && self.ledger.snapshot_blocks == 0 {
            return Err(Error::config(
                "ledger.history_blocks without ledger.snapshot_blocks: nothing would ever be pruned, since a \
                 restart would need the first blocks",
            ));
        }
        within("foreign.attest_records", self.foreign.attest_records as u64, 1..=4_096)?;
        within("foreign.attest_ms", self.foreign.attest_ms, 1..=60_000)?;
        within("ingest.sessions", self.ingest.sessions as u64, 1..=1_000_000)?;
        within("ingest.sessions_per_identity", self.ingest.sessions_per_identity as u64, 1..=4_096)?;
        let per_source = self.ingest.bounds().connections_per_source;
        within("ingest.connections_per_source", per_source as u64, 1..=1_000_000)?;
        within("ingest.handshakes_per_source_s", self.ingest.handshakes_per_source_s.into(), 1..=1_000_000)?;
        within(
            "ingest.publishes_per_identity_s",
            self.ingest.publishes_per_identity_s.into(),
            1..=10_000_000,
        )?;
        within("ingest.receive_maximum", self.ingest.receive_maximum.into(), 1..=65_535)?;
        within("ingest.inflight_bytes", self.ingest.inflight_bytes, 2 * 1024 * 1024..=1 << 40)?;
        within("spool.capacity_bytes", self.spool.capacity_bytes, 16 << 20..=1 << 50)?;
        within("spool.quarantine_bytes", self.spool.quarantine_bytes, 4 << 20..=1 << 40)?;
        if let Some(cloud) = &self.cloud {
            within("cloud.window", cloud.window as u64, 1..=65_535)?;
        }
        if let Some(controller) = &self.controller {
            controller.check()?;
        }
        self.functions.check(within)?;
        if let Some(stations) = &self.stations {
            stations.check(within)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(text: &str) -> String {
        Config::parse(text, Path::new("/")).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_file_states_every_default() {
        let stated = Config::parse(DEFAULTS, Path::new("/")).unwrap();
        let least =
            "data='data'\ncredentials='pki/fog-fog-1'\ncrl='pki/crl.pem'\n[ledger]\ngenesis='genesis.toml'";
        let least = Config::parse(least, Path::new("/")).unwrap();
        assert_eq!(format!("{stated:?}"), format!("{least:?}"));
    }

    #[test]
    fn history_is_bounded_only_where_snapshots_are_taken() {
        let base = "data='d'\ncredentials='c'\ncrl='l'\n[ledger]\ngenesis='g'\n";
        let ledger = |text: &str| Config::parse(&format!("{base}{text}"), Path::new("/")).unwrap().ledger;
        assert_eq!((ledger("").snapshot_blocks, ledger("").history()), (4_096, Some(16_384)));
        assert_eq!(ledger("history_blocks = 100000").history(), Some(100_000));
        assert_eq!(ledger("history_blocks = 0").history(), None);
        assert_eq!(ledger("snapshot_blocks = 0").history(), None);
        let refused = |text: &str| refuse(&format!("{base}{text}"));
        assert!(refused("snapshot_blocks = 1000001").contains("ledger.snapshot_blocks"));
        assert!(refused("snapshot_blocks = 0\nhistory_blocks = 9").contains("nothing would ever be pruned"));
        // For one start each, by somebody who has looked.
        assert!(refused("repair = true").contains("repair"));
        assert!(refused("checkpoint = 'c.bin'").contains("checkpoint"));
    }

    #[test]
    fn keys_are_named_by_themselves_or_by_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let signing = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        voltmesh_identity::write_signing_key(folder.path(), &signing).unwrap();
        let hex = voltmesh_telemetry::Digest::new(signing.verifying_key().to_bytes()).to_string();
        let text = |key: &str| {
            format!(
                "data='d'\ncredentials='c'\ncrl='l'\n[ledger]\ngenesis='g'\n[[ledger.peers]]\nkey='{key}'\n\
                 address='fog-2:7000'\n[cloud]\naddress='cloud:8884'\nnotice_key='{key}'\n"
            )
        };
        for named in ["sign.pub", &hex, &hex.to_uppercase()] {
            let config = Config::parse(&text(named), folder.path()).unwrap();
            assert_eq!(
                (&config.ledger.peers[0].key, &config.cloud.unwrap().notice_key.0),
                (&hex, &vec![hex.clone()])
            );
        }
        for (named, why) in
            [("none.pub", "none.pub"), ("sign.key", "neither 64 hex digits"), ("abcd", "abcd")]
        {
            let said = Config::parse(&text(named), folder.path()).unwrap_err().to_string();
            assert!(said.contains("ledger.peers") && said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_notice_key_is_one_or_a_list() {
        let least = "data='d'\ncredentials='c'\ncrl='l'\n[ledger]\ngenesis='g'\n";
        let keys = |text: &str| {
            let text = format!("{least}[cloud]\naddress='c:1'\nnotice_key={text}\n");
            Config::parse(&text, Path::new("/")).map(|config| config.cloud.map(|cloud| cloud.notice_key.0))
        };
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(keys(&format!("'{a}'")).unwrap().unwrap(), std::slice::from_ref(&a));
        assert_eq!(keys(&format!("['{a}', '{b}']")).unwrap().unwrap(), [a, b]);
        for wrong in ["[]", "7", "['a', 7]"] {
            assert!(keys(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_file_says_what_is_wrong() {
        let base = "data='d'\ncredentials='c'\ncrl='l'\n[ledger]\ngenesis='g'\n";
        assert!(refuse("").contains("data"));
        assert!(refuse(&format!("{base}colour = 1")).contains("colour"));
        assert!(refuse(&format!("{base}block_ms = 1")).contains("ledger.block_ms = 1 is outside 20..=60000"));
        assert!(refuse(&format!("{base}[listen]\nhttp = '0.0.0.0:80'")).contains("not loopback"));
        assert!(refuse(&format!("{base}[http]\nhosts = ['a/b']")).contains("http.hosts"));
        assert!(refuse(&format!("{base}[http]\norigins = ['a']")).contains("http.origins"));
    }
}
