//! Operating conditions: the risks that a vehicle's battery can be in.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Operating condition of a vehicle's battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// A cell's voltage or charge is above what its chemistry takes.
    Overcharge,
    /// A cell's voltage or charge is below what its chemistry takes.
    DeepDischarge,
    /// A cell is too hot.
    OverTemperature,
    /// A cell is too cold to be used fully.
    UnderTemperature,
    /// Temperature rises faster than use explains.
    TemperatureRise,
    /// Cells differ in charge.
    Imbalance,
    /// Current is beyond what the pack allows now.
    OverCurrent,
    /// Charging with cells below freezing: lithium plates.
    ColdCharge,
    /// Insulation between the high-voltage system and the body is low.
    Insulation,
    /// A sensor is off or stands still.
    SensorFault,
    /// The twin's two estimators differ.
    TwinDisagreement,
    /// A detector of the twin has found a fault of a cell or a connection.
    CellFault,
    /// Nothing comes from a vehicle that was charging.
    ConnectionLost,
}

impl Condition {
    /// As rules, commands and JSON have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overcharge => "overcharge",
            Self::DeepDischarge => "deep-discharge",
            Self::OverTemperature => "over-temperature",
            Self::UnderTemperature => "under-temperature",
            Self::TemperatureRise => "temperature-rise",
            Self::Imbalance => "imbalance",
            Self::OverCurrent => "over-current",
            Self::ColdCharge => "cold-charge",
            Self::Insulation => "insulation",
            Self::SensorFault => "sensor-fault",
            Self::TwinDisagreement => "twin-disagreement",
            Self::CellFault => "cell-fault",
            Self::ConnectionLost => "connection-lost",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
