//! Making probabilities mean what they say, and deciding by them: one temperature and one weight a label, by horizon.

use serde::{Deserialize, Serialize};

use crate::evaluate::score;

/// Temperatures that are tried are in this range.
const TEMPERATURES: (f64, f64) = (0.5, 3.0);

/// Factors by which a label's weight is tried, as exponents of [`FINEST`].
const STEPS: [i32; 8] = [-8, -4, -2, -1, 1, 2, 4, 8];

/// A weight changes only for so much more of the sum of two F1: the days held back are few, and the next are others.
const WORTH_IT: f64 = 4e-4;

/// The smallest factor.
const FINEST: f32 = 1.06;

/// Times each label's weight is looked at.
const ROUNDS: usize = 3;

/// Calibration of one horizon, from the days held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtHorizon {
    /// Logits are divided by this (Guo et al., ICML 2017, section 4.2).
    temperature: f32,
    /// The label decided for has the greatest probability × weight.
    weights: Vec<f32>,
}

/// Calibration of all horizons, from the days held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    horizons: Vec<AtHorizon>,
}

/// Forecasts of one horizon and what came true.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// `row × label`.
    pub p: Vec<f32>,
    /// By row.
    pub truth: Vec<u8>,
    /// By row: what was in force.
    pub now: Vec<u8>,
}

impl Calibration {
    /// Changes nothing.
    pub fn none(horizons: usize, classes: usize) -> Self {
        Self { horizons: vec![AtHorizon { temperature: 1.0, weights: vec![1.0; classes] }; horizons] }
    }

    /// Learns from forecasts of each horizon; one without rows is left as it is.
    pub fn learn(told: &[Told], classes: usize) -> Self {
        let one = |told: &Told| {
            if told.truth.is_empty() {
                return AtHorizon { temperature: 1.0, weights: vec![1.0; classes] };
            }
            let temperature = temperature(told, classes);
            let mut p = told.p.clone();
            p.chunks_mut(classes).for_each(|p| temper(p, temperature));
            AtHorizon { temperature, weights: weights(&p, told, classes) }
        };
        Self { horizons: told.iter().map(one).collect() }
    }

    /// Calibrates probabilities, `horizon × label`, in place.
    pub fn apply(&self, p: &mut [f32]) {
        let classes = p.len() / self.horizons.len().max(1);
        for (p, at) in p.chunks_mut(classes).zip(&self.horizons) {
            temper(p, at.temperature);
        }
    }

    /// What to decide for at a horizon.
    pub fn decide(&self, horizon: usize, p: &[f32]) -> usize {
        decide(p, &self.horizons[horizon].weights)
    }

    /// Whether it fits.
    pub fn is_sound(&self, horizons: usize, classes: usize) -> bool {
        let sound = |at: &AtHorizon| at.temperature > 0.0 && at.weights.len() == classes;
        self.horizons.len() == horizons && self.horizons.iter().all(sound)
    }
}

fn temper(p: &mut [f32], temperature: f32) {
    if temperature == 1.0 {
        return;
    }
    p.iter_mut().for_each(|p| *p = p.max(1e-9).powf(1.0 / temperature));
    let sum: f32 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
}

fn decide(p: &[f32], weights: &[f32]) -> usize {
    let at = |k: usize| p[k] * weights[k];
    (1..p.len()).fold(0, |best, k| if at(k) > at(best) { k } else { best })
}

/// The one with the least log loss, by golden section: the loss is convex in its inverse.
fn temperature(told: &Told, classes: usize) -> f32 {
    let logs: Vec<f32> = told.p.iter().map(|p| p.max(1e-9).ln()).collect();
    let loss = |inverse: f64| -> f64 {
        let one = |(logs, truth): (&[f32], &u8)| {
            let sum: f64 = logs.iter().map(|l| (f64::from(*l) * inverse).exp()).sum();
            sum.ln() - f64::from(logs[usize::from(*truth)]) * inverse
        };
        logs.chunks(classes).zip(&told.truth).map(one).sum()
    };
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
    for _ in 0..16 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if loss(a) < loss(b) { high = b } else { low = a }
    }
    (2.0 / (low + high)) as f32
}

/// Weights with the greatest sum of macro and weighted F1, label by label.
fn weights(p: &[f32], told: &Told, classes: usize) -> Vec<f32> {
    let worth = |weights: &[f32]| -> f64 {
        let decided: Vec<u8> = p.chunks(classes).map(|p| decide(p, weights) as u8).collect();
        score(classes, p, &decided, &told.truth, &told.now).map_or(0.0, |s| s.macro_mean.f1 + s.weighted.f1)
    };
    let mut best = (vec![1.0; classes], worth(&vec![1.0; classes]));
    for _ in 0..ROUNDS {
        for class in 0..classes {
            let from = best.0[class];
            for step in STEPS {
                let mut tried = best.0.clone();
                tried[class] = from * FINEST.powi(step);
                let worth = worth(&tried);
                if worth > best.1 + WORTH_IT {
                    best = (tried, worth);
                }
            }
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_sure_is_made_less_so() {
        // Says 0.99, and is right nine times out of ten.
        let mut told = Told::default();
        for row in 0..1000 {
            told.p.extend([0.99, 0.01]);
            told.truth.push(u8::from(row % 10 == 0));
            told.now.push(0);
        }
        let calibration = Calibration::learn(&[told], 2);
        let mut p = [0.99, 0.01];
        calibration.apply(&mut p);
        assert!((p[0] - 0.9).abs() < 0.01, "{p:?}");
        assert!((p[0] + p[1] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_rare_label_is_decided_for_when_that_pays() {
        // The rare label comes true in nine of twenty of the rows where it is said to be 0.45, never elsewhere.
        let mut told = Told::default();
        for row in 0..1000 {
            let (p, truth) = if row % 10 == 0 { (0.45, u8::from(row % 200 < 90)) } else { (0.02, 0) };
            told.p.extend([1.0 - p, p]);
            told.truth.push(truth);
            told.now.push(0);
        }
        let calibration = Calibration::learn(&[told], 2);
        assert_eq!((calibration.decide(0, &[0.55, 0.45]), calibration.decide(0, &[0.98, 0.02])), (1, 0));
    }
}
