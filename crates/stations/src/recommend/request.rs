//! Request of a driver.

use std::ops::RangeInclusive;

use crate::{Plug, Position};

/// Request of a driver, with the vehicle.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Where the vehicle is.
    pub position: Position,
    /// State of charge, 0..=1.
    pub soc: f64,
    /// Up to which state of charge, 0..=1; default 0.8.
    pub target_soc: f64,
    /// State of charge that must be left on arrival, 0..=1; default 0.05.
    pub reserve_soc: f64,
    /// Usable capacity in kWh, 1..=2000.
    pub capacity_kwh: f64,
    /// Most power from a direct-current charger in kW, default 100.
    pub max_dc_kw: f64,
    /// Most power of the vehicle's own charger in kW, default 11.
    pub max_ac_kw: f64,
    /// What it can be plugged into.
    pub plugs: Vec<Plug>,
    /// Consumption in kWh/km, default 0.18.
    pub consumption_kwh_km: f64,
    /// Temperature of the battery in °C, default 20.
    pub battery_c: f64,
    /// Of the air in °C, default 20.
    pub ambient_c: f64,
    /// Within so many minutes the driver wants to be there; default any time.
    pub arrive_within_min: Option<f64>,
    /// Most per kWh, in the network's currency. A station whose price is not known is not left out.
    pub max_price_kwh: Option<f64>,
    /// Only stations of these operators, whatever their case; empty for all.
    pub operators: Vec<String>,
    /// What an hour of the driver is worth, in the network's currency; weighs price against minutes. Default 10.
    pub price_per_hour: f64,
    /// Minutes of drive that a driver gives for the certainty of finding a plug free, beyond the expected wait: the
    /// trade-off between detours and wasted arrivals. Default [`Request::WASTE_MIN`].
    pub waste_min: f64,
    /// How many stations to name, 1..=100; default 5.
    pub top: usize,
}

/// Reason why a request is not answered; correct the value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No position on Earth.
    #[error("{latitude}, {longitude} is no position on Earth")]
    Position {
        /// As given.
        latitude: f64,
        /// As given.
        longitude: f64,
    },
    /// A number out of its range, or none.
    #[error("{what} is {given}; it must be {least} to {most}")]
    Number {
        /// Which.
        what: &'static str,
        /// As given.
        given: f64,
        /// Smallest that is taken.
        least: f64,
        /// Largest that is taken.
        most: f64,
    },
    /// Nothing to plug in.
    #[error("no plug is given")]
    NoPlug,
}

impl Request {
    /// Default of [`Request::waste_min`]: at 30 drivers an hour on the Irish network of November 2018, ours has about a third
    /// fewer wasted arrivals than nearest-free-now at three minutes of detour (docs/results.md).
    pub const WASTE_MIN: f64 = 80.0;

    /// A request with defaults for everything else.
    pub fn new(position: Position, soc: f64, capacity_kwh: f64, plugs: Vec<Plug>) -> Self {
        Self {
            position,
            soc,
            target_soc: 0.8,
            reserve_soc: 0.05,
            capacity_kwh,
            max_dc_kw: 100.0,
            max_ac_kw: 11.0,
            plugs,
            consumption_kwh_km: 0.18,
            battery_c: 20.0,
            ambient_c: 20.0,
            arrive_within_min: None,
            max_price_kwh: None,
            operators: Vec::new(),
            price_per_hour: 10.0,
            waste_min: Self::WASTE_MIN,
            top: 5,
        }
    }

    /// Holds every value to its range.
    ///
    /// # Errors
    /// The first that is out of it.
    pub fn check(&self) -> Result<(), RequestError> {
        let Position { latitude, longitude } = self.position;
        Position::new(latitude, longitude).ok_or(RequestError::Position { latitude, longitude })?;
        number("the state of charge", self.soc, 0.0..=1.0)?;
        number("the target", self.target_soc, 0.0..=1.0)?;
        number("the reserve", self.reserve_soc, 0.0..=1.0)?;
        number("the capacity in kWh", self.capacity_kwh, 1.0..=2000.0)?;
        number("the power at direct current in kW", self.max_dc_kw, 0.0..=5000.0)?;
        number("the power at alternating current in kW", self.max_ac_kw, 0.0..=100.0)?;
        number("the consumption in kWh/km", self.consumption_kwh_km, 0.01..=10.0)?;
        number("the battery's temperature in °C", self.battery_c, -60.0..=80.0)?;
        number("the air's temperature in °C", self.ambient_c, -60.0..=60.0)?;
        number("the price of an hour", self.price_per_hour, 0.01..=1e6)?;
        number("the price of a wasted arrival in minutes", self.waste_min, 0.0..=1440.0)?;
        number("the number of stations", self.top as f64, 1.0..=100.0)?;
        if let Some(minutes) = self.arrive_within_min {
            number("the time to arrive in minutes", minutes, 0.0..=10_080.0)?;
        }
        if let Some(price) = self.max_price_kwh {
            number("the highest price per kWh", price, 0.0..=1e6)?;
        }
        if self.plugs.is_empty() { Err(RequestError::NoPlug) } else { Ok(()) }
    }

    /// How far it gets with the reserve left, in km of road.
    pub fn range_km(&self) -> f64 {
        ((self.soc - self.reserve_soc) * self.capacity_kwh / self.consumption_kwh_km).max(0.0)
    }

    /// State of charge after so many km of road.
    pub fn soc_after(&self, km: f64) -> f64 {
        self.soc - km * self.consumption_kwh_km / self.capacity_kwh
    }
}

fn number(what: &'static str, given: f64, range: RangeInclusive<f64>) -> Result<(), RequestError> {
    let (least, most) = (*range.start(), *range.end());
    if range.contains(&given) { Ok(()) } else { Err(RequestError::Number { what, given, least, most }) }
}
