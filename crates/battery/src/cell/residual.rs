//! The learned part of the model: what the circuit leaves of the voltage, as far as that is the same in every drive.
//!
//! A linear combination of smooth functions of charge, temperature and currents; clipped, and faded out where nothing was
//! learnt. A fit keeps it only if it lowers the error of drives that it has not seen.

use serde::{Deserialize, Serialize};

/// Smooth functions.
pub const FEATURES: usize = 20;

/// Operating point of a cell: charge, temperature in °C, both branch currents and the current in C.
pub type Place = [f64; 5];

/// Distance beyond what was learnt, relative to its range, at which nothing is left of it.
const FADE: f64 = 0.1;

/// Charge over which the empty end's voltage falls off.
const EMPTY: f64 = 0.08;

/// Learned correction of a cell's voltage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// Weight of each function in V.
    pub weights_v: Vec<f64>,
    /// Lowest place that was learnt from: charge, °C, C, C, C.
    pub low: Place,
    /// Highest.
    pub high: Place,
    /// Largest voltage that it adds or takes, in V.
    pub clip_v: f64,
}

/// The functions at a place.
#[must_use]
pub fn features([soc, temp_c, fast_c, slow_c, current_c]: Place) -> [f64; FEATURES] {
    let cold = (25.0 - temp_c) / 45.0;
    let empty = (-soc.max(0.0) / EMPTY).exp();
    let (s, square) = (soc - 0.5, current_c * current_c.abs());
    [
        1.0,
        s,
        s * s,
        cold,
        cold * s,
        cold * cold,
        fast_c,
        fast_c * s,
        fast_c * cold,
        slow_c,
        slow_c * s,
        slow_c * cold,
        slow_c * slow_c.abs(),
        square,
        square * cold,
        empty,
        empty * cold,
        empty * slow_c,
        empty * slow_c * cold,
        empty * fast_c,
    ]
}

impl Residual {
    /// What it adds to the voltage there, in V.
    #[must_use]
    pub fn volts(&self, place: Place) -> f64 {
        let mut kept = 1.0f64;
        for ((value, low), high) in place.iter().zip(self.low).zip(self.high) {
            let beyond = (low - value).max(value - high).max(0.0);
            kept = kept.min(1.0 - beyond / (FADE * (high - low)).max(1e-9));
        }
        if kept <= 0.0 {
            return 0.0;
        }
        let sum: f64 =
            features(place).iter().zip(&self.weights_v).map(|(feature, weight)| feature * weight).sum();
        kept * sum.clamp(-self.clip_v, self.clip_v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_clipped_and_fades_out_where_nothing_was_learnt() {
        let mut weights_v = vec![0.0; FEATURES];
        weights_v[0] = 0.5;
        let residual = Residual {
            weights_v,
            low: [0.1, 0.0, -1.0, -1.0, -1.0],
            high: [0.9, 40.0, 1.0, 1.0, 1.0],
            clip_v: 0.02,
        };
        assert_eq!(residual.volts([0.5, 20.0, 0.0, 0.0, 0.0]), 0.02);
        let halfway = residual.volts([0.94, 20.0, 0.0, 0.0, 0.0]);
        assert!((halfway - 0.01).abs() < 1e-9, "{halfway}");
        assert_eq!(residual.volts([0.5, -10.0, 0.0, 0.0, 0.0]), 0.0);
        assert_eq!(residual.volts([0.5, f64::NAN, 0.0, 0.0, 0.0]).max(0.02), 0.02);
    }
}
