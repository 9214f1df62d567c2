//! A JSON object to a sample, without building a JSON tree.

use super::*;
use crate::{
    CentiPercent, Centidegrees, Charger, Contactor, Error, MAX_CELLS, MAX_TEMPERATURES, Milliamps,
    Millivolts, Millivolts16, Sample, Timestamp,
};
use serde::de::{self, DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// 3 March 1973 in milliseconds: a smaller timestamp was meant as seconds.
const PLAUSIBLE_MS: u64 = 100_000_000_000;

/// Reads one JSON object of full VSS paths and a `timestamp`. Time, pack voltage and pack current must be there.
pub fn parse(json: &[u8]) -> Result<Sample, Error> {
    Error::limit("JSON sample", json.len(), MAX_JSON_BYTES)?;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let mut problem = None;
    let fields = deserializer
        .deserialize_map(Object { problem: &mut problem })
        .and_then(|fields| deserializer.end().map(|()| fields));
    match (fields, problem) {
        (_, Some(problem)) => Err(problem),
        (Err(error), None) => Err(field_error("JSON sample", error.to_string())),
        (Ok(fields), None) => fields.sample(),
    }
}

fn field_error(field: &str, why: impl Into<String>) -> Error {
    Error::Field { field: field.chars().take(120).collect(), why: why.into() }
}

#[derive(Default)]
struct Fields {
    time: Option<Timestamp>,
    pack_voltage: Option<Millivolts>,
    pack_current: Option<Milliamps>,
    cells: Option<Vec<Millivolts16>>,
    temperatures: Option<Vec<Centidegrees>>,
    average: Option<Centidegrees>,
    soc: Option<CentiPercent>,
    connected: Option<bool>,
    charging: Option<bool>,
    cable: Option<bool>,
}

impl Fields {
    fn sample(self) -> Result<Sample, Error> {
        let missing = |field| field_error(field, "is missing");
        let sample = Sample {
            time: self.time.ok_or(missing(TIMESTAMP))?,
            pack_voltage: self.pack_voltage.ok_or(missing(CURRENT_VOLTAGE))?,
            pack_current: self.pack_current.ok_or(missing(CURRENT_CURRENT))?,
            cells: self.cells.unwrap_or_default(),
            temperatures: self.temperatures.unwrap_or_else(|| self.average.into_iter().collect()),
            soc: self.soc.unwrap_or(CentiPercent::UNKNOWN),
            contactor: match self.connected {
                None => Contactor::Unknown,
                Some(false) => Contactor::Open,
                Some(true) => Contactor::Closed,
            },
            charger: match (self.charging, self.cable) {
                (Some(true), Some(false)) => {
                    return Err(field_error(IS_CHARGING, "is true while no cable is connected"));
                }
                (Some(true), _) => Charger::Charging,
                (_, Some(true)) => Charger::Plugged,
                (_, Some(false)) => Charger::Unplugged,
                // Not charging says nothing about the cable.
                (_, None) => Charger::Unknown,
            },
        };
        sample.check()?;
        Ok(sample)
    }
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
                CURRENT_VOLTAGE => set(&mut map, &mut fields.pack_voltage, Number(Millivolts::from_base)),
                CURRENT_CURRENT => set(&mut map, &mut fields.pack_current, Number(Milliamps::from_base)),
                CELL_VOLTAGES => set(&mut map, &mut fields.cells, List(Millivolts16::from_base, MAX_CELLS)),
                CELL_TEMPERATURES => {
                    set(&mut map, &mut fields.temperatures, List(Centidegrees::from_base, MAX_TEMPERATURES))
                }
                AVERAGE_TEMPERATURE => set(&mut map, &mut fields.average, Number(Centidegrees::from_base)),
                STATE_OF_CHARGE => set(&mut map, &mut fields.soc, Number(percent)),
                IS_POWER_CONNECTED => set(&mut map, &mut fields.connected, Bool),
                IS_CHARGING => set(&mut map, &mut fields.charging, Bool),
                IS_CABLE_CONNECTED => set(&mut map, &mut fields.cable, Bool),
                key => match forms::misspelled(key) {
                    Some(meant) => Err(de::Error::custom(format!("is not read; it is spelled {meant}"))),
                    None => map.next_value::<IgnoredAny>().map(drop),
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

/// A key, borrowed where JSON has no escapes in it.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// A number in a unit that this function converts and bounds.
#[derive(Clone, Copy)]
struct Number<T>(fn(f64) -> Option<T>);

impl<'de, T> DeserializeSeed<'de> for Number<T> {
    type Value = T;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_f64(self)
    }
}

impl<T> Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        (self.0)(value).ok_or_else(|| E::custom(format!("{value} is out of range")))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        self.visit_f64(value as f64)
    }
}

/// A bounded array of such numbers.
struct List<T>(fn(f64) -> Option<T>, usize);

impl<'de, T> DeserializeSeed<'de> for List<T> {
    type Value = Vec<T>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Number(self.0))? {
            if values.len() == self.1 {
                return Err(de::Error::custom(format!("has more than {} values", self.1)));
            }
            values.push(value);
        }
        Ok(values)
    }
}

struct Bool;

impl<'de> DeserializeSeed<'de> for Bool {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Bool {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, 0 or 1")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<bool, E> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(E::custom(format!("{value} is not true, false, 0 or 1"))),
        }
    }
}

/// RFC 3339 text or milliseconds.
struct Time;

impl<'de> DeserializeSeed<'de> for Time {
    type Value = Timestamp;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Timestamp, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Time {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RFC 3339 text such as \"2026-01-31T12:00:00Z\" or milliseconds since the Unix epoch")
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Timestamp, E> {
        if ms < PLAUSIBLE_MS {
            return Err(E::custom(format!(
                "{ms} looks like seconds; want milliseconds since the Unix epoch"
            )));
        }
        bounded(Timestamp::from_millis(ms))
    }

    fn visit_f64<E: de::Error>(self, ms: f64) -> Result<Timestamp, E> {
        if ms.fract() == 0.0 && (0.0..9e15).contains(&ms) {
            self.visit_u64(ms as u64)
        } else {
            Err(E::custom(format!("{ms} is no whole number of milliseconds")))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        let text = &*forms::time(text).map_err(|why| E::custom(format!("{text:.40?} {why}")))?;
        let time = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|error| E::custom(format!("{:.40?} is not RFC 3339: {error}", text)))?;
        let ms = time.unix_timestamp_nanos().div_euclid(1_000_000);
        bounded(Timestamp::from_millis(u64::try_from(ms).map_err(|_| E::custom("is before 1970"))?))
    }
}

fn bounded<E: de::Error>(time: Timestamp) -> Result<Timestamp, E> {
    if time <= Timestamp::MAX { Ok(time) } else { Err(E::custom(Timestamp::AFTER_MAX)) }
}
