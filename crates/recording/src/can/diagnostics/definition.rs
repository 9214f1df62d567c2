//! Definition of a vehicle's answers to requests for identifiers (UDS service 0x22, ISO 14229-1), a file in TOML.

use crate::can::frame::{MAX_EXTENDED_ID, MAX_STANDARD_ID};
use crate::{Error, Quantity};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Largest file that is read: 1 MB.
const MAX_FILE: u64 = 1 << 20;
/// Most control units, and identifiers of one.
const MAX_UNITS: usize = 64;
/// Most cells or temperatures.
const MAX_VALUES: usize = 1024;
/// Most bytes of one value.
const MAX_BYTES: usize = 8;
/// Age in ms above which a value is stale, if the file states none: requests of a logger come round in some seconds.
const MAX_AGE_MS: u64 = 30_000;

/// Identifiers of a vehicle's control units, and what they hold.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// For which vehicle.
    pub vehicle: String,
    /// Age above which a value is unknown, in ms. Default 30,000.
    #[serde(default = "max_age")]
    pub max_age_ms: u64,
    /// Control units.
    pub unit: Vec<Unit>,
}

fn max_age() -> u64 {
    MAX_AGE_MS
}

/// A control unit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Identifier of requests.
    pub request: u32,
    /// Identifier of its responses.
    pub response: u32,
    /// Whether both have 29 bits. Default: those above 0x7FF have.
    pub extended: Option<bool>,
    /// Address byte before the data of requests, where the vehicle has extended addresses (ISO 15765-2, 9.4).
    pub request_address: Option<u8>,
    /// The same of its responses.
    pub response_address: Option<u8>,
    /// What can be read of it.
    pub read: Vec<Read>,
}

/// An identifier and what its data hold.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Data identifier.
    pub id: u16,
    /// Values in its data.
    pub value: Vec<Value>,
}

/// A value, or several of a kind that follow each other.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// What it is.
    pub quantity: Quantity,
    /// Its first byte, from 0, behind the identifier.
    pub byte: usize,
    /// Its bytes, the most significant first. Default 1.
    #[serde(default = "one")]
    pub bytes: usize,
    /// Its only bit, from 0, the least significant. Default: all bits.
    pub bit: Option<u32>,
    /// Whether it is in two's complement. Default: no.
    #[serde(default)]
    pub signed: bool,
    /// Base units (V, A with a charge positive, %, °C, Ω, km/h) for 1. Default 1.
    #[serde(default = "factor")]
    pub factor: f64,
    /// Added after the factor, in the base unit. Default 0.
    #[serde(default)]
    pub offset: f64,
    /// Numbers that stand for no value.
    #[serde(default)]
    pub unavailable: Vec<u64>,
    /// Least and most that are believed, in the base unit. Default: any.
    pub range: Option<(f64, f64)>,
    /// Of cells and temperatures: the number of the first, from 1. Default 1.
    #[serde(default = "one")]
    pub first: usize,
    /// Of cells and temperatures: how many follow each other. Default 1.
    #[serde(default = "one")]
    pub count: usize,
}

fn one() -> usize {
    1
}

fn factor() -> f64 {
    1.0
}

