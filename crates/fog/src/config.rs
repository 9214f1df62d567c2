//! What a fog node is told: one TOML file. Every default is stated at its field; unknown keys are refused.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use voltmesh_http::Confinement;
use voltmesh_identity::ExpiredList;

use crate::Error;

mod bounds;
mod cloud;
mod foreign;
mod functions;
mod key;
mod ledger;
mod listen;
mod stations;

pub use bounds::{Limits, Spool};
pub use cloud::{Cloud, NoticeKeys};
pub use foreign::Foreign;
pub use functions::{Controller, Functions};
use key::key;
pub use ledger::{Ledger, Peer};
pub use listen::{Http, Listen};
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
