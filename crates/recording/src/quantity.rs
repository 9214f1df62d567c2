//! Quantities that a recording can have, and their base units.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A quantity of a battery pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// When the values were measured.
    Time,
    /// Voltage at the pack's terminals in V; of a table of one cell, the cell's.
    PackVoltage,
    /// Current of the pack in A; positive charges.
    PackCurrent,
    /// State of charge in %, 0 to 100.
    Soc,
    /// Voltage of each cell in V.
    Cells,
    /// Temperature of each sensor in °C.
    Temperatures,
    /// Main contactor: not 0 is closed.
    Contactor,
    /// Charging: not 0 is charging.
    Charging,
    /// Insulation resistance of the pack in Ω.
    Insulation,
    /// Ambient temperature in °C.
    Ambient,
    /// Coolant temperature in °C.
    Coolant,
    /// Speed of the vehicle in km/h.
    Speed,
    /// A tester's net charge counter in Ah, falling with discharge; of tables only, and never sent.
    ChargeCounter,
}

impl Quantity {
    /// All, in the order of the declaration.
    pub const ALL: [Self; 13] = [
        Self::Time,
        Self::PackVoltage,
        Self::PackCurrent,
        Self::Soc,
        Self::Cells,
        Self::Temperatures,
        Self::Contactor,
        Self::Charging,
        Self::Insulation,
        Self::Ambient,
        Self::Coolant,
        Self::Speed,
        Self::ChargeCounter,
    ];

    /// Its name in configuration and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::PackVoltage => "pack_voltage",
            Self::PackCurrent => "pack_current",
            Self::Soc => "soc",
            Self::Cells => "cells",
            Self::Temperatures => "temperatures",
            Self::Contactor => "contactor",
            Self::Charging => "charging",
            Self::Insulation => "insulation",
            Self::Ambient => "ambient",
            Self::Coolant => "coolant",
            Self::Speed => "speed",
            Self::ChargeCounter => "charge_counter",
        }
    }

    /// The unit of its values; empty for a time and a state.
    #[must_use]
    pub const fn base_unit(self) -> &'static str {
        match self {
            Self::PackVoltage | Self::Cells => "V",
            Self::PackCurrent => "A",
            Self::Soc => "%",
            Self::Temperatures | Self::Ambient | Self::Coolant => "°C",
            Self::Insulation => "Ω",
            Self::Speed => "km/h",
            Self::ChargeCounter => "Ah",
            Self::Time | Self::Contactor | Self::Charging => "",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|quantity| quantity.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|quantity| quantity.name()).collect();
            format!("{name:?} is no quantity; there are {}", names.join(", "))
        })
    }
}
