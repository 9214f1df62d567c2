//! The numbers in which the circuit is not linear, and the search for them.

use super::{Progress, design::Design};
use crate::{Error, cell::OCV_TEMP_C, units::arrhenius};
use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{DMatrix, DVector, Dyn, Owned};

/// Laws of time constants, charge transfer and resistance over temperature. The exponents are relative to [`Self::slowness`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Laws {
    tau_s: [f64; 2],
    tau_exponent: [f64; 2],
    exchange_a: f64,
    exchange_exponent: f64,
    depletion_per_a: f64,
    depletion_exponent: f64,
    pub activation_j_per_mol: f64,
    /// From core to surface in K/W, see [`crate::cell::Thermal`].
    pub inner_k_per_w: f64,
}

/// Numbers varied.
const COUNT: usize = 10;

/// Step of the numerical derivative, relative to numbers of about 1.
const DELTA: f64 = 1e-3;

/// Evaluations of the Jacobian at most.
const PATIENCE: usize = 8;

impl Laws {
    pub fn initial() -> Self {
        Self::of(&[5f64.ln(), 150f64.ln(), 0.3, 0.3, 1.0f64.ln(), -1.0, 1.6, 0.5, 0.008f64.ln(), 1.0])
    }

    /// From unbounded numbers of about 1.
    fn of(numbers: &[f64; COUNT]) -> Self {
        let [
            tau1,
            tau2,
            exponent1,
            exponent2,
            exchange,
            exchange_exponent,
            energy,
            inner,
            depletion,
            depletion_exponent,
        ] = *numbers;
        Self {
            tau_s: [tau1.exp().clamp(0.3, 40.0), tau2.exp().clamp(20.0, 3_000.0)],
            tau_exponent: [exponent1.clamp(-2.0, 2.0), exponent2.clamp(-2.0, 2.0)],
            exchange_a: exchange.exp().clamp(0.02, 1e3),
            exchange_exponent: exchange_exponent.clamp(-3.0, 1.0),
            depletion_per_a: depletion.exp().clamp(1e-6, 1.0),
            depletion_exponent: depletion_exponent.clamp(-1.0, 3.0),
            activation_j_per_mol: (30_000.0 * energy).clamp(10_000.0, 90_000.0),
            inner_k_per_w: (2.0 * inner).clamp(0.01, 10.0),
        }
    }

    fn numbers(&self) -> [f64; COUNT] {
        [
            self.tau_s[0].ln(),
            self.tau_s[1].ln(),
            self.tau_exponent[0],
            self.tau_exponent[1],
            self.exchange_a.ln(),
            self.exchange_exponent,
            self.activation_j_per_mol / 30_000.0,
            self.inner_k_per_w / 2.0,
            self.depletion_per_a.ln(),
            self.depletion_exponent,
        ]
    }

    /// See [`arrhenius`].
    pub fn slowness(&self, temp_c: f64) -> f64 {
        arrhenius(self.activation_j_per_mol, temp_c, OCV_TEMP_C)
    }

    pub fn tau_s(&self, pair: usize, temp_c: f64) -> f64 {
        self.tau_s[pair] * self.slowness(temp_c).powf(self.tau_exponent[pair])
    }

    pub fn depletion_per_a(&self, temp_c: f64) -> f64 {
        self.depletion_per_a * self.slowness(temp_c).powf(self.depletion_exponent)
    }

    pub fn exchange_a(&self, temp_c: f64) -> f64 {
        self.exchange_a * self.slowness(temp_c).powf(self.exchange_exponent)
    }
}

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
        let rmse_v = (base.norm_squared() / base.len() as f64).sqrt() * super::design::TYPICAL_V;
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
