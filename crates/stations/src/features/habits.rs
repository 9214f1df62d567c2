//! Habits of an EVSE: its shares of each label by half hour, and where it is a horizon after each label.
//!
//! Today is collected apart and joins at local midnight, so that no habit knows anything of the day it is used on. What an
//! EVSE has shown seldom is filled up with what EVSEs of its kind do.

use serde::{Deserialize, Serialize};

use super::clock::{Clock, DAY_TYPES, HALF_HOURS};
use crate::network::MAX_KINDS;

/// Bounds of how long a status has lasted, in minutes: what moves are told apart by.
const WATCHES_MIN: [u32; 13] = [5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1440];

/// Number of durations that are told apart.
pub const WATCHES: usize = WATCHES_MIN.len() + 1;

/// An EVSE's whole record counts as so many hours of any half hour, and its kind's record as so many of its own.
const PRIOR_HOURS: f32 = 1.5;

/// Moves that its kind makes count as so many hours of an EVSE's own.
const MOVE_PRIOR_HOURS: f32 = 6.0;

/// Every label has been seen so often before the first: nothing is impossible.
const ONCE: f32 = 0.02;

/// Counts by EVSE and by kind, and the shares made of them at the last midnight.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Habits {
    classes: usize,
    horizons: usize,
    /// Observations an hour.
    hourly: f32,
    day: Option<i64>,
    /// `evse × day type × half hour × label`.
    seen: Vec<f32>,
    /// `evse × half hour × label`.
    today: Vec<f32>,
    /// `evse × day type × half hour × label`, each sums to 1.
    usual: Vec<f32>,
    /// `evse × horizon × from × to`.
    moves: Vec<f32>,
    moves_today: Vec<f32>,
    /// `kind × horizon × from × watch × to`.
    kind_moves: Vec<f32>,
    kind_moves_today: Vec<f32>,
}

/// Which of the durations.
pub fn watch(minutes: u32) -> usize {
    WATCHES_MIN.partition_point(|bound| *bound <= minutes)
}

impl Habits {
    /// Of networks that nobody has seen.
    pub fn new(classes: usize, horizons: usize, step_s: i64) -> Self {
        let kinds = MAX_KINDS * horizons * classes * WATCHES * classes;
        Self {
            classes,
            horizons,
            hourly: (3600.0 / step_s as f32).max(0.25),
            day: None,
            seen: Vec::new(),
            today: Vec::new(),
            usual: Vec::new(),
            moves: Vec::new(),
            moves_today: Vec::new(),
            kind_moves: vec![0.0; kinds],
            kind_moves_today: vec![0.0; kinds],
        }
    }

    /// Makes room for more EVSEs.
    pub fn resize(&mut self, evses: usize) {
        let day = HALF_HOURS * self.classes;
        self.seen.resize(evses * DAY_TYPES * day, 0.0);
        self.today.resize(evses * day, 0.0);
        self.usual.resize(evses * DAY_TYPES * day, 1.0 / self.classes as f32);
        let moves = self.horizons * self.classes * self.classes;
        self.moves.resize(evses * moves, 0.0);
        self.moves_today.resize(evses * moves, 0.0);
    }

    /// Whether counts that were read are as many as there must be.
    pub fn is_sound(&self, evses: usize, classes: usize, horizons: usize) -> bool {
        let day = evses * HALF_HOURS * classes;
        let moves = evses * horizons * classes * classes;
        let kinds = MAX_KINDS * horizons * classes * WATCHES * classes;
        let found = [&self.seen, &self.today, &self.usual, &self.moves, &self.moves_today].map(Vec::len);
        (self.classes, self.horizons) == (classes, horizons)
            && found == [day * DAY_TYPES, day, day * DAY_TYPES, moves, moves]
            && [self.kind_moves.len(), self.kind_moves_today.len()] == [kinds, kinds]
    }

    /// Notes a label in force.
    pub fn see(&mut self, evse: usize, half_hour: usize, label: usize) {
        self.today[(evse * HALF_HOURS + half_hour) * self.classes + label] += 1.0;
    }

    /// Notes which label followed another, so long in force, a horizon later.
    pub fn moved(&mut self, evse: usize, kind: usize, horizon: usize, from: (usize, usize), to: usize) {
        let own = (evse * self.horizons + horizon) * self.classes + from.0;
        self.moves_today[own * self.classes + to] += 1.0;
        let at = self.kind_row(kind, horizon, from.0, from.1);
        self.kind_moves_today[at + to] += 1.0;
    }

    fn kind_row(&self, kind: usize, horizon: usize, from: usize, watch: usize) -> usize {
        (((kind * self.horizons + horizon) * self.classes + from) * WATCHES + watch) * self.classes
    }

    /// At the first moment of a new local day, yesterday joins.
    pub fn turn(&mut self, clock: Clock, at: i64, kinds: &[u8]) {
        let day = clock.day(at);
        let Some(yesterday) = self.day.replace(day).filter(|yesterday| *yesterday != day) else { return };
        let day_type = Clock::type_of(yesterday);
        let width = HALF_HOURS * self.classes;
        for (evse, today) in self.today.chunks_mut(width).enumerate() {
            let at = (evse * DAY_TYPES + day_type) * width;
            add(&mut self.seen[at..at + width], today);
        }
        add(&mut self.moves, &mut self.moves_today);
        add(&mut self.kind_moves, &mut self.kind_moves_today);
        self.settle(kinds);
    }

