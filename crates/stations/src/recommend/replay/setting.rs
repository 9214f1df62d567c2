//! Setting of a replay, and the policies that it compares.

use std::ops::Range;

use serde::Serialize;

use crate::recommend::{Request, Roads};

/// Policy by which a driver chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The nearest with a plug that fits.
    Nearest,
    /// The nearest at which such a plug is free at departure; the nearest of all if there is none.
    NearestFreeNow,
    /// As [`Recommender::rank`](crate::recommend::Recommender::rank) says, with reservations.
    Ours,
}

impl Policy {
    /// All of them, the simplest first.
    pub const ALL: [Self; 3] = [Self::Nearest, Self::NearestFreeNow, Self::Ours];
}

/// Setting of a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// During which slots; demand is learnt from those before.
    pub slots: Range<usize>,
    /// Drivers an hour on average, at most 10 000; default 30.
    pub drivers_per_hour: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// As [`Request::waste_min`]: what ours gives for less risk of a wasted arrival.
    pub waste_min: f64,
    /// Whether ours keeps reservations; default true.
    pub reservations: bool,
    /// How long drives are.
    pub roads: Roads,
}

impl Setting {
    /// The usual setting for some slots.
    pub fn new(slots: Range<usize>) -> Self {
        Self {
            slots,
            drivers_per_hour: 30.0,
            seed: 1,
            waste_min: Request::WASTE_MIN,
            reservations: true,
            roads: Roads::default(),
        }
    }
}
