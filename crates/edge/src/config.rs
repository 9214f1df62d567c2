//! Configuration: TOML, every default stated, unknown keys refused.

mod http;
mod source;

pub use http::Http;
pub use source::{Kind, SourceConfig};

use crate::Error;
use crate::agent::{KeepUntil, Rules};
use crate::commands::CommandsConfig;
use crate::sources::stated;
use crate::twin::TwinConfig;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use voltmesh_http::Confinement;
use voltmesh_identity::ExpiredList;
use voltmesh_recording::Battery;
use voltmesh_telemetry::{Boot, VehicleId};

/// A configuration file with every key at its default, explained.
pub const DEFAULTS: &str = include_str!("../edge.toml");

/// Doubts that are signed with a batch, and characters of each: 2 KB, a fiftieth of a batch.
const MAX_DOUBTS: usize = 8;
const MAX_DOUBT: usize = 256;

/// The largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The configuration of one vehicle's agent. Paths that are not absolute count from the file's folder. The defaults
/// and ranges stand in [`DEFAULTS`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of spool and boot counter; the runner's storage folder.
    pub data: PathBuf,
    /// Folder with certificate and keys; the certificate names the vehicle.
    pub credentials: PathBuf,
    /// The CA's revocation list.
    pub crl: PathBuf,
    /// What to do when that list is past its time. Default `warn`.
    #[serde(default)]
    pub expired_crl: ExpiredList,
    /// Genesis, hand-overs and the cloud's keys.
    pub trust: PathBuf,
    /// `salt` of the registry's commitment.
    pub opening: PathBuf,
    /// Of which the records' salts are derived.
    pub secret: PathBuf,
    /// Fog nodes, host:port.
    pub fogs: Vec<String>,
    /// `/metrics`, `/status` and `/twin`; loopback only.
    #[serde(default)]
    pub http: Http,
    /// Whether it never booted before.
    #[serde(default)]
    pub new_vehicle: bool,
    /// End when the source has ended and nothing is kept any more.
    #[serde(default)]
    pub until_archived: bool,
    /// How samples become batches.
    #[serde(default)]
    pub batch: Batch,
    /// What is kept.
    #[serde(default)]
    pub spool: SpoolRules,
    /// How fog nodes are used.
    #[serde(default)]
    pub uplink: Uplink,
    /// The battery's twin.
    #[serde(default)]
    pub twin: TwinConfig,
    /// What functions on fog nodes may ask of the vehicle.
    #[serde(default)]
    pub commands: CommandsConfig,
    /// Where samples come from.
    pub source: SourceConfig,
    /// How its process is confined.
    #[serde(default)]
    pub process: Confinement,
    /// The battery as far as `[twin]` states it: defaults say nothing.
    #[serde(skip)]
    pub stated: Battery,
    /// Whether the chemistry of `[twin]` is stated, by itself or by the cell's parameters, and not assumed.
    #[serde(skip)]
    pub says_chemistry: bool,
    /// Why its recording is doubtful, accepted nevertheless: signed with every batch. Never in a file. Default: nothing.
    #[serde(skip)]
    pub accepted_doubts: Vec<String>,
}

/// How samples become batches.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// Records in a batch. Default 256.
    pub max_records: usize,
    /// A batch is sealed after so long, full or not. Default 10,000 ms.
    pub max_age_ms: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self { max_records: 256, max_age_ms: 10_000 }
    }
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolRules {
    /// The stage after which a record is forgotten. Default `archived`.
    pub keep_until: KeepUntil,
    /// Bound of the bytes that wait. Default 256 MiB: 30 days at 1 Hz are 2.6 M records of about 100 bytes.
    pub max_bytes: u64,
    /// Time without a notice until a batch is offered again. Default 60,000 ms.
    pub offer_again_after_ms: u64,
}

impl Default for SpoolRules {
    fn default() -> Self {
        Self { keep_until: KeepUntil::Archived, max_bytes: 256 << 20, offer_again_after_ms: 60_000 }
    }
}

/// How fog nodes are used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Uplink {
    /// Batches sent and not acknowledged. Default 32.
    pub in_flight: usize,
    /// TCP, TLS and MQTT together; twice as long after each attempt that failed, up to eight times. Default 1,000 ms.
    pub connect_timeout_ms: u64,
    /// A ping must be answered in this time, or four times what the server took to answer CONNECT. Default 700 ms.
    pub answer_timeout_ms: u64,
    /// Silence, while an answer is due, before a ping. Default 200 ms.
    pub ping_after_ms: u64,
    /// How often round trips are measured. Default 60,000 ms.
    pub measure_every_ms: u64,
    /// First back-off. Default 200 ms.
    pub back_off_ms: u64,
    /// Longest back-off. Default 30,000 ms.
    pub back_off_max_ms: u64,
}

impl Default for Uplink {
    fn default() -> Self {
        Self {
            in_flight: 32,
            connect_timeout_ms: 1000,
            answer_timeout_ms: 700,
            ping_after_ms: 200,
            measure_every_ms: 60_000,
            back_off_ms: 200,
            back_off_max_ms: 30_000,
        }
    }
}

impl Uplink {
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }
}

