//! The cloud's configuration. Every default is stated; unknown keys are refused.

use crate::{
    archivist::{Grouping, QuarantineRoom},
    delta::Settings,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};
use voltmesh_http::{Confinement, NameError, Names};
use voltmesh_identity::ExpiredList;
use voltmesh_mqtt::Bounds;

/// A configuration file with every key at its default, explained.
pub const DEFAULTS: &str = include_str!("../cloud.toml");

/// The whole file. Relative paths are relative to its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This cloud's name (default `cloud-1`); must be that of its certificate.
    #[serde(default = "default_id")]
    pub id: String,
    /// Folder with `tls.crt`, `tls.key`, `ca.crt` and `sign.key`; the latter signs archive notices.
    pub credentials: PathBuf,
    /// The CA's revocation list; a changed file is taken over without restart.
    pub revocations: PathBuf,
    /// What to do when that list is past its time (default `warn`: it goes on to count, and the log says so).
    #[serde(default)]
    pub expired_crl: ExpiredList,
    /// Whom to believe: the ledger's trust file.
    pub trust: PathBuf,
    /// Hand-overs learned from fog nodes are kept here (default none: they are learned again after a restart).
    #[serde(default)]
    pub trust_learned: Option<PathBuf>,
    /// The archive: a folder, or `s3://bucket/prefix` in a build with the feature `s3`.
    pub archive: String,
    /// Options of the object store, such as `aws_region` or `aws_endpoint` (default none; the environment counts too).
    #[serde(default)]
    pub store: BTreeMap<String, String>,
    /// For fog nodes.
    #[serde(default)]
    pub mqtt: Mqtt,
    /// For people and programs.
    #[serde(default)]
    pub http: Http,
    /// How batches become commits.
    #[serde(default)]
    pub commit: CommitConfig,
    /// What is kept of refused deliveries.
    #[serde(default)]
    pub quarantine: QuarantineConfig,
    /// What the archive says of itself.
    #[serde(default)]
    pub statement: StatementConfig,
    /// How its process is confined.
    #[serde(default)]
    pub process: Confinement,
    /// Folder of the audit log (default `audit`).
    #[serde(default = "default_audit")]
    pub audit: PathBuf,
}

fn default_audit() -> PathBuf {
    "audit".into()
}

fn default_id() -> String {
    "cloud-1".into()
}

/// MQTT server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// Where it listens (default `127.0.0.1:8884`; port 0 takes a free one).
    pub listen: SocketAddr,
    /// Fog nodes at once, 1 to 4096 (default 256).
    pub max_sessions: usize,
    /// Sessions of one fog node at once, 1 to 4096 (default 4); the next is refused with 0x97.
    pub sessions_per_identity: usize,
    /// Connections of one source address (IPv4, or IPv6 /64) at once, 1 to 1000000 (default: two
    /// thirds of `max_sessions` + 13824).
    pub connections_per_source: Option<usize>,
    /// TLS handshakes that one source address may begin, per second, 1 to 1000000 (default 2000: half a core).
    pub handshakes_per_source_s: u32,
    /// Envelopes without PUBACK per fog node, 1 to 65535 (default 256: a commit interval at 256 batches/s).
    pub receive_maximum: u16,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: loopback(8884),
            max_sessions: 256,
            sessions_per_identity: 4,
            connections_per_source: None,
            handshakes_per_source_s: 2_000,
            receive_maximum: 256,
        }
    }
}

impl Mqtt {
    /// File descriptors that are never given to connections of fog nodes: a merge's 32 files and those of 16 queries with
    /// 32 each, 256 connections of the HTTP interface, and 224 for logs, look-ups and the runtime.
    pub const RESERVED_DESCRIPTORS: usize = 1_024;

    /// Bounds of the MQTT server. What is not configured is in proportion to `max_sessions`.
    pub fn bounds(&self) -> Bounds {
        let bounds = Bounds::of_sessions(self.max_sessions);
        Bounds {
            sessions_per_identity: self.sessions_per_identity,
            connections_per_source: self.connections_per_source.unwrap_or(bounds.connections_per_source),
            handshakes_per_source_s: self.handshakes_per_source_s,
            ..bounds
        }
    }
}

/// HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where it listens (default `127.0.0.1:8094`; port 0 takes a free one). Beyond loopback `token_file` or `tls` must
    /// be set.
    pub listen: SocketAddr,
    /// A file with a token of at least 16 characters that requests must carry as `Authorization: Bearer …`
    /// (default none).
    pub token_file: Option<PathBuf>,
    /// Serve TLS 1.3 and ask for a certificate of the CA with role operator, cloud or controller (default false).
    pub tls: bool,
    /// Further names of this interface, `host` or `host:port`, such as a proxy's (default none). It answers requests for loopback names, for
    /// the address that is listened on, for names in its certificate, and for these.
    pub hosts: Vec<String>,
    /// Pages that may ask, such as `https://fleet.example` (default none but its own).
    pub origins: Vec<String>,
    /// Connections at once, 1 to 4096 (default 256).
    pub max_connections: usize,
    /// Of these, from one address, or with `tls` of one identity, 1 to 4096 (default 64). Behind a proxy, all come from its address.
    pub max_connections_per_source: usize,
}

impl Http {
    /// What it is called, and by whom it may be asked.
    pub fn names(&self) -> Result<Names, ConfigError> {
        let wrong = |error: NameError| ConfigError::Value { key: error.key(), problem: error.to_string() };
        Names::parse(&self.hosts, &self.origins).map_err(wrong)
    }
}

impl Default for Http {
    fn default() -> Self {
        let bounds = voltmesh_http::Settings::default();
        Self {
            listen: loopback(8094),
            token_file: None,
            tls: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            max_connections: bounds.connections,
            max_connections_per_source: bounds.connections_per_source,
        }
    }
}

/// Commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommitConfig {
    /// A commit waits so long for more batches, 1 to 3600000 ms (default 10000): what readers may have to wait. One with
    /// an event of a vehicle's twin waits 200 ms.
    pub interval_ms: u64,
    /// Or so long if it holds fewer than `few_records`, 1 to 3600000 ms (default three times `interval_ms`, at most 30000).
    /// Vehicles and fog nodes offer a batch again that is not answered for 60 s: stay below.
    pub few_interval_ms: Option<u64>,
    /// Fewer records than these are few, 0 to 1000000 (default 100).
    pub few_records: usize,
    /// A commit does not wait once it holds so many records, 1 to 1000000 (default 50000).
    pub max_records: usize,
    /// Deliveries that may wait for a commit, in bytes as they came and unpacked, at least 4 MiB; one vehicle's a quarter of
    /// them (default 134217728). More wait packed, up to half as many bytes; then fog nodes wait.
    pub max_pending_bytes: usize,
    /// A Delta checkpoint each so many commits (default 100).
    pub checkpoint_every: u64,
    /// Merge a day's files of like size once there are so many; 0 never merges (default 32).
    pub compact_files: usize,
    /// Delete merged files after so many hours (default 3): no reader may use a snapshot for longer.
    pub vacuum_hours: u64,
    /// Delete log entries before the latest checkpoint after so many hours (default 1).
    pub log_hours: u64,
}

impl Default for CommitConfig {
    fn default() -> Self {
        let (grouping, settings) = (Grouping::default(), Settings::default());
        Self {
            interval_ms: 10_000,
            few_interval_ms: None,
            few_records: 100,
            max_records: grouping.max_records,
            max_pending_bytes: grouping.max_pending_bytes,
            checkpoint_every: settings.checkpoint_every,
            compact_files: settings.compact_files,
            vacuum_hours: settings.vacuum_hours,
            log_hours: settings.log_hours,
        }
    }
}

/// A commit that holds little waits so long by default, if `interval_ms` allows: half of the time after which vehicles
/// and fog nodes offer a batch again.
const FEW_INTERVAL_MS: u64 = 30_000;

