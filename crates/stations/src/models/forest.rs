//! A random forest a horizon, from rafor.

use rafor::prelude::*;
use rafor::rf::Classifier;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::input::Standard;
use super::{Model, spread};
use crate::features::NONE;
use crate::samples::{Samples, Seen};

/// Rows it learns from at most, a horizon, evenly spread.
const ROWS: usize = 15_000;

/// Trees.
const TREES: usize = 50;

/// Rows of a leaf at least.
const LEAF: usize = 12;

/// Shares of labels in a leaf are filled up by this.
const LEAST: f32 = 1e-3;

/// A forest for each horizon.
#[derive(Serialize, Deserialize)]
pub struct Forest {
    input: Standard,
    /// Without one, nothing was known of the horizon.
    forests: Vec<Option<Classifier>>,
}

impl Forest {
    /// Trains each horizon.
    pub fn train(samples: &Samples, label: usize, progress: &mut dyn FnMut(f64)) -> Self {
        let input = Standard::new(samples, label);
        // One thread a forest: with several, the order of trees would be another each time.
        let one = |horizon: usize| {
            let known: Vec<usize> =
                (0..samples.len()).filter(|row| samples.truth(*row)[horizon] != NONE).collect();
            let rows: Vec<usize> = spread(known.len(), ROWS).map(|i| known[i]).collect();
            let x = input.rows(samples, rows.iter().copied());
            let y: Vec<i64> = rows.iter().map(|row| i64::from(samples.truth(*row)[horizon])).collect();
            (!y.is_empty()).then(|| {
                Classifier::trainer()
                    .with_trees(TREES)
                    .with_threads(1)
                    .with_seed(7)
                    .with_min_samples_leaf(LEAF)
                    .train(&x, &y)
            })
        };
        let forests = (0..samples.horizons).into_par_iter().map(one).collect();
        progress(1.0);
        Self { input, forests }
    }

    /// Whether it fits rows of `width` and so many horizons.
    pub fn is_sound(&self, width: usize, horizons: usize) -> bool {
        self.input.is_sound(width) && self.forests.len() == horizons
    }
}

impl std::fmt::Debug for Forest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forest").field("horizons", &self.forests.len()).finish_non_exhaustive()
    }
}

impl Model for Forest {
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        let mut x = vec![0.0; self.input.width()];
        self.input.fill(seen.features, &mut x);
        let classes = out.len() / self.forests.len().max(1);
        for (forest, out) in self.forests.iter().zip(out.chunks_mut(classes)) {
            out.fill(LEAST);
            match forest {
                Some(forest) => {
                    for (label, p) in forest.get_decode_table().iter().zip(forest.proba(&x, 1)) {
                        if let Some(out) = usize::try_from(*label).ok().and_then(|label| out.get_mut(label)) {
                            *out += p;
                        }
                    }
                }
                None => out[seen.now] += 1.0,
            }
            let sum: f32 = out.iter().sum();
            out.iter_mut().for_each(|p| *p /= sum);
        }
    }
}
