//! Placement of all vehicles' functions together, in the background, while room is short somewhere.
//!
//! Each vehicle's functions are placed at once and alone, with the room that others leave. As long as every function is at the
//! node that it would choose, nothing can be better. Else the whole fleet's problem is given to a search outside
//! ([`Output::Improve`]), and what it finds is advice: a function moves only if what it saves is worth the move
//! (`placement::cost`), and gives way to one of higher priority where there is not room for both.

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::plan::{Shortage, release_of};
use super::room::{Used, takes_room};
use super::state::{Key, Phase};
use super::vocabulary::Output;
use super::{Controller, later};
use crate::placement::{Item, Move, Problem, Weights};

/// Shortest time in ms between two searches while a function has no place for want of room; while functions are only not at
/// their best places. Both are doubled after each search that finds nothing, until room is short elsewhere too.
const URGENT_MS: u64 = 2_000;
const PERIOD_MS: u64 = 10_000;
/// Longest time between two, in such periods.
const MOST_PERIODS: u64 = 16;
/// Time in ms after which a search that was asked for is not waited for.
const PATIENCE_MS: u64 = 30_000;
/// Time in ms after which advice that could not be followed is forgotten.
const ADVICE_MS: u64 = 20_000;
/// Most functions of one search.
const MAX_ITEMS: usize = 20_000;

/// What is known of searches and their advice.
#[derive(Debug)]
pub(super) struct Rebalance {
    /// Vehicles for which room is short.
    short: BTreeMap<VehicleId, Shortage>,
    /// When the search was asked for that is under way.
    asked: Option<Timestamp>,
    /// When the last one was asked for.
    last: Timestamp,
    /// How many times the shortest time lies between two.
    periods: u64,
    /// Node of functions that are to move; nowhere for those that give way.
    advice: BTreeMap<Key, Option<String>>,
    /// Until when that counts.
    until: Timestamp,
}

impl Default for Rebalance {
    fn default() -> Self {
        let never = Timestamp::default();
        Self {
            short: BTreeMap::new(),
            asked: None,
            last: never,
            periods: 1,
            advice: BTreeMap::new(),
            until: never,
        }
    }
}

impl Rebalance {
    /// Takes note of how room is short for a vehicle.
    pub fn note(&mut self, id: &VehicleId, shortage: Option<Shortage>) {
        let Some(shortage) = shortage else { return self.forget(id) };
        if self.short.insert(id.clone(), shortage) != Some(shortage) {
            self.periods = 1;
        }
    }

    /// What is advised for a function.
    pub fn advice(&self, now: Timestamp, key: &Key) -> Option<&Option<String>> {
        self.advice.get(key).filter(|_| now < self.until)
    }

    /// Vehicles with functions for which something is advised.
    pub fn advised(&self) -> impl Iterator<Item = &VehicleId> {
        self.advice.keys().map(|(vehicle, _)| vehicle)
    }

    /// Forgets a vehicle.
    pub fn forget(&mut self, id: &VehicleId) {
        self.short.remove(id);
    }
}

impl Controller {
    /// Asks for a better placement of everything where room is short.
    pub(super) fn look_for_better(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if now >= self.rebalance.until {
            self.rebalance.advice.clear();
        }
        let waits = self.rebalance.asked.is_some_and(|asked| now < later(asked, PATIENCE_MS));
        let Some(worst) = self.rebalance.short.values().max().copied() else { return };
        let period = if worst == Shortage::Nowhere { URGENT_MS } else { PERIOD_MS };
        let due = later(self.rebalance.last, period * self.rebalance.periods);
        if waits || now < due || self.commands().is_none() {
            return;
        }
        self.rebalance.last = now;
        let problem = self.whole(now);
        if problem.items.len() <= MAX_ITEMS {
            self.rebalance.asked = Some(now);
            self.counters.searches += 1;
            out.push(Output::Improve(Box::new(problem)));
        }
    }

    /// Takes what a search has found. What has changed since it was asked for is not moved.
    pub(super) fn improved(&mut self, now: Timestamp, moves: Vec<Move>) {
        if self.rebalance.asked.take().is_none() {
            return;
        }
        self.rebalance.periods = match moves.is_empty() {
            true => (2 * self.rebalance.periods).min(MOST_PERIODS),
            false => 1,
        };
        self.rebalance.advice.clear();
        self.rebalance.until = later(now, ADVICE_MS);
        for Move { key, from, to } in moves {
            let key = (key.vehicle, key.function);
            let at = self.kept.assignment(&key.0, &key.1).map(|at| at.fog.clone());
            if at == from {
                self.changed.insert(key.0.clone());
                self.rebalance.advice.insert(key, to);
            }
        }
    }

    /// The placement's problem for everything that is to run, on nodes that have said their room. What runs and is not to,
    /// or waits for its node, takes its room.
    fn whole(&self, now: Timestamp) -> Problem {
        let mut items = Vec::new();
        let mut reach = BTreeMap::new();
        let mut placed: BTreeSet<Key> = BTreeSet::new();
        for id in self.vehicles.keys() {
            for wanted in self.wanted(now, id) {
                let at = self.kept.assignment(id, &wanted.function);
                let waits = at.is_some_and(|at| self.waits(now, at) || self.has_no_summary(now, &at.fog));
                if waits || release_of(self, &wanted.function, id).is_err() {
                    continue;
                }
                let at = at.map(|at| match &at.phase {
                    Phase::Leaving { to } => to.clone(),
                    _ => at.fog.clone(),
                });
                placed.insert((id.clone(), wanted.function.clone()));
                items.push(Item::of(&wanted, at));
            }
            reach.insert(id.clone(), self.reach(now, id));
        }
        let mut taken: BTreeMap<&str, Used> = BTreeMap::new();
        for (vehicle, function, assignment) in self.kept.all() {
            if takes_room(&assignment.phase) && !placed.contains(&(vehicle.clone(), function.to_owned())) {
                self.add(taken.entry(&assignment.fog).or_default(), function);
            }
        }
        let nodes = self.nodes.iter().filter(|(_, node)| node.takes_functions(now) && node.at_ms.is_some());
        let nodes = nodes.map(|(fog, node)| {
            self.room_of(fog, &node.room, taken.get(fog.as_str()).copied().unwrap_or_default())
        });
        Problem { nodes: nodes.collect(), reach, items, weights: Weights::default() }
    }

    /// Whether a node takes functions and has not said its room yet in its session.
    fn has_no_summary(&self, now: Timestamp, fog: &str) -> bool {
        self.nodes.get(fog).is_some_and(|node| node.takes_functions(now) && node.at_ms.is_none())
    }
}
