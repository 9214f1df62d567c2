//! Keys and values of a JSON sample: numbers or why they are unknown, lists, booleans, times.

use super::{UNKNOWN, forms};
use crate::{Reading, Timestamp, Unknown};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// 3 March 1973 in milliseconds: a smaller timestamp was meant as seconds.
const PLAUSIBLE_MS: u64 = 100_000_000_000;

/// A key, borrowed where JSON has no escapes in it.
pub(super) struct Key;

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
pub(super) struct List<T>(pub Number<T>, pub usize);

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

/// A boolean, also as 0 or 1; none is unknown.
pub(super) struct Bool;

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
pub(super) struct Time;

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
