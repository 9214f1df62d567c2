//! Sends drivers through what really happened and counts who arrives in vain: with three ways to choose a station.
//!
//! All policies get the same drivers (when, where, charge, plug), the same roads, and know at departure what a driver could
//! know: statuses of that slot and, of the simulated drivers of the same policy, who charges. What was not observed was not
//! free. Simulated drivers take plugs from each other, never from those in the history.
//!
//! A driver who finds no plug waits up to half an hour if one is merely busy, and then, or at once if all are out of order,
//! drives on by the same policy: three stations at most.

mod demand;
mod lane;

use std::ops::Range;

use serde::Serialize;

use self::demand::Demand;
use self::lane::Lane;
use super::{Outlook, Recommender, Request, Roads};
use crate::{History, Meaning, Places, Plug};

/// Policy by which a driver chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The nearest with a plug that fits.
    Nearest,
    /// The nearest at which such a plug is free at departure; the nearest of all if there is none.
    NearestFreeNow,
    /// As [`Recommender::rank`] says, with reservations.
    Ours,
}

impl Policy {
    /// All of them, the simplest first.
    pub const ALL: [Self; 3] = [Self::Nearest, Self::NearestFreeNow, Self::Ours];
}

/// Outlooks as time goes on.
pub trait Outlooks {
    /// What is expected at a slot, with nothing known that is later. Slots are asked for in ascending order.
    fn at(&mut self, slot: usize) -> Box<dyn Outlook + '_>;
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

/// Result of a replay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// How many drivers there were.
    pub drivers: usize,
    /// By policy.
    pub policies: Vec<Tally>,
}

/// Result of one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    /// Which.
    pub policy: Policy,
    /// First arrivals without a plug.
    pub wasted_first: usize,
    /// All arrivals without a plug.
    pub wasted: usize,
    /// `wasted_first` a driver.
    pub wasted_first_share: f64,
    /// `wasted` a driver.
    pub wasted_per_driver: f64,
    /// Minutes waited, a driver.
    pub wait_min: f64,
    /// Minutes driven, a driver.
    pub drive_min: f64,
    /// Minutes to the first station beyond those to the nearest that fits, a driver.
    pub detour_min: f64,
    /// Drivers who charged.
    pub charged: usize,
    /// Drivers who found no plug at three stations, or could reach no further one.
    pub gave_up: usize,
}

impl Replay {
    /// The tally of a policy.
    pub fn of(&self, policy: Policy) -> Option<&Tally> {
        self.policies.iter().find(|tally| tally.policy == policy)
    }

    /// How many fewer wasted arrivals ours has than nearest-free-now, as a share of theirs.
    pub fn fewer_wasted(&self) -> Option<f64> {
        let wasted = |policy| self.of(policy).map(|tally| tally.wasted as f64);
        let theirs = wasted(Policy::NearestFreeNow).filter(|wasted| *wasted > 0.0)?;
        Some(1.0 - wasted(Policy::Ours)? / theirs)
    }

    /// Minutes that ours drives farther to the first station than nearest-free-now, a driver.
    pub fn longer_min(&self) -> Option<f64> {
        Some(self.of(Policy::Ours)?.detour_min - self.of(Policy::NearestFreeNow)?.detour_min)
    }
}

/// The network and its history, as all policies meet it.
struct World<'a> {
    history: &'a History,
    /// By EVSE: whether two vehicles can charge at once, since it was seen half taken.
    two: Vec<bool>,
    setting: &'a Setting,
}

impl<'a> World<'a> {
    fn new(history: &'a History, setting: &'a Setting) -> Self {
        let meanings = history.labels().meanings();
        let mut two = vec![false; history.evses().len()];
        for slot in 0..history.slots() {
            for (evse, two) in two.iter_mut().enumerate() {
                *two |=
                    history.observed(slot, evse).is_some_and(|label| meanings[label] == Meaning::PartlyFree);
            }
        }
        Self { history, two, setting }
    }

    fn meaning(&self, slot: usize, evse: usize) -> Option<Meaning> {
        self.history.in_force(slot, evse).map(|label| self.history.labels().meanings()[label])
    }

    /// How many vehicles could plug in.
    fn room(&self, slot: usize, evse: usize) -> usize {
        match self.meaning(slot, evse) {
            Some(Meaning::Free) => 1 + usize::from(self.two[evse]),
            Some(Meaning::PartlyFree) => 1,
            _ => 0,
        }
    }
}

/// Simulates. Slots beyond the history's are not.
pub fn replay(history: &History, places: &Places, setting: &Setting, outlooks: &mut dyn Outlooks) -> Replay {
    let setting =
        Setting { slots: setting.slots.start..setting.slots.end.min(history.slots()), ..setting.clone() };
    let world = World::new(history, &setting);
    let mut recommender = Recommender::new(history.evses().iter().map(|id| &**id), places);
    let drivers = Demand::new(&world, &recommender).drivers(&world, &recommender);
    let mut lanes = Policy::ALL.map(|policy| Lane::new(policy, &world, &drivers));
    for slot in setting.slots.clone() {
        let outlook = outlooks.at(slot);
        for lane in &mut lanes {
            lane.run(slot, &*outlook, &mut recommender);
        }
    }
    Replay { drivers: drivers.len(), policies: lanes.into_iter().map(Lane::tally).collect() }
}

/// What a simulated driver asks for.
fn request(position: crate::Position, soc: f64, plug: Plug, setting: &Setting) -> Request {
    Request { waste_min: setting.waste_min, top: 1, ..Request::new(position, soc, 58.0, vec![plug]) }
}

#[cfg(test)]
mod tests;
