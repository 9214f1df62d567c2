//! An object of full VSS paths and a `timestamp` to a sample, without building a JSON tree.

use super::*;
use crate::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, ChannelValue, Charger, Contactor, Error, MAX_CELLS,
    MAX_TEMPERATURES, Milliamps, Millivolts, Millivolts16, Ohms, Sample, Timestamp, Unknown,
};
use channels::Channels;
use seeds::{Bool, Key, List, Number, Time};
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The fields of an object. What follows it is its caller's affair.
pub(super) fn fields<'de, D>(object: D) -> Result<Fields, Error>
where
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    let mut problem = None;
    match (object.deserialize_map(Object { problem: &mut problem }), problem) {
        (_, Some(problem)) => Err(problem),
        (Err(error), None) => Err(field_error("JSON sample", error.to_string())),
        (Ok(fields), None) => Ok(fields),
    }
}

pub(super) fn field_error(field: &str, why: impl Into<String>) -> Error {
    Error::Field { field: field.chars().take(120).collect(), why: why.into() }
}

/// The fields of a sample that an object holds.
#[derive(Default)]
pub(super) struct Fields {
    time: Option<Timestamp>,
    pack_voltage: Option<Millivolts>,
    pack_current: Option<Milliamps>,
    cells: Option<Vec<Millivolts16>>,
    temperatures: Option<Vec<Centidegrees>>,
    average: Option<Centidegrees>,
    soc: Option<CentiPercent>,
    insulation: Option<Ohms>,
    ambient: Option<Centidegrees>,
    coolant: Option<Centidegrees>,
    speed: Option<CentiKilometersPerHour>,
    channels: Option<Vec<ChannelValue>>,
    connected: Option<Option<bool>>,
    charging: Option<Option<bool>>,
    cable: Option<Option<bool>>,
    /// Whether it has one of [`ENVELOPES`].
    is_envelope: bool,
}

impl Fields {
    /// Whether it holds nothing of a sample, and may be a message that does.
    pub(super) fn may_be_message(&self) -> bool {
        self.is_empty() && self.time.is_none() && self.is_envelope
    }

    /// Whether there is no quantity of a battery: then it is not what was meant.
    fn is_empty(&self) -> bool {
        self.pack_voltage.is_none()
            && self.pack_current.is_none()
            && self.cells.is_none()
            && self.temperatures.is_none()
            && self.average.is_none()
            && self.soc.is_none()
            && self.insulation.is_none()
            && self.channels.is_none()
    }

    pub(super) fn sample(self) -> Result<Sample, Error> {
        let time = self.time.ok_or(field_error(TIMESTAMP, "is missing"))?;
        if self.is_empty() {
            let why = format!(
                "holds none of the quantities of a battery, such as {CURRENT_VOLTAGE}: correct its keys"
            );
            return Err(field_error("JSON sample", why));
        }
        let average = self.average.filter(|value| value.cause() != Some(Unknown::NotSent));
        let sample = Sample {
            time,
            pack_voltage: self.pack_voltage.unwrap_or_default(),
            pack_current: self.pack_current.unwrap_or_default(),
            cells: self.cells.unwrap_or_default(),
            temperatures: self.temperatures.unwrap_or_else(|| average.into_iter().collect()),
            soc: self.soc.unwrap_or_default(),
            insulation: self.insulation.unwrap_or_default(),
            ambient: self.ambient.unwrap_or_default(),
            coolant: self.coolant.unwrap_or_default(),
            speed: self.speed.unwrap_or_default(),
            channels: self.channels.unwrap_or_default(),
            contactor: match self.connected.flatten() {
                None => Contactor::Unknown,
                Some(false) => Contactor::Open,
                Some(true) => Contactor::Closed,
            },
            charger: match (self.charging.flatten(), self.cable.flatten()) {
                (Some(true), Some(false)) => {
                    return Err(field_error(IS_CHARGING, "is true while no cable is connected"));
                }
                (Some(true), _) => Charger::Charging,
                (_, Some(true)) => Charger::Plugged,
                (_, Some(false)) => Charger::Unplugged,
                // Not charging says nothing about the cable.
                (_, None) => Charger::Unknown,
            },
            ..Sample::default()
        };
        sample.check()?;
        Ok(sample)
    }
}

/// A quantity whose numbers out of range are refused.
macro_rules! number {
    ($unit:ident) => {
        Number(|value| match value {
            Ok(value) => $unit::from_base(value),
            Err(cause) => Some($unit::unknown(cause)),
        })
    };
}

/// A quantity whose numbers out of range are unknown.
macro_rules! optional {
    ($unit:ident) => {
        Number(|value| Some($unit::from_reading(value)))
    };
}

/// Reads the object; an error with its field goes to `problem`, because serde's errors carry text only.
struct Object<'p> {
    problem: &'p mut Option<Error>,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object of VSS paths")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key_seed(Key)? {
            let done = match key.as_ref() {
                TIMESTAMP => set(&mut map, &mut fields.time, Time),
                CURRENT_VOLTAGE => set(&mut map, &mut fields.pack_voltage, number!(Millivolts)),
                CURRENT_CURRENT => set(&mut map, &mut fields.pack_current, number!(Milliamps)),
                CELL_VOLTAGES => set(&mut map, &mut fields.cells, List(number!(Millivolts16), MAX_CELLS)),
                CELL_TEMPERATURES => {
                    set(&mut map, &mut fields.temperatures, List(number!(Centidegrees), MAX_TEMPERATURES))
                }
                AVERAGE_TEMPERATURE => set(&mut map, &mut fields.average, number!(Centidegrees)),
                STATE_OF_CHARGE => {
                    let percent = Number(|value| match value {
                        Ok(share) => percent(share),
                        Err(cause) => Some(CentiPercent::unknown(cause)),
                    });
                    set(&mut map, &mut fields.soc, percent)
                }
                INSULATION => set(&mut map, &mut fields.insulation, optional!(Ohms)),
                AIR_TEMPERATURE => set(&mut map, &mut fields.ambient, optional!(Centidegrees)),
                COOLANT_TEMPERATURE => set(&mut map, &mut fields.coolant, optional!(Centidegrees)),
                SPEED => set(&mut map, &mut fields.speed, optional!(CentiKilometersPerHour)),
                CHANNELS => set(&mut map, &mut fields.channels, Channels),
                IS_POWER_CONNECTED => set(&mut map, &mut fields.connected, Bool),
                IS_CHARGING => set(&mut map, &mut fields.charging, Bool),
                IS_CABLE_CONNECTED => set(&mut map, &mut fields.cable, Bool),
                key => match forms::misspelled(key) {
                    Some(meant) => Err(de::Error::custom(format!("is not read; it is spelled {meant}"))),
                    None => {
                        fields.is_envelope |= ENVELOPES.contains(&key);
                        map.next_value::<IgnoredAny>().map(drop)
                    }
                },
            };
            if let Err(error) = done {
                *self.problem = Some(field_error(&key, error.to_string()));
                return Err(error);
            }
        }
        Ok(fields)
    }
}

fn percent(value: f64) -> Option<CentiPercent> {
    CentiPercent::from_base(value).filter(|share| *share <= CentiPercent::FULL)
}

fn set<'de, A: MapAccess<'de>, S: DeserializeSeed<'de>>(
    map: &mut A,
    slot: &mut Option<S::Value>,
    seed: S,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(de::Error::custom("is there twice"));
    }
    *slot = Some(map.next_value_seed(seed)?);
    Ok(())
}
