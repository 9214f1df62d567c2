//! Which column of a table means what.

use crate::Error;
use serde::Deserialize;

/// Sign of the current in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Positive charges, as in VSS and in the Battery Data Format.
    #[default]
    ChargePositive,
    /// Positive discharges.
    DischargePositive,
}

/// Factors that bring a column to seconds, volts, amperes, degrees Celsius, and percent.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
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
    /// Added to a temperature: -273.15 for kelvin. Default 0.
    pub temperature_offset: f64,
    /// Percent per unit of state of charge: 100 for a fraction. Default 1.
    pub soc: f64,
}

impl Default for Units {
    fn default() -> Self {
        Self { time: 1.0, voltage: 1.0, cells: 1.0, current: 1.0, temperature_offset: 0.0, soc: 1.0 }
    }
}

/// Names of columns. A file must have time, voltage and current; of the others, those that are named.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// Between columns. Default `,`.
    pub separator: Option<char>,
    /// Time since the beginning of the file.
    pub time: String,
    /// Voltage of the pack, or of the cell.
    pub voltage: String,
    /// Current.
    pub current: String,
    /// Voltages of the pack's cells.
    pub cells: Vec<String>,
    /// Temperatures.
    pub temperatures: Vec<String>,
    /// State of charge.
    pub soc: Option<String>,
    /// Units of the file.
    pub units: Units,
    /// Sign of the current.
    pub current_sign: Sign,
}

impl Columns {
    /// The Battery Data Format: `Test Time / s`, `Voltage / V`, `Current / A`, and what else is there.
    fn bdf(header: &[String]) -> Self {
        let temperature = |name: &&String| name.contains("Temperature") && name.ends_with("/ degC");
        Self {
            time: "Test Time / s".into(),
            voltage: "Voltage / V".into(),
            current: "Current / A".into(),
            temperatures: header.iter().filter(temperature).cloned().collect(),
            ..Self::default()
        }
    }

    /// The open trips of a BMW i3 (doi:10.21227/6jr9-5235).
    fn bmw_i3(header: &[String]) -> Self {
        let of_battery = |name: &&String| name.to_lowercase().contains("battery temperature");
        Self {
            separator: Some(';'),
            time: "Time [s]".into(),
            voltage: "Battery Voltage [V]".into(),
            current: "Battery Current [A]".into(),
            temperatures: header.iter().filter(of_battery).cloned().collect(),
            soc: Some("SoC [%]".into()),
            ..Self::default()
        }
    }

    /// Cycles of a Panasonic 18650PF cell (doi:10.17632/wykht8y7tg.1), one row per second.
    fn panasonic() -> Self {
        Self {
            time: "time_s".into(),
            voltage: "voltage_v".into(),
            current: "current_a".into(),
            temperatures: vec!["cell_temp_c".into()],
            ..Self::default()
        }
    }

    /// The mapping of a known format, and whether it speaks of a single cell.
    #[must_use]
    pub fn detect(header: &str) -> Option<(Self, bool)> {
        let split = |separator: char| header.split(separator).map(clean).collect::<Vec<_>>();
        let (commas, semicolons) = (split(','), split(';'));
        let has = |names: &[String], wanted: &[&str]| wanted.iter().all(|w| names.iter().any(|n| n == w));
        for (names, separator) in [(&commas, ','), (&semicolons, ';')] {
            if has(names, &["Test Time / s", "Voltage / V", "Current / A"]) {
                return Some((Self { separator: Some(separator), ..Self::bdf(names) }, true));
            }
        }
        if has(&semicolons, &["Time [s]", "Battery Voltage [V]", "Battery Current [A]"]) {
            return Some((Self::bmw_i3(&semicolons), false));
        }
        has(&commas, &["time_s", "voltage_v", "current_a"]).then(|| (Self::panasonic(), true))
    }

    /// Finds the named columns in a file's first line.
    pub(super) fn locate(&self, header: &str, place: &str) -> Result<Located, Error> {
        let separator = self.separator.unwrap_or(',');
        let names: Vec<String> = header.split(separator).map(clean).collect();
        let find = |wanted: &str| {
            names.iter().position(|name| name == wanted).ok_or_else(|| {
                let problem = format!("there is no column {wanted:?}; the file has {}", names.join(", "));
                Error::source(place, problem.chars().take(600).collect::<String>())
            })
        };
        let all = |wanted: &[String]| wanted.iter().map(|w| find(w)).collect::<Result<Vec<_>, _>>();
        Ok(Located {
            separator,
            time: find(&self.time)?,
            voltage: find(&self.voltage)?,
            current: find(&self.current)?,
            cells: all(&self.cells)?,
            temperatures: all(&self.temperatures)?,
            soc: self.soc.as_deref().map(find).transpose()?,
        })
    }
}

fn clean(name: &str) -> String {
    name.trim_start_matches('\u{feff}').trim().trim_matches('"').to_owned()
}

/// Columns by index.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub separator: char,
    pub time: usize,
    pub voltage: usize,
    pub current: usize,
    pub cells: Vec<usize>,
    pub temperatures: Vec<usize>,
    pub soc: Option<usize>,
}

/// One row in base units.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub seconds: f64,
    pub volts: f64,
    pub amperes: f64,
    pub cells: Vec<f64>,
    /// A value that is missing keeps its place.
    pub temperatures: Vec<Option<f64>>,
    pub percent: Option<f64>,
}

impl Located {
    /// Reads a row; `None` if time, voltage or current is missing or no number.
    pub fn row(&self, line: &str, columns: &Columns) -> Option<Row> {
        let fields: Vec<&str> = line.split(self.separator).collect();
        let number = |index: usize| {
            let value: f64 = fields.get(index)?.trim().trim_matches('"').parse().ok()?;
            value.is_finite().then_some(value)
        };
        let units = &columns.units;
        let sign = if columns.current_sign == Sign::ChargePositive { 1.0 } else { -1.0 };
        Some(Row {
            seconds: number(self.time)? * units.time,
            volts: number(self.voltage)? * units.voltage,
            amperes: number(self.current)? * units.current * sign,
            cells: self.cells.iter().map(|i| Some(number(*i)? * units.cells)).collect::<Option<_>>()?,
            temperatures: self
                .temperatures
                .iter()
                .map(|i| Some(number(*i)? + units.temperature_offset))
                .collect(),
            percent: self.soc.and_then(number).map(|v| v * units.soc),
        })
    }
}
