//! The seven troubles, and none: what the pack does, and what its own management overlooks.

use crate::FaultKind;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Way into trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// The charger is set to too high a voltage, and the management leaves it to the charger.
    Overcharge,
    /// The vehicle drives on although cells are empty: its counter of charge has drifted.
    DeepDischarge,
    /// The vehicle's own regulation does not start the coolant loop while it charges fast on a hot day.
    CoolingFailure,
    /// The management takes no account of cold: the pack is charged below freezing.
    ColdCharge,
    /// Cells have drifted apart, and the charger looks at their mean.
    Imbalance,
    /// A group holds a fifth less, and charger and drivetrain look at the mean.
    WeakCell,
    /// The sensor that the charger looks at stands still.
    SensorFreeze,
    /// Nothing: what the others are compared with.
    None,
}

impl Trouble {
    /// All of them, with none at the end.
    pub const ALL: [Self; 8] = [
        Self::Overcharge,
        Self::DeepDischarge,
        Self::CoolingFailure,
        Self::ColdCharge,
        Self::Imbalance,
        Self::WeakCell,
        Self::SensorFreeze,
        Self::None,
    ];

    /// As the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overcharge => "overcharge",
            Self::DeepDischarge => "deep-discharge",
            Self::CoolingFailure => "cooling-failure",
            Self::ColdCharge => "cold-charge",
            Self::Imbalance => "imbalance",
            Self::WeakCell => "weak-cell",
            Self::SensorFreeze => "sensor-freeze",
            Self::None => "none",
        }
    }
}

impl Trouble {
    /// What goes wrong, in a sentence.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Overcharge => {
                "the charger is set to 4.4 V a cell, and the management leaves it to the charger"
            }
            Self::DeepDischarge => {
                "the counter of charge has drifted, and the vehicle drives on although cells are empty"
            }
            Self::CoolingFailure => {
                "on a hot day it is charged at 1.5 C, and the vehicle's own regulation does not start the coolant loop"
            }
            Self::ColdCharge => "the management takes no account of cold: it is charged at -5 °C",
            Self::Imbalance => "cells have drifted apart, and the charger looks at their mean",
            Self::WeakCell => "one group holds a fifth less; charger and drivetrain look at the mean",
            Self::SensorFreeze => "the one sensor that the charger looks at stands still",
            Self::None => "nothing: it is charged, and drives",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|trouble| trouble.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|trouble| trouble.name()).collect();
            format!("`{text}` is no scenario; known are {}", names.join(", "))
        })
    }
}

/// One part of what the pack does. After the last it rests to the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Work {
    /// It is charged at constant current, then at constant voltage of the cell that the management sees.
    Charge {
        /// Current in C.
        c_rate: f64,
        /// Voltage in V that the charger holds.
        hold_v: f64,
        /// Mean state of charge at which charging ends.
        until: f64,
    },
    /// It rests, unplugged.
    Rest {
        /// For so many seconds.
        seconds: f64,
    },
    /// It drives the WLTC, over and over.
    Drive {
        /// Seconds after which it stops.
        seconds: f64,
    },
}

/// Cells that the management looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Sees {
    /// The highest and the lowest one.
    All,
    /// Their mean.
    Mean,
    /// One group's sensor, from 0.
    One(usize),
}

/// The pack's own management. Whatever else it overlooks, it opens the contactors for good beyond [`OPENS`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Management {
    /// Which cells it looks at.
    pub sees: Sees,
    /// Whether it charges by temperature.
    pub minds_temperature: bool,
    /// Whether it cools and heats by itself.
    pub regulates: bool,
    /// Whether it ends a drive when the lowest cell that it sees is empty.
    pub ends_drives: bool,
}

/// Last protection of every management, by the cells that it looks at: V below and above the chemistry's window, and °C of the
/// hottest sensor, beyond which the contactors open. As in battery packs of vehicles: rough, and late.
pub const OPENS: (f64, f64, f64) = (0.5, 0.15, 65.0);

