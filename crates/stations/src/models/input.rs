//! Features for models that need them on one scale: standardised, long durations as logarithms, the label as 0 and 1.

use serde::{Deserialize, Serialize};

use super::spread;
use crate::samples::Samples;

/// A feature whose largest value is above this is taken as ln(1 + x).
const LONG: f32 = 100.0;

/// Rows that means and deviations are taken from.
const SAMPLED: usize = 50_000;

/// A standardised value is cut to ± this.
const CUT: f32 = 6.0;

/// Scaling by which inputs are standardised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standard {
    /// By feature: mean, 1 / standard deviation, whether it is a logarithm.
    scales: Vec<(f32, f32, bool)>,
    /// Which feature is the label in force.
    label: usize,
    classes: usize,
}

impl Standard {
    /// Learns means and deviations.
    pub fn new(samples: &Samples, label: usize) -> Self {
        let one = |feature: usize| {
            let rows =
                || spread(samples.len(), SAMPLED).map(|row| samples.features[row * samples.width + feature]);
            let log = rows().fold(0.0, f32::max) > LONG;
            let (mut n, mut sum, mut squares) = (0.0f64, 0.0f64, 0.0f64);
            for x in rows().filter(|x| x.is_finite()) {
                let x = f64::from(if log { x.max(0.0).ln_1p() } else { x });
                (n, sum, squares) = (n + 1.0, sum + x, squares + x * x);
            }
            let mean = sum / n.max(1.0);
            let deviation = (squares / n.max(1.0) - mean * mean).max(0.0).sqrt();
            (mean as f32, if deviation > 1e-6 { (1.0 / deviation) as f32 } else { 0.0 }, log)
        };
        Self { scales: (0..samples.width).map(one).collect(), label, classes: samples.classes }
    }

    /// How wide a standardised row is.
    pub fn width(&self) -> usize {
        self.scales.len() + self.classes
    }

    /// Writes a standardised row; what is not known is the mean.
    pub fn fill(&self, features: &[f32], out: &mut [f32]) {
        for ((x, (mean, scale, log)), out) in features.iter().zip(&self.scales).zip(&mut *out) {
            let value = if *log { x.max(0.0).ln_1p() } else { *x };
            let z = (value - mean) * scale;
            *out = if x.is_finite() { z.clamp(-CUT, CUT) } else { 0.0 };
        }
        let labels = &mut out[self.scales.len()..];
        labels.fill(0.0);
        if let Some(label) = labels.get_mut(features[self.label] as usize) {
            *label = 1.0;
        }
    }

    /// Of several rows, one after the other.
    pub fn rows(&self, samples: &Samples, rows: impl Iterator<Item = usize>) -> Vec<f32> {
        let mut out = Vec::new();
        let mut one = vec![0.0; self.width()];
        for row in rows {
            self.fill(samples.row(row).features, &mut one);
            out.extend_from_slice(&one);
        }
        out
    }

    /// Whether it fits rows of `width`.
    pub fn is_sound(&self, width: usize) -> bool {
        self.scales.len() == width && self.label < width
    }
}
