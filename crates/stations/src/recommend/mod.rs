//! Which station a driver should go to: drive, wait and charge in minutes, with what can go wrong priced in minutes too.
//!
//! A **station** is what is ranked: the chargers within 150 m of each other. A **charger** is what shares a station id in
//! the list of places, or else an EVSE id up to its last `*` or `/`; its connectors are its EVSEs.
//!
//! **How likely a plug is free on arrival.** Connectors of one charger go together: the charger is as likely free as the
//! likeliest of its compatible EVSEs, which is exact if one never frees without the other and too low otherwise. Chargers
//! of one station are independent, which is too high where all of them fill at the same hour. Of the chargers that are
//! free, each reservation in force takes one plug.
//!
//! **Not here:** routes (a caller may put measured ones into [`Roads`]), forecasts ([`Outlook`] is asked for them), and
//! who asked: a [`Reservations`] has places and times only.

mod answer;
mod charge;
mod odds;
mod outlook;
mod rank;
pub mod replay;
mod request;
mod stations;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

pub use answer::{Excluded, Ranking, Recommended};
pub use charge::Charging;
pub use odds::Reservations;
pub use outlook::{Expected, Outlook};
pub use rank::{Candidate, Circumstances, Recommender};
pub use request::{Request, RequestError};
pub use stations::{Charger, Station, Stations, Unfit, Usable};

use crate::Position;

/// Distance and duration of a drive: estimated from the straight line, or as a router measured it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Roads {
    /// Kilometres of road per kilometre of straight line; at least 1, default 1.3.
    pub detour_factor: f64,
    /// Mean speed in km/h, default 45.
    pub speed_kmh: f64,
    /// Kilometres and minutes to a station from where the driver is, by its id; `None` where the router was asked and said nothing:
    /// a measurement is missing then, not a road.
    pub measured: BTreeMap<String, Option<(f64, f64)>>,
}

/// A drive to a station.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drive {
    /// Kilometres of road.
    pub km: f64,
    /// Minutes.
    pub min: f64,
    /// Whether a router was asked and did not say: km and minutes are estimated instead.
    pub unmeasured: bool,
}

impl Default for Roads {
    fn default() -> Self {
        Self { detour_factor: 1.3, speed_kmh: 45.0, measured: BTreeMap::new() }
    }
}

impl Roads {
    /// Kilometres and minutes, estimated. A factor below 1 counts as 1, a speed below 1 km/h as that.
    pub fn between(&self, from: Position, to: Position) -> (f64, f64) {
        // f64::max also drops what is no number.
        let km = from.distance_km(to) * self.detour_factor.max(1.0);
        (km, km / self.speed_kmh.max(1.0) * 60.0)
    }

    /// The drive to a station: as measured, or estimated where that is missing.
    pub fn to(&self, from: Position, station: &Station) -> Drive {
        let sane = |(km, min): &(f64, f64)| [*km, *min].iter().all(|x| x.is_finite() && *x >= 0.0);
        let said = self.measured.get(&station.id);
        match said.copied().flatten().filter(sane) {
            Some((km, min)) => Drive { km, min, unmeasured: false },
            None => {
                let (km, min) = self.between(from, station.position);
                Drive { km, min, unmeasured: said.is_some() }
            }
        }
    }

    /// How many stations a router was asked about and said nothing of.
    pub fn unmeasured(&self) -> usize {
        self.measured.values().filter(|measured| measured.is_none()).count()
    }
}
