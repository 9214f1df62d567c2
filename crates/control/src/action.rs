//! Actions that a vehicle can be asked for.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use voltmesh_telemetry::cbor::{Reader, Writer};

/// Groups of cells that a balancing mask can name, as many as a sample has cells at most.
pub const MAX_GROUPS: usize = 1024;

/// What a vehicle is asked to do. Only integers are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action", content = "value")]
pub enum Action {
    /// Most current into the pack in mA.
    ChargeLimit(u32),
    /// Most current out of the pack in mA.
    DischargeLimit(u32),
    /// Temperature to heat or cool to in hundredths of °C.
    TargetTemperature(i32),
    /// Groups to bleed by their index, ascending; none ends balancing.
    Balance(Vec<u16>),
    /// Samples per 1,000 s.
    SamplingRate(u32),
    /// Millionths of its own limits that the vehicle may use, at most 1,000,000.
    Derate(u32),
    /// Ends charging.
    StopCharging,
}

/// Kind of an action: of each kind one command is in force at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// See [`Action::ChargeLimit`].
    ChargeLimit,
    /// See [`Action::DischargeLimit`].
    DischargeLimit,
    /// See [`Action::TargetTemperature`].
    TargetTemperature,
    /// See [`Action::Balance`].
    Balance,
    /// See [`Action::SamplingRate`].
    SamplingRate,
    /// See [`Action::Derate`].
    Derate,
    /// See [`Action::StopCharging`].
    StopCharging,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ChargeLimit,
        Self::DischargeLimit,
        Self::TargetTemperature,
        Self::Balance,
        Self::SamplingRate,
        Self::Derate,
        Self::StopCharging,
    ];

    /// Name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChargeLimit => "charge-limit",
            Self::DischargeLimit => "discharge-limit",
            Self::TargetTemperature => "target-temperature",
            Self::Balance => "balance",
            Self::SamplingRate => "sampling-rate",
            Self::Derate => "derate",
            Self::StopCharging => "stop-charging",
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Action {
    /// Its kind.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::ChargeLimit(_) => ActionKind::ChargeLimit,
            Self::DischargeLimit(_) => ActionKind::DischargeLimit,
            Self::TargetTemperature(_) => ActionKind::TargetTemperature,
            Self::Balance(_) => ActionKind::Balance,
            Self::SamplingRate(_) => ActionKind::SamplingRate,
            Self::Derate(_) => ActionKind::Derate,
            Self::StopCharging => ActionKind::StopCharging,
        }
    }

    /// Its number in its own unit: mA, hundredths of °C, groups, samples per 1,000 s, millionths; 0 of an end of charging.
    pub fn amount(&self) -> i64 {
        match self {
            Self::ChargeLimit(value)
            | Self::DischargeLimit(value)
            | Self::SamplingRate(value)
            | Self::Derate(value) => i64::from(*value),
            Self::TargetTemperature(value) => i64::from(*value),
            Self::Balance(groups) => i64::try_from(groups.len()).unwrap_or(i64::MAX),
            Self::StopCharging => 0,
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.array(2).uint(self.kind() as u64);
        match self {
            Self::ChargeLimit(value)
            | Self::DischargeLimit(value)
            | Self::SamplingRate(value)
            | Self::Derate(value) => {
                writer.uint(u64::from(*value));
            }
            // Shifted by 1,000 K: the codec has no negative numbers here.
            Self::TargetTemperature(value) => {
                writer.uint(u64::from(value.saturating_add(100_000).max(0).unsigned_abs()));
            }
            Self::Balance(groups) => {
                writer.array(groups.len());
                for group in groups {
                    writer.uint(u64::from(*group));
                }
            }
            Self::StopCharging => {
                writer.uint(0);
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let narrow = |value: u64| {
            u32::try_from(value).map_err(|_| Error::inconsistent("command", "a value is beyond 32 bits"))
        };
        reader.array_of(2)?;
        Ok(match reader.uint()? {
            0 => Self::ChargeLimit(narrow(reader.uint()?)?),
            1 => Self::DischargeLimit(narrow(reader.uint()?)?),
            2 => {
                let shifted = i32::try_from(reader.uint()?)
                    .map_err(|_| Error::inconsistent("command", "a temperature is beyond 32 bits"))?;
                Self::TargetTemperature(shifted - 100_000)
            }
            3 => {
                let len = reader.array()?;
                Error::limit("balancing mask", len, MAX_GROUPS)?;
                let mut groups: Vec<u16> = Vec::with_capacity(len);
                for _ in 0..len {
                    let group = u16::try_from(reader.uint()?)
                        .map_err(|_| Error::inconsistent("command", "a group is beyond 16 bits"))?;
                    if groups.last().is_some_and(|last| *last >= group) {
                        return Err(Error::inconsistent("command", "its groups do not ascend"));
                    }
                    groups.push(group);
                }
                Self::Balance(groups)
            }
            4 => Self::SamplingRate(narrow(reader.uint()?)?),
            5 => {
                let share = narrow(reader.uint()?)?;
                if share > 1_000_000 {
                    return Err(Error::inconsistent(
                        "command",
                        "it allows more than the vehicle's own limits",
                    ));
                }
                Self::Derate(share)
            }
            6 if reader.uint()? == 0 => Self::StopCharging,
            6 => return Err(reader.malformed("stop-charging has no value").into()),
            _ => return Err(reader.malformed("unknown action").into()),
        })
    }
}