impl Config {
    /// Reads and checks a file; relative paths count from its folder.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Config`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let place = path.display().to_string();
        let size = std::fs::metadata(path).map_err(Error::file(path, "reading"))?.len();
        if size > MAX_FILE {
            return Err(Error::config(
                place,
                format!("the file has {size} bytes, at most {MAX_FILE} are read"),
            ));
        }
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading"))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(|error| match error {
            Error::Config { place: key, problem } => Error::config(format!("{place}: {key}"), problem),
            other => other,
        })
    }

    /// Parses and checks a text; relative paths count from `base`.
    ///
    /// # Errors
    /// [`Error::Config`] with the key and what it wants.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Error> {
        let mut config: Self = toml::from_str(text).map_err(|e| {
            let help = "`voltmesh edge --defaults` prints every key";
            Error::config("syntax", format!("{}; {help}", e.to_string().trim()))
        })?;
        let own = [
            &mut config.data,
            &mut config.credentials,
            &mut config.crl,
            &mut config.trust,
            &mut config.opening,
            &mut config.secret,
        ];
        let others = config.twin.params.iter_mut().chain(config.commands.paths());
        for path in own.into_iter().chain(others).chain(config.source.paths()) {
            *path = base.join(&*path);
        }
        let twin: Option<toml::Value> =
            toml::from_str::<toml::Table>(text).ok().and_then(|mut t| t.remove("twin"));
        let states = |key: &str| twin.as_ref().is_some_and(|twin| twin.get(key).is_some());
        config.stated = stated(
            states("chemistry").then_some(config.twin.chemistry),
            states("series").then_some(u32::try_from(config.twin.series).unwrap_or(u32::MAX)),
        );
        config.says_chemistry = states("chemistry") || config.twin.params.is_some();
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        let within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if range.contains(&value) {
                return Ok(());
            }
            Err(Error::config(key, format!("{value} is outside {} to {}", range.start(), range.end())))
        };
        self.http.names()?;
        if !self.http.listen.ip().is_loopback() {
            return Err(Error::config(
                "http",
                format!("{} is not loopback: it asks for no certificate", self.http.listen),
            ));
        }
        if let Some(fog) =
            self.fogs.iter().find(|f| f.rsplit_once(':').is_none_or(|(_, p)| p.parse::<u16>().is_err()))
        {
            return Err(Error::config("fogs", format!("{fog:?} is not host:port")));
        }
        within("number of fogs", self.fogs.len() as u64, 1..=64)?;
        within("batch.max_records", self.batch.max_records as u64, 1..=4096)?;
        within("batch.max_age_ms", self.batch.max_age_ms, 10..=3_600_000)?;
        within("spool.max_bytes", self.spool.max_bytes, 4 << 20..=1 << 40)?;
        within("spool.offer_again_after_ms", self.spool.offer_again_after_ms, 100..=3_600_000)?;
        within("uplink.in_flight", self.uplink.in_flight as u64, 1..=1024)?;
        within("uplink.connect_timeout_ms", self.uplink.connect_timeout_ms, 50..=60_000)?;
        within("uplink.answer_timeout_ms", self.uplink.answer_timeout_ms, 50..=60_000)?;
        within("uplink.ping_after_ms", self.uplink.ping_after_ms, 10..=60_000)?;
        within("uplink.measure_every_ms", self.uplink.measure_every_ms, 1000..=86_400_000)?;
        within("uplink.back_off_ms", self.uplink.back_off_ms, 10..=60_000)?;
        within("uplink.back_off_max_ms", self.uplink.back_off_max_ms, 10..=3_600_000)?;
        self.twin.check()?;
        self.commands.check()?;
        self.source.check()
    }

    /// Reads recorded files once: what is said of their values is logged, and what is doubtful for the battery that the file
    /// states is refused, or noted where it is accepted.
    ///
    /// # Errors
    /// [`Error::Recording`], [`Error::Doubtful`].
    pub fn check_source(&mut self, now_ms: u64, accept_doubtful: bool) -> Result<(), Error> {
        let Some(report) = self.source.inspect(self.stated, now_ms)? else { return Ok(()) };
        for warning in &report.warnings {
            tracing::warn!(warning, "recording");
        }
        if report.usable {
            return Ok(());
        }
        if !accept_doubtful {
            return Err(Error::Doubtful(report.reasons.join("; ")));
        }
        tracing::warn!(doubts = report.reasons.join("; "), "the recording is doubtful, and accepted");
        let shortened = |reason: &String| reason.chars().take(MAX_DOUBT).collect();
        self.accepted_doubts = report.reasons.iter().take(MAX_DOUBTS).map(shortened).collect();
        Ok(())
    }

    /// Folders that the process writes to.
    #[must_use]
    pub fn written(&self) -> Vec<&Path> {
        let beside = self.commands.written().filter_map(|file| file.parent());
        std::iter::once(self.data.as_path()).chain(beside).collect()
    }

    /// What the agent goes by.
    #[must_use]
    pub fn rules(&self, vehicle: VehicleId, boot: Boot, seed: u64) -> Rules {
        Rules {
            keep_until: self.spool.keep_until,
            max_records: self.batch.max_records,
            max_age_ms: self.batch.max_age_ms,
            max_spool_bytes: self.spool.max_bytes,
            in_flight: self.uplink.in_flight,
            offer_again_after_ms: self.spool.offer_again_after_ms,
            back_off_ms: self.uplink.back_off_ms,
            back_off_max_ms: self.uplink.back_off_max_ms,
            ping_after_ms: self.uplink.ping_after_ms,
            measure_every_ms: self.uplink.measure_every_ms,
            until_archived: self.until_archived,
            accepted_doubts: self.accepted_doubts.clone(),
            seed,
            ..Rules::new(vehicle, boot, self.fogs.clone())
        }
    }
}
