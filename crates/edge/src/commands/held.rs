//! Commands that are held until their time is over: one of each function and kind.

use super::own::{amperes, degrees};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use voltmesh_control::{Action, ActionKind, Command, CommandAnswer, Epoch, Lease, Outcome};
use voltmesh_telemetry::Timestamp;

/// Commands by kind and function.
pub(super) type HeldCommands = BTreeMap<(ActionKind, String), HeldCommand>;

/// A command that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeldCommand {
    pub function: String,
    pub fog: String,
    /// Term and count of its lease.
    pub epoch: (u32, u32),
    pub number: u64,
    pub action: Action,
    pub reason: String,
    /// The vehicle's clock in ms when it was taken, and when it ends.
    pub taken_ms: u64,
    pub ends_ms: u64,
    /// Commands taken before it.
    pub order: u64,
    /// When it ends on the clock that only goes forward, whatever the vehicle's does.
    #[serde(skip)]
    pub ends_after: u64,
}

impl HeldCommand {
    /// A command taken now. It ends with its time or its lease's, and no later after now than it is valid altogether: a
    /// vehicle whose clock is behind does not obey longer.
    pub fn new(command: Command, lease: &Lease, now: Timestamp, elapsed: u64, order: u64) -> Self {
        let valid_ms = command.expires.millis_since(command.issued);
        let ends = command.expires.min(lease.until).min(now.plus_millis(valid_ms));
        Self {
            function: lease.function.clone(),
            fog: lease.fog.clone(),
            epoch: (lease.epoch.term, lease.epoch.count),
            number: command.number,
            action: command.action,
            reason: command.reason,
            taken_ms: now.as_millis(),
            ends_ms: ends.as_millis(),
            order,
            ends_after: elapsed.saturating_add(ends.millis_since(now)),
        }
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp, elapsed: u64) -> bool {
        now.as_millis() >= self.ends_ms || elapsed >= self.ends_after
    }

    pub fn key(&self) -> (ActionKind, String) {
        (self.action.kind(), self.function.clone())
    }

    pub const fn lease_epoch(&self) -> Epoch {
        Epoch { term: self.epoch.0, count: self.epoch.1 }
    }

    pub fn answer(&self, now: Timestamp, outcome: Outcome) -> CommandAnswer {
        CommandAnswer {
            function: self.function.clone(),
            epoch: self.epoch,
            number: self.number,
            at_ms: now.as_millis(),
            outcome,
        }
    }
}

/// The command in force of a kind: the strictest, of equal ones the latest. Where no order of strictness is, the latest.
pub(super) fn chosen(held: &HeldCommands, kind: ActionKind) -> Option<&HeldCommand> {
    of_kind(held, kind).min_by_key(|command| (looseness(&command.action), std::cmp::Reverse(command.order)))
}

/// All commands of a kind, by function.
pub(super) fn of_kind(held: &HeldCommands, kind: ActionKind) -> impl Iterator<Item = &HeldCommand> {
    held.values().filter(move |command| command.action.kind() == kind)
}

/// More is less strict; equal where there is no order.
pub(super) const fn looseness(action: &Action) -> u32 {
    match action {
        Action::ChargeLimit(value) | Action::DischargeLimit(value) | Action::Derate(value) => *value,
        Action::TargetTemperature(_)
        | Action::Balance(_)
        | Action::SamplingRate(_)
        | Action::StopCharging => 0,
    }
}

/// What a command asks for, for people.
pub(super) fn described(action: &Action) -> String {
    match action {
        Action::ChargeLimit(ma) => format!("a charge limit of {}", amperes(*ma)),
        Action::DischargeLimit(ma) => format!("a discharge limit of {}", amperes(*ma)),
        Action::TargetTemperature(c100) => format!("a target of {}", degrees(*c100)),
        Action::Balance(groups) => format!("balancing of {} groups", groups.len()),
        Action::SamplingRate(rate) => format!("{rate} samples in 1,000 s"),
        Action::Derate(millionths) => format!("derating to {:.1} %", f64::from(*millionths) / 1e4),
        Action::StopCharging => "an end of charging".to_owned(),
    }
}
