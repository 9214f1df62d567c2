//! Configuration of a databroker as a source.

use super::super::recorded;
use crate::Error;
use serde::Deserialize;
use std::path::PathBuf;
use voltmesh_recording::Quantity;
use voltmesh_telemetry::{MAX_CELLS, MAX_TEMPERATURES, vss};

/// A databroker that runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KuksaConfig {
    /// Where it listens, as `http://127.0.0.1:55555`; with `https` over TLS.
    pub address: String,
    /// Certificates that its own must come from (PEM); needs `https`. Default: an address with `https` is refused.
    pub ca: Option<PathBuf>,
    /// File that holds its access token (JWT), read at each connection. Default: none is sent.
    pub token_file: Option<PathBuf>,
    /// Which signals. Default: those of VSS v6.
    #[serde(default)]
    pub signals: KuksaSignals,
    /// A sample every so many milliseconds, 10 to 3,600,000. Default 1,000.
    #[serde(default = "recorded::second")]
    pub period_ms: u64,
    /// A value is unknown when it is older than so many milliseconds, 100 to 3,600,000. Default 3,000.
    #[serde(default = "three_seconds")]
    pub max_age_ms: u64,
}

fn three_seconds() -> u64 {
    3_000
}

/// Paths of signals. Empty lists and names stand for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KuksaSignals {
    /// Voltage of the pack.
    pub voltage: String,
    /// Current of the pack; positive charges, as in VSS.
    pub current: String,
    /// State of charge.
    pub soc: String,
    /// Voltages of the cells: one list, or one signal a cell.
    pub cells: Vec<String>,
    /// Temperatures: one list, or one signal a sensor. Default: VSS's list of cells, or its average where the broker has no list.
    pub temperatures: Vec<String>,
    /// Whether the contactor is closed.
    pub contactor: String,
    /// Whether the battery is charged.
    pub charging: String,
    /// Insulation resistance.
    pub insulation: String,
    /// Temperature of the air around the vehicle.
    pub ambient: String,
    /// Temperature of the coolant.
    pub coolant: String,
    /// Speed.
    pub speed: String,
}

impl Default for KuksaSignals {
    fn default() -> Self {
        Self {
            voltage: vss::CURRENT_VOLTAGE.into(),
            current: vss::CURRENT_CURRENT.into(),
            soc: vss::STATE_OF_CHARGE.into(),
            cells: vec![vss::CELL_VOLTAGES.into()],
            temperatures: vec![vss::CELL_TEMPERATURES.into(), vss::AVERAGE_TEMPERATURE.into()],
            contactor: vss::IS_POWER_CONNECTED.into(),
            charging: vss::IS_CHARGING.into(),
            insulation: vss::INSULATION.into(),
            ambient: vss::AIR_TEMPERATURE.into(),
            coolant: vss::COOLANT_TEMPERATURE.into(),
            speed: vss::SPEED.into(),
        }
    }
}

impl KuksaSignals {
    /// Every signal that is wanted with its quantity, cells and temperatures in the pack's order.
    pub(super) fn wanted(&self) -> Vec<(Quantity, &str)> {
        let single = [
            (Quantity::PackVoltage, &self.voltage),
            (Quantity::PackCurrent, &self.current),
            (Quantity::Soc, &self.soc),
            (Quantity::Contactor, &self.contactor),
            (Quantity::Charging, &self.charging),
            (Quantity::Insulation, &self.insulation),
            (Quantity::Ambient, &self.ambient),
            (Quantity::Coolant, &self.coolant),
            (Quantity::Speed, &self.speed),
        ];
        let cells = self.cells.iter().map(|path| (Quantity::Cells, path));
        let temperatures = self.temperatures.iter().map(|path| (Quantity::Temperatures, path));
        let all = single.into_iter().chain(cells).chain(temperatures);
        all.filter(|(_, path)| !path.is_empty()).map(|(quantity, path)| (quantity, path.as_str())).collect()
    }
}

impl KuksaConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        recorded::check_period(self.period_ms)?;
        if !(100..=3_600_000).contains(&self.max_age_ms) {
            return Err(Error::config("source.max_age_ms", "wants 100 to 3,600,000"));
        }
        let secure = self.address.starts_with("https://");
        if !secure && !self.address.starts_with("http://") {
            return Err(Error::config("source.address", "wants http://HOST:PORT or https://HOST:PORT"));
        }
        if secure != self.ca.is_some() {
            let problem =
                "https:// needs ca, the certificates that the databroker's comes from; http:// takes none";
            return Err(Error::config("source.ca", problem));
        }
        let signals = &self.signals;
        if signals.cells.len() > MAX_CELLS || signals.temperatures.len() > MAX_TEMPERATURES {
            let problem = format!("wants at most {MAX_CELLS} cells and {MAX_TEMPERATURES} temperatures");
            return Err(Error::config("source.signals", problem));
        }
        let mut paths: Vec<&str> = signals.wanted().into_iter().map(|(_, path)| path).collect();
        paths.sort_unstable();
        if let Some(twice) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::config("source.signals", format!("names {} twice", twice[0])));
        }
        if paths.is_empty() {
            return Err(Error::config("source.signals", "names no signal"));
        }
        Ok(())
    }
}
