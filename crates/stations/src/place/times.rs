//! Opening hours and prices by the time of day, of places of which it is known which local time they have.

use super::list::count;
use super::{Place, PlaceList};
use crate::error::cut;
use crate::hours::{StatedHours, StatedTimes};

impl PlaceList {
    /// Takes what is stated of times; what is not understood, or of an unknown zone, is counted and not used.
    pub(super) fn keep_times(&mut self, evse: &str, place: &mut Place, stated: &StatedTimes) {
        if let StatedHours::NotUnderstood(text) = &stated.hours {
            *self.report.unknown_hours.entry(cut(text)).or_default() += 1;
        }
        let zone = stated.zone(evse, place.position.map(|at| (at.latitude, at.longitude)));
        place.hours = stated.hours_in(zone);
        match zone {
            Some(zone) => place.prices = stated.prices_in(zone),
            None if stated.needs_zone() => {
                count(&mut self.report.no_zone, || cut(evse));
                // Whichever of them holds, it is no more.
                let timed = stated.prices.iter().map(|price| price.price_kwh);
                place.price_kwh = place.price_kwh.map(|price| timed.fold(price, f64::max));
            }
            None => {}
        }
    }
}
