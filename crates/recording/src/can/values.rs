//! Newest readings of wanted signals and answers.

use super::codes::Codes;
use crate::{Quantity, Reading, Stamp, Unknown};
use std::collections::BTreeMap;

/// The last reading of a quantity.
#[derive(Clone, Copy)]
pub(super) struct Value {
    pub(super) reading: Reading,
    pub(super) seen: Option<Stamp>,
    pub(super) max_age_ns: u64,
    /// The last raw number that was a value, of a signal that has codes.
    pub(super) raw: Option<i64>,
}

impl Value {
    /// A place before its first reading.
    pub(super) const fn none(max_age_ns: u64) -> Self {
        Self { reading: Err(Unknown::NotSent), seen: None, max_age_ns, raw: None }
    }
}

/// The newest readings, by quantity.
#[derive(Default)]
pub(super) struct Values(pub(super) BTreeMap<Quantity, Vec<Value>>);

impl Values {
    /// Sets a reading; false if there is no such place.
    pub(super) fn set(&mut self, quantity: Quantity, place: usize, reading: Reading, seen: Stamp) -> bool {
        let Some(value) = self.0.get_mut(&quantity).and_then(|values| values.get_mut(place)) else {
            return false;
        };
        (value.reading, value.seen) = (reading, Some(seen));
        true
    }

    /// Whether a raw number is a code beside the values that came before it at this place.
    pub(super) fn is_code(&mut self, quantity: Quantity, place: usize, raw: i64, codes: Codes) -> bool {
        let value = self.0.get_mut(&quantity).and_then(|values| values.get_mut(place));
        let Some(value) = value else { return false };
        let is_code = codes.contains(raw, value.raw);
        if !is_code {
            value.raw = Some(raw);
        }
        is_code
    }
}
