//! Features in few steps: thresholds at quantiles, so that a tree's splits can be counted.

use crate::samples::Samples;

/// Steps of a feature, less one for what is not known.
pub const BINS: usize = 64;

/// Rows that thresholds are taken from.
const SAMPLED: usize = 40_000;

/// A feature in steps: bin 0 is NaN or below the first threshold.
#[derive(Debug, Clone)]
pub struct Binned {
    /// Ascending, at most [`BINS`] − 1; a value is in bin `b` if `b` thresholds are ≤ it.
    pub thresholds: Vec<f32>,
    /// By row.
    pub bins: Vec<u8>,
}

impl Binned {
    /// Bins one feature of all samples.
    pub fn new(samples: &Samples, feature: usize) -> Self {
        let rows = samples.len();
        let value = |row: usize| samples.features[row * samples.width + feature];
        let mut values: Vec<f32> =
            (0..rows).step_by(rows.div_ceil(SAMPLED).max(1)).map(value).filter(|v| !v.is_nan()).collect();
        values.sort_by(f32::total_cmp);
        let thresholds = thresholds(&values);
        let bins = (0..rows).map(|row| bin(&thresholds, value(row))).collect();
        Self { thresholds, bins }
    }
}

/// How many thresholds are ≤ a value; none if it is NaN.
fn bin(thresholds: &[f32], value: f32) -> u8 {
    thresholds.partition_point(|threshold| *threshold <= value) as u8
}

/// At quantiles of sorted values; each distinct value has its own if they are few.
fn thresholds(sorted: &[f32]) -> Vec<f32> {
    let mut distinct = sorted.to_vec();
    distinct.dedup();
    let mut out: Vec<f32> = if distinct.len() < BINS {
        distinct
    } else {
        (1..BINS).map(|i| sorted[i * sorted.len() / BINS]).collect()
    };
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_what_is_not_known_is_first() {
        let edges = thresholds(&[0.0, 0.0, 1.0, 5.0]);
        let found = [f32::NAN, -1.0, 0.0, 0.5, 1.0, 5.0, 9.0].map(|value| bin(&edges, value));
        assert_eq!(found, [0, 0, 1, 1, 2, 3, 3]);
        let many: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
        let edges = thresholds(&many);
        assert_eq!(edges.len(), BINS - 1);
        assert_eq!(bin(&edges, 9999.0), 63);
    }
}
