//! State of every EVSE at one moment: its status, how long, what came before, how often it changes, its habits.
//!
//! A tracker goes through a history slot by slot and never back, so a forecast made from it can know nothing of the future.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::habits::{Habits, watch};
use crate::ids::Ids;
use crate::{History, Labels, Network, Places};

/// No label.
pub const NONE: u8 = u8::MAX;

/// Exponential windows of the shares of each label, in minutes.
pub const MEMORIES_MIN: [f32; 6] = [30.0, 60.0, 180.0, 720.0, 1440.0, 4320.0];

/// Exponential windows of the counts of changes, in minutes.
pub const CHANGE_MEMORIES_MIN: [f32; 3] = [120.0, 720.0, 4320.0];

/// A status that was not observed for so long and is the same afterwards has lasted all the time.
const BRIDGED_S: i64 = 1800;

/// Minutes of a day.
const DAY_MIN: i64 = 1440;

/// One EVSE's present and the past that it remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evse {
    /// The label in force, or [`NONE`].
    pub now: u8,
    /// The last label observed.
    pub last: u8,
    /// When anything was observed last, seconds since 1970.
    pub observed: i64,
    /// Since when the last label has been in force.
    pub since: i64,
    /// The label before, or [`NONE`], and how long it lasted, in seconds.
    pub previous: (u8, i64),
    /// When each label was in force last; `i64::MIN` for never.
    pub seen: Vec<i64>,
    /// `memory × label`, not divided by the weights.
    pub shares: Vec<f32>,
    /// Observations that each memory holds.
    pub weights: [f32; MEMORIES_MIN.len()],
    /// Changes a slot, by memory, not divided by the weights.
    pub changes: [f32; CHANGE_MEMORIES_MIN.len()],
    /// Observations that each memory of changes holds.
    pub change_weights: [f32; CHANGE_MEMORIES_MIN.len()],
    /// How long each label lasted, summed in hours, and how often it ended.
    pub spells: Vec<(f32, f32)>,
}

/// A network's present.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tracker {
    /// The statuses.
    pub labels: Labels,
    /// Horizons in slots, ascending.
    pub horizons: Vec<usize>,
    /// The sampling interval in seconds.
    pub step_s: i64,
    /// Local time.
    pub clock: Clock,
    /// The time of the slot that was seen last, if any was.
    pub at: Option<i64>,
    /// EVSEs by index.
    pub ids: Vec<Arc<str>>,
    /// What is known of them.
    pub places: Places,
    /// Who is coupled with whom.
    pub network: Network,
    /// Their states.
    pub evses: Vec<Evse>,
    /// What they usually do.
    pub habits: Habits,
    /// Spells of all EVSEs of a kind: `kind × label`, hours and number.
    pub kind_spells: Vec<(f32, f32)>,
    /// Labels in force and durations of the last day or longest horizon, the newest last.
    ring: VecDeque<Vec<(u8, u8)>>,
}

impl Tracker {
    /// A tracker that has seen nothing, for forecasts at `horizons`, in slots.
    pub fn new(labels: Labels, mut horizons: Vec<usize>, step_s: i64, offset_s: i32) -> Self {
        horizons.sort_unstable();
        horizons.dedup();
        let (classes, count) = (labels.len(), horizons.len());
        Self {
            labels,
            horizons,
            step_s,
            clock: Clock { offset_s },
            at: None,
            ids: Vec::new(),
            places: Places::new(),
            network: Network::default(),
            evses: Vec::new(),
            habits: Habits::new(classes, count, step_s),
            kind_spells: vec![(0.0, 0.0); crate::network::MAX_KINDS * classes],
            ring: VecDeque::new(),
        }
    }

    /// A tracker for a history's EVSEs that has seen none of it.
    pub fn of(history: &History, places: &Places, horizons: Vec<usize>) -> Self {
        let mut tracker = Self::new(history.labels().clone(), horizons, history.step_s(), history.offset_s());
        tracker.meet(history.evses(), places);
        tracker
    }

    /// Adds EVSEs that were not known: they begin with the habits of their kind.
    pub fn meet(&mut self, evses: &[Arc<str>], places: &Places) {
        let known = Ids::new(self.ids.iter().map(|id| &**id));
        let new = evses.iter().filter(|evse| known.find(evse).is_none()).cloned().collect::<Vec<_>>();
        if new.is_empty() && !self.ids.is_empty() {
            return;
        }
        for evse in &new {
            if let Some(place) = places.get(&**evse) {
                self.places.insert(evse.to_string(), place.clone());
            }
        }
        self.ids.extend(new);
        self.network = Network::new(self.ids.iter().map(|id| &**id), &self.places);
        let classes = self.labels.len();
        self.evses.resize_with(self.ids.len(), || Evse {
            now: NONE,
            last: NONE,
            observed: i64::MIN,
            since: i64::MIN,
            previous: (NONE, 0),
            seen: vec![i64::MIN; classes],
            shares: vec![0.0; MEMORIES_MIN.len() * classes],
            weights: [0.0; MEMORIES_MIN.len()],
            changes: [0.0; CHANGE_MEMORIES_MIN.len()],
            change_weights: [0.0; CHANGE_MEMORIES_MIN.len()],
            spells: vec![(0.0, 0.0); classes],
        });
        self.habits.resize(self.ids.len());
    }

    /// How many slots back anything is remembered one by one.
    fn depth(&self) -> usize {
        let day = (DAY_MIN * 60 / self.step_s) as usize;
        self.horizons.last().copied().unwrap_or(0).max(day) + 1
    }

