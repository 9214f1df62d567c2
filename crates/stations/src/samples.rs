//! Rows to learn from: what was known of an EVSE, and what came true at every horizon.

use std::ops::Range;
use std::sync::Arc;

use crate::features::{Layout, NONE, Tracker};
use crate::{Covariates, History};

/// Knowledge of one EVSE at the moment when its future is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Which EVSE, as the tracker counts them.
    pub evse: usize,
    /// The label in force.
    pub now: usize,
    /// When, in seconds since 1970.
    pub at: i64,
    /// The features, in the layout's order.
    pub features: &'a [f32],
}

/// Rows to learn from.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// How wide a row is.
    pub width: usize,
    /// How many horizons.
    pub horizons: usize,
    /// How many labels.
    pub classes: usize,
    /// `row × feature`; the same for all horizons, so that parts share them.
    pub features: Arc<Vec<f32>>,
    /// Of each row: EVSE, label in force, seconds since 1970.
    pub seen: Vec<(u32, u8, i64)>,
    /// `row × horizon`: the label that was in force then, or [`NONE`].
    pub truth: Vec<u8>,
}

impl Samples {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// One row, as a model sees it.
    pub fn row(&self, row: usize) -> Seen<'_> {
        let (evse, now, at) = self.seen[row];
        let features = &self.features[row * self.width..][..self.width];
        Seen { evse: evse as usize, now: usize::from(now), at, features }
    }

    /// The truths of one row, by horizon.
    pub fn truth(&self, row: usize) -> &[u8] {
        &self.truth[row * self.horizons..][..self.horizons]
    }

    /// None yet, of a shape.
    pub fn of_shape(width: usize, horizons: usize, classes: usize) -> Self {
        Self { width, horizons, classes, ..Self::default() }
    }

    /// The rows that `keep` wants.
    #[must_use]
    pub fn select(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut out = Self::of_shape(self.width, self.horizons, self.classes);
        let mut features = Vec::new();
        for row in (0..self.len()).filter(|row| keep(*row)) {
            features.extend_from_slice(self.row(row).features);
            out.seen.push(self.seen[row]);
            out.truth.extend_from_slice(self.truth(row));
        }
        out.features = features.into();
        out
    }

    /// Every `every`-th row.
    #[must_use]
    pub fn thinned(&self, every: usize) -> Self {
        self.select(|row| row.is_multiple_of(every.max(1)))
    }

    /// The same rows with the truths of some horizons only; features stay as they are.
    #[must_use]
    pub fn of_horizons(&self, horizons: Range<usize>) -> Self {
        let truth =
            (0..self.len()).flat_map(|row| self.truth(row)[horizons.clone()].iter().copied()).collect();
        Self {
            horizons: horizons.len(),
            features: self.features.clone(),
            seen: self.seen.clone(),
            truth,
            ..*self
        }
    }

    /// The same rows; a truth is withheld where `tell(seconds since 1970, horizon)` is false.
    #[must_use]
    pub fn told(mut self, tell: impl Fn(i64, usize) -> bool) -> Self {
        for (row, truth) in self.truth.chunks_mut(self.horizons.max(1)).enumerate() {
            for (horizon, truth) in truth.iter_mut().enumerate() {
                if !tell(self.seen[row].2, horizon) {
                    *truth = NONE;
                }
            }
        }
        self
    }
}

/// Leads a tracker through `slots` of a history and hands out a row for every EVSE in force at every `every`-th slot, each
/// EVSE in its own phase. Truths at or after `until` are withheld: they are [`NONE`].
pub struct Walk<'a> {
    /// The history.
    pub history: &'a History,
    /// What the rows hold.
    pub layout: &'a Layout,
    /// Further columns.
    pub covariates: &'a Covariates,
    /// One row every so many slots; 1 for all.
    pub every: usize,
    /// The first slot whose truth is not told.
    pub until: usize,
}

impl Walk<'_> {
    /// Walks. `visit` is given what is known, and what came true by horizon.
    pub fn run(
        &self,
        tracker: &mut Tracker,
        slots: Range<usize>,
        mut visit: impl FnMut(&Tracker, Seen<'_>, &[u8]),
    ) {
        let history = self.history;
        let evses = history.evses().len();
        let mut observed = vec![NONE; evses];
        let mut features = vec![0.0; self.layout.width()];
        let mut covariates = vec![f32::NAN; self.layout.covariates];
        let mut truth = vec![NONE; tracker.horizons.len()];
        for slot in slots {
            for (evse, label) in observed.iter_mut().enumerate() {
                *label = history.observed(slot, evse).map_or(NONE, |label| label as u8);
            }
            let at = history.time(slot);
            tracker.advance(at, &observed);
            self.covariates.as_of(at, &mut covariates);
            for evse in 0..evses {
                let now = tracker.evses[evse].now;
                // A prime spreads the phases over neighbours.
                if now == NONE || !(slot + evse * 7919).is_multiple_of(self.every.max(1)) {
                    continue;
                }
                for (truth, horizon) in truth.iter_mut().zip(&tracker.horizons) {
                    let then = slot + horizon;
                    let label = if then < self.until { history.in_force(then, evse) } else { None };
                    *truth = label.map_or(NONE, |label| label as u8);
                }
                self.layout.fill(tracker, evse, &covariates, &mut features);
                let seen = Seen { evse, now: usize::from(now), at, features: &features };
                visit(tracker, seen, &truth);
            }
        }
    }

    /// Collects the rows of which at least one truth is known.
    pub fn samples(&self, tracker: &mut Tracker, slots: Range<usize>) -> Samples {
        let mut out = Samples::of_shape(self.layout.width(), tracker.horizons.len(), self.layout.classes);
        let mut features = Vec::new();
        self.run(tracker, slots, |_, seen, truth| {
            if truth.iter().any(|label| *label != NONE) {
                features.extend_from_slice(seen.features);
                out.seen.push((seen.evse as u32, seen.now as u8, seen.at));
                out.truth.extend_from_slice(truth);
            }
        });
        out.features = features.into();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_by_horizon_share_their_features() {
        let all = Samples {
            width: 1,
            horizons: 3,
            classes: 2,
            features: vec![0.5, 1.5].into(),
            seen: vec![(0, 1, 7), (1, 0, 7)],
            truth: vec![0, 1, NONE, 1, 0, 1],
        };
        let part = all.of_horizons(1..3);
        assert_eq!((part.horizons, &part.truth[..], part.seen == all.seen), (2, &[1, NONE, 0, 1][..], true));
        assert!(Arc::ptr_eq(&part.features, &all.features));
        let second = part.select(|row| row == 1);
        assert_eq!((second.len(), second.row(0).features, second.truth(0)), (1, &[1.5][..], &[0, 1][..]));
    }
}
