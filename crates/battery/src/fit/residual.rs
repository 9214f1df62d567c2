//! Learns what the circuit leaves, if that helps on drives that were not learnt from.

use crate::cell::{FEATURES, Place, Residual, features};
use nalgebra::{Cholesky, SMatrix, SVector};
use serde::Serialize;

/// Weight that holds the weights to zero: V² that a weight of 1 V costs, against residuals of 25 mV and less.
const RIDGE: f64 = 30.0;

/// Residual in V from which on a sample counts less (Huber).
const FAR_V: f64 = 0.025;

/// Most that is added to a voltage, in V.
const CLIP_V: f64 = 0.030;

/// Least relative gain on unseen drives for which it is kept.
const GAIN: f64 = 0.02;

/// Fewest drives that anything is learnt from.
const RUNS: usize = 4;

/// Root mean square error of unseen drives in mV, without and with the learned part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Learned {
    /// Without.
    pub without_mv: f64,
    /// With.
    pub with_mv: f64,
    /// Whether it is kept.
    pub kept: bool,
}

/// Residuals of a drive's samples under a fit to the other drives.
pub(super) struct Left {
    /// Its number in the design.
    pub index: usize,
    /// Where, and measured less expected in V.
    pub rows: Vec<(Place, f64)>,
}

type Square = SMatrix<f64, FEATURES, FEATURES>;
type Vector = SVector<f64, FEATURES>;

/// Normal equations of one drive.
fn equations(rows: &[(Place, f64)]) -> (Square, Vector) {
    let mut sums = (Square::zeros(), Vector::zeros());
    for (place, left) in rows {
        let row = Vector::from(features(*place));
        let weight = (FAR_V / left.abs()).min(1.0);
        sums.0 += row * row.transpose() * weight;
        sums.1 += row * (left.clamp(-0.2, 0.2) * weight);
    }
    sums
}

fn solve(ata: Square, atb: Vector, low: Place, high: Place) -> Option<Residual> {
    let weights = Cholesky::new(ata + Square::identity() * RIDGE)?.solve(&atb);
    weights.iter().all(|weight| weight.is_finite()).then(|| Residual {
        weights_v: weights.iter().copied().collect(),
        low,
        high,
        clip_v: CLIP_V,
    })
}

fn mean_square(rows: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = rows.fold((0.0, 0u64), |(sum, count), left| (sum + left * left, count + 1));
    sum / count.max(1) as f64
}

/// Learns from all drives, judged by leaving out each in turn. What is left in `drives` is then without what the learned
/// part, of the other drives, explains, if that is kept.
pub(super) fn learn(drives: &mut [Left]) -> Option<(Learned, Option<Residual>)> {
    if drives.len() < RUNS {
        return None;
    }
    let bound = |pick: fn(f64, f64) -> f64, start: f64| -> Place {
        let all = drives.iter().flat_map(|drive| &drive.rows);
        all.fold([start; 5], |bound, (place, _)| std::array::from_fn(|at| pick(bound[at], place[at])))
    };
    let (low, high) = (bound(f64::min, f64::INFINITY), bound(f64::max, f64::NEG_INFINITY));
    let each: Vec<(Square, Vector)> = drives.iter().map(|drive| equations(&drive.rows)).collect();
    let all = each.iter().fold((Square::zeros(), Vector::zeros()), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let mut after: Vec<Vec<f64>> = Vec::with_capacity(drives.len());
    for (drive, own) in drives.iter().zip(&each) {
        let others = solve(all.0 - own.0, all.1 - own.1, low, high)?;
        after.push(drive.rows.iter().map(|(place, left)| left - others.volts(*place)).collect());
    }
    let without = mean_square(drives.iter().flat_map(|drive| drive.rows.iter().map(|(_, left)| *left)));
    let with = mean_square(after.iter().flatten().copied());
    let kept = with.sqrt() < (1.0 - GAIN) * without.sqrt();
    if kept {
        for (drive, after) in drives.iter_mut().zip(after) {
            drive.rows.iter_mut().zip(after).for_each(|(row, left)| row.1 = left);
        }
    }
    let learned = Learned { without_mv: without.sqrt() * 1e3, with_mv: with.sqrt() * 1e3, kept };
    let residual = if kept { solve(all.0, all.1, low, high) } else { None };
    Some((learned, residual))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drives whose residual is half structure, half drive-to-drive luck, or luck alone.
    fn drives(structure: f64) -> Vec<Left> {
        (0..6)
            .map(|index| {
                let rows = (0..2_000).map(|step| {
                    let soc = 1.0 - f64::from(step) / 2_000.0;
                    let current_c = -0.5 + 0.4 * (f64::from(step) * 0.37).sin();
                    let place = [soc, 20.0 + f64::from(index), current_c, -0.5, current_c];
                    let luck = 0.004 * (f64::from(index) * 2.0 + 5.0 * soc).sin();
                    (place, structure * (soc - 0.5) + luck)
                });
                Left { index: index as usize, rows: rows.collect() }
            })
            .collect()
    }

    #[test]
    fn structure_is_learnt_and_luck_is_not() {
        let mut with_structure = drives(0.02);
        let (learned, residual) = learn(&mut with_structure).expect("enough drives");
        assert!(learned.kept && learned.with_mv < 0.9 * learned.without_mv, "{learned:?}");
        let volts = residual.expect("it is kept").volts([0.9, 22.0, -0.5, -0.5, -0.5]);
        assert!((volts - 0.008).abs() < 0.004, "{volts}");
        let (learned, residual) = learn(&mut drives(0.0)).expect("enough drives");
        assert!(!learned.kept && residual.is_none(), "{learned:?}");
    }
}
