//! What all functions of a node share: time, numbers, counters, and where outputs go.

use super::{Output, backoff::Rate, counters::Counters};
use crate::host::Failure;
use voltmesh_control::{Command, FleetShare, FunctionEvent, FunctionReport};
use voltmesh_telemetry::Timestamp;

/// Events that may wait to be durable; beyond, no function is called until the disk is back. 8,192 of at most 4 KiB: 32 MiB.
const MAX_UNKEPT: u64 = 8_192;
/// Fuel that one core uses in a second: measured some 10⁹, rounded down so that load is rather overstated.
const FUEL_PER_SECOND: f64 = 5e8;
/// Weight of the last second in the load.
const LOAD_WEIGHT: f64 = 0.3;

/// Time, numbers and counters of a node.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub now: Timestamp,
    /// Sequence of the last event.
    pub sequence: u64,
    /// Sequence up to which events are durable.
    pub kept: u64,
    pub counters: Counters,
    pub out: Vec<Output>,
    /// This node's share of the commands that the whole fleet may get, by the order that said it.
    pub fleet: FleetShare,
    pub fleet_order: (u32, u64),
    fleet_rate: Rate,
    /// Whether an instance changed since the controller was told.
    pub changed: bool,
    fuel: u64,
    fuel_since: Timestamp,
    load: f64,
}

impl Node {
    /// Whether events wait in such a number that no function may say more.
    pub fn is_full(&self) -> bool {
        self.sequence - self.kept >= MAX_UNKEPT
    }

    pub fn keep(&mut self, event: FunctionEvent) -> u64 {
        self.sequence += 1;
        self.counters.events += 1;
        self.out.push(Output::Keep { sequence: self.sequence, event });
        self.sequence
    }

    pub fn command(&mut self, after: u64, command: Command, lease: &[u8], function: &str) {
        self.counters.commands += 1;
        let after = (after > self.kept).then_some(after);
        self.out.push(Output::Command {
            after,
            command,
            lease: lease.to_vec(),
            function: function.to_owned(),
        });
    }

    /// Takes the share that an order names, unless a later one named another.
    pub fn share(&mut self, order: (u32, u64), share: FleetShare) {
        if order >= self.fleet_order {
            (self.fleet, self.fleet_order) = (share, order);
            self.fleet_rate.set(share.burst.into(), share.per_min.into());
        }
    }

    /// Whether this node's share allows one more command.
    pub fn may_command(&mut self) -> bool {
        self.fleet_rate.take(self.now, 1)
    }

    pub fn warn(&mut self, text: String) {
        self.out.push(Output::Warn(text));
    }

    pub fn refuse(&mut self, order: u64, reason: String) {
        self.counters.refused_orders += 1;
        self.out.push(Output::Tell(FunctionReport::Refused { order, reason }));
    }

    pub fn failed(&mut self, who: &str, failure: &Failure) {
        self.counters.failures += 1;
        self.warn(format!("{who}: {failure}"));
    }

    /// Counts fuel towards the load.
    pub fn burn(&mut self, fuel: u64) {
        self.fuel += fuel;
        let elapsed = self.now.millis_since(self.fuel_since);
        if elapsed >= 1_000 {
            let share = self.fuel as f64 / FUEL_PER_SECOND * 1e3 / elapsed as f64;
            self.load += LOAD_WEIGHT * (share - self.load);
            (self.fuel, self.fuel_since) = (0, self.now);
        }
    }

    pub fn load(&self) -> f64 {
        self.load.clamp(0.0, 1.0)
    }
}