    /// Takes the next slot: `observed` has one label an EVSE, [`NONE`] where nothing was observed; EVSEs beyond its end were
    /// not observed either. Slots that were left out count as observed by nobody. A slot that is not newer changes nothing.
    pub fn advance(&mut self, at: i64, observed: &[u8]) {
        if let Some(last) = self.at {
            let left_out = (at - last).div_euclid(self.step_s) - 1;
            if left_out < 0 {
                return;
            }
            if left_out as u64 > self.depth() as u64 {
                self.ring.clear();
            }
            for slot in (1..=left_out.min(self.depth() as i64)).rev() {
                self.step(at - slot * self.step_s, &[]);
            }
        }
        self.step(at, observed);
    }

    fn step(&mut self, at: i64, observed: &[u8]) {
        self.at = Some(at);
        self.habits.turn(self.clock, at, &self.network.kind);
        let half_hour = self.clock.half_hour(at);
        let step_min = self.step_s as f32 / 60.0;
        let decays = MEMORIES_MIN.map(|memory| (-step_min / memory).exp());
        let change_decays = CHANGE_MEMORIES_MIN.map(|memory| (-step_min / memory).exp());
        let classes = self.labels.len();
        let mut slot = Vec::with_capacity(self.evses.len());
        for (index, evse) in self.evses.iter_mut().enumerate() {
            let label = observed.get(index).copied().filter(|label| usize::from(*label) < classes);
            let kind = usize::from(self.network.kind[index]);
            if let Some(label) = label {
                let (lost, before) = (at - evse.observed.max(at - 2 * BRIDGED_S), evse.last);
                let goes_on = before == label && lost <= BRIDGED_S.max(2 * self.step_s);
                if !goes_on {
                    if before != NONE {
                        let lasted = evse.observed - evse.since + self.step_s;
                        evse.previous = (before, lasted);
                        for spell in [
                            &mut evse.spells[usize::from(before)],
                            &mut self.kind_spells[kind * classes + usize::from(before)],
                        ] {
                            spell.0 += lasted as f32 / 3600.0;
                            spell.1 += 1.0;
                        }
                    }
                    evse.since = at;
                }
                let changed = f32::from(u8::from(before != NONE && before != label));
                for (memory, decay) in decays.iter().enumerate() {
                    let shares = &mut evse.shares[memory * classes..][..classes];
                    shares.iter_mut().for_each(|share| *share *= decay);
                    shares[usize::from(label)] += 1.0;
                    evse.weights[memory] = evse.weights[memory] * decay + 1.0;
                }
                for (memory, decay) in change_decays.iter().enumerate() {
                    evse.changes[memory] = evse.changes[memory] * decay + changed;
                    evse.change_weights[memory] = evse.change_weights[memory] * decay + 1.0;
                }
                evse.seen[usize::from(label)] = at;
                (evse.last, evse.now, evse.observed) = (label, label, at);
                self.habits.see(index, half_hour, usize::from(label));
            } else if evse.now != NONE && at - evse.observed > self.step_s {
                evse.now = NONE;
            }
            let lasted = ((at - evse.since.max(0)) / 60).clamp(0, i64::from(u32::MAX)) as u32;
            slot.push((evse.now, watch(lasted) as u8));
        }
        for (horizon, slots) in self.horizons.iter().enumerate() {
            let Some(then) = self.ring.len().checked_sub(*slots).and_then(|at| self.ring.get(at)) else {
                continue;
            };
            for (evse, ((from, watch), (to, _))) in then.iter().zip(&slot).enumerate() {
                if *from != NONE && *to != NONE {
                    let kind = usize::from(self.network.kind[evse]);
                    let from = (usize::from(*from), usize::from(*watch));
                    self.habits.moved(evse, kind, horizon, from, usize::from(*to));
                }
            }
        }
        self.ring.push_back(slot);
        if self.ring.len() > self.depth() {
            self.ring.pop_front();
        }
    }

    /// Whether the parts of a tracker that was read fit together.
    pub fn is_sound(&self) -> bool {
        let (evses, classes) = (self.ids.len(), self.labels.len());
        let label = |label: u8| label == NONE || usize::from(label) < classes;
        let network = &self.network;
        let inside = |evse: &u32| (*evse as usize) < evses;
        self.step_s > 0
            && self.evses.len() == evses
            && network.is_sound(evses)
            && network.siblings.iter().chain(&network.pool).flatten().all(inside)
            && network.near.iter().flatten().all(|(evse, _)| inside(evse))
            && self.kind_spells.len() == crate::network::MAX_KINDS * classes
            && self.habits.is_sound(evses, classes, self.horizons.len())
            && self.evses.iter().all(|evse| {
                label(evse.now)
                    && label(evse.last)
                    && label(evse.previous.0)
                    && evse.seen.len() == classes
                    && evse.spells.len() == classes
                    && evse.shares.len() == MEMORIES_MIN.len() * classes
            })
            && self
                .ring
                .iter()
                .flatten()
                .all(|(now, w)| label(*now) && usize::from(*w) < super::habits::WATCHES)
    }

    /// The label that was in force so many slots ago.
    pub fn ago(&self, evse: usize, slots: usize) -> u8 {
        let at = self.ring.len().checked_sub(slots + 1);
        at.and_then(|at| self.ring.get(at)?.get(evse)).map_or(NONE, |(label, _)| *label)
    }

    /// How long the last label has lasted, in minutes.
    pub fn lasted_min(&self, evse: usize) -> f32 {
        let state = &self.evses[evse];
        self.at.filter(|_| state.last != NONE).map_or(f32::NAN, |at| (at - state.since) as f32 / 60.0)
    }
}
