//! Newest readings of wanted signals and answers.

use crate::{Quantity, Reading, Stamp};
use std::collections::BTreeMap;

/// The last reading of a quantity.
#[derive(Clone, Copy)]
pub(super) struct Value {
    pub(super) reading: Reading,
    pub(super) seen: Option<Stamp>,
    pub(super) max_age_ns: u64,
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
}
