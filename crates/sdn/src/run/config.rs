//! The controller's configuration. Every default is stated; unknown keys are refused.

use ed25519_dalek::{VerifyingKey, pkcs8::DecodePublicKey as _};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};
use voltmesh_http::{Confinement, NameError, Names};
use voltmesh_identity::ExpiredList;
use voltmesh_mqtt::Bounds;
use voltmesh_telemetry::{VehicleId, is_name};

/// A configuration file with every key at its default, explained.
pub const DEFAULTS: &str = include_str!("../../controller.toml");

/// Largest file of a public key: a PEM of 32 bytes has 113.
const MAX_KEY_BYTES: u64 = 4 << 10;
/// Publishers at most.
const MAX_PUBLISHERS: usize = 64;
/// Other controllers at most.
const MAX_CONTROLLERS: usize = 8;

/// The whole file. Relative paths are relative to its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This controller's name (default `controller-1`); must be that of its certificate.
    #[serde(default = "default_id")]
    pub id: String,
    /// Folder of what it keeps: releases, deployments, what runs where, decisions, audit log.
    pub data: PathBuf,
    /// Folder with `tls.crt`, `tls.key`, `ca.crt` and `sign.key`; the latter signs leases.
    pub credentials: PathBuf,
    /// The CA's revocation list; a changed file is taken over without restart.
    pub revocations: PathBuf,
    /// What to do when that list is past its time (default `warn`).
    #[serde(default)]
    pub expired_crl: ExpiredList,
    /// Where terms come from (default `ledger`).
    #[serde(default)]
    pub terms: TermSource,
    /// The ledger's genesis (default `genesis.toml`), where terms come from it.
    #[serde(default = "default_genesis")]
    pub genesis: PathBuf,
    /// Rules (default: those that are shipped).
    #[serde(default)]
    pub rules: Option<PathBuf>,
    /// Policy (default: the one that is shipped).
    #[serde(default)]
    pub policy: Option<PathBuf>,
    /// Keys of those who may publish functions: a `sign.pub`, or the key in 64 hex digits (default none: no release is taken).
    #[serde(default)]
    pub publishers: Vec<String>,
    /// Keys by which fog nodes sign commands, by fog node: a `sign.pub`, or the key in 64 hex digits. Of one that is not named,
    /// the key counts that it says in its session (default none).
    #[serde(default)]
    pub fogs: BTreeMap<String, String>,
    /// The other controllers, by their ids: `host:port` for MQTT. While this one stands by, it copies from whichever of them commands
    /// (default none: it copies from nobody, and nobody from it).
    #[serde(default)]
    pub controllers: BTreeMap<String, String>,
    /// Groups of vehicles for the policy (default none).
    #[serde(default)]
    pub groups: BTreeMap<String, BTreeSet<VehicleId>>,
    /// Leases and terms.
    #[serde(default)]
    pub leases: Leases,
    /// For fog nodes.
    #[serde(default)]
    pub mqtt: Mqtt,
    /// For people and programs.
    #[serde(default)]
    pub http: Http,
    /// How its process is confined.
    #[serde(default)]
    pub process: Confinement,
}

fn default_id() -> String {
    "controller-1".into()
}

fn default_genesis() -> PathBuf {
    "genesis.toml".into()
}

/// Where a controller's terms come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TermSource {
    /// The ledger gives them to one controller at a time that operators have admitted; others stand by.
    #[default]
    Ledger,
    /// Each start takes the next one: for a controller beside which there is no other.
    Alone,
}

/// Leases and terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Leases {
    /// How long a lease holds, 60 to 604800 s (default 3600): so long functions go on without a controller. Renewed at half of it.
    pub seconds: u64,
    /// For how long a term of the ledger is asked for, 3 to 30 s (default 10): so long after the active controller's end a standby
    /// takes over. Renewed at a third of it; clocks may differ by a fifth of it.
    pub tenure_s: u64,
    /// The first term is at least this one (default 1). After terms of a controller alone and the loss of `data`, one more than the
    /// highest term that fog nodes have seen: the log says which.
    pub least_term: u32,
    /// Memory in MiB for functions of one fog node, 16 to 1048576 (default 1024).
    pub node_memory_mib: u32,
}

impl Default for Leases {
    fn default() -> Self {
        Self { seconds: 3_600, tenure_s: 10, least_term: 1, node_memory_mib: 1_024 }
    }
}

