//! The decisions that are remembered, with their numbers.

use super::decision::{Choice, Decision, Draft, Effect, Undone, Who};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use voltmesh_telemetry::{Timestamp, VehicleId};

/// Decisions that are remembered: some 1 kB each, 20 MB; at ten a minute a day and a half. Older ones are on the ledger.
pub const MAX_DECISIONS: usize = 20_000;

/// Most alternatives of a decision; the best are kept.
pub const MAX_ALTERNATIVES: usize = 16;

/// Why a decision cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// There is none of that number.
    #[error("there is no decision {0}")]
    Unknown(u64),
    /// It is older than what is remembered.
    #[error("decision {0} is forgotten; the oldest that is remembered is {1}")]
    Forgotten(u64, u64),
    /// It is undone already.
    #[error("decision {0} is undone already, by {1}")]
    Undone(u64, String),
    /// Somebody else may.
    #[error("decision {0} may not be undone by {1:?}")]
    NotAllowed(u64, Who),
    /// A later decision about the same function of the vehicle stands on it.
    #[error("decision {later} changed the same function after decision {number}: undo {later} first")]
    LaterStands {
        /// Which was to be undone.
        number: u64,
        /// Which is to be undone before.
        later: u64,
    },
    /// Nothing was done.
    #[error("decision {0} changed nothing")]
    Nothing(u64),
}

/// Decisions in the order of their numbers, the oldest forgotten first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Log {
    next: u64,
    decisions: VecDeque<Decision>,
}

impl Log {
    /// One without decisions. The first will have the number 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that goes on with remembered decisions, in any order: as they were kept on a disk.
    #[must_use]
    pub fn restore(decisions: impl IntoIterator<Item = Decision>) -> Self {
        let mut decisions: Vec<Decision> = decisions.into_iter().collect();
        // Of one number what was written last counts.
        decisions.sort_by_key(|decision| decision.number);
        decisions.reverse();
        let mut seen = None;
        decisions.retain(|decision| seen.replace(decision.number) != Some(decision.number));
        decisions.truncate(MAX_DECISIONS);
        decisions.reverse();
        let next = decisions.last().map_or(0, |decision| decision.number);
        Self { next, decisions: decisions.into() }
    }

    /// Gives a decision its number and remembers it.
    pub fn record(&mut self, now: Timestamp, draft: Draft) -> &Decision {
        self.next += 1;
        let Draft { vehicle, inputs, rule, mut alternatives, chosen, cost, expected, may_undo } = draft;
        alternatives.truncate(MAX_ALTERNATIVES);
        if self.decisions.len() >= MAX_DECISIONS {
            self.decisions.pop_front();
        }
        self.decisions.push_back(Decision {
            number: self.next,
            at_ms: now.as_millis(),
            vehicle,
            inputs,
            rule,
            alternatives,
            chosen,
            cost,
            expected,
            actual: None,
            may_undo,
            undone: None,
        });
        &self.decisions[self.decisions.len() - 1]
    }

    /// A decision by its number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Decision> {
        let at = self.decisions.binary_search_by_key(&number, |decision| decision.number).ok()?;
        self.decisions.get(at)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Decision> {
        let at = self.decisions.binary_search_by_key(&number, |decision| decision.number).ok()?;
        self.decisions.get_mut(at)
    }

    /// The remembered ones, the newest first; of one vehicle where it is named.
    pub fn newest<'a>(&'a self, vehicle: Option<&'a VehicleId>) -> impl Iterator<Item = &'a Decision> {
        let mine = move |decision: &&Decision| vehicle.is_none() || decision.vehicle.as_ref() == vehicle;
        self.decisions.iter().rev().filter(mine)
    }

    /// The newest decision about a vehicle's function that stands and still waits for what came of it.
    #[must_use]
    pub fn waiting(&self, vehicle: &VehicleId, function: &str) -> Option<u64> {
        let mut newest = self.newest(Some(vehicle));
        let found = newest.find(|decision| {
            decision.actual.is_none()
                && decision.undone.is_none()
                && decision.chosen.function() == Some(function)
        });
        found.map(|decision| decision.number)
    }

    /// Says what a decision did. The first word counts, but for what it left open. Returns whether the decision is remembered.
    pub fn feedback(&mut self, number: u64, effect: &Effect) -> bool {
        let Some(decision) = self.get_mut(number) else { return false };
        let actual = decision.actual.get_or_insert_default();
        actual.condition_ends = actual.condition_ends.or(effect.condition_ends);
        actual.after_s = actual.after_s.or(effect.after_s);
        actual.charge_min = actual.charge_min.or(effect.charge_min);
        actual.energy_kwh = actual.energy_kwh.or(effect.energy_kwh);
        actual.round_trip_ms = actual.round_trip_ms.or(effect.round_trip_ms);
        true
    }

    /// Marks a decision as undone and returns what brings back how it was.
    ///
    /// # Errors
    /// [`UndoError`]; nothing has changed then.
    pub fn undo(
        &mut self,
        now: Timestamp,
        number: u64,
        who: Who,
        by: &str,
        why: &str,
    ) -> Result<Choice, UndoError> {
        let oldest = self.decisions.front().map_or(self.next + 1, |decision| decision.number);
        if number > 0 && number < oldest && number <= self.next {
            return Err(UndoError::Forgotten(number, oldest));
        }
        let decision = self.get(number).ok_or(UndoError::Unknown(number))?;
        if let Some(undone) = &decision.undone {
            return Err(UndoError::Undone(number, undone.by.clone()));
        }
        if !decision.may_undo.contains(&who) {
            return Err(UndoError::NotAllowed(number, who));
        }
        let reversed = decision.chosen.reversed().ok_or(UndoError::Nothing(number))?;
        let functions = concerns(&decision.chosen);
        let later =
            self.newest(decision.vehicle.as_ref()).take_while(|later| later.number > number).find(|later| {
                later.undone.is_none()
                    && later.vehicle == decision.vehicle
                    && concerns(&later.chosen).iter().flatten().any(|name| functions.contains(&Some(*name)))
            });
        if let Some(later) = later {
            return Err(UndoError::LaterStands { number, later: later.number });
        }
        if let Some(decision) = self.get_mut(number) {
            decision.undone = Some(Undone { by: by.to_owned(), at_ms: now.as_millis(), why: why.to_owned() });
        }
        Ok(reversed)
    }

    /// Decisions that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.decisions.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    /// Number of the newest decision, 0 before the first.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.next
    }
}

/// The functions that a choice changes.
fn concerns(choice: &Choice) -> [Option<&str>; 2] {
    match choice {
        Choice::Replace { function, by } => [Some(function), Some(by)],
        other => [other.function(), None],
    }
}
