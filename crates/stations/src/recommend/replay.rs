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
mod setting;
mod tally;
mod world;

pub use self::setting::{Policy, Setting};
pub use self::tally::{Replay, Tally};

use self::demand::Demand;
use self::lane::Lane;
use self::world::World;
use super::{Outlook, Recommender};
use crate::{History, Places};

/// Outlooks as time goes on.
pub trait Outlooks {
    /// What is expected at a slot, with nothing known that is later. Slots are asked for in ascending order.
    fn at(&mut self, slot: usize) -> Box<dyn Outlook + '_>;
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

#[cfg(test)]
mod tests;
