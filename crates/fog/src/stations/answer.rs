//! What is answered about charging stations, as it is sent.

use std::collections::BTreeMap;

use serde::Serialize;
use voltmesh_stations::recommend::{Excluded, Recommended};

/// A forecast of one EVSE.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The snapshot from which it is made: horizons count from here.
    pub at: String,
    /// Which EVSE.
    pub evse: String,
    /// The status in force; `null` if none is, and then the forecast is what is usual.
    pub status: Option<String>,
    /// Age of its newest reading in seconds; `null` if there is none since this node started.
    pub age_s: Option<i64>,
    /// The model's name.
    pub model: &'static str,
    /// By horizon, ascending.
    pub horizons: Vec<Horizon>,
}

/// What is expected at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Horizon {
    /// Minutes after the snapshot.
    pub minutes: u32,
    /// P(status), their sum is 1; `null` if no status is in force.
    pub probabilities: Option<BTreeMap<String, f32>>,
    /// P(one can plug in).
    pub usable: f64,
}

/// Forecasts of all EVSEs, the short form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecasts {
    /// The snapshot from which they are made.
    pub at: String,
    /// The model's name.
    pub model: &'static str,
    /// Horizons in minutes.
    pub minutes: Vec<u32>,
    /// By id.
    pub evses: Vec<Short>,
}

/// One EVSE in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Short {
    /// Which EVSE.
    pub evse: String,
    /// The status in force, if one is.
    pub status: Option<String>,
    /// Age of its newest reading in seconds, if there is one.
    pub age_s: Option<i64>,
    /// P(one can plug in) by horizon.
    pub usable: Vec<f64>,
}

/// Where to charge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// When it was given, by the feed's clock.
    pub at: String,
    /// The model's name.
    pub model: &'static str,
    /// How distances came about.
    pub roads: String,
    /// The best first.
    pub stations: Vec<Recommended>,
    /// How many stations were left out, and why.
    pub excluded: Excluded,
    /// What is held for this driver, if that was asked for.
    pub reservation: Option<Reservation>,
}

/// A plug that counts as taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reservation {
    /// Which EVSE.
    pub evse: String,
    /// Until when.
    pub until: String,
}