    /// Makes shares of counts: kind, then EVSE, then half hour, then day type; each fills up what the next lacks.
    fn settle(&mut self, kinds: &[u8]) {
        let (classes, width) = (self.classes, HALF_HOURS * self.classes);
        let prior = PRIOR_HOURS * self.hourly;
        let mut by_kind = vec![ONCE; MAX_KINDS * width];
        for (evse, kind) in kinds.iter().enumerate() {
            let mine = &mut by_kind[usize::from(*kind) * width..][..width];
            for seen in self.seen[evse * DAY_TYPES * width..].chunks(width).take(DAY_TYPES) {
                mine.iter_mut().zip(seen).for_each(|(sum, count)| *sum += count);
            }
        }
        for (evse, kind) in kinds.iter().enumerate() {
            let at = evse * DAY_TYPES * width;
            let kind = &by_kind[usize::from(*kind) * width..][..width];
            let both: Vec<f32> = (0..width).map(|i| self.seen[at + i] + self.seen[at + width + i]).collect();
            let total = |counts: &[f32]| -> Vec<f32> {
                let mut sum = vec![0.0; classes];
                counts.chunks(classes).for_each(|c| sum.iter_mut().zip(c).for_each(|(s, c)| *s += c));
                sum
            };
            let kind_whole = share(&total(kind), &vec![1.0 / classes as f32; classes], 1.0);
            let whole = share(&total(&both), &kind_whole, 4.0 * prior);
            for half_hour in 0..HALF_HOURS {
                // What the kind does at this half hour, in proportion to what this EVSE does at all.
                let of_kind = share(&around(kind, half_hour, classes), &kind_whole, prior);
                let mut tilted: Vec<f32> =
                    (0..classes).map(|k| of_kind[k] / kind_whole[k] * whole[k]).collect();
                let sum: f32 = tilted.iter().sum();
                tilted.iter_mut().for_each(|p| *p /= sum);
                let any = share(&around(&both, half_hour, classes), &tilted, prior);
                for day_type in 0..DAY_TYPES {
                    let of_type = &self.seen[at + day_type * width..][..width];
                    let p = share(&around(of_type, half_hour, classes), &any, prior);
                    let to = at + day_type * width + half_hour * classes;
                    self.usual[to..to + classes].copy_from_slice(&p);
                }
            }
        }
    }

    /// Usual shares of the labels at a half hour of a kind of day.
    pub fn usual(&self, evse: usize, day_type: usize, half_hour: usize) -> &[f32] {
        let at = ((evse * DAY_TYPES + day_type) * HALF_HOURS + half_hour) * self.classes;
        &self.usual[at..at + self.classes]
    }

    /// Natural logarithms of the probabilities of each label a horizon after `from`, so long in force: its kind's moves, and
    /// its own in so far as there are many.
    pub fn moves(&self, evse: usize, kind: usize, horizon: usize, from: (usize, usize), out: &mut [f32]) {
        let own = ((evse * self.horizons + horizon) * self.classes + from.0) * self.classes;
        let own = &self.moves[own..own + self.classes];
        let at = self.kind_row(kind, horizon, from.0, from.1);
        let of_kind = &self.kind_moves[at..at + self.classes];
        let stays = |k: usize| if k == from.0 { 0.8 } else { 0.2 / (self.classes.max(2) - 1) as f32 };
        let kind_sum: f32 = of_kind.iter().sum::<f32>() + self.hourly;
        let prior = MOVE_PRIOR_HOURS * self.hourly;
        let sum = own.iter().sum::<f32>() + prior;
        for k in 0..self.classes {
            let of_kind = (of_kind[k] + self.hourly * stays(k)) / kind_sum;
            out[k] = ((own[k] + prior * of_kind) / sum).ln();
        }
    }
}

/// Adds and empties.
fn add(to: &mut [f32], from: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += *from;
        *from = 0.0;
    }
}

/// Shares of counts to which a prior was added.
fn share(counts: &[f32], prior: &[f32], weight: f32) -> Vec<f32> {
    let sum = counts.iter().sum::<f32>() + weight;
    counts.iter().zip(prior).map(|(count, prior)| (count + weight * prior) / sum).collect()
}

/// Counts of a half hour, and half of those beside it.
fn around(day: &[f32], half_hour: usize, classes: usize) -> Vec<f32> {
    let (before, after) = ((half_hour + HALF_HOURS - 1) % HALF_HOURS, (half_hour + 1) % HALF_HOURS);
    let at = |half_hour: usize, k: usize| day[half_hour * classes + k];
    (0..classes).map(|k| at(half_hour, k) + 0.5 * (at(before, k) + at(after, k))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn today_counts_from_midnight_on() {
        let mut habits = Habits::new(2, 1, 1800);
        habits.resize(1);
        let clock = Clock { offset_s: 0 };
        habits.turn(clock, 0, &[0]);
        for half_hour in 0..HALF_HOURS {
            habits.see(0, half_hour, usize::from(half_hour < 24));
            habits.moved(0, 0, 0, (0, 0), 1);
        }
        let mut before = [0.0; 2];
        habits.moves(0, 0, 0, (0, 0), &mut before);
        assert_eq!(habits.usual(0, 0, 4), [0.5, 0.5]);
        habits.turn(clock, 86_400, &[0]);
        let mut after = [0.0; 2];
        habits.moves(0, 0, 0, (0, 0), &mut after);
        assert!(before[0] > before[1] && after[1] > -0.2, "{before:?} {after:?}");
        assert!(habits.usual(0, 0, 4)[1] > 0.7, "{:?}", habits.usual(0, 0, 4));
        assert!((after[0].exp() + after[1].exp() - 1.0).abs() < 1e-5);
    }
}
