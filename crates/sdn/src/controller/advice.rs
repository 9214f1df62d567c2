//! When the whole fleet's functions are placed together, and what that advises until the next time.

use std::collections::BTreeMap;
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::state::Key;

/// Shortest time in ms between two searches while a function has no place for want of room; while functions are only not at
/// their best places. Both are doubled after each search that finds nothing, until room is short elsewhere too.
const URGENT_MS: u64 = 2_000;
const PERIOD_MS: u64 = 10_000;
/// Longest time between two, in such periods.
const MOST_PERIODS: u64 = 16;
/// Time in ms after which a search that was asked for is not waited for.
const PATIENCE_MS: u64 = 30_000;
/// Time in ms after which advice that could not be followed is forgotten.
const ADVICE_MS: u64 = 20_000;

/// How room is short for a vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shortage {
    /// A function is not at the node that it would choose.
    Elsewhere,
    /// A function runs nowhere.
    Nowhere,
}

/// Searches for a better placement, and what the last one advised.
#[derive(Debug)]
pub(super) struct Advice {
    /// Vehicles for which room is short.
    short: BTreeMap<VehicleId, Shortage>,
    /// Whether a search is under way.
    searching: bool,
    /// When the last one was asked for.
    last: Timestamp,
    /// How many times the shortest time lies between two.
    periods: u64,
    /// Node of functions that are to move; nowhere for those that give way.
    places: BTreeMap<Key, Option<String>>,
    /// Until when that counts.
    until: Timestamp,
}

impl Default for Advice {
    fn default() -> Self {
        let never = Timestamp::default();
        let (short, places) = (BTreeMap::new(), BTreeMap::new());
        Self { short, searching: false, last: never, periods: 1, places, until: never }
    }
}

impl Advice {
    /// Takes note of how room is short for a vehicle.
    pub fn note(&mut self, id: &VehicleId, shortage: Option<Shortage>) {
        let Some(shortage) = shortage else { return self.forget(id) };
        if self.short.insert(id.clone(), shortage) != Some(shortage) {
            self.periods = 1;
        }
    }

    /// Forgets a vehicle.
    pub fn forget(&mut self, id: &VehicleId) {
        self.short.remove(id);
    }

    /// What is advised for a function.
    pub fn of(&self, now: Timestamp, key: &Key) -> Option<&Option<String>> {
        self.places.get(key).filter(|_| now < self.until)
    }

    /// Vehicles with functions for which something is advised.
    pub fn vehicles(&self) -> impl Iterator<Item = &VehicleId> {
        self.places.keys().map(|(vehicle, _)| vehicle)
    }

    /// Whether a search is to begin now.
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        if now >= self.until {
            self.places.clear();
        }
        let Some(worst) = self.short.values().max() else { return false };
        let period = if *worst == Shortage::Nowhere { URGENT_MS } else { PERIOD_MS };
        let wait = if self.searching { PATIENCE_MS } else { period * self.periods };
        now.as_millis() >= self.last.as_millis().saturating_add(wait)
    }

    /// A search begins.
    pub fn begin(&mut self, now: Timestamp) {
        (self.searching, self.last) = (true, now);
    }

    /// A search has ended with these places; false if none was asked for.
    pub fn end(&mut self, now: Timestamp, places: BTreeMap<Key, Option<String>>) -> bool {
        let was = std::mem::take(&mut self.searching);
        if was {
            self.periods = if places.is_empty() { (2 * self.periods).min(MOST_PERIODS) } else { 1 };
            self.until = Timestamp::from_millis(now.as_millis().saturating_add(ADVICE_MS));
            self.places = places;
        }
        was
    }
}