impl CommitConfig {
    fn few_interval_ms(&self) -> u64 {
        let longer = self.interval_ms.saturating_mul(3).min(FEW_INTERVAL_MS);
        self.few_interval_ms.unwrap_or(longer).max(self.interval_ms)
    }

    /// For the core, where each fog node may have so many deliveries under way.
    pub fn grouping(&self, receive_maximum: u16) -> Grouping {
        Grouping {
            interval_ms: self.interval_ms,
            few_interval_ms: self.few_interval_ms(),
            few_records: self.few_records,
            max_records: self.max_records,
            max_deliveries: usize::from(receive_maximum).div_ceil(2),
            max_pending_bytes: self.max_pending_bytes,
        }
    }

    /// For the archive.
    pub fn settings(&self) -> Settings {
        Settings {
            checkpoint_every: self.checkpoint_every,
            compact_files: self.compact_files,
            vacuum_hours: self.vacuum_hours,
            log_hours: self.log_hours,
        }
    }
}

/// Quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuarantineConfig {
    /// Bytes of refused deliveries that are kept, 16 MiB to 1 TiB (default 1 GiB). Nothing leaves the quarantine. One fog node,
    /// or one vehicle whose signature holds, may use a sixteenth of what is left at once, and a sixteenth a day; what goes
    /// beyond is refused, counted, and not kept here.
    pub max_bytes: u64,
}

impl Default for QuarantineConfig {
    fn default() -> Self {
        Self { max_bytes: QuarantineRoom::DEFAULT_BYTES }
    }
}

/// Statements of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatementConfig {
    /// A statement so long after the one before it, if something was archived since, 1 to 3600 s (default 60). One is made
    /// each hour in any case.
    pub every_s: u64,
    /// Hours between two statements that name the head of the cloud's audit log, 0 to 8760; 0 for none (default 24). Receipts
    /// are in `ledger` in the log's folder: `voltmesh audit verify --trust`. Fog nodes of before take none of these statements.
    pub audit_hours: u64,
}

