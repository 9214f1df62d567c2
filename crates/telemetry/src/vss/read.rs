//! A JSON object to a sample, without building a JSON tree.

use super::*;
use crate::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, ChannelValue, Charger, Contactor, Error, MAX_CELLS,
    MAX_TEMPERATURES, Milliamps, Millivolts, Millivolts16, Ohms, Reading, Sample, Timestamp, Unknown,
};
use channels::Channels;
use serde::de::{self, DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// 3 March 1973 in milliseconds: a smaller timestamp was meant as seconds.
const PLAUSIBLE_MS: u64 = 100_000_000_000;

/// Reads one JSON object of full VSS paths and a `timestamp`, which must be there, with one of the quantities. What is not
/// there is not sent. A number that a quantity cannot have is refused; an optional quantity or a channel is out of range
/// then.
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
    insulation: Option<Ohms>,
    ambient: Option<Centidegrees>,
    coolant: Option<Centidegrees>,
    speed: Option<CentiKilometersPerHour>,
    channels: Option<Vec<ChannelValue>>,
    connected: Option<Option<bool>>,
    charging: Option<Option<bool>>,
    cable: Option<Option<bool>>,
}

impl Fields {
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

    fn sample(self) -> Result<Sample, Error> {
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

/// A number, or why it is unknown, in a unit that this function converts and bounds.
#[derive(Clone, Copy)]
pub(super) struct Number<T>(pub fn(Reading<f64>) -> Option<T>);

impl<'de, T> DeserializeSeed<'de> for Number<T> {
    type Value = T;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T> Number<T> {
    fn of<E: de::Error>(self, value: Reading<f64>) -> Result<T, E> {
        (self.0)(value).ok_or_else(|| match value {
            Ok(value) => E::custom(format!("{value} is out of range")),
            Err(cause) => E::custom(format!("cannot be unknown ({cause})")),
        })
    }
}

impl<'de, T> Visitor<'de> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, null, or {\"unknown\": CAUSE}")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        self.of(Ok(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        self.visit_f64(value as f64)
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        self.of(Err(Unknown::NotSent))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let wrong = || de::Error::custom("wants a number, null, or {\"unknown\": CAUSE}");
        if map.next_key_seed(Key)?.is_none_or(|key| key != UNKNOWN) {
            return Err(wrong());
        }
        let cause: Unknown = map.next_value()?;
        if map.next_key_seed(Key)?.is_some() {
            return Err(wrong());
        }
        self.of(Err(cause))
    }
}

/// A bounded array of such numbers.
struct List<T>(Number<T>, usize);

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
        while let Some(value) = seq.next_element_seed(Number(self.0.0))? {
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
    type Value = Option<bool>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Bool {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, 0, 1 or null")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        match value {
            0 => Ok(Some(false)),
            1 => Ok(Some(true)),
            _ => Err(E::custom(format!("{value} is not true, false, 0 or 1"))),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
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