/// MQTT server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// Where it listens (default `127.0.0.1:8886`; port 0 takes a free one).
    pub listen: SocketAddr,
    /// Fog nodes at once, 1 to 4096 (default 256).
    pub max_sessions: usize,
    /// Sessions of one fog node at once, 1 to 4096 (default 2: the one before may not have ended yet).
    pub sessions_per_identity: usize,
    /// TLS handshakes that one source address may begin, per second, 1 to 1000000 (default 2000: half a core).
    pub handshakes_per_source_s: u32,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: loopback(8886),
            max_sessions: 256,
            sessions_per_identity: 2,
            handshakes_per_source_s: 2_000,
        }
    }
}

impl Mqtt {
    /// File descriptors that are never given to connections of fog nodes: 256 connections of the HTTP interface, and 256 for
    /// what is kept, logs and the runtime.
    pub const RESERVED_DESCRIPTORS: usize = 512;

    /// Bounds of the MQTT server. What is not configured is in proportion to `max_sessions`.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            sessions_per_identity: self.sessions_per_identity,
            handshakes_per_source_s: self.handshakes_per_source_s,
            ..Bounds::of_sessions(self.max_sessions)
        }
    }
}

/// HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where it listens (default `127.0.0.1:8095`; port 0 takes a free one). Beyond loopback `tls` must be set.
    pub listen: SocketAddr,
    /// A file with a token of at least 16 characters that requests which change something must carry as
    /// `Authorization: Bearer …` (default none: then only an operator's certificate, with `tls`, may change something).
    pub token_file: Option<PathBuf>,
    /// Serve TLS 1.3 and ask for a certificate of the CA with role operator (default false).
    pub tls: bool,
    /// Further names of this interface, `host` or `host:port` (default none).
    pub hosts: Vec<String>,
    /// Pages that may ask, such as `https://fleet.example` (default none but its own).
    pub origins: Vec<String>,
    /// Connections at once, 1 to 4096 (default 256).
    pub max_connections: usize,
    /// Of these, from one address, or with `tls` of one identity, 1 to 4096 (default 64).
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
            listen: loopback(8095),
            token_file: None,
            tls: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            max_connections: bounds.connections,
            max_connections_per_source: bounds.connections_per_source,
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Largest configuration file: 1 MiB, most of it groups of vehicles.
const MAX_BYTES: u64 = 1 << 20;

/// What is wrong with a configuration.
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
    #[error("the controller's configuration is wrong")]
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
        config.resolve(path.parent().unwrap_or(Path::new("")))?;
        Ok(config)
    }

    /// Reads TOML.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Makes relative paths relative to `folder`, and reads the keys that are named by a file.
    pub fn resolve(&mut self, folder: &Path) -> Result<(), ConfigError> {
        let paths = [&mut self.data, &mut self.credentials, &mut self.revocations, &mut self.genesis];
        let more = self.rules.iter_mut().chain(&mut self.policy).chain(&mut self.http.token_file);
        for path in paths.into_iter().chain(more) {
            *path = folder.join(&*path);
        }
        for named in &mut self.publishers {
            *named = hex::encode(key("publishers", named, folder)?);
        }
        for (fog, named) in &mut self.fogs {
            if !is_name(fog) {
                let problem = format!("{fog:?} is no name of a fog node");
                return Err(ConfigError::Value { key: "fogs", problem });
            }
            *named = hex::encode(key("fogs", named, folder)?);
        }
        Ok(())
    }

    /// Keys by which fog nodes sign commands.
    pub fn fog_keys(&self) -> Result<BTreeMap<String, [u8; 32]>, ConfigError> {
        let here = Path::new("");
        self.fogs.iter().map(|(fog, text)| Ok((fog.clone(), key("fogs", text, here)?.to_bytes()))).collect()
    }

    /// Keys of publishers.
    pub fn publisher_keys(&self) -> Result<Vec<VerifyingKey>, ConfigError> {
        self.publishers.iter().map(|text| key("publishers", text, Path::new(""))).collect()
    }

    fn check(&self) -> Result<(), ConfigError> {
        let within = |key, value: u64, min: u64, max: u64| {
            let problem = format!("{value}, want {min} to {max}");
            if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::Value { key, problem }) }
        };
        within("leases.seconds", self.leases.seconds, 60, 604_800)?;
        within("leases.tenure_s", self.leases.tenure_s, 3, 30)?;
        within("leases.least_term", self.leases.least_term.into(), 1, u64::from(u32::MAX) / 2)?;
        within("leases.node_memory_mib", self.leases.node_memory_mib.into(), 16, 1 << 20)?;
        within("mqtt.max_sessions", self.mqtt.max_sessions as u64, 1, 4096)?;
        within("mqtt.sessions_per_identity", self.mqtt.sessions_per_identity as u64, 1, 4096)?;
        within("mqtt.handshakes_per_source_s", self.mqtt.handshakes_per_source_s.into(), 1, 1_000_000)?;
        within("http.max_connections", self.http.max_connections as u64, 1, 4096)?;
        within("http.max_connections_per_source", self.http.max_connections_per_source as u64, 1, 4096)?;
        within("publishers", self.publishers.len() as u64, 0, MAX_PUBLISHERS as u64)?;
        within("controllers", self.controllers.len() as u64, 0, MAX_CONTROLLERS as u64)?;
        if self.terms == TermSource::Alone && !self.controllers.is_empty() {
            let problem = "with terms = \"alone\" there is no other controller".to_owned();
            return Err(ConfigError::Value { key: "controllers", problem });
        }
        for (id, address) in &self.controllers {
            let problem = match address.rsplit_once(':') {
                _ if !is_name(id) || *id == self.id => format!("{id:?} is no id of another controller"),
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => continue,
                _ => format!("{address:?} of {id} is no address: want host:port"),
            };
            return Err(ConfigError::Value { key: "controllers", problem });
        }
        self.http.names()?;
        if !self.http.listen.ip().is_loopback() && !self.http.tls {
            let problem = format!(
                "{} is beyond loopback: set http.tls, or listen on 127.0.0.1 behind a proxy",
                self.http.listen
            );
            return Err(ConfigError::Value { key: "http.listen", problem });
        }
        Ok(())
    }
}

