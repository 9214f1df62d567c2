//! Kinds of faults: what is looked for, and what simulations put in.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Kind of fault of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A cell loses charge within, fast.
    InternalShort,
    /// A connection, or a cell, resists more than its neighbours.
    ConnectionResistance,
    /// A sensor is off.
    SensorBias,
    /// A sensor stands still.
    SensorFreeze,
    /// A cell holds less than its neighbours.
    CapacityOutlier,
    /// A cell loses charge within, slowly.
    SelfDischarge,
    /// A cell heats itself.
    ThermalRunaway,
    /// The high-voltage system's insulation is low.
    Insulation,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::InternalShort,
        Self::ConnectionResistance,
        Self::SensorBias,
        Self::SensorFreeze,
        Self::CapacityOutlier,
        Self::SelfDischarge,
        Self::ThermalRunaway,
        Self::Insulation,
    ];

    /// As the command line, files and events have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InternalShort => "internal-short",
            Self::ConnectionResistance => "connection-resistance",
            Self::SensorBias => "sensor-bias",
            Self::SensorFreeze => "sensor-freeze",
            Self::CapacityOutlier => "capacity-outlier",
            Self::SelfDischarge => "self-discharge",
            Self::ThermalRunaway => "thermal-runaway",
            Self::Insulation => "insulation",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("`{text}` is no fault; write one of {}", names()))
    }
}
