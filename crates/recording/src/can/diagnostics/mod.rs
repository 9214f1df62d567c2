//! Diagnostics: what control units answer to requests for identifiers (ISO 15765-2 and UDS service 0x22, ISO 14229-1).
//!
//! Provided: responses of one identifier each, whoever asked; negative responses and messages with missing frames, counted;
//! requests for a live bus, one at a time. Not provided: other services, responses of several identifiers, sessions and keys.

mod definition;
mod requester;
pub mod transport;

pub use definition::{Definition, Read, Unit, Value};
pub use requester::Requester;

use super::Frame;
use super::item::{is_full, is_measured};
use super::values::Values;
use crate::unit::Conversion;
use crate::{Quantity, Reading, Skipped, Unknown};
use std::collections::BTreeSet;
use transport::{Lost, Receiver};

/// A positive response to a request for an identifier.
const RESPONSE: u8 = 0x62;
/// A negative response, and the service that it speaks of.
const NEGATIVE: [u8; 2] = [0x7f, 0x22];
/// Reason of a negative response that promises another one.
const PENDING: u8 = 0x78;

/// Reader of responses.
#[derive(Clone, Debug)]
pub(super) struct Diagnostics {
    definition: Definition,
    receivers: Vec<Receiver>,
    /// Identifiers that were answered, by unit.
    answered: BTreeSet<(usize, u16)>,
    lost: Skipped,
}

impl Diagnostics {
    pub fn new(definition: Definition) -> Self {
        let receivers = vec![Receiver::default(); definition.unit.len()];
        Self { definition, receivers, answered: BTreeSet::new(), lost: Skipped::default() }
    }

    /// Each quantity with its number of values.
    pub fn quantities(&self) -> impl Iterator<Item = (Quantity, usize)> {
        let values = self.definition.unit.iter().flat_map(|unit| &unit.read).flat_map(|read| &read.value);
        values.map(|value| (value.quantity, value.first + value.count - 1))
    }

    pub fn max_age_ns(&self) -> u64 {
        self.definition.max_age_ms.saturating_mul(1_000_000)
    }

    /// The units that answer with this identifier.
    pub fn units(&self, id: u32, extended: bool) -> Vec<usize> {
        let units = self.definition.unit.iter().enumerate();
        units
            .filter(|(_, unit)| unit.response == id && unit.is_extended() == extended)
            .map(|(at, _)| at)
            .collect()
    }

    /// Takes a frame of a unit; true if it gave values.
    pub fn take(&mut self, unit: usize, frame: &Frame, values: &mut Values) -> bool {
        let Some(data) = behind_address(self.definition.unit[unit].response_address, frame.data()) else {
            return false;
        };
        let of = &self.definition.unit[unit];
        let place = || format!("unit {:X}", of.response);
        let message = match self.receivers[unit].take(data, frame.time) {
            Ok(Some(message)) => message,
            Ok(None) => return false,
            Err(lost) => {
                let reason = match lost {
                    Lost::Sequence => "responses with missing frames",
                    Lost::Stray => "frames of responses whose first frame is not there",
                    Lost::Length => "frames of an impossible length",
                };
                self.lost.count(reason, place);
                return false;
            }
        };
        match message {
            [RESPONSE, high, low, data @ ..] => {
                let id = u16::from_be_bytes([*high, *low]);
                let Some(read) = of.read.iter().find(|read| read.id == id) else { return false };
                self.answered.insert((unit, id));
                let mut used = false;
                for value in &read.value {
                    for number in 0..value.count {
                        let reading = value.reading(data, number);
                        if reading == Err(Unknown::NotSent) {
                            self.lost.count("responses that are shorter than the definition", place);
                        }
                        used |= values.set(value.quantity, value.first - 1 + number, reading, frame.time);
                    }
                }
                used
            }
            [a, b, reason, ..] if [*a, *b] == NEGATIVE && *reason != PENDING => {
                self.lost.count("requests that were refused", place);
                false
            }
            _ => false,
        }
    }

    /// Each quantity as its unit and identifier.
    pub fn sources(&self) -> impl Iterator<Item = (Quantity, String)> {
        self.reads().flat_map(|(_, name, read)| {
            read.value.iter().map(move |value| (value.quantity, name.clone())).collect::<Vec<_>>()
        })
    }

    /// Identifiers that were never answered.
    pub fn never_seen(&self) -> impl Iterator<Item = String> {
        self.reads()
            .filter(|(unit, _, read)| !self.answered.contains(&(*unit, read.id)))
            .map(|(_, name, _)| name)
    }

    /// What gave no values.
    pub const fn lost(&self) -> &Skipped {
        &self.lost
    }

    fn reads(&self) -> impl Iterator<Item = (usize, String, &Read)> {
        self.definition.unit.iter().enumerate().flat_map(|(at, unit)| {
            unit.read.iter().map(move |read| (at, format!("{:X}.{:04X}", unit.response, read.id), read))
        })
    }
}

/// The data behind an address byte; `None` if they are of another address.
fn behind_address(address: Option<u8>, data: &[u8]) -> Option<&[u8]> {
    match (address, data) {
        (None, data) => Some(data),
        (Some(address), [first, rest @ ..]) if *first == address => Some(rest),
        _ => None,
    }
}

impl Value {
    /// Whether all bits of a measured quantity are one, or all but the sign or that alone, or it is a voltage of 0: a control
    /// unit says so that it has no value.
    fn is_code(&self, raw: u64) -> bool {
        let all = u64::MAX >> (64 - 8 * self.bytes);
        let is_end = if self.signed { raw == all >> 1 || raw == (all >> 1) + 1 } else { raw == all };
        let is_voltage = matches!(self.quantity, Quantity::PackVoltage | Quantity::Cells);
        let is_full = self.quantity == Quantity::Soc && is_full(raw as f64 * self.factor + self.offset);
        self.bit.is_none()
            && is_measured(self.quantity)
            && ((is_end && !is_full) || (raw == 0 && is_voltage && self.offset == 0.0))
    }

    /// The reading of the value of a number, from 0, in the data behind an identifier.
    fn reading(&self, data: &[u8], number: usize) -> Reading {
        let from = self.byte + number * self.bytes;
        let bytes = data.get(from..from + self.bytes).ok_or(Unknown::NotSent)?;
        let raw = bytes.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        if self.unavailable.contains(&raw) {
            return Err(Unknown::NotAvailable);
        }
        if self.is_code(raw) {
            return Err(Unknown::NotAvailable);
        }
        let value = match self.bit {
            Some(bit) => (raw >> bit & 1) as f64,
            None if self.signed => {
                let unused = 64 - 8 * self.bytes;
                // The sign goes to bit 63 and back.
                (((raw << unused) as i64) >> unused) as f64
            }
            None => raw as f64,
        };
        let value = Conversion { factor: self.factor, offset: self.offset }.apply(value);
        match self.range {
            Some((least, most)) if !(least..=most).contains(&value) => Err(Unknown::OutOfRange),
            _ => Ok(value),
        }
    }
}
