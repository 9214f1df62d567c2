//! Placement of all vehicles' functions together, in the background, while room is short somewhere.
//!
//! Each vehicle's functions are placed at once and alone, with the room that others leave. As long as every function is at the
//! node that it would choose, nothing can be better. Else the whole fleet's problem is given to a search outside
//! ([`Output::Improve`]), and what it finds is advice: a function moves only if what it saves is worth the move
//! (`placement::cost`), and gives way to one of higher priority where there is not room for both.

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::Controller;
use super::plan::release_of;
use super::room::{Used, takes_room};
use super::state::{Key, Phase};
use super::vocabulary::Output;
use crate::placement::{Item, Move, Problem, Weights};

/// Most functions of one search.
const MAX_ITEMS: usize = 20_000;

impl Controller {
    /// Asks for a better placement of everything where room is short.
    pub(super) fn look_for_better(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if self.commands().is_none() || !self.advice.is_due(now) {
            return;
        }
        self.advice.begin(now);
        let problem = self.whole(now);
        if problem.items.len() <= MAX_ITEMS {
            self.counters.searches += 1;
            out.push(Output::Improve(Box::new(problem)));
        }
    }

    /// Takes what a search has found. What has changed since it was asked for is not moved.
    pub(super) fn improved(&mut self, now: Timestamp, moves: Vec<Move>) {
        let mut places = BTreeMap::new();
        for Move { key, from, to } in moves {
            let at = self.kept.assignment(&key.vehicle, &key.function).map(|at| at.fog.clone());
            if at == from {
                places.insert((key.vehicle, key.function), to);
            }
        }
        let vehicles: BTreeSet<VehicleId> = places.keys().map(|(vehicle, _): &Key| vehicle.clone()).collect();
        if self.advice.end(now, places) {
            self.changed.extend(vehicles);
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
