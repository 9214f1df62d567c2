//! What happened lately: conditions, events of functions, answers of vehicles. In memory; events are kept by fog nodes.

use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use voltmesh_control::{CommandAnswer, FunctionEvent, Outcome};
use voltmesh_telemetry::{Timestamp, VehicleId};

use crate::assess;

/// Entries of each list: 0.5 kB each, 10 MB in all.
const MOST: usize = 10_000;
/// Functions of vehicles of which the newest event's number is known: 100 B each.
const MOST_KNOWN: usize = 100_000;

/// Condition that began or ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conditioned {
    /// When, in ms.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub change: assess::Change,
}

/// What a function did or a vehicle answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "log")]
pub enum Line {
    /// A function said something.
    Event {
        /// Fog node that runs it.
        fog: String,
        /// What.
        #[serde(flatten)]
        event: FunctionEvent,
    },
    /// A vehicle answered a command.
    Answer {
        /// Fog node that heard it.
        fog: String,
        /// Which vehicle.
        vehicle: VehicleId,
        /// What it did.
        #[serde(flatten)]
        answer: CommandAnswer,
    },
}

impl Line {
    /// Whose battery.
    pub fn vehicle(&self) -> &VehicleId {
        match self {
            Self::Event { event, .. } => &event.vehicle,
            Self::Answer { vehicle, .. } => vehicle,
        }
    }

    /// Which function.
    pub fn function(&self) -> &str {
        match self {
            Self::Event { event, .. } => &event.function,
            Self::Answer { answer, .. } => &answer.function,
        }
    }
}

/// Lists of what happened, the newest last.
#[derive(Debug, Default)]
pub struct History {
    conditions: VecDeque<Conditioned>,
    lines: VecDeque<Line>,
    /// Epoch and number of the newest event of each function of a vehicle.
    newest: BTreeMap<(VehicleId, String), ((u32, u32), u64)>,
    /// Events that came.
    pub events: u64,
    /// Events that came again.
    pub events_again: u64,
    /// Commands that vehicles applied, refused, and let expire.
    pub answers: [u64; 3],
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= MOST {
        list.pop_front();
    }
    list.push_back(item);
}

impl History {
    /// A condition begins or ends.
    pub fn condition(&mut self, now: Timestamp, change: assess::Change) {
        push(&mut self.conditions, Conditioned { at_ms: now.as_millis(), change });
    }

    /// A function says something. False if it is known already.
    pub fn event(&mut self, fog: &str, event: FunctionEvent) -> bool {
        let key = (event.vehicle.clone(), event.function.clone());
        let at = (event.epoch, event.number);
        if self.newest.get(&key).is_some_and(|newest| *newest >= at) {
            self.events_again += 1;
            return false;
        }
        if self.newest.len() >= MOST_KNOWN && !self.newest.contains_key(&key) {
            self.newest.pop_first();
        }
        self.newest.insert(key, at);
        self.events += 1;
        push(&mut self.lines, Line::Event { fog: fog.to_owned(), event });
        true
    }

    /// A vehicle answers a command.
    pub fn answer(&mut self, fog: &str, vehicle: VehicleId, answer: CommandAnswer) {
        let place = match answer.outcome {
            Outcome::Applied { .. } => 0,
            Outcome::Refused { .. } => 1,
            Outcome::Expired => 2,
        };
        self.answers[place] += 1;
        push(&mut self.lines, Line::Answer { fog: fog.to_owned(), vehicle, answer });
    }

    /// Conditions, the newest last.
    pub fn conditions(&self) -> impl DoubleEndedIterator<Item = &Conditioned> {
        self.conditions.iter()
    }

    /// Events and answers, the newest last.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> {
        self.lines.iter()
    }
}
