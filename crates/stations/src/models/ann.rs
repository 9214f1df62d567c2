//! A neural network: one hidden layer, rectified, and a softmax a horizon; trained by Adam (Kingma and Ba, ICLR 2015).
//!
//! By hand: the kept crates for networks (burn, candle) would take minutes of the build for these hundred lines.

use serde::{Deserialize, Serialize};

use super::boost::softmax;
use super::input::Standard;
use super::{Model, spread};
use crate::features::NONE;
use crate::random::SplitMix;
use crate::samples::{Samples, Seen};

/// Hidden units.
const HIDDEN: usize = 48;

/// Rows it learns from at most, evenly spread.
const ROWS: usize = 120_000;

/// Times it sees each.
const EPOCHS: usize = 6;

/// Rows a step.
const BATCH: usize = 128;

/// Step size at the start; it falls to a twentieth in a half cosine.
const RATE: f32 = 2e-3;

/// Weights shrink by this times the rate each step.
const DECAY: f32 = 0.02;

/// A network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ann {
    input: Standard,
    classes: usize,
    outputs: usize,
    /// `input × hidden`, then `hidden` biases.
    first: Vec<f32>,
    /// `hidden × output`, then biases.
    second: Vec<f32>,
}

/// Adam's memory of one array of weights.
struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Adam {
    fn new(len: usize) -> Self {
        Self { mean: vec![0.0; len], square: vec![0.0; len] }
    }

    fn step(&mut self, weights: &mut [f32], gradient: &mut [f32], rate: f32, step: i32) {
        let (fix_mean, fix_square) = (1.0 - 0.9f32.powi(step), 1.0 - 0.999f32.powi(step));
        for (((w, g), m), s) in weights.iter_mut().zip(gradient).zip(&mut self.mean).zip(&mut self.square) {
            *m = 0.9 * *m + 0.1 * *g;
            *s = 0.999 * *s + 0.001 * *g * *g;
            *w -= rate * ((*m / fix_mean) / ((*s / fix_square).sqrt() + 1e-8) + DECAY * *w);
            *g = 0.0;
        }
    }
}

impl Ann {
    /// Trains.
    pub fn train(samples: &Samples, label: usize, progress: &mut dyn FnMut(f64)) -> Self {
        let input = Standard::new(samples, label);
        let (wide, outputs) = (input.width(), samples.horizons * samples.classes);
        let rows: Vec<usize> = spread(samples.len(), ROWS).collect();
        let x = input.rows(samples, rows.iter().copied());
        let mut random = SplitMix::new(7);
        let mut start = |from: usize, to: usize| -> Vec<f32> {
            let scale = (2.0 / from as f32).sqrt();
            let weights = (0..from * to).map(|_| random.normal() * scale).collect::<Vec<_>>();
            weights.into_iter().chain(std::iter::repeat_n(0.0, to)).collect()
        };
        let (first, second) = (start(wide, HIDDEN), start(HIDDEN, outputs));
        let mut model = Self { input, classes: samples.classes, outputs, first, second };
        let (mut adam_1, mut adam_2) = (Adam::new(model.first.len()), Adam::new(model.second.len()));
        let (mut grad_1, mut grad_2) = (vec![0.0; model.first.len()], vec![0.0; model.second.len()]);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let (mut hidden, mut out) = (vec![0.0; HIDDEN], vec![0.0; outputs]);
        let steps = (EPOCHS * rows.len().div_ceil(BATCH)) as f32;
        let mut step = 0;
        for epoch in 0..EPOCHS {
            for i in (1..order.len()).rev() {
                order.swap(i, random.below(i + 1));
            }
            for batch in order.chunks(BATCH) {
                for i in batch {
                    let x = &x[i * wide..][..wide];
                    model.forward(x, &mut hidden, &mut out);
                    for (p, truth) in out.chunks_mut(samples.classes).zip(samples.truth(rows[*i])) {
                        if *truth == NONE {
                            p.fill(0.0);
                        } else {
                            p[usize::from(*truth)] -= 1.0;
                        }
                    }
                    out.iter_mut().for_each(|g| *g /= batch.len() as f32);
                    model.backward(x, &hidden, &out, &mut grad_1, &mut grad_2);
                }
                step += 1;
                let rate = RATE * (0.05 + 0.475 * (1.0 + (std::f32::consts::PI * step as f32 / steps).cos()));
                adam_1.step(&mut model.first, &mut grad_1, rate, step);
                adam_2.step(&mut model.second, &mut grad_2, rate, step);
            }
            progress((epoch + 1) as f64 / EPOCHS as f64);
        }
        model
    }

    fn forward(&self, x: &[f32], hidden: &mut [f32], out: &mut [f32]) {
        let (weights, bias) = self.first.split_at(x.len() * HIDDEN);
        hidden.copy_from_slice(bias);
        for (x, weights) in x.iter().zip(weights.chunks(HIDDEN)) {
            hidden.iter_mut().zip(weights).for_each(|(h, w)| *h += x * w);
        }
        hidden.iter_mut().for_each(|h| *h = h.max(0.0));
        let (weights, bias) = self.second.split_at(HIDDEN * self.outputs);
        out.copy_from_slice(bias);
        for (h, weights) in hidden.iter().zip(weights.chunks(self.outputs)) {
            if *h > 0.0 {
                out.iter_mut().zip(weights).for_each(|(o, w)| *o += h * w);
            }
        }
        out.chunks_mut(self.classes).for_each(softmax);
    }

    fn backward(&self, x: &[f32], hidden: &[f32], out: &[f32], grad_1: &mut [f32], grad_2: &mut [f32]) {
        let weights = self.second.chunks(self.outputs);
        let mut back = [0.0; HIDDEN];
        let (to, bias) = grad_2.split_at_mut(HIDDEN * self.outputs);
        for (((h, weights), to), back) in
            hidden.iter().zip(weights).zip(to.chunks_mut(self.outputs)).zip(&mut back)
        {
            if *h > 0.0 {
                to.iter_mut().zip(out).for_each(|(to, g)| *to += h * g);
                *back = weights.iter().zip(out).map(|(w, g)| w * g).sum();
            }
        }
        bias.iter_mut().zip(out).for_each(|(bias, g)| *bias += g);
        let (to, bias) = grad_1.split_at_mut(x.len() * HIDDEN);
        for (x, to) in x.iter().zip(to.chunks_mut(HIDDEN)) {
            if *x != 0.0 {
                to.iter_mut().zip(&back).for_each(|(to, g)| *to += x * g);
            }
        }
        bias.iter_mut().zip(&back).for_each(|(bias, g)| *bias += g);
    }

    /// Whether it fits rows of `width` and so many outputs.
    pub fn is_sound(&self, width: usize, outputs: usize) -> bool {
        self.input.is_sound(width)
            && self.outputs == outputs
            && self.classes > 0
            && outputs.is_multiple_of(self.classes)
            && self.first.len() == (self.input.width() + 1) * HIDDEN
            && self.second.len() == (HIDDEN + 1) * outputs
    }
}

impl Model for Ann {
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        let mut x = vec![0.0; self.input.width()];
        self.input.fill(seen.features, &mut x);
        self.forward(&x, &mut [0.0; HIDDEN], out);
    }
}