impl Default for StatementConfig {
    fn default() -> Self {
        Self { every_s: 60, audit_hours: 24 }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Largest configuration file: 64 KiB.
const MAX_BYTES: u64 = 64 << 10;

/// Errors of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is no configuration: correct the line it names.
    #[error("the cloud's configuration is wrong")]
    Parse(#[from] toml::de::Error),
    /// A value is out of its range.
    #[error("{key}: {problem}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads a file; relative paths in it are relative to its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(read)?.len();
        if size > MAX_BYTES {
            return Err(ConfigError::Value {
                key: "file",
                problem: format!("{size} bytes, want at most {MAX_BYTES}"),
            });
        }
        let mut config = Self::parse(&std::fs::read_to_string(path).map_err(read)?)?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Reads TOML.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Makes relative paths relative to `folder`.
    pub fn resolve(&mut self, folder: &Path) {
        let paths = [&mut self.credentials, &mut self.revocations, &mut self.trust, &mut self.audit];
        for path in paths.into_iter().chain(&mut self.trust_learned).chain(&mut self.http.token_file) {
            *path = folder.join(&*path);
        }
        if !self.archive.contains("://") {
            self.archive = folder.join(&self.archive).display().to_string();
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let within = |key, value: u64, min: u64, max: u64| {
            let problem = format!("{value}, want {min} to {max}");
            if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::Value { key, problem }) }
        };
        within("mqtt.max_sessions", self.mqtt.max_sessions as u64, 1, 4096)?;
        within("mqtt.sessions_per_identity", self.mqtt.sessions_per_identity as u64, 1, 4096)?;
        let per_source = self.mqtt.bounds().connections_per_source;
        within("mqtt.connections_per_source", per_source as u64, 1, 1_000_000)?;
        within("mqtt.handshakes_per_source_s", self.mqtt.handshakes_per_source_s.into(), 1, 1_000_000)?;
        within("mqtt.receive_maximum", self.mqtt.receive_maximum.into(), 1, 65_535)?;
        within("http.max_connections", self.http.max_connections as u64, 1, 4096)?;
        within("http.max_connections_per_source", self.http.max_connections_per_source as u64, 1, 4096)?;
        self.http.names()?;
        within("commit.interval_ms", self.commit.interval_ms, 1, 3_600_000)?;
        within("commit.few_interval_ms", self.commit.few_interval_ms(), 1, 3_600_000)?;
        within("commit.few_records", self.commit.few_records as u64, 0, 1_000_000)?;
        within("commit.vacuum_hours", self.commit.vacuum_hours, 0, 876_000)?;
        within("commit.log_hours", self.commit.log_hours, 0, 876_000)?;
        within("commit.max_records", self.commit.max_records as u64, 1, 1_000_000)?;
        within("commit.max_pending_bytes", self.commit.max_pending_bytes as u64, 4 << 20, 64 << 30)?;
        within("quarantine.max_bytes", self.quarantine.max_bytes, 16 << 20, 1 << 40)?;
        within("statement.every_s", self.statement.every_s, 1, 3_600)?;
        within("statement.audit_hours", self.statement.audit_hours, 0, 8_760)?;
        within("commit.checkpoint_every", self.commit.checkpoint_every, 1, 1_000_000)?;
        if !self.http.listen.ip().is_loopback() && self.http.token_file.is_none() && !self.http.tls {
            let problem = format!(
                "{} is beyond loopback: set http.token_file or http.tls, or listen on 127.0.0.1",
                self.http.listen
            );
            return Err(ConfigError::Value { key: "http.listen", problem });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "credentials = 'c'\nrevocations = 'crl.pem'\ntrust = 't.toml'\narchive = 'a'\n";

    #[test]
    fn defaults_are_those_stated() {
        let mut config = Config::parse(LEAST).unwrap();
        assert_eq!((config.mqtt.listen.port(), config.http.listen.port()), (8884, 8094));
        let grouping = config.commit.grouping(config.mqtt.receive_maximum);
        assert_eq!((grouping.interval_ms, grouping.few_interval_ms), (10_000, 30_000));
        assert_eq!((grouping.few_records, grouping.max_records, grouping.max_deliveries), (100, 50_000, 128));
        config.resolve(Path::new("/etc/voltmesh"));
        assert_eq!(config.trust, Path::new("/etc/voltmesh/t.toml"));
        assert_eq!(config.archive, "/etc/voltmesh/a");
        let again = Config::parse(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn the_defaults_file_states_every_default() {
        let least = "credentials = 'pki/cloud-cloud-1'\nrevocations = 'pki/crl.pem'\ntrust = 'trust.toml'\narchive = 'archive'";
        assert_eq!(Config::parse(DEFAULTS).unwrap(), Config::parse(least).unwrap());
    }

    #[test]
    fn what_is_unknown_or_unsafe_is_refused() {
        for (extra, names) in [
            ("archiv = 1", "unknown field"),
            ("[http]\nlisten = '0.0.0.0:80'", "http.listen"),
            ("[http]\nhosts = ['http://a']", "http.hosts"),
            ("[http]\norigins = ['a']", "http.origins"),
            ("[http]\nmax_connections = 0", "http.max_connections"),
            ("[commit]\ninterval_ms = 0", "commit.interval_ms"),
            ("[commit]\nfew_interval_ms = 4000000", "commit.few_interval_ms"),
            ("[mqtt]\nreceive_maximum = 0", "mqtt.receive_maximum"),
            ("[statement]\nevery_s = 0", "statement.every_s"),
            ("[statement]\naudit_hours = 8761", "statement.audit_hours"),
            ("[quarantine]\nmax_bytes = 1", "quarantine.max_bytes"),
            ("expired_crl = 'ignore'", "unknown variant"),
        ] {
            let error = Config::parse(&format!("{LEAST}{extra}")).unwrap_err();
            let text = format!(
                "{error} {}",
                std::error::Error::source(&error).map_or(String::new(), ToString::to_string)
            );
            assert!(text.contains(names), "{extra}: {text}");
        }
        Config::parse(&format!("{LEAST}[http]\nlisten = '0.0.0.0:80'\ntls = true")).unwrap();
    }
}
