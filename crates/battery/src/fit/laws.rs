//! The numbers in which the circuit is not linear.

use crate::{cell::OCV_TEMP_C, units::arrhenius};

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
pub(super) const COUNT: usize = 10;

impl Laws {
    pub fn initial() -> Self {
        Self::of(&[5f64.ln(), 150f64.ln(), 0.3, 0.3, 1.0f64.ln(), -1.0, 1.6, 0.5, 0.008f64.ln(), 1.0])
    }

    /// From unbounded numbers of about 1.
    pub fn of(numbers: &[f64; COUNT]) -> Self {
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

    /// The numbers that [`Self::of`] takes.
    pub fn numbers(&self) -> [f64; COUNT] {
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
