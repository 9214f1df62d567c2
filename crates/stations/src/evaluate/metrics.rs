//! Scores of probabilities and decisions against what came true.

use serde::Serialize;

/// Bins of the expected calibration error: equal parts of 0..=1 (Guo et al., ICML 2017, equation 3).
pub const ECE_BINS: usize = 15;

/// A probability below this counts as this in the log loss: what a 32-bit softmax can still tell from 0.
pub(super) const LEAST: f64 = 1e-7;

/// Precision, recall and their harmonic mean for one class, fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassScore {
    /// Of the rows decided for it, how many were of it.
    pub precision: f64,
    /// Of its rows, how many were decided for it.
    pub recall: f64,
    /// F1.
    pub f1: f64,
    /// Its rows.
    pub support: u64,
}

/// Scores of a set of forecasts. Fractions between 0 and 1, except `log_loss` (nats) and `brier` (0..=2).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Rows scored.
    pub n: u64,
    /// Rows decided right.
    pub accuracy: f64,
    /// Mean over the classes present in the truth, weighted by their rows.
    pub weighted: ClassScore,
    /// Mean over the classes present in the truth.
    pub macro_mean: ClassScore,
    /// By class; classes absent from the truth have no support.
    pub classes: Vec<ClassScore>,
    /// Weighted F1 of the rows whose status changed between the forecast and its target; `None` without such rows.
    pub f1_changed: Option<f64>,
    /// Mean of −ln p(truth).
    pub log_loss: f64,
    /// Mean over rows of Σ (p − truth)² over the classes (Brier 1950).
    pub brier: f64,
    /// Expected calibration error of the most probable class, [`ECE_BINS`] equal bins.
    pub ece: f64,
    /// For each bin: rows, mean confidence, share that came true.
    pub reliability: Vec<(u64, f64, f64)>,
    /// `[truth][decision]`, row-major, rows.
    pub confusion: Vec<u64>,
}