impl Definition {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Mapping`] for one that cannot be used, with the key.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let size = std::fs::metadata(path).map_err(Error::file(path, "opening"))?.len();
        if size > MAX_FILE {
            return Err(Error::mapping(path.display(), "a definition of more than 1 MB is not read"));
        }
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading"))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a text; `place` names it in errors.
    ///
    /// # Errors
    /// [`Error::Mapping`].
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let definition: Self =
            toml::from_str(text).map_err(|error| Error::mapping(place, error.to_string().trim()))?;
        definition.check().map_err(|problem| Error::mapping(place, problem))?;
        Ok(definition)
    }

    /// Quantities that it names, some of them often.
    pub fn quantities(&self) -> impl Iterator<Item = Quantity> {
        let reads = self.unit.iter().flat_map(|unit| &unit.read);
        reads.flat_map(|read| &read.value).map(|value| value.quantity)
    }

    fn check(&self) -> Result<(), String> {
        if self.unit.is_empty() || self.unit.len() > MAX_UNITS {
            return Err(format!("it has {} units, and 1 to {MAX_UNITS} are read", self.unit.len()));
        }
        let mut places = BTreeMap::<Quantity, Vec<usize>>::new();
        for unit in &self.unit {
            let name = format!("unit {:X}", unit.response);
            let most = if unit.is_extended() { MAX_EXTENDED_ID } else { MAX_STANDARD_ID };
            if unit.request > most || unit.response > most || unit.request == unit.response {
                return Err(format!("{name}: request and response want two identifiers of at most {most:X}"));
            }
            if unit.read.is_empty() || unit.read.len() > MAX_UNITS {
                return Err(format!(
                    "{name} has {} identifiers, and 1 to {MAX_UNITS} are read",
                    unit.read.len()
                ));
            }
            for (at, read) in unit.read.iter().enumerate() {
                let name = format!("{name}, id {:04X}", read.id);
                if unit.read[..at].iter().any(|other| other.id == read.id) {
                    return Err(format!("{name} stands twice: write all its values below one [[unit.read]]"));
                }
                for value in &read.value {
                    value.check().map_err(|problem| format!("{name}, {}: {problem}", value.quantity))?;
                    let places = places.entry(value.quantity).or_default();
                    places.extend(value.first..value.first + value.count);
                }
            }
        }
        let twice = self.unit.iter().enumerate().find(|(at, unit)| {
            let same = |other: &Unit| {
                other.response == unit.response && other.response_address == unit.response_address
            };
            self.unit[..*at].iter().any(same)
        });
        if let Some((_, unit)) = twice {
            return Err(format!(
                "unit {:X} stands twice: write all its identifiers below one [[unit]]",
                unit.response
            ));
        }
        for (quantity, mut places) in places {
            places.sort_unstable();
            if places.iter().enumerate().any(|(at, place)| at + 1 != *place) {
                return Err(format!(
                    "{quantity}: the numbers are not 1, 2, … without gaps, each once: {places:?}"
                ));
            }
        }
        Ok(())
    }
}

impl Unit {
    /// Whether its identifiers have 29 bits.
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.extended.unwrap_or(self.request > MAX_STANDARD_ID || self.response > MAX_STANDARD_ID)
    }
}

impl Value {
    fn check(&self) -> Result<(), String> {
        let several = matches!(self.quantity, Quantity::Cells | Quantity::Temperatures);
        if matches!(self.quantity, Quantity::Time | Quantity::ChargeCounter) {
            return Err("this quantity is not read from a bus".into());
        }
        if !several && (self.first, self.count) != (1, 1) {
            return Err("first and count are for cells and temperatures".into());
        }
        if !(1..=MAX_BYTES).contains(&self.bytes) || self.byte > 4095 {
            return Err(format!("bytes wants 1 to {MAX_BYTES}, and byte at most 4095"));
        }
        if self.first == 0 || self.count == 0 || self.first.saturating_add(self.count) > MAX_VALUES {
            return Err(format!("first and count want 1 to {MAX_VALUES}"));
        }
        if self.bit.is_some_and(|bit| bit as usize >= 8 * self.bytes) {
            return Err(format!("bit wants 0 to {}", 8 * self.bytes - 1));
        }
        if self.factor == 0.0 || !self.factor.is_finite() || !self.offset.is_finite() {
            return Err("factor and offset want numbers, and the factor not 0".into());
        }
        if self.range.is_some_and(|(least, most)| least.is_nan() || most.is_nan() || least >= most) {
            return Err("range wants the least and then the most".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KONA: &str = include_str!("../../../vehicles/hyundai-kona-64kwh.toml");

    #[test]
    fn the_example_is_read() {
        let kona = Definition::parse(KONA, "kona").expect("a definition");
        let cells = kona.unit.iter().flat_map(|unit| &unit.read).flat_map(|read| &read.value);
        let cells =
            cells.filter(|value| value.quantity == Quantity::Cells).map(|value| value.count).sum::<usize>();
        assert_eq!((kona.unit[0].response, cells), (0x7ec, 98));
    }

    #[test]
    fn what_cannot_be_right_is_refused_by_its_key() {
        let refused = |change: (&str, &str), word: &str| {
            assert!(KONA.contains(change.0), "{}", change.0);
            let error =
                Definition::parse(&KONA.replacen(change.0, change.1, 1), "kona").expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(("response = 0x7EC", "response = 0x7E4"), "two identifiers");
        refused(("first = 33", "first = 34"), "without gaps");
        refused(("first = 33", "first = 1"), "each once");
        refused(("id = 0x0102", "id = 0x0101"), "twice");
        refused(("factor = 0.02", "factor = 0"), "factor");
        refused(("quantity = \"soc\"", "quantity = \"time\""), "not read from a bus");
        refused(("bit = 0", "bit = 9"), "bit wants 0 to 7");
        refused(("vehicle =", "car ="), "car");
        refused(("range = [0, 100]", "range = [100, 0]"), "range");
    }
}
