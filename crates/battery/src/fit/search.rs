//! The search for the laws in which the circuit is not linear, by Levenberg–Marquardt.

use super::{
    design::{Design, TYPICAL_V},
    laws::{COUNT, Laws},
    request::Progress,
};
use crate::Error;
use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{DMatrix, DVector, Dyn, Owned};

/// Step of the numerical derivative, relative to numbers of about 1.
const DELTA: f64 = 1e-3;

/// Evaluations of the Jacobian at most.
const PATIENCE: usize = 8;

/// The least-squares problem of the laws' numbers.
struct Problem<'a, 'b, P> {
    design: &'a Design<'b>,
    numbers: DVector<f64>,
    residuals: Option<DVector<f64>>,
    progress: P,
}

fn laws(numbers: &DVector<f64>) -> Laws {
    Laws::of(&std::array::from_fn(|index| numbers[index]))
}

impl<P: FnMut(Progress)> LeastSquaresProblem<f64, Dyn, Dyn> for Problem<'_, '_, std::cell::RefCell<P>> {
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;
    type ParameterStorage = Owned<f64, Dyn>;

    fn set_params(&mut self, numbers: &DVector<f64>) {
        self.numbers = numbers.clone();
        self.residuals = self.design.projected(&laws(numbers));
    }

    fn params(&self) -> DVector<f64> {
        self.numbers.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        self.residuals.clone()
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        let base = self.residuals.as_ref()?;
        let mut jacobian = DMatrix::zeros(base.len(), COUNT);
        for column in 0..COUNT {
            let mut moved = self.numbers.clone();
            moved[column] += DELTA;
            let residuals = self.design.projected(&laws(&moved))?;
            jacobian.set_column(column, &((residuals - base) / DELTA));
        }
        let rmse_v = (base.norm_squared() / base.len() as f64).sqrt() * TYPICAL_V;
        let done = self.design.evaluations();
        (self.progress.borrow_mut())(Progress { done, of: PATIENCE * (COUNT + 1), rmse_v });
        Some(jacobian)
    }
}

/// The laws that leave the least error.
pub(super) fn search(
    design: &Design<'_>,
    start: Laws,
    progress: impl FnMut(Progress),
) -> Result<Laws, Error> {
    let numbers = DVector::from_row_slice(&start.numbers());
    let mut problem = Problem {
        design,
        numbers: numbers.clone(),
        residuals: None,
        progress: std::cell::RefCell::new(progress),
    };
    problem.set_params(&numbers);
    let method = LevenbergMarquardt::new().with_ftol(1e-4).with_xtol(1e-3).with_patience(PATIENCE);
    let (problem, report) = method.minimize(problem);
    if problem.residuals.is_none() {
        return Err(Error::Fit { what: format!("{:?}", report.termination) });
    }
    Ok(laws(&problem.numbers))
}
