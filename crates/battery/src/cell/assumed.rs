//! Error of a model of which no measurement of the very cell exists.

use super::params::{ModelError, Ocv};

/// Temperatures in °C and nodes of SoC that a base is stated at.
const TEMPS_C: [f64; 3] = [-20.0, 0.0, 25.0];
const BASE_SOC: [f64; 3] = [0.05, 0.2, 0.5];

/// Intervals of SoC of what is made: 2 % each.
const STEPS: usize = 50;

/// Highest error in V that parameters may have.
const MOST_V: f64 = 1.0;

impl ModelError {
    /// An error that is assumed: a base in V (a row for −20, 0 and 25 °C, each at 5, 20 and 50 % of charge); what a shift of
    /// the curve along the charge makes of its slope; and what `other_v` adds at each charge.
    #[must_use]
    pub fn assumed(ocv: &Ocv, base_v: &[[f64; 3]; 3], soc_shift: f64, other_v: impl Fn(f64) -> f64) -> Self {
        let nodes: Vec<f64> = (0..=STEPS).map(|step| step as f64 / STEPS as f64).collect();
        let row = |base: &[f64; 3]| -> Vec<f64> {
            let at = |soc: &f64| {
                let base = linear(&BASE_SOC, base, *soc);
                let steep = soc_shift * slope_v(ocv, *soc);
                base.hypot(steep).hypot(other_v(*soc)).min(MOST_V)
            };
            nodes.iter().map(at).collect()
        };
        Self { temp_c: TEMPS_C.to_vec(), voltage_v: base_v.iter().map(row).collect(), soc: nodes, soc_shift }
    }
}

/// dOCV/dSoC in V over one step about a charge.
fn slope_v(ocv: &Ocv, soc: f64) -> f64 {
    let half = 0.5 / STEPS as f64;
    let (low, high) = ((soc - half).max(0.0), (soc + half).min(1.0));
    (linear(&ocv.soc, &ocv.voltage_v, high) - linear(&ocv.soc, &ocv.voltage_v, low)) / (high - low)
}

/// Linear between nodes, constant beyond them.
fn linear(nodes: &[f64], values: &[f64], at: f64) -> f64 {
    let above = nodes.partition_point(|node| *node < at).clamp(1, nodes.len() - 1);
    let share = (at - nodes[above - 1]) / (nodes[above] - nodes[above - 1]);
    values[above - 1] + (values[above] - values[above - 1]) * share.clamp(0.0, 1.0)
}
