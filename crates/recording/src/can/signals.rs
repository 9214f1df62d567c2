//! Which signals of a DBC file give which quantity.

use serde::Deserialize;

/// A signal, by its name alone or with what the DBC file says wrongly or not at all.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// `Voltage`, or `Battery.Voltage` for the signal of one message.
    Name(String),
    /// A name with corrections.
    Table(Corrected),
}

/// A signal with corrections of the DBC file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrected {
    /// As [`Wanted::Name`].
    pub signal: String,
    /// Instead of the file's factor.
    pub factor: Option<f64>,
    /// Instead of the file's offset.
    pub offset: Option<f64>,
    /// Instead of the file's unit, as `mV`.
    pub unit: Option<String>,
    /// Age in ms above which a value is stale. Default: five cycles, at least 2,000; 10,000 without a cycle time.
    pub max_age_ms: Option<u64>,
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
/// 0, else for 1, 2, 3, …; `{:02}` for the same in two digits.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signals {
    /// Voltage of the pack. If there is none, the sum of the cells.
    pub voltage: Option<Wanted>,
    /// Current of the pack.
    pub current: Option<Wanted>,
    /// Whether positive current discharges. Default false.
    pub discharge_positive: bool,
    /// Voltages of the cells.
    pub cells: Vec<Wanted>,
    /// Number of cells for `{}`; 0 or absent: as many as the file has.
    pub cell_count: usize,
    /// Cells whose number is in the frame; they need `cell_count`.
    pub indexed_cells: Option<Indexed>,
    /// Temperatures.
    pub temperatures: Vec<Wanted>,
    /// See `cell_count`.
    pub temperature_count: usize,
    /// State of charge.
    pub soc: Option<Wanted>,
    /// Main contactor: not zero is closed, unless the file has words for open and closed.
    pub contactor: Option<Wanted>,
    /// Charging: not zero is charging.
    pub charging: Option<Wanted>,
    /// Insulation resistance.
    pub insulation: Option<Wanted>,
    /// Ambient temperature.
    pub ambient: Option<Wanted>,
    /// Coolant temperature.
    pub coolant: Option<Wanted>,
    /// Speed of the vehicle.
    pub speed: Option<Wanted>,
}
