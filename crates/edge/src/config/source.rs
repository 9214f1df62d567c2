//! Configuration of the source: where samples come from, and how fast.

use crate::Error;
use crate::sources::{
    CanConfig, CandumpConfig, Cursor, KuksaConfig, LiveCan, Pace, Recorded, ReplayConfig, Sim, SimConfig,
    Source, inspect,
};
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;
use voltmesh_recording::report::Report;
use voltmesh_recording::{Battery, Options};

/// Where samples come from, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Which source.
    pub kind: Kind,
    /// Times real time; 0 is as fast as possible. Default 1. A live bus has its own pace.
    pub speed: f64,
}

/// Which source.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Recorded tables.
    Replay(ReplayConfig),
    /// A recorded bus.
    Candump(CandumpConfig),
    /// A live bus.
    Can(CanConfig),
    /// A databroker of Eclipse Kuksa.
    Kuksa(KuksaConfig),
    /// A simulated vehicle.
    Sim(SimConfig),
}

impl<'de> Deserialize<'de> for SourceConfig {
    /// By hand: serde cannot refuse unknown keys in a tagged and flattened table.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let mut table = toml::Table::deserialize(deserializer)?;
        let kind = table.remove("kind").ok_or_else(|| D::Error::missing_field("kind"))?;
        let speed = match table.remove("speed") {
            None => 1.0,
            Some(toml::Value::Integer(n)) => n as f64,
            Some(toml::Value::Float(n)) => n,
            Some(_) => return Err(D::Error::custom("speed wants a number")),
        };
        let kind = match kind.as_str() {
            Some("replay") => table.try_into().map(Kind::Replay),
            Some("candump") => table.try_into().map(Kind::Candump),
            Some("can") => table.try_into().map(Kind::Can),
            Some("kuksa") => table.try_into().map(Kind::Kuksa),
            Some("sim") => table.try_into().map(Kind::Sim),
            _ => {
                let problem = format!("kind = {kind}: wants replay, candump, can, kuksa or sim");
                return Err(D::Error::custom(problem));
            }
        };
        Ok(Self { kind: kind.map_err(D::Error::custom)?, speed })
    }
}

impl SourceConfig {
    /// Opens the source at a place, or at its beginning if the place is of another source.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::File`] or [`Error::Source`].
    pub fn open(&self, found: Cursor, now_ms: u64) -> Result<Box<dyn Source>, Error> {
        Ok(match &self.kind {
            Kind::Replay(config) => Box::new(Recorded::tables(config.clone(), found, now_ms)?),
            Kind::Candump(config) => Box::new(Recorded::logs(config.clone(), found, now_ms)?),
            Kind::Can(config) => Box::new(LiveCan::open(config.clone())?),
            #[cfg(feature = "kuksa")]
            Kind::Kuksa(config) => Box::new(crate::sources::LiveKuksa::open(config.clone())?),
            #[cfg(not(feature = "kuksa"))]
            Kind::Kuksa(_) => {
                let problem = "this build reads no databroker: build it with `--features edge,kuksa`";
                return Err(Error::config("source.kind", problem));
            }
            Kind::Sim(config) => Box::new(Sim::open(config.clone(), found, now_ms)?),
        })
    }

    /// Reads recorded files once and says what they hold; `None` for a source that is no recording.
    ///
    /// # Errors
    /// [`Error::Recording`] if they cannot be read so.
    pub fn inspect(&self, battery: Battery, now_ms: u64) -> Result<Option<Report>, Error> {
        let (files, options) = match &self.kind {
            Kind::Replay(config) => (&config.files, config.options(now_ms)),
            Kind::Candump(config) => (&config.files, config.options(now_ms)),
            Kind::Can(_) | Kind::Kuksa(_) | Kind::Sim(_) => return Ok(None),
        };
        inspect(files, &Options { battery, ..options }).map(Some)
    }

    /// How fast recorded time passes.
    #[must_use]
    pub fn pace(&self) -> Pace {
        if self.speed > 0.0 { Pace::Times(self.speed) } else { Pace::Unlimited }
    }

    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        match &mut self.kind {
            Kind::Replay(config) => config.files.iter_mut().collect(),
            Kind::Candump(config) => {
                config.files.iter_mut().chain(&mut config.dbc).chain(&mut config.diagnostics).collect()
            }
            Kind::Can(config) => config.dbc.iter_mut().chain(&mut config.diagnostics).collect(),
            Kind::Kuksa(config) => config.ca.iter_mut().chain(&mut config.token_file).collect(),
            Kind::Sim(_) => Vec::new(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if !(0.0..=1e6).contains(&self.speed) {
            return Err(Error::config("source.speed", "wants 0 (as fast as possible) to 1000000"));
        }
        match &self.kind {
            Kind::Replay(config) => config.check(),
            Kind::Candump(config) => config.check(),
            Kind::Can(config) => config.check(),
            Kind::Kuksa(config) => config.check(),
            Kind::Sim(config) => config.check(),
        }
    }
}
