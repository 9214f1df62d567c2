//! Curves through points, and those of chemistries.

use serde::Deserialize;

/// Linear curve between points with ascending abscissae, constant beyond them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Curve(Vec<(f64, f64)>);

impl Curve {
    /// Through these points.
    #[must_use]
    pub fn through(points: &[(f64, f64)]) -> Self {
        Self(points.to_vec())
    }

    /// Checks that it has points, all numbers, and that their abscissae ascend; a reason otherwise.
    pub fn check(&self, name: &str) -> Result<(), String> {
        if self.0.len() < 2 || self.0.len() > 64 {
            return Err(format!("{name}: {} points; it needs 2 to 64", self.0.len()));
        }
        if self.0.iter().any(|(x, y)| !(x.is_finite() && y.is_finite())) {
            return Err(format!("{name}: a point is no number"));
        }
        match self.0.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            Some(pair) => {
                Err(format!("{name}: {} stands after {}; points must ascend", pair[1].0, pair[0].0))
            }
            None => Ok(()),
        }
    }

    /// Checks the above, and that it rises everywhere.
    pub fn check_rising(&self, name: &str) -> Result<(), String> {
        self.check(name)?;
        match self.0.windows(2).find(|pair| pair[0].1 >= pair[1].1) {
            Some(pair) => Err(format!("{name}: it does not rise from {} to {}", pair[0].0, pair[1].0)),
            None => Ok(()),
        }
    }

    /// Value at an abscissa; NaN at NaN.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.segment(x).map_or(f64::NAN, |(p, q)| {
            let x = x.clamp(self.0[0].0, self.0[self.0.len() - 1].0);
            p.1 + (q.1 - p.1) * (x - p.0) / (q.0 - p.0)
        })
    }

    /// Slope at an abscissa; that of the nearest end beyond.
    #[must_use]
    pub fn slope(&self, x: f64) -> f64 {
        self.segment(x).map_or(f64::NAN, |(p, q)| (q.1 - p.1) / (q.0 - p.0))
    }

    /// Abscissa of a value on a rising curve, clamped to its ends; NaN at NaN.
    #[must_use]
    pub fn inverse(&self, y: f64) -> f64 {
        if y.is_nan() || self.0.len() < 2 {
            return f64::NAN;
        }
        let above = self.0.partition_point(|point| point.1 < y).clamp(1, self.0.len() - 1);
        let (p, q) = (self.0[above - 1], self.0[above]);
        (p.0 + (q.0 - p.0) * (y - p.1) / (q.1 - p.1)).clamp(self.0[0].0, self.0[self.0.len() - 1].0)
    }

    fn segment(&self, x: f64) -> Option<((f64, f64), (f64, f64))> {
        if x.is_nan() || self.0.len() < 2 {
            return None;
        }
        let above = self.0.partition_point(|point| point.0 < x).clamp(1, self.0.len() - 1);
        Some((self.0[above - 1], self.0[above]))
    }
}

/// Active material of the positive electrode; the negative is graphite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chemistry {
    /// Lithium nickel manganese cobalt oxide.
    #[default]
    Nmc,
    /// Lithium nickel cobalt aluminium oxide.
    Nca,
    /// Lithium iron phosphate.
    Lfp,
}

/// States of charge of the curves below: closer where they bend.
const SOC: [f64; 14] = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Open-circuit volts at them, typical of published cells and of no maker's; those of the twin (`battery::cell::presets`).
const NCA_V: [f64; 14] = [2.60, 2.98, 3.18, 3.33, 3.42, 3.48, 3.56, 3.62, 3.69, 3.79, 3.88, 3.98, 4.07, 4.18];
const NMC_V: [f64; 14] = [3.00, 3.23, 3.38, 3.47, 3.52, 3.56, 3.60, 3.64, 3.70, 3.81, 3.92, 4.01, 4.10, 4.19];
const LFP_V: [f64; 14] =
    [2.40, 2.85, 3.06, 3.19, 3.22, 3.245, 3.272, 3.285, 3.292, 3.302, 3.325, 3.332, 3.340, 3.43];

impl Chemistry {
    /// Open-circuit voltage in V against state of charge, typical.
    #[must_use]
    pub fn open_circuit(self) -> Curve {
        let volts = match self {
            Self::Nmc => NMC_V,
            Self::Nca => NCA_V,
            Self::Lfp => LFP_V,
        };
        Curve(SOC.into_iter().zip(volts).collect())
    }

    /// Lowest and highest voltage in V at which a cell is used.
    #[must_use]
    pub const fn window_v(self) -> (f64, f64) {
        match self {
            Self::Nmc => (2.7, 4.2),
            Self::Nca => (2.5, 4.2),
            Self::Lfp => (2.0, 3.65),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_of_chemistries_rise_and_invert() {
        for chemistry in [Chemistry::Nmc, Chemistry::Nca, Chemistry::Lfp] {
            let curve = chemistry.open_circuit();
            assert_eq!(curve.check_rising("curve"), Ok(()));
            for step in 0..=100 {
                let soc = f64::from(step) / 100.0;
                assert!((curve.inverse(curve.at(soc)) - soc).abs() < 1e-9, "{chemistry:?} at {soc}");
            }
        }
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        let reason = |points: &[(f64, f64)]| Curve::through(points).check_rising("c").err();
        for points in [
            &[][..],
            &[(0.0, 1.0)],
            &[(0.0, f64::NAN), (1.0, 2.0)],
            &[(1.0, 1.0), (0.0, 2.0)],
            &[(0.0, 2.0), (1.0, 2.0)],
        ] {
            assert!(reason(points).is_some(), "{points:?}");
        }
        assert_eq!(reason(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert!(Curve::through(&[(0.0, 1.0), (1.0, 2.0)]).at(f64::NAN).is_nan());
    }
}