/// One way into trouble in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Script {
    /// Which.
    pub trouble: Trouble,
    /// Groups in series.
    pub series: usize,
    /// State of charge at the start.
    pub soc: f64,
    /// Standard deviation of the groups' state of charge at the start.
    pub soc_sd: f64,
    /// Temperature of the pack at the start, in °C.
    pub temp_c: f64,
    /// Temperature of the surroundings, in °C.
    pub ambient_c: f64,
    /// What the pack does, one after the other.
    pub work: Vec<Work>,
    /// Mean state of charge by which charging time is measured.
    pub charged: f64,
    /// Length of the run in s.
    pub seconds: f64,
    /// The pack's own management.
    pub management: Management,
    /// A fault from the beginning with its severity, in a group from 0.
    pub fault: Option<(FaultKind, usize, f64)>,
}

/// Group with the fault, where there is one.
const FAULTY: usize = 40;

impl From<Trouble> for Script {
    /// The script of a trouble: a pack of 96 groups of 60 Ah.
    fn from(trouble: Trouble) -> Self {
        let sound =
            Management { sees: Sees::All, minds_temperature: true, regulates: true, ends_drives: true };
        let charge = |c_rate: f64, hold_v: f64, until: f64| Work::Charge { c_rate, hold_v, until };
        // It comes, and is seen, before anything happens.
        let rest = Work::Rest { seconds: 60.0 };
        let usual = Self {
            trouble,
            series: 96,
            soc: 0.4,
            soc_sd: 0.003,
            temp_c: 22.0,
            ambient_c: 20.0,
            work: vec![rest, charge(0.3, 4.2, 0.8), Work::Drive { seconds: 1_800.0 }],
            charged: 0.8,
            seconds: 7_200.0,
            management: sound,
            fault: None,
        };
        match trouble {
            Trouble::None => usual,
            Trouble::Overcharge => {
                let work = vec![rest, charge(0.5, 4.4, 1.2)];
                Self { soc: 0.6, work, charged: 0.9, seconds: 5_400.0, ..usual }
            }
            Trouble::DeepDischarge => Self {
                soc: 0.1,
                work: vec![rest, Work::Drive { seconds: 3_600.0 }],
                seconds: 4_500.0,
                management: Management { ends_drives: false, ..sound },
                ..usual
            },
            Trouble::CoolingFailure => Self {
                soc: 0.1,
                temp_c: 44.0,
                ambient_c: 48.0,
                work: vec![rest, charge(1.5, 4.2, 0.8)],
                charged: 0.8,
                seconds: 4_500.0,
                management: Management { minds_temperature: false, regulates: false, ..sound },
                ..usual
            },
            Trouble::ColdCharge => Self {
                soc: 0.2,
                temp_c: -5.0,
                ambient_c: -4.0,
                work: vec![rest, charge(0.4, 4.2, 0.9)],
                charged: 0.6,
                seconds: 7_200.0,
                management: Management { minds_temperature: false, regulates: false, ..sound },
                ..usual
            },
            Trouble::Imbalance => Self {
                soc: 0.5,
                soc_sd: 0.02,
                work: vec![rest, charge(0.5, 4.2, 0.97)],
                charged: 0.85,
                seconds: 14_400.0,
                management: Management { sees: Sees::Mean, ..sound },
                ..usual
            },
            Trouble::WeakCell => Self {
                soc: 0.5,
                work: vec![rest, charge(0.5, 4.2, 0.97), Work::Drive { seconds: 10_800.0 }],
                charged: 0.8,
                seconds: 14_400.0,
                management: Management { sees: Sees::Mean, ..sound },
                fault: Some((FaultKind::CapacityOutlier, FAULTY, 4.0 / 3.0)),
                ..usual
            },
            Trouble::SensorFreeze => Self {
                soc: 0.5,
                work: vec![rest, charge(0.5, 4.2, 1.1)],
                charged: 0.9,
                management: Management { sees: Sees::One(FAULTY), ..sound },
                fault: Some((FaultKind::SensorFreeze, FAULTY, 1.0)),
                ..usual
            },
        }
    }
}
