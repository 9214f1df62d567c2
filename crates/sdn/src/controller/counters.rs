//! What the controller counts.

use std::collections::BTreeMap;

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages with summaries.
    pub messages: u64,
    /// Summaries of vehicles that were taken.
    pub summaries: u64,
    /// What fog nodes sent and was refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Conditions that began.
    pub conditions_begun: u64,
    /// Conditions that ended.
    pub conditions_ended: u64,
    /// Orders given.
    pub orders: u64,
    /// Orders that fog nodes confirmed.
    pub confirmed: u64,
    /// Orders that fog nodes refused.
    pub orders_refused: u64,
    /// Orders that nobody confirmed in time, replaced by others.
    pub unconfirmed: u64,
    /// Leases given.
    pub leases: u64,
    /// Functions that went on at another fog node with their state.
    pub handed_over: u64,
    /// Functions that went on at another fog node without it.
    pub handed_over_without_state: u64,
    /// Functions that were moved away from dead fog nodes.
    pub rescued: u64,
    /// Searches for a better placement of everything.
    pub searches: u64,
    /// Functions that moved or gave way because of one.
    pub rebalanced: u64,
    /// Decisions taken.
    pub decisions: u64,
    /// Decisions undone.
    pub undone: u64,
    /// Changes that were copied from the controller that commands.
    pub copied: u64,
    /// Those of them that were not taken: too many, or not what this version takes.
    pub copies_refused: u64,
}
