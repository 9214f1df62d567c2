//! Growing the trees.

use rayon::prelude::*;

use super::bins::{BINS, Binned};
use super::{Boost, MAX_DEPTH, Tree, softmax};
use crate::features::NONE;
use crate::random::SplitMix;
use crate::samples::Samples;

/// Sums of a sketch and, last, the count: what one histogram cell holds.
const LANES: usize = 8;

/// Dimensions of a sketch.
const SKETCH: usize = LANES - 1;

type Cell = [f32; LANES];

/// Rows that a block of work has.
const BLOCK: usize = 4096;

/// Options of the boosting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Trees.
    pub trees: usize,
    /// Levels of a tree, 1..=8.
    pub depth: usize,
    /// Share of each step that is taken.
    pub rate: f32,
    /// Added to the sum of second derivatives in a leaf.
    pub ridge: f32,
    /// Share of rows a tree sees.
    pub rows: f64,
    /// Share of features a tree sees.
    pub features: f64,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { trees: 200, depth: 6, rate: 0.1, ridge: 20.0, rows: 0.5, features: 0.4, seed: 1 }
    }
}

impl Boost {
    /// Trains on samples of the horizons that are wanted. Logits begin at the feature `start`, or at 0. `grown` is told after
    /// each tree, and says stop by returning false.
    pub fn train(
        samples: &Samples,
        start: Option<usize>,
        options: &Options,
        mut grown: impl FnMut(&Self) -> bool,
    ) -> Self {
        let (classes, outputs) = (samples.classes, samples.horizons * samples.classes);
        let rows = samples.len();
        let binned: Vec<Binned> =
            (0..samples.width).into_par_iter().map(|feature| Binned::new(samples, feature)).collect();
        let useful: Vec<usize> = (0..samples.width).filter(|f| !binned[*f].thresholds.is_empty()).collect();
        let mut logits = vec![0.0; rows * outputs];
        if let Some(start) = start {
            for row in 0..rows {
                let from = row * samples.width + start;
                logits[row * outputs..][..outputs].copy_from_slice(&samples.features[from..from + outputs]);
            }
        }
        let mut random = SplitMix::new(options.seed);
        let mut model = Self { outputs, classes, start, trees: Vec::new() };
        if rows == 0 || useful.is_empty() {
            return model;
        }
        let mut gradients = vec![0.0; rows * outputs];
        for _ in 0..options.trees {
            let chosen: Vec<u32> = (0..rows as u32).filter(|_| random.unit() < options.rows).collect();
            let mut features = useful.clone();
            let keep = ((features.len() as f64 * options.features).ceil() as usize).clamp(1, features.len());
            for i in 0..keep {
                let other = i + random.below(features.len() - i);
                features.swap(i, other);
            }
            features.truncate(keep);
            let projection: Vec<f32> =
                (0..outputs * SKETCH).map(|_| random.normal() / (SKETCH as f32).sqrt()).collect();
            differentiate(samples, &logits, &mut gradients);
            let sketch = sketch(&gradients, &chosen, outputs, &projection);
            let splits = grow(&binned, &features, &chosen, &sketch, options);
            let tree = finish(samples, &binned, splits, &gradients, &chosen, options);
            apply(&tree, samples, &mut logits);
            model.trees.push(tree);
            if !grown(&model) {
                break;
            }
        }
        model
    }
}

/// Gradients of the log loss: probability less truth; none where the truth is not known.
fn differentiate(samples: &Samples, logits: &[f32], gradients: &mut [f32]) {
    let (classes, outputs) = (samples.classes, samples.horizons * samples.classes);
    gradients.par_chunks_mut(outputs * BLOCK).zip(logits.par_chunks(outputs * BLOCK)).enumerate().for_each(
        |(block, (gradients, logits))| {
            for (i, (gradient, logits)) in
                gradients.chunks_mut(outputs).zip(logits.chunks(outputs)).enumerate()
            {
                gradient.copy_from_slice(logits);
                let truth = samples.truth(block * BLOCK + i);
                for (gradient, truth) in gradient.chunks_mut(classes).zip(truth) {
                    if *truth == NONE {
                        gradient.fill(0.0);
                    } else {
                        softmax(gradient);
                        gradient[usize::from(*truth)] -= 1.0;
                    }
                }
            }
        },
    );
}

/// Projects the gradients of the chosen rows; the last lane is 1.
fn sketch(gradients: &[f32], chosen: &[u32], outputs: usize, projection: &[f32]) -> Vec<Cell> {
    let project = |row: &u32| {
        let mut cell = [0.0; LANES];
        let gradient = &gradients[*row as usize * outputs..][..outputs];
        for (value, weights) in gradient.iter().zip(projection.chunks(SKETCH)) {
            cell.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
        }
        cell[SKETCH] = 1.0;
        cell
    };
    chosen.par_iter().with_min_len(BLOCK).map(project).collect()
}

/// A feature's best threshold of a level: what it gains, and which bins go right.
#[derive(Clone, Copy)]
struct Split {
    gain: f32,
    feature: usize,
    /// Bins above this go right.
    bin: usize,
}

