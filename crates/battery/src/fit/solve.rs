//! Linear least squares by normal equations, with some unknowns that must not be negative.

use nalgebra::{Cholesky, DMatrix, DVector};

/// Rounds in which unknowns are put to their bound.
const ROUNDS: usize = 12;

/// AᵀA and Aᵀb, of sparse rows.
#[derive(Clone)]
pub(super) struct Normal {
    ata: DMatrix<f64>,
    atb: DVector<f64>,
}

impl Normal {
    pub fn new(unknowns: usize) -> Self {
        Self { ata: DMatrix::zeros(unknowns, unknowns), atb: DVector::zeros(unknowns) }
    }

    /// Adds the row `entries` · x = `right`, already weighted.
    pub fn add(&mut self, entries: &[(usize, f64)], right: f64) {
        for (place, (row, a)) in entries.iter().enumerate() {
            self.atb[*row] += a * right;
            for (column, b) in &entries[place..] {
                // The lower triangle only.
                self.ata[((*row).max(*column), (*row).min(*column))] += a * b;
            }
        }
    }

    /// The solution; unknowns from `bounded` on are not negative. `None` if the equations have none.
    pub fn solve(&self, bounded: usize) -> Option<DVector<f64>> {
        let unknowns = self.atb.len();
        let mut fixed = vec![false; unknowns];
        for _ in 0..ROUNDS {
            let (mut ata, mut atb) = (self.ata.clone(), self.atb.clone());
            for index in (0..unknowns).filter(|index| fixed[*index]) {
                ata.row_mut(index).fill(0.0);
                ata.column_mut(index).fill(0.0);
                ata[(index, index)] = 1.0;
                atb[index] = 0.0;
            }
            let solution = Cholesky::new(ata)?.solve(&atb);
            if !solution.iter().all(|value| value.is_finite()) {
                return None;
            }
            let negative: Vec<usize> =
                (bounded..unknowns).filter(|index| !fixed[*index] && solution[*index] < 0.0).collect();
            if negative.is_empty() {
                return Some(solution);
            }
            negative.into_iter().for_each(|index| fixed[index] = true);
        }
        None
    }
}
