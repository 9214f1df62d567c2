//! Ours: boosting from an EVSE's own moves, near horizons together and a day ahead alone, blended with the network.

use serde::{Deserialize, Serialize};

use super::ann::Ann;
use super::boost::{Boost, Options};
use super::{Lesson, Model};
use crate::features::NONE;
use crate::samples::{Samples, Seen};

/// Horizons further than this have trees of their own, in minutes: a day ahead, what is now hardly matters.
const NEAR_MIN: i64 = 360;

/// Shares of the network that are tried. More than this the few days held back would often choose, to be wrong on the next.
const SHARES: [f32; 4] = [0.0, 0.1, 0.2, 0.3];

/// Trees at most: of near horizons, and of far ones.
const TREES: [usize; 2] = [220, 80];

/// Each so many trees, the days held back are asked whether more would help.
const CHECKED: usize = 20;

/// Trees for horizons near and far, and the share of the network at each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ours {
    classes: usize,
    /// One after the other; their outputs are all horizons.
    boosts: Vec<Boost>,
    ann: Ann,
    /// By horizon.
    shares: Vec<f32>,
}

impl Ours {
    /// Trains: sizes are chosen on the rows held back, or kept from `like`.
    pub fn train(lesson: &Lesson<'_>, like: Option<&Self>, progress: &mut dyn FnMut(f64)) -> Self {
        let (samples, classes) = (lesson.samples, lesson.samples.classes);
        let step_s = lesson.history.step_s();
        let near = lesson.horizons.partition_point(|h| *h as i64 * step_s <= NEAR_MIN * 60);
        let groups = [0..near, near..samples.horizons].into_iter().zip(TREES).filter(|(g, _)| !g.is_empty());
        let groups: Vec<_> = groups.collect();
        let mut boosts: Vec<Boost> = Vec::new();
        let total: usize = groups.iter().map(|(_, trees)| trees).sum();
        let mut done = 0;
        for (group, most) in groups {
            let part = samples.of_horizons(group.clone());
            let held = lesson.held_back.map(|held| held.of_horizons(group.clone()).thinned(4));
            let trees = like.and_then(|like| like.boosts.get(boosts.len())).map_or(most, Boost::len);
            let options = Options { trees, ..Options::default() };
            let mut best = (f64::INFINITY, 0);
            let mut boost =
                Boost::train(&part, Some(lesson.moves + group.start * classes), &options, |model| {
                    progress(0.9 * (done + model.len()) as f64 / total as f64);
                    if let Some(held) = held.as_ref().filter(|_| model.len().is_multiple_of(CHECKED)) {
                        let loss = losses(held, |seen, out| model.predict(seen.features, out)).iter().sum();
                        if loss < best.0 {
                            best = (loss, model.len());
                        }
                        return model.len() < best.1 + 2 * CHECKED;
                    }
                    true
                });
            if best.1 > 0 {
                boost.truncate(best.1);
            }
            done += most;
            boosts.push(boost);
        }
        let ann = Ann::train(samples, lesson.label, &mut |share| progress(0.9 + 0.1 * share));
        let shares = like.map_or_else(|| vec![0.3; samples.horizons], |like| like.shares.clone());
        let mut model = Self { classes, boosts, ann, shares };
        if let Some(held) = lesson.held_back {
            model.choose_shares(&held.thinned(4));
        }
        model
    }

    fn choose_shares(&mut self, held: &Samples) {
        let tried = SHARES.map(|share| {
            self.shares.fill(share);
            losses(held, |seen, out| self.predict(seen, out))
        });
        for (horizon, share) in self.shares.iter_mut().enumerate() {
            let best = (0..SHARES.len()).min_by(|a, b| tried[*a][horizon].total_cmp(&tried[*b][horizon]));
            *share = SHARES[best.unwrap_or(0)];
        }
    }

    /// Trees of each group and the network's shares, for people.
    pub fn sizes(&self) -> (Vec<usize>, &[f32]) {
        (self.boosts.iter().map(Boost::len).collect(), &self.shares)
    }

    /// Whether it fits rows of `width` and so many outputs.
    pub fn is_sound(&self, width: usize, outputs: usize) -> bool {
        self.classes > 0
            && self
                .boosts
                .iter()
                .all(|boost| boost.is_sound(width) && boost.outputs().is_multiple_of(self.classes))
            && self.boosts.iter().map(Boost::outputs).sum::<usize>() == outputs
            && self.shares.len() * self.classes == outputs
            && self.ann.is_sound(width, outputs)
    }
}

impl Model for Ours {
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        let mut at = 0;
        for boost in &self.boosts {
            boost.predict(seen.features, &mut out[at..at + boost.outputs()]);
            at += boost.outputs();
        }
        if self.shares.iter().all(|share| *share == 0.0) {
            return;
        }
        let mut other = vec![0.0; out.len()];
        self.ann.predict(seen, &mut other);
        let pairs = out.chunks_mut(self.classes).zip(other.chunks(self.classes)).zip(&self.shares);
        for ((out, other), share) in pairs {
            // Geometric: the mean of logits.
            out.iter_mut()
                .zip(other)
                .for_each(|(p, q)| *p = p.max(1e-7).powf(1.0 - share) * q.max(1e-7).powf(*share));
            let sum: f32 = out.iter().sum();
            out.iter_mut().for_each(|p| *p /= sum);
        }
    }
}

/// Mean log loss by horizon.
fn losses(samples: &Samples, predict: impl Fn(Seen<'_>, &mut [f32]) + Sync) -> Vec<f64> {
    use rayon::prelude::*;
    let (horizons, classes) = (samples.horizons, samples.classes);
    let zero = || vec![(0.0, 0.0); horizons];
    let sums = (0..samples.len())
        .into_par_iter()
        .with_min_len(1024)
        .fold(
            || (zero(), vec![0.0; horizons * classes]),
            |(mut sums, mut out), row| {
                predict(samples.row(row), &mut out);
                for ((sum, p), truth) in sums.iter_mut().zip(out.chunks(classes)).zip(samples.truth(row)) {
                    if *truth != NONE {
                        sum.0 -= f64::from(p[usize::from(*truth)].max(1e-7)).ln();
                        sum.1 += 1.0;
                    }
                }
                (sums, out)
            },
        )
        .map(|(sums, _)| sums)
        .reduce(zero, |a, b| a.iter().zip(&b).map(|(a, b)| (a.0 + b.0, a.1 + b.1)).collect());
    sums.iter().map(|(loss, n): &(f64, f64)| loss / n.max(1.0)).collect()
}