/// Scores forecasts. `probabilities` is `rows × classes`, row-major; `decided`, `truth` and `now` are classes by row: what the
/// decision rule said, what came true, and what was in force when the forecast was made. `None` without rows.
///
/// # Panics
/// If the lengths do not fit together or a class is out of range: a mistake of the caller.
pub fn score(
    classes: usize,
    probabilities: &[f32],
    decided: &[u8],
    truth: &[u8],
    now: &[u8],
) -> Option<Scores> {
    let rows = truth.len();
    assert_eq!(
        (probabilities.len(), decided.len(), now.len()),
        (rows * classes, rows, rows),
        "one of each a row"
    );
    if rows == 0 {
        return None;
    }
    let confusion = confusion(classes, decided, truth, |_| true);
    let changed = self::confusion(classes, decided, truth, |row| truth[row] != now[row]);
    let by_class = class_scores(classes, &confusion);
    let (mut log_loss, mut brier) = (0.0, 0.0);
    let mut bins = [(0u64, 0.0f64, 0u64); ECE_BINS];
    for (row, p) in probabilities.chunks(classes).enumerate() {
        let class = usize::from(truth[row]);
        log_loss -= f64::from(p[class]).max(LEAST).ln();
        let off = |(k, p): (usize, &f32)| (f64::from(*p) - f64::from(u8::from(k == class))).powi(2);
        brier += p.iter().enumerate().map(off).sum::<f64>();
        let top = top(p);
        let confidence = f64::from(p[top]);
        let bin = &mut bins[((confidence * ECE_BINS as f64) as usize).min(ECE_BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + confidence, bin.2 + u64::from(top == class));
    }
    let n = rows as f64;
    let ece = bins.iter().map(|(_, confidence, right)| (confidence - *right as f64).abs()).sum::<f64>() / n;
    let mean = |(count, confidence, right): &(u64, f64, u64)| {
        let rows = (*count).max(1) as f64;
        (*count, confidence / rows, *right as f64 / rows)
    };
    let right: u64 = (0..classes).map(|k| confusion[k * classes + k]).sum();
    let on_changed = class_scores(classes, &changed);
    Some(Scores {
        n: rows as u64,
        accuracy: right as f64 / n,
        weighted: average(&by_class, |class| class.support as f64),
        macro_mean: average(&by_class, |class| f64::from(u8::from(class.support > 0))),
        f1_changed: changed
            .iter()
            .any(|c| *c > 0)
            .then(|| average(&on_changed, |class| class.support as f64).f1),
        classes: by_class,
        log_loss: log_loss / n,
        brier: brier / n,
        ece,
        reliability: bins.iter().map(mean).collect(),
        confusion,
    })
}

/// The most probable class; of several, the first.
pub(crate) fn top(p: &[f32]) -> usize {
    (1..p.len()).fold(0, |best, k| if p[k] > p[best] { k } else { best })
}

fn confusion(classes: usize, decided: &[u8], truth: &[u8], which: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut table = vec![0; classes * classes];
    for row in (0..truth.len()).filter(|row| which(*row)) {
        table[usize::from(truth[row]) * classes + usize::from(decided[row])] += 1;
    }
    table
}

fn class_scores(classes: usize, confusion: &[u64]) -> Vec<ClassScore> {
    let of = |k: usize| {
        let hit = confusion[k * classes + k] as f64;
        let support: u64 = confusion[k * classes..][..classes].iter().sum();
        let decided: u64 = (0..classes).map(|truth| confusion[truth * classes + k]).sum();
        let share = |of: f64| if of > 0.0 { hit / of } else { 0.0 };
        let f1 = 2.0 * share(support as f64 + decided as f64);
        ClassScore { precision: share(decided as f64), recall: share(support as f64), f1, support }
    };
    (0..classes).map(of).collect()
}

/// Macro F1 of a confusion matrix, over the classes present in the truth.
pub(crate) fn macro_f1(classes: usize, confusion: &[u64]) -> f64 {
    average(&class_scores(classes, confusion), |class| f64::from(u8::from(class.support > 0))).f1
}

/// Weighted F1 of a confusion matrix.
pub(crate) fn weighted_f1(classes: usize, confusion: &[u64]) -> f64 {
    average(&class_scores(classes, confusion), |class| class.support as f64).f1
}

fn average(classes: &[ClassScore], weight: impl Fn(&ClassScore) -> f64) -> ClassScore {
    let sum = classes.iter().map(&weight).sum::<f64>().max(f64::MIN_POSITIVE);
    let mean =
        |of: fn(&ClassScore) -> f64| classes.iter().map(|class| weight(class) * of(class)).sum::<f64>() / sum;
    let support = classes.iter().map(|class| class.support).sum();
    ClassScore { precision: mean(|c| c.precision), recall: mean(|c| c.recall), f1: mean(|c| c.f1), support }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    #[test]
    fn a_small_case_by_hand() {
        // Truth a a b b; decided a b b b; the third class never comes true and has no part in the macro mean.
        let p = [0.8, 0.2, 0.0, 0.4, 0.6, 0.0, 0.1, 0.9, 0.0, 0.3, 0.7, 0.0];
        let scores = score(3, &p, &[0, 1, 1, 1], &[0, 0, 1, 1], &[0, 0, 0, 1]).unwrap();
        near(scores.accuracy, 0.75);
        near(scores.classes[0].f1, 2.0 / 3.0);
        near(scores.classes[1].precision, 2.0 / 3.0);
        near(scores.macro_mean.f1, (2.0 / 3.0 + 0.8) / 2.0);
        near(scores.weighted.recall, 0.75);
        near(scores.f1_changed.unwrap(), 1.0);
        near(scores.log_loss, -(0.8f64.ln() + 0.4f64.ln() + 0.9f64.ln() + 0.7f64.ln()) / 4.0);
        near(scores.brier, (0.08 + 0.72 + 0.02 + 0.18) / 4.0);
        // Each row is alone in its bin.
        near(scores.ece, (0.2 + 0.6 + 0.1 + 0.3) / 4.0);
        assert_eq!(scores.confusion, [1, 1, 0, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn nothing_to_score_and_nothing_changed() {
        assert_eq!(score(2, &[], &[], &[], &[]), None);
        let scores = score(2, &[1.0, 0.0], &[0], &[0], &[0]).unwrap();
        assert_eq!((scores.f1_changed, scores.log_loss, scores.ece), (None, 0.0, 0.0));
    }

    proptest! {
        /// Whatever is forecast: fractions stay fractions, and weighted recall is accuracy.
        #[test]
        fn scores_are_in_range(rows in prop::collection::vec((0u8..4, 0u8..4, 0u8..4, [0.01f32..1.0, 0.01..1.0, 0.01..1.0, 0.01..1.0]), 1..60)) {
            let p: Vec<f32> = rows.iter().flat_map(|row| { let sum: f32 = row.3.iter().sum(); row.3.map(|p| p / sum) }).collect();
            let [decided, truth, now] = [0, 1, 2].map(|i| rows.iter().map(|r| [r.0, r.1, r.2][i]).collect::<Vec<u8>>());
            let s = score(4, &p, &decided, &truth, &now).unwrap();
            for value in [s.accuracy, s.weighted.f1, s.macro_mean.f1, s.macro_mean.precision, s.ece, s.brier / 2.0] {
                prop_assert!((0.0..=1.0).contains(&value), "{value}");
            }
            prop_assert!((s.weighted.recall - s.accuracy).abs() < 1e-9);
            prop_assert_eq!(s.reliability.iter().map(|bin| bin.0).sum::<u64>(), s.n);
        }
    }
}