/// A public key in 64 hex digits, or of a `sign.pub`.
fn key(key: &'static str, named: &str, folder: &Path) -> Result<VerifyingKey, ConfigError> {
    let wrong = |why: String| ConfigError::Value {
        key,
        problem: format!("{named:?} is neither 64 hex digits nor a sign.pub: {why}"),
    };
    let mut bytes = [0; 32];
    if hex::decode_to_slice(named, &mut bytes).is_ok() {
        return VerifyingKey::from_bytes(&bytes).map_err(|error| wrong(error.to_string()));
    }
    let path = folder.join(named);
    let size = std::fs::metadata(&path).map_err(|error| wrong(error.to_string()))?.len();
    if size > MAX_KEY_BYTES {
        return Err(wrong(format!("{size} bytes, want at most {MAX_KEY_BYTES}")));
    }
    let pem = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    VerifyingKey::from_public_key_pem(&pem).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "data = 'd'\ncredentials = 'c'\nrevocations = 'crl.pem'\n";

    #[test]
    fn the_defaults_file_states_every_default() {
        let least = "data = 'data'\ncredentials = 'pki/controller-controller-1'\nrevocations = 'pki/crl.pem'";
        assert_eq!(Config::parse(DEFAULTS).expect("right"), Config::parse(least).expect("right"));
    }

    #[test]
    fn what_is_unknown_or_unsafe_is_refused() {
        for (extra, names) in [
            ("dat = 1", "unknown field"),
            ("publishers = ['ab']", "publishers"),
            ("[fogs]\nfog-1 = 'zz'", "fogs"),
            ("[fogs]\n'a/b' = 'zz'", "fogs"),
            ("[controllers]\ncontroller-1 = 'a:1'", "controllers"),
            ("[controllers]\ncontroller-2 = 'a'", "controllers"),
            ("terms = 'alone'\n[controllers]\ncontroller-2 = 'a:1'", "controllers"),
            ("[groups]\nbuses = ['a/b']", "configuration is wrong"),
            ("[leases]\nseconds = 5", "leases.seconds"),
            ("[leases]\nleast_term = 0", "leases.least_term"),
            ("[leases]\ntenure_s = 31", "leases.tenure_s"),
            ("terms = 'own'", "configuration is wrong"),
            ("[http]\nlisten = '0.0.0.0:80'", "http.listen"),
            ("[http]\nlisten = '0.0.0.0:80'\ntoken_file = 't'", "http.listen"),
            ("[http]\nhosts = ['http://a']", "http.hosts"),
            ("[mqtt]\nmax_sessions = 0", "mqtt.max_sessions"),
        ] {
            let read = |text: &str| Config::parse(text).and_then(|mut it| it.resolve(Path::new("/absent")));
            let error = read(&format!("{LEAST}{extra}")).expect_err(extra);
            let cause = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
            let text = format!("{error} {cause}");
            assert!(text.contains(names), "{extra}: {text}");
        }
        Config::parse(&format!("{LEAST}[http]\nlisten = '0.0.0.0:80'\ntls = true")).expect("safe");
    }
}
