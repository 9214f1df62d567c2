//! Answer to a driver.

use serde::Serialize;

use crate::Position;

/// Counts of stations that were left out, each by the first reason that holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Excluded {
    /// Too far for the charge that is left.
    pub unreachable: usize,
    /// No plug fits.
    pub plug: usize,
    /// Of another operator.
    pub operator: usize,
    /// Too expensive.
    pub price: usize,
    /// Closed on arrival.
    pub closed: usize,
    /// The drive takes longer than there is time.
    pub too_late: usize,
    /// The battery would be too cold to charge there.
    pub too_cold: usize,
    /// Would do, but so many are nearer.
    pub too_many: usize,
    /// Chargers of which nobody says where they are.
    pub unplaced: usize,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// The best first.
    pub stations: Vec<Recommended>,
    /// How many were left out, and why.
    pub excluded: Excluded,
}

/// A station and what to expect there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommended {
    /// Its id.
    pub station: String,
    /// The EVSEs to use.
    pub evses: Vec<String>,
    /// Where it is.
    pub position: Position,
    /// Street and town, where known.
    pub address: Option<String>,
    /// Who runs it, where known.
    pub operator: Option<String>,
    /// Kilometres of road.
    pub drive_km: f64,
    /// Minutes of drive.
    pub drive_min: f64,
    /// Whether both are estimated since a routing service that was asked did not say.
    pub drive_unmeasured: bool,
    /// P(at least one of the EVSEs can be used on arrival).
    pub p_free: f64,
    /// Expected wait in minutes.
    pub wait_min: f64,
    /// Minutes of charge on the slowest of the EVSEs.
    pub charge_min: f64,
    /// Drive, wait and charge in minutes.
    pub total_min: f64,
    /// What decides the order: `total_min` and, in minutes, price and what can go wrong.
    pub cost_min: f64,
    /// Power of the slowest of the EVSEs for this vehicle, in kW.
    pub power_kw: f64,
    /// Price of the charge in the network's currency, where known.
    pub price: Option<f64>,
    /// 1 − share of the last days that all of the EVSEs were out of order.
    pub reliability: f64,
    /// State of charge on arrival.
    pub arrival_soc: f64,
    /// Minutes from arrival until the first of the EVSEs closes, where that is before the charge ends.
    pub closes_min: Option<f64>,
    /// Age of the newest status of the EVSEs, in s.
    pub age_s: Option<i64>,
    /// All that in words.
    pub why: String,
    /// Index in [`Stations::list`].
    #[serde(skip)]
    pub index: usize,
    /// The likeliest of the EVSEs, by index in the network: what to hold for this driver.
    #[serde(skip)]
    pub likeliest: usize,
}
