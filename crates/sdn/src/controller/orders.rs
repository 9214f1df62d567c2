//! Orders that fog nodes have not confirmed.

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_telemetry::Timestamp;

use super::state::Key;
use super::vocabulary::{Planned, PlannedWork};

/// Time in ms after which an order that is not confirmed is replaced by another one.
pub const CONFIRM_MS: u64 = 5_000;

/// Order that waits for its confirmation.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// As it is sent; again when the fog node's session begins anew.
    pub planned: Planned,
    /// When it was given, or could first be sent.
    pub given: Timestamp,
}

/// Orders by fog node and number: of each function of a vehicle there is one at most at each fog node, the newest.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    waiting: BTreeMap<String, BTreeMap<u64, Waiting>>,
}

impl Orders {
    /// Adds an order, in the place of an earlier one to the same fog node for the same function of a vehicle.
    pub fn give(&mut self, fog: &str, planned: Planned, now: Timestamp) {
        // A condition is told again to whoever begins to run: its delivery is not waited for.
        if matches!(planned.work, PlannedWork::Condition { .. }) {
            return;
        }
        self.settle(fog, &planned.work.key());
        self.waiting
            .entry(fog.to_owned())
            .or_default()
            .insert(planned.number, Waiting { planned, given: now });
    }

    /// The order for a function of a vehicle is confirmed, or of no interest any more.
    pub fn settle(&mut self, fog: &str, key: &Key) {
        if let Some(waiting) = self.waiting.get_mut(fog) {
            waiting.retain(|_, order| order.planned.work.key() != *key);
            if waiting.is_empty() {
                self.waiting.remove(fog);
            }
        }
    }

    /// The fog node is not waited for any more.
    pub fn forget(&mut self, fog: &str) {
        self.waiting.remove(fog);
    }

    /// No order of an earlier term is sent any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// What a number stands for.
    pub fn get(&self, fog: &str, number: u64) -> Option<&Waiting> {
        self.waiting.get(fog)?.get(&number)
    }

    /// The order that waits for a function of a vehicle.
    pub fn of(&self, fog: &str, key: &Key) -> Option<&Waiting> {
        self.waiting.get(fog)?.values().find(|order| order.planned.work.key() == *key)
    }

    /// All that wait at a fog node, in their order; each counts as given now.
    pub fn again(&mut self, fog: &str, now: Timestamp) -> Vec<Planned> {
        let waiting = self.waiting.get_mut(fog).into_iter().flat_map(BTreeMap::values_mut);
        waiting
            .map(|order| {
                order.given = now;
                order.planned.clone()
            })
            .collect()
    }

    /// Functions of vehicles whose order has waited too long.
    pub fn late(&self, now: Timestamp) -> BTreeSet<(String, Key)> {
        let is_late = |order: &Waiting| now.as_millis() >= order.given.as_millis() + CONFIRM_MS;
        let all =
            self.waiting.iter().flat_map(|(fog, orders)| orders.values().map(move |order| (fog, order)));
        all.filter(|(_, order)| is_late(order))
            .map(|(fog, order)| (fog.clone(), order.planned.work.key()))
            .collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.values().map(BTreeMap::len).sum()
    }
}