/// Chooses the split of every level.
fn grow(
    binned: &[Binned],
    features: &[usize],
    chosen: &[u32],
    sketch: &[Cell],
    options: &Options,
) -> Vec<(usize, usize)> {
    let mut splits: Vec<(usize, usize)> = Vec::new();
    let mut leaves = vec![0u8; chosen.len()];
    let columns: Vec<(usize, Vec<u8>)> = features
        .par_iter()
        .map(|feature| (*feature, chosen.iter().map(|row| binned[*feature].bins[*row as usize]).collect()))
        .collect();
    for level in 0..options.depth.min(MAX_DEPTH) {
        let best = columns
            .par_iter()
            .map(|(feature, bins)| {
                let steps = binned[*feature].thresholds.len();
                best_split(*feature, steps, bins, &leaves, sketch, 1 << level, options.ridge)
            })
            .max_by(|a, b| a.gain.total_cmp(&b.gain).then(b.feature.cmp(&a.feature)));
        let Some(best) = best.filter(|best| best.gain > 0.0) else { break };
        splits.push((best.feature, best.bin));
        if let Some((_, bins)) = columns.iter().find(|(feature, _)| *feature == best.feature) {
            for (leaf, bin) in leaves.iter_mut().zip(bins) {
                *leaf |= u8::from(usize::from(*bin) > best.bin) << level;
            }
        }
    }
    splits
}

fn best_split(
    feature: usize,
    steps: usize,
    bins: &[u8],
    leaves: &[u8],
    sketch: &[Cell],
    count: usize,
    ridge: f32,
) -> Split {
    let mut cells = vec![[0.0f32; LANES]; count * BINS];
    for ((bin, leaf), cell) in bins.iter().zip(leaves).zip(sketch) {
        let sum = &mut cells[usize::from(*leaf) * BINS + usize::from(*bin)];
        for lane in 0..LANES {
            sum[lane] += cell[lane];
        }
    }
    let score = |sum: &Cell| sum[..SKETCH].iter().map(|g| g * g).sum::<f32>() / (sum[SKETCH] + ridge);
    let mut gains = [0.0f32; BINS];
    for leaf in cells.chunks(BINS) {
        let mut total = [0.0; LANES];
        leaf.iter().for_each(|cell| total.iter_mut().zip(cell).for_each(|(t, c)| *t += c));
        let whole = score(&total);
        let mut left = [0.0; LANES];
        for (gain, cell) in gains.iter_mut().zip(leaf).take(steps) {
            let mut right = [0.0; LANES];
            for lane in 0..LANES {
                left[lane] += cell[lane];
                right[lane] = total[lane] - left[lane];
            }
            *gain += score(&left) + score(&right) - whole;
        }
    }
    let best = (0..steps).max_by(|a, b| gains[*a].total_cmp(&gains[*b])).unwrap_or(0);
    Split { gain: if steps == 0 { 0.0 } else { gains[best] }, feature, bin: best }
}

/// Leaves: one Newton step each, on the rows the splits were chosen on.
fn finish(
    samples: &Samples,
    binned: &[Binned],
    splits: Vec<(usize, usize)>,
    gradients: &[f32],
    chosen: &[u32],
    options: &Options,
) -> Tree {
    let outputs = samples.horizons * samples.classes;
    let leaves = 1 << splits.len();
    let sums = chosen
        .par_chunks(BLOCK * 4)
        .map(|rows| {
            let (mut first, mut second) = (vec![0.0f32; leaves * outputs], vec![0.0f32; leaves * outputs]);
            for row in rows {
                let row = *row as usize;
                let bit = |(level, (feature, bin)): (usize, &(usize, usize))| {
                    usize::from(usize::from(binned[*feature].bins[row]) > *bin) << level
                };
                let leaf: usize = splits.iter().enumerate().map(bit).sum();
                let gradient = &gradients[row * outputs..][..outputs];
                let first = &mut first[leaf * outputs..][..outputs];
                let second = &mut second[leaf * outputs..][..outputs];
                for output in 0..outputs {
                    let g = gradient[output];
                    first[output] += g;
                    // p (1 − p); of a truth g is p − 1, else p; both give the same.
                    second[output] += g.abs() * (1.0 - g.abs());
                }
            }
            (first, second)
        })
        .reduce(
            || (vec![0.0; leaves * outputs], vec![0.0; leaves * outputs]),
            |mut a, b| {
                a.0.iter_mut().zip(&b.0).for_each(|(a, b)| *a += b);
                a.1.iter_mut().zip(&b.1).for_each(|(a, b)| *a += b);
                a
            },
        );
    let step = |(first, second): (&f32, &f32)| -options.rate * first / (second + options.ridge);
    let leaves = sums.0.iter().zip(&sums.1).map(step).collect();
    // A bin above `bin` holds what is ≥ the threshold of that index.
    let splits =
        splits.into_iter().map(|(feature, bin)| (feature as u16, binned[feature].thresholds[bin])).collect();
    Tree { splits, leaves }
}

/// Adds a tree to every row's logits.
fn apply(tree: &Tree, samples: &Samples, logits: &mut [f32]) {
    let outputs = samples.horizons * samples.classes;
    logits.par_chunks_mut(outputs * BLOCK).enumerate().for_each(|(block, logits)| {
        for (i, logits) in logits.chunks_mut(outputs).enumerate() {
            let row = block * BLOCK + i;
            let leaf = tree.leaf(&samples.features[row * samples.width..][..samples.width]);
            let values = &tree.leaves[leaf * outputs..][..outputs];
            logits.iter_mut().zip(values).for_each(|(logit, value)| *logit += value);
        }
    });
}
