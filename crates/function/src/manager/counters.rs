//! Counters of a node's functions.

/// Counters since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of `handle`.
    pub calls: u64,
    /// Calls that trapped, ran out of fuel, memory or time, or answered out of bounds.
    pub failures: u64,
    /// Events.
    pub events: u64,
    /// Commands.
    pub commands: u64,
    /// Commands that were not sent: beyond what their lease allows, or this node's share of the fleet's.
    pub refused_commands: u64,
    /// Orders that were refused.
    pub refused_orders: u64,
    /// Releases that were refused.
    pub refused_releases: u64,
    /// Upgrades that were rolled back by themselves.
    pub rolled_back: u64,
    /// Inputs that a function did not get: it was backing off, off, or without a lease in force.
    pub missed: u64,
}
