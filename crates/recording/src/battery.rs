//! Stated properties of the battery that was recorded, and the values that it can have.

use crate::Quantity;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Temperatures of a battery that is in use, in °C.
const TEMPERATURES_C: (f64, f64) = (-45.0, 120.0);
/// Most current of a cell, and of a pack, in A.
const MAX_CURRENT_A: (f64, f64) = (1000.0, 5000.0);
/// Limits of a cell's voltage whatever it is made of, in V; half cells come near 0.
const ANY_CELL_V: (f64, f64) = (-1.0, 6.0);

/// Chemistry of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chemistry {
    /// Lithium iron phosphate.
    Lfp,
    /// Lithium nickel manganese cobalt oxide.
    Nmc,
    /// Lithium nickel cobalt aluminium oxide.
    Nca,
    /// Lithium cobalt oxide.
    Lco,
    /// Lithium titanate.
    Lto,
}

impl Chemistry {
    /// Least and most voltage of a cell, in V.
    #[must_use]
    pub const fn limits_v(self) -> (f64, f64) {
        match self {
            Self::Lfp => (2.0, 3.8),
            Self::Nmc | Self::Nca | Self::Lco => (2.5, 4.35),
            Self::Lto => (1.5, 2.9),
        }
    }
}

impl FromStr for Chemistry {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Lfp, Self::Nmc, Self::Nca, Self::Lco, Self::Lto];
        let found = all.into_iter().find(|chemistry| format!("{chemistry:?}").eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("{name:?} is no chemistry; there are lfp, nmc, nca, lco, lto"))
    }
}

/// Stated properties of the battery that was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Battery {
    /// Default: not stated, and voltages are hardly judged.
    pub chemistry: Option<Chemistry>,
    /// Cells in series. Default: not stated.
    pub cells_in_series: Option<u32>,
    /// Whether the pack's voltage is that of one cell.
    pub is_cell: bool,
}

/// Limits of a quantity's values, in base units.
pub(crate) fn limits(quantity: Quantity, battery: Battery) -> (f64, f64) {
    let cell = battery.chemistry.map_or(ANY_CELL_V, Chemistry::limits_v);
    let anything = (f64::NEG_INFINITY, f64::INFINITY);
    match quantity {
        Quantity::PackVoltage if battery.is_cell => cell,
        Quantity::PackVoltage => match battery.cells_in_series {
            Some(cells) => (cell.0 * f64::from(cells), cell.1 * f64::from(cells)),
            None => (-1.0, 2000.0),
        },
        Quantity::Cells => cell,
        Quantity::PackCurrent => {
            let most = if battery.is_cell { MAX_CURRENT_A.0 } else { MAX_CURRENT_A.1 };
            (-most, most)
        }
        Quantity::Soc => (0.0, 100.0),
        Quantity::Temperatures | Quantity::Ambient | Quantity::Coolant => TEMPERATURES_C,
        Quantity::Insulation => (0.0, f64::INFINITY),
        Quantity::Speed => (-100.0, 400.0),
        Quantity::Time | Quantity::Contactor | Quantity::Charging | Quantity::ChargeCounter => anything,
    }
}
