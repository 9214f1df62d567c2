//! Options for reading a table, where it does not say so itself.

use super::Mapping;
use crate::Quantity;
use serde::{Deserialize, Serialize};

/// Whether a table speaks of a cell or of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// One cell.
    Cell,
    /// A pack of cells.
    Pack,
}

/// Options for reading a table. What is not stated is found out from the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Which column is which quantity.
    pub mappings: Vec<Mapping>,
    /// Whether only mapped columns are read. Default: the others are found by their names.
    pub only_mapped: bool,
    /// Between cells.
    pub separator: Option<char>,
    /// `.` or `,`.
    pub decimal: Option<char>,
    /// Lines before the header.
    pub skip_lines: Option<usize>,
    /// `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, `s`, `ms`, `us`, `min`, `h`, the days of `excel`, `excel1904`, `matlab` or `julian`, or a
    /// format of `strftime` (`%d/%m/%Y %H:%M:%S`).
    pub time_format: Option<String>,
    /// IANA zone of local times, like `Europe/Berlin`. Default: UTC, which is said.
    pub time_zone: Option<String>,
    /// The column of dates, where that of the time has times of day.
    pub date: Option<String>,
    /// The column that states charge, discharge or rest, where the current is a magnitude.
    pub state: Option<String>,
    /// Numbers, as the file has them, that stand for a missing value. Default: none.
    pub missing: Vec<f64>,
    /// Cell or pack.
    pub level: Option<Level>,
}

impl From<Vec<Mapping>> for Options {
    fn from(mappings: Vec<Mapping>) -> Self {
        Self { mappings, ..Self::default() }
    }
}

/// Sign of the current in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Positive charges.
    #[default]
    ChargePositive,
    /// Positive discharges.
    DischargePositive,
}

/// Factors that bring a column to seconds, volts, amperes, degrees Celsius, and percent. A factor of 1 leaves it to the
/// unit in the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Units {
    /// Seconds per unit of time. Default 1.
    pub time: f64,
    /// Volts per unit of the pack's or cell's voltage. Default 1.
    pub voltage: f64,
    /// Volts per unit of the cells' voltages. Default 1.
    pub cells: f64,
    /// Amperes per unit of current. Default 1.
    pub current: f64,
    /// Kelvin per unit of temperature: 0.5556 for °F. Default 1.
    pub temperature: f64,
    /// Added to a temperature after its factor, in °C: -273.15 for kelvin, -17.78 for °F. Default 0.
    pub temperature_offset: f64,
    /// Percent per unit of state of charge: 100 for a fraction. Default 1.
    pub soc: f64,
}

impl Default for Units {
    fn default() -> Self {
        let one = 1.0;
        Self {
            time: one,
            voltage: one,
            cells: one,
            current: one,
            temperature: one,
            temperature_offset: 0.0,
            soc: one,
        }
    }
}

/// The table `[source.columns]` of a configuration: names of columns, and how the file is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// Between cells. Default: found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// Time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// See [`Options::date`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Voltage of the pack, or of the cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voltage: Option<String>,
    /// Current.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Voltages of the pack's cells; `*` stands for any text, `{}` for a number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<String>,
    /// Temperatures, as for cells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<String>,
    /// State of charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soc: Option<String>,
    /// Units of the file.
    #[serde(skip_serializing_if = "is_default")]
    pub units: Units,
    /// Sign of the current.
    #[serde(skip_serializing_if = "is_default")]
    pub current_sign: Sign,
    /// See [`Options::skip_lines`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_lines: Option<usize>,
    /// See [`Options::decimal`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<char>,
    /// See [`Options::time_format`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_format: Option<String>,
    /// See [`Options::time_zone`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// See [`Options::state`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// See [`Options::missing`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<f64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&Columns> for Options {
    fn from(columns: &Columns) -> Self {
        let units = &columns.units;
        let sign = if columns.current_sign == Sign::ChargePositive { 1.0 } else { -1.0 };
        let mut mappings = Vec::new();
        let mut add = |quantity, name: &str, factor: f64, offset: f64| {
            if !name.is_empty() {
                mappings.push(Mapping { factor, offset, ..Mapping::new(quantity, name) });
            }
        };
        let single = [
            (Quantity::Time, &columns.time, units.time),
            (Quantity::PackVoltage, &columns.voltage, units.voltage),
            (Quantity::PackCurrent, &columns.current, units.current * sign),
            (Quantity::Soc, &columns.soc, units.soc),
        ];
        for (quantity, name, factor) in single {
            if let Some(name) = name {
                add(quantity, name, factor, 0.0);
            }
        }
        for name in &columns.cells {
            add(Quantity::Cells, name, units.cells, 0.0);
        }
        for name in &columns.temperatures {
            add(Quantity::Temperatures, name, units.temperature, units.temperature_offset);
        }
        let only_mapped = !mappings.is_empty();
        Self {
            mappings,
            only_mapped,
            separator: columns.separator,
            decimal: columns.decimal,
            skip_lines: columns.skip_lines,
            time_format: columns.time_format.clone(),
            time_zone: columns.time_zone.clone(),
            date: columns.date.clone(),
            state: columns.state.clone(),
            missing: columns.missing.clone(),
            level: None,
        }
    }
}
