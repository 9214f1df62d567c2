//! The world as it goes with one policy.

use std::collections::BTreeMap;

use super::demand::Driver;
use super::setting::Policy;
use super::tally::Tally;
use super::world::{World, request};
use crate::recommend::rank::MAX_WAIT_MIN;
use crate::recommend::{Candidate, Circumstances, Outlook, Recommender, Request, Reservations};
use crate::{Meaning, Position};

/// Stations that a driver tries.
const MAX_TRIES: usize = 3;

/// Next event of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Choose,
    /// Tries to plug in at a station; waits there until a time.
    Try {
        station: usize,
        until: Option<i64>,
    },
}

/// A driver under way.
#[derive(Debug, Clone)]
struct Trip {
    position: Position,
    soc: f64,
    tried: Vec<usize>,
    /// What was held for it: EVSE, from, until.
    held: Option<(usize, i64, i64)>,
}

/// One policy's world.
pub(super) struct Lane<'a> {
    policy: Policy,
    world: &'a World<'a>,
    drivers: &'a [Driver],
    trips: Vec<Trip>,
    /// By time and driver.
    agenda: BTreeMap<(i64, usize), Next>,
    /// When those who charge will be done, by EVSE.
    charging: BTreeMap<usize, Vec<i64>>,
    reservations: Reservations,
    tally: Tally,
}

impl<'a> Lane<'a> {
    pub(super) fn new(policy: Policy, world: &'a World<'a>, drivers: &'a [Driver]) -> Self {
        let trip = |driver: &Driver| Trip {
            position: driver.position,
            soc: driver.soc,
            tried: Vec::new(),
            held: None,
        };
        Self {
            policy,
            world,
            drivers,
            trips: drivers.iter().map(trip).collect(),
            agenda: drivers.iter().enumerate().map(|(index, d)| ((d.departs, index), Next::Choose)).collect(),
            charging: BTreeMap::new(),
            reservations: Reservations::default(),
            tally: Tally {
                policy,
                wasted_first: 0,
                wasted: 0,
                wasted_first_share: 0.0,
                wasted_per_driver: 0.0,
                wait_min: 0.0,
                drive_min: 0.0,
                detour_min: 0.0,
                charged: 0,
                gave_up: 0,
            },
        }
    }

