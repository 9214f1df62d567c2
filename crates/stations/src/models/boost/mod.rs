//! Gradient boosting of symmetric trees with vector leaves: one tree serves every horizon and every label.
//!
//! Boosting begins where an EVSE's moves (see [`Layout`](crate::features::Layout)) end, and corrects them. All splits of a
//! level are the same, as in CatBoost (Prokhorenkova et al., NeurIPS 2018), which regularises, and makes a forecast six
//! comparisons a tree. Splits are found on a random projection of the gradients (Iosipoi and Vakhrushev, NeurIPS 2022,
//! SketchBoost), leaves are a Newton step of the softmax.

mod bins;
mod train;

use serde::{Deserialize, Serialize};

pub use train::Options;

/// Levels of a tree at most; a tree of six has 64 leaves.
pub const MAX_DEPTH: usize = 8;

/// A symmetric tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree {
    /// By level: feature and threshold; a bit of the leaf's index is set if the feature is ≥ the threshold.
    splits: Vec<(u16, f32)>,
    /// `leaf × output`.
    leaves: Vec<f32>,
}

impl Tree {
    fn leaf(&self, features: &[f32]) -> usize {
        let bit = |(level, (feature, threshold)): (usize, &(u16, f32))| {
            usize::from(features[usize::from(*feature)] >= *threshold) << level
        };
        self.splits.iter().enumerate().map(bit).sum()
    }
}

/// Trees, and where they begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boost {
    /// Outputs: horizons × labels.
    outputs: usize,
    /// Of them, labels.
    classes: usize,
    /// Where the logits that the trees correct are in a row; without, they begin at 0.
    start: Option<usize>,
    trees: Vec<Tree>,
}

impl Boost {
    /// Writes logits, `horizon × label`.
    ///
    /// # Panics
    /// If `out` or the row is not as wide as what the trees were trained on.
    pub fn logits(&self, features: &[f32], out: &mut [f32]) {
        assert_eq!(out.len(), self.outputs, "one logit a horizon and label");
        match self.start {
            Some(start) => out.copy_from_slice(&features[start..start + self.outputs]),
            None => out.fill(0.0),
        }
        for tree in &self.trees {
            let leaf = tree.leaf(features);
            let values = &tree.leaves[leaf * self.outputs..][..self.outputs];
            out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
        }
    }

    /// Whether every index of a model that was read stays within `width` features.
    pub fn is_sound(&self, width: usize) -> bool {
        let tree = |tree: &Tree| {
            tree.splits.len() <= MAX_DEPTH
                && tree.splits.iter().all(|(feature, _)| usize::from(*feature) < width)
                && tree.leaves.len() == self.outputs << tree.splits.len()
        };
        self.classes > 0
            && self.outputs.is_multiple_of(self.classes)
            && self.start.is_none_or(|start| start.checked_add(self.outputs).is_some_and(|end| end <= width))
            && self.trees.iter().all(tree)
    }

    /// Outputs: horizons × labels.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Writes probabilities, `horizon × label`.
    ///
    /// # Panics
    /// As [`Boost::logits`].
    pub fn predict(&self, features: &[f32], out: &mut [f32]) {
        self.logits(features, out);
        out.chunks_mut(self.classes).for_each(softmax);
    }

    /// How many trees.
    pub fn len(&self) -> usize {
        self.trees.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Leaves only the first trees.
    pub fn truncate(&mut self, trees: usize) {
        self.trees.truncate(trees);
    }
}

/// Logits of one horizon to probabilities, in place.
pub fn softmax(logits: &mut [f32]) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in &mut *logits {
        *value = (*value - most).exp();
        sum += *value;
    }
    logits.iter_mut().for_each(|value| *value /= sum);
}
