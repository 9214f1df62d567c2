//! Demand of drivers: times, origins and vehicles.

use super::world::{World, request};
use crate::random::SplitMix;
use crate::recommend::Recommender;
use crate::{Meaning, Plug, Position};

/// Most drivers of one simulation.
const MAX_DRIVERS: usize = 1_000_000;

/// Drivers start so far from a random charger at most, in km.
const JITTER_KM: f64 = 5.0;

/// For so long after departure the network must have been observed, in s: three stations and the waits there.
const OBSERVED_S: i64 = 2 * 3600;

/// State of charge at departure.
const SOC: (f64, f64) = (0.2, 0.5);

/// A driver at departure.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Driver {
    /// Seconds since 1970.
    pub(super) departs: i64,
    pub(super) position: Position,
    pub(super) soc: f64,
    pub(super) plug: Plug,
    /// Minutes to the nearest station that fits.
    pub(super) nearest_min: f64,
}

/// Origins and times of drivers.
pub(super) struct Demand {
    /// Drivers a second, by hour of the local day.
    rates: [f64; 24],
    /// By EVSE that has a position.
    origins: Vec<Position>,
    /// As often as EVSEs have them.
    plugs: Vec<Plug>,
    /// By slot: whether most of the network was observed then and for some time after.
    observed: Vec<bool>,
}

impl Demand {
    pub(super) fn new(world: &World<'_>, recommender: &Recommender) -> Self {
        let history = world.history;
        let hour =
            |slot: usize| (history.time(slot) + i64::from(history.offset_s())).rem_euclid(86_400) / 3600;
        let mut starts = [0.0; 24];
        for slot in 1..world.setting.slots.start.min(history.slots()) {
            for evse in 0..history.evses().len() {
                let from_to = (world.meaning(slot - 1, evse), world.meaning(slot, evse));
                use Meaning::{Busy, Free, PartlyFree};
                if matches!(from_to, (Some(Free | PartlyFree), Some(Busy)) | (Some(Free), Some(PartlyFree))) {
                    starts[hour(slot) as usize] += 1.0;
                }
            }
        }
        let sum: f64 = starts.iter().sum();
        let mean = world.setting.drivers_per_hour.clamp(0.0, 10_000.0) / 3600.0;
        let rates = starts.map(|count| if sum > 0.0 { mean * 24.0 * count / sum } else { mean });
        let evses = 0..history.evses().len();
        let places = evses.map(|evse| recommender.stations().place(evse));
        let origins = places.clone().filter_map(|place| place.position).collect();
        let mut plugs: Vec<Plug> = places.flat_map(|place| &place.plugs).copied().collect();
        plugs.retain(|plug| matches!(plug, Plug::Ccs | Plug::Chademo | Plug::Type2));
        if plugs.is_empty() {
            plugs.push(Plug::Type2);
        }
        Self { rates, origins, plugs, observed: observed(world) }
    }

    /// The drivers, by time of departure; each can reach a station.
    pub(super) fn drivers(&self, world: &World<'_>, recommender: &Recommender) -> Vec<Driver> {
        let history = world.history;
        let mut random = SplitMix::new(world.setting.seed);
        let mut drivers = Vec::new();
        for slot in world.setting.slots.clone() {
            let from = history.time(slot);
            let hour = (from + i64::from(history.offset_s())).rem_euclid(86_400) / 3600;
            let mut after_s = 0.0;
            loop {
                // Departures at a constant rate have exponential gaps.
                after_s -= (1.0 - random.unit()).ln() / self.rates[hour as usize];
                if after_s.is_nan() || after_s >= history.step_s() as f64 {
                    break;
                }
                let driver = self.driver(from + after_s as i64, &mut random);
                if !self.observed[slot] || drivers.len() >= MAX_DRIVERS {
                    continue;
                }
                if let Some(driver) = driver.and_then(|driver| nearest(driver, world, recommender)) {
                    drivers.push(driver);
                }
            }
        }
        drivers
    }

    fn driver(&self, departs: i64, random: &mut SplitMix) -> Option<Driver> {
        let origin = *self.origins.get(random.below(self.origins.len()))?;
        let (km, course) = (JITTER_KM * random.unit().sqrt(), std::f64::consts::TAU * random.unit());
        let latitude = origin.latitude + km * course.cos() / 111.2;
        let longitude =
            origin.longitude + km * course.sin() / (111.2 * origin.latitude.to_radians().cos()).max(1.0);
        let position = Position::new(latitude, longitude).unwrap_or(origin);
        let soc = SOC.0 + (SOC.1 - SOC.0) * random.unit();
        let plug = *self.plugs.get(random.below(self.plugs.len()))?;
        Some(Driver { departs, position, soc, plug, nearest_min: 0.0 })
    }
}

fn nearest(driver: Driver, world: &World<'_>, recommender: &Recommender) -> Option<Driver> {
    let request = request(driver.position, driver.soc, driver.plug, world.setting);
    let (candidates, _) = recommender.candidates(driver.departs, &request, &world.setting.roads, &[]).ok()?;
    let nearest_min = candidates.first()?.drive_min;
    Some(Driver { nearest_min, ..driver })
}

/// By slot: whether half of the EVSEs or more were observed at all slots until [`OBSERVED_S`] later.
fn observed(world: &World<'_>) -> Vec<bool> {
    let history = world.history;
    let evses = history.evses().len();
    let ahead = (OBSERVED_S / history.step_s()).max(1) as usize;
    let mut since_gap = 0;
    let mut observed: Vec<bool> = (0..history.slots())
        .rev()
        .map(|slot| {
            let seen = (0..evses).filter(|evse| history.in_force(slot, *evse).is_some()).count();
            since_gap = if 2 * seen >= evses && slot < world.setting.slots.end { since_gap + 1 } else { 0 };
            since_gap > ahead
        })
        .collect();
    observed.reverse();
    observed
}
