//! The cloud's configuration. Every default is stated; unknown keys are refused.

mod archive;
mod error;
mod interfaces;

pub use archive::{CommitConfig, QuarantineConfig, StatementConfig};
pub use error::ConfigError;
pub use interfaces::{Http, Mqtt};

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use voltmesh_http::Confinement;
use voltmesh_identity::ExpiredList;

/// A configuration file with every key at its default, explained.
pub const DEFAULTS: &str = include_str!("../../cloud.toml");

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

/// Largest configuration file: 64 KiB.
const MAX_BYTES: u64 = 64 << 10;

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