    /// All that happens during a slot.
    pub(super) fn run(&mut self, slot: usize, outlook: &dyn Outlook, recommender: &mut Recommender) {
        let end = self.world.history.time(slot) + self.world.history.step_s();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 < end) {
            let ((now, driver), next) = entry.remove_entry();
            match next {
                Next::Choose => self.choose(driver, now, slot, outlook, recommender),
                Next::Try { station, until } => self.try_at(driver, now, slot, station, until, recommender),
            }
        }
    }

    /// The sums as means; who is still under way counts as far as it got.
    pub(super) fn tally(mut self) -> Tally {
        let drivers = self.drivers.len().max(1) as f64;
        self.tally.wasted_first_share = self.tally.wasted_first as f64 / drivers;
        self.tally.wasted_per_driver = self.tally.wasted as f64 / drivers;
        for sum in [&mut self.tally.wait_min, &mut self.tally.drive_min, &mut self.tally.detour_min] {
            *sum /= drivers;
        }
        self.tally
    }

    fn request(&self, driver: usize) -> Request {
        let Trip { position, soc, .. } = self.trips[driver];
        request(position, soc, self.drivers[driver].plug, self.world.setting)
    }

    /// Whether a vehicle could plug in, the simulated ones included.
    fn free(&self, evse: usize, now: i64, slot: usize) -> bool {
        let charging =
            self.charging.get(&evse).map_or(0, |ends| ends.iter().filter(|end| **end > now).count());
        self.world.room(slot, evse) > charging
    }

    fn choose(
        &mut self,
        driver: usize,
        now: i64,
        slot: usize,
        outlook: &dyn Outlook,
        recommender: &mut Recommender,
    ) {
        let request = self.request(driver);
        let chosen = match self.policy {
            Policy::Ours => self.ours(driver, &request, now, outlook, recommender),
            _ => self.nearest(driver, &request, now, slot, recommender),
        };
        let Some((station, drive_km, drive_min)) = chosen else {
            self.tally.gave_up += 1;
            return;
        };
        let trip = &mut self.trips[driver];
        if trip.tried.is_empty() {
            self.tally.detour_min += drive_min - self.drivers[driver].nearest_min;
        }
        self.tally.drive_min += drive_min;
        trip.tried.push(station);
        trip.soc = request.soc_after(drive_km).max(0.0);
        trip.position = recommender.stations().list()[station].position;
        let arrival = now + (drive_min * 60.0) as i64;
        self.agenda.insert((arrival, driver), Next::Try { station, until: None });
    }

    fn nearest(
        &self,
        driver: usize,
        request: &Request,
        now: i64,
        slot: usize,
        recommender: &Recommender,
    ) -> Option<(usize, f64, f64)> {
        let tried = &self.trips[driver].tried;
        let (candidates, _) = recommender.candidates(now, request, &self.world.setting.roads, tried).ok()?;
        let free = |candidate: &&Candidate| candidate.options.iter().any(|o| self.free(o.evse, now, slot));
        let free =
            candidates.iter().find(|candidate| self.policy == Policy::NearestFreeNow && free(candidate));
        free.or(candidates.first()).map(|to| (to.station, to.drive_km, to.drive_min))
    }

    fn ours(
        &mut self,
        driver: usize,
        request: &Request,
        now: i64,
        outlook: &dyn Outlook,
        recommender: &mut Recommender,
    ) -> Option<(usize, f64, f64)> {
        let here = Circumstances {
            now,
            outlook,
            roads: &self.world.setting.roads,
            reservations: &self.reservations,
            avoid: &self.trips[driver].tried,
        };
        let best = recommender.rank(request, here).ok()?.stations.into_iter().next()?;
        if self.world.setting.reservations {
            // Until it will be done; given back on arrival.
            let until = now + (best.total_min * 60.0) as i64;
            self.reservations.expire(now);
            if self.reservations.hold(best.likeliest, now, until) {
                self.trips[driver].held = Some((best.likeliest, now, until));
            }
        }
        Some((best.index, best.drive_km, best.drive_min))
    }

    fn try_at(
        &mut self,
        driver: usize,
        now: i64,
        slot: usize,
        station: usize,
        until: Option<i64>,
        recommender: &mut Recommender,
    ) {
        // While it waits it holds its place, as whoever came first.
        let held = self.trips[driver].held.take();
        if let Some((evse, from, until)) = held {
            self.reservations.release(evse, from, until);
        }
        let request = self.request(driver);
        let options = recommender.stations().options(station, &request, now).unwrap_or_default();
        let free = options.iter().filter(|option| self.free(option.evse, now, slot));
        if let Some(option) = free.reduce(|a, b| if b.power_kw > a.power_kw { b } else { a }) {
            let minutes = recommender.charge_min(&request, option.power_kw, request.soc).unwrap_or(0.0);
            let ends = self.charging.entry(option.evse).or_default();
            ends.retain(|end| *end > now);
            let end = now + (minutes * 60.0) as i64;
            ends.push(end);
            // A status would show this vehicle; the history never does.
            self.reservations.hold(option.evse, now, end);
            self.tally.charged += 1;
            return;
        }
        if until.is_none() {
            self.tally.wasted += 1;
            self.tally.wasted_first += usize::from(self.trips[driver].tried.len() == 1);
        }
        let busy = |evse: usize| {
            use Meaning::{Busy, Free, PartlyFree};
            matches!(self.world.meaning(slot, evse), Some(Busy | Free | PartlyFree))
        };
        let until = until.unwrap_or(now + (MAX_WAIT_MIN * 60.0) as i64);
        // Looks again when the next status comes.
        let again = self.world.history.time(slot) + self.world.history.step_s();
        if options.iter().any(|option| busy(option.evse)) && again <= until {
            self.tally.wait_min += (again - now) as f64 / 60.0;
            if let Some((evse, from, until)) =
                held.filter(|(evse, from, until)| self.reservations.hold(*evse, *from, *until))
            {
                self.trips[driver].held = Some((evse, from, until));
            }
            self.agenda.insert((again, driver), Next::Try { station, until: Some(until) });
        } else if self.trips[driver].tried.len() < MAX_TRIES {
            self.agenda.insert((now, driver), Next::Choose);
        } else {
            self.tally.gave_up += 1;
        }
    }
}
