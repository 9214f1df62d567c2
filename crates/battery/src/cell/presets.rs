//! Cells that are like many of their kind: for simulators, tests, and those who have no measurements yet. The curves are
//! typical of published ones and belong to no maker's cell.

use super::params::{CellParams, Hysteresis, Impedance, Layer, ModelError, Ocv, Thermal};
use crate::Chemistry;

/// Nodes of SoC: closer where curves bend.
const SOC: [f64; 14] = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Volts at them.
const NCA_V: [f64; 14] = [2.60, 2.98, 3.18, 3.33, 3.42, 3.48, 3.56, 3.62, 3.69, 3.79, 3.88, 3.98, 4.07, 4.18];
const NMC_V: [f64; 14] = [3.00, 3.23, 3.38, 3.47, 3.52, 3.56, 3.60, 3.64, 3.70, 3.81, 3.92, 4.01, 4.10, 4.19];
const LFP_V: [f64; 14] =
    [2.40, 2.85, 3.06, 3.19, 3.22, 3.245, 3.272, 3.285, 3.292, 3.302, 3.325, 3.332, 3.340, 3.43];

/// dU/dT in mV/K at 0, a quarter … full.
const ENTROPIC_SOC: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

impl CellParams {
    /// A typical cell of that chemistry and capacity.
    #[must_use]
    pub fn generic(chemistry: Chemistry, capacity_ah: f64) -> Self {
        let (voltage_v, entropic_mv_per_k, hysteresis_v) = match chemistry {
            Chemistry::Nca => (NCA_V, [-0.10, -0.30, 0.05, 0.10, 0.05], 0.0),
            Chemistry::Nmc => (NMC_V, [-0.10, -0.20, 0.05, 0.05, 0.0], 0.0),
            Chemistry::Lfp => (LFP_V, [-0.40, 0.10, 0.15, 0.10, 0.05], 0.012),
        };
        // Ω Ah: resistance falls as cells of one kind grow.
        let scale = 1.0 / capacity_ah;
        let layer = |temp_c: f64, slower: f64| {
            let low_end = |soc: &f64| 1.0 + 1.5 * (-soc / 0.06).exp();
            Layer {
                temp_c,
                tau1_s: 3.0 * slower.sqrt(),
                tau2_s: 60.0 * slower.sqrt(),
                exchange_current_a: 0.5 * capacity_ah / slower,
                depletion_per_a: 0.006 * scale * slower,
                ocv_shift_v: vec![0.0; SOC.len()],
                r0_ohm: SOC.iter().map(|_| 0.070 * scale * slower.powf(0.35)).collect(),
                r1_ohm: SOC.iter().map(|soc| 0.030 * scale * slower * low_end(soc)).collect(),
                r2_ohm: SOC.iter().map(|soc| 0.035 * scale * slower * low_end(soc)).collect(),
                transfer_v: SOC.iter().map(|soc| 0.010 * slower.powf(0.2) * low_end(soc)).collect(),
            }
        };
        Self {
            name: format!("generic {chemistry:?} {capacity_ah} Ah").to_lowercase(),
            chemistry,
            capacity_ah,
            ocv: Ocv {
                soc: SOC.to_vec(),
                voltage_v: voltage_v.to_vec(),
                entropic_soc: ENTROPIC_SOC.to_vec(),
                entropic_mv_per_k: entropic_mv_per_k.to_vec(),
            },
            impedance: Impedance {
                soc: SOC.to_vec(),
                layers: vec![layer(-20.0, 6.0), layer(0.0, 2.4), layer(25.0, 1.0), layer(45.0, 0.65)],
                activation_j_per_mol: 30_000.0,
            },
            hysteresis: Hysteresis { max_v: hysteresis_v, ..Hysteresis::default() },
            // 48 g of 0.95 J/(g K) for 2.9 Ah, most of it core.
            thermal: Thermal {
                core_j_per_k: 13.0 * capacity_ah,
                surface_j_per_k: 2.5 * capacity_ah,
                inner_k_per_w: 6.0 * scale,
                outer_k_per_w: 25.0 * scale,
            },
            residual: None,
            model_error: ModelError {
                temp_c: vec![-20.0, 0.0, 25.0],
                soc: vec![0.05, 0.15, 0.4],
                voltage_v: vec![vec![0.08, 0.05, 0.03], vec![0.05, 0.02, 0.012], vec![0.03, 0.012, 0.006]],
                soc_shift: 0.0,
            },
        }
    }

    /// The same, as the model of a cell of that chemistry of which nobody has measured anything: with what such cells
    /// differ by from the typical one.
    #[must_use]
    pub fn typical(chemistry: Chemistry, capacity_ah: f64) -> Self {
        let mut params = Self::generic(chemistry, capacity_ah);
        params.name = format!("typical {chemistry:?} {capacity_ah} Ah").to_lowercase();
        let shift = if chemistry == Chemistry::Lfp { FLAT_SHIFT } else { TYPICAL_SHIFT };
        params.model_error = ModelError::assumed(&params.ocv, &TYPICAL_V, shift, |_| 0.0);
        params
    }
}

/// Spread of resistance and voltage among cells of one chemistry, in V: at −20, 0 and 25 °C, when nearly empty, low and half
/// full. Makers' resistances differ by half and more, most in the cold.
const TYPICAL_V: [[f64; 3]; 3] = [[0.6, 0.4, 0.3], [0.23, 0.12, 0.09], [0.06, 0.03, 0.02]];

/// Shift of their curves along the charge: blends and balances of electrodes differ.
const TYPICAL_SHIFT: f64 = 0.03;

/// The same where the curve is flat, and its few steps lie at other charges from maker to maker.
const FLAT_SHIFT: f64 = 0.05;
