//! K nearest neighbours: one search serves all horizons.
//!
//! By hand: smartcore's gives one target a search, and trees of neighbours (kiddo, linfa-nn) are slower than looking at every
//! row in as many dimensions as these.

use serde::{Deserialize, Serialize};

use super::input::Standard;
use super::{Model, spread};
use crate::features::NONE;
use crate::samples::{Samples, Seen};

/// Rows it remembers at most, evenly spread.
const ROWS: usize = 4_000;

/// Neighbours asked.
const K: usize = 40;

/// The neighbours' shares are filled up with so many rows of the label in force.
const PRIOR: f32 = 0.5;

/// Rows remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Knn {
    input: Standard,
    /// `row × width`.
    rows: Vec<f32>,
    /// Half the squared length of each.
    lengths: Vec<f32>,
    /// `row × horizon`.
    truth: Vec<u8>,
}

impl Knn {
    /// Remembers.
    pub fn train(samples: &Samples, label: usize) -> Self {
        let input = Standard::new(samples, label);
        let rows = input.rows(samples, spread(samples.len(), ROWS));
        let lengths =
            rows.chunks(input.width()).map(|row| 0.5 * row.iter().map(|x| x * x).sum::<f32>()).collect();
        let truth = spread(samples.len(), ROWS).flat_map(|row| samples.truth(row).to_vec()).collect();
        Self { input, rows, lengths, truth }
    }

    /// Whether it fits rows of `width` and so many horizons and labels.
    pub fn is_sound(&self, width: usize, horizons: usize, classes: usize) -> bool {
        let rows = self.lengths.len();
        self.input.is_sound(width)
            && self.rows.len() == rows * self.input.width()
            && self.truth.len() == rows * horizons
            && self.truth.iter().all(|label| *label == NONE || usize::from(*label) < classes)
    }
}

impl Model for Knn {
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        let wide = self.input.width();
        let mut x = vec![0.0; wide];
        self.input.fill(seen.features, &mut x);
        // Half the squared distance, less what is the same for all.
        let distance = |(row, half): (&[f32], &f32)| half - dot(row, &x);
        let mut near: Vec<(f32, usize)> = self
            .rows
            .chunks(wide)
            .zip(&self.lengths)
            .map(distance)
            .enumerate()
            .map(|(i, d)| (d, i))
            .collect();
        let k = K.min(near.len());
        if k < near.len() {
            near.select_nth_unstable_by(k, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
        let horizons = self.truth.len() / self.lengths.len().max(1);
        let classes = out.len() / horizons.max(1);
        for (horizon, out) in out.chunks_mut(classes).enumerate() {
            out.fill(0.01);
            out[seen.now] += PRIOR;
            for (_, row) in &near[..k] {
                let label = self.truth[row * horizons + horizon];
                if label != NONE {
                    out[usize::from(label)] += 1.0;
                }
            }
            let sum: f32 = out.iter().sum();
            out.iter_mut().for_each(|p| *p /= sum);
        }
    }
}

/// In eight lanes, which the compiler makes vectors of.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a8.zip(b8) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    rest + lanes.iter().sum::<f32>()
}
