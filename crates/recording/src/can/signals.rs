//! Which signals of a DBC file give which quantity.

use crate::table::Mapping;
use crate::unit::Conversion;
use crate::{Error, Quantity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A signal, by its name alone or with what the DBC file says wrongly or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// `Voltage`, or `Battery.Voltage` for the signal of one message.
    Name(String),
    /// A name with corrections.
    Table(Corrected),
}

/// A signal with corrections of the DBC file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrected {
    /// As [`Wanted::Name`].
    pub signal: String,
    /// Instead of the file's factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Instead of the file's offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// Instead of the file's unit, as `mV`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Age in ms above which a value is stale. Default: five cycles, at least 2,000; 10,000 without a cycle time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
    /// From the file's physical value to the base unit, whatever the file's unit (`--map NAME*FACTOR+OFFSET`).
    #[serde(skip)]
    pub(super) mapped: Option<Conversion>,
}

impl Wanted {
    /// Name and corrections.
    #[must_use]
    pub fn corrected(&self) -> Corrected {
        match self {
            Self::Name(signal) => Corrected { signal: signal.clone(), ..Corrected::default() },
            Self::Table(table) => table.clone(),
        }
    }
}

/// Cells whose number is in the frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indexed {
    /// Signal that gives the number of the first of `values`, in the same message.
    pub index: String,
    /// Signals of the cells from that number on.
    pub values: Vec<Wanted>,
    /// The number that stands for the first cell. Default 0.
    #[serde(default)]
    pub first: i64,
    /// Cells per step of the number. Default 1.
    #[serde(default = "one")]
    pub step: i64,
}

const fn one() -> i64 {
    1
}

/// Names of signals. In a name of `cells` and `temperatures`, `{}` stands for 0, 1, 2, … if the file has that name with
/// 0, else for 1, 2, 3, …; `{:02}` for the same in two digits; `*` for any text, in the order of the number in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signals {
    /// Voltage of the pack. If there is none, the sum of the cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voltage: Option<Wanted>,
    /// Current of the pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Wanted>,
    /// Whether positive current discharges. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub discharge_positive: bool,
    /// Voltages of the cells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<Wanted>,
    /// Number of cells for `{}`; 0 or absent: as many as the file has.
    #[serde(skip_serializing_if = "is_zero")]
    pub cell_count: usize,
    /// Cells whose number is in the frame; they need `cell_count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indexed_cells: Option<Indexed>,
    /// Temperatures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<Wanted>,
    /// See `cell_count`.
    #[serde(skip_serializing_if = "is_zero")]
    pub temperature_count: usize,
    /// State of charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soc: Option<Wanted>,
    /// Main contactor: not zero is closed, unless the file has words for open and closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contactor: Option<Wanted>,
    /// Charging: not zero is charging.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charging: Option<Wanted>,
    /// Insulation resistance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insulation: Option<Wanted>,
    /// Ambient temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambient: Option<Wanted>,
    /// Coolant temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coolant: Option<Wanted>,
    /// Speed of the vehicle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<Wanted>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Signals {
    /// The signal of a quantity of one value; `None` for cells, temperatures, and a bus' own time.
    pub(crate) fn single(&mut self, quantity: Quantity) -> Option<&mut Option<Wanted>> {
        Some(match quantity {
            Quantity::PackVoltage => &mut self.voltage,
            Quantity::PackCurrent => &mut self.current,
            Quantity::Soc => &mut self.soc,
            Quantity::Contactor => &mut self.contactor,
            Quantity::Charging => &mut self.charging,
            Quantity::Insulation => &mut self.insulation,
            Quantity::Ambient => &mut self.ambient,
            Quantity::Coolant => &mut self.coolant,
            Quantity::Speed => &mut self.speed,
            Quantity::Time | Quantity::Cells | Quantity::Temperatures | Quantity::ChargeCounter => {
                return None;
            }
        })
    }

    /// Leaves out quantities that come from elsewhere.
    pub(crate) fn leave_out(&mut self, quantities: &BTreeSet<Quantity>) {
        for quantity in quantities {
            match (quantity, self.single(*quantity)) {
                (_, Some(signal)) => *signal = None,
                (Quantity::Cells, None) => (self.cells, self.indexed_cells) = (Vec::new(), None),
                (Quantity::Temperatures, None) => self.temperatures = Vec::new(),
                (_, None) => {}
            }
        }
    }

    /// Adds what a user maps; a mapped quantity replaces a configured one.
    ///
    /// # Errors
    /// [`Error::Mapping`] for a time, which frames have of themselves, and for a charge counter, which only tables have.
    pub fn map(&mut self, mappings: &[Mapping]) -> Result<(), Error> {
        for quantity in [Quantity::Cells, Quantity::Temperatures] {
            let several = mappings.iter().filter(|mapping| mapping.quantity == quantity);
            let several: Vec<Wanted> = several.map(Wanted::from).collect();
            match quantity {
                _ if several.is_empty() => {}
                Quantity::Cells => (self.cells, self.indexed_cells) = (several, None),
                _ => self.temperatures = several,
            }
        }
        for mapping in mappings {
            match (mapping.quantity, self.single(mapping.quantity)) {
                (_, Some(signal)) => *signal = Some(mapping.into()),
                (Quantity::Time, None) => {
                    let problem = "frames have their own time: leave --map time=… out";
                    return Err(Error::mapping("signals", problem));
                }
                (Quantity::ChargeCounter, None) => {
                    let problem =
                        "a charge counter is read from tables only: leave --map charge_counter=… out";
                    return Err(Error::mapping("signals", problem));
                }
                (_, None) => {}
            }
        }
        Ok(())
    }
}

impl From<&Mapping> for Wanted {
    fn from(mapping: &Mapping) -> Self {
        let mapped =
            mapping.converts().then_some(Conversion { factor: mapping.factor, offset: mapping.offset });
        let (signal, unit) = (mapping.name.clone(), mapping.unit.clone());
        if mapped.is_none() && unit.is_none() {
            return Self::Name(signal);
        }
        Self::Table(Corrected { signal, unit, mapped, ..Corrected::default() })
    }
}
