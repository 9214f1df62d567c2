//! Parameters of a kind of cell, as the file `cell.toml` has them.

use super::residual::{FEATURES, Residual};
use crate::{Chemistry, Error};
use serde::{Deserialize, Serialize};

/// Most nodes of an axis.
const MAX_NODES: usize = 512;

/// A kind of cell. [`super::Cell`] is what computes with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellParams {
    /// What people call it.
    pub name: String,
    /// Its active materials.
    pub chemistry: Chemistry,
    /// Charge between full and empty when new, in Ah.
    pub capacity_ah: f64,
    /// Voltage at rest.
    pub ocv: Ocv,
    /// What current costs.
    pub impedance: Impedance,
    /// Memory of the direction of the current.
    #[serde(default)]
    pub hysteresis: Hysteresis,
    /// Heat.
    pub thermal: Thermal,
    /// What was learnt beyond the circuit. Default: nothing.
    #[serde(default)]
    pub residual: Option<Residual>,
    /// How wrong the model is.
    pub model_error: ModelError,
}

/// Open-circuit voltage at 25 °C and its change with temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ocv {
    /// Nodes, rising, fractions.
    pub soc: Vec<f64>,
    /// Voltage at each node in V, rising.
    pub voltage_v: Vec<f64>,
    /// Nodes of the entropic coefficient, rising, fractions.
    pub entropic_soc: Vec<f64>,
    /// dU/dT at each of them in mV/K.
    pub entropic_mv_per_k: Vec<f64>,
}

/// Temperature of [`Ocv::voltage_v`] in °C.
pub const OCV_TEMP_C: f64 = 25.0;

/// Second-order Thevenin circuit with a charge-transfer term, over SoC × temperature: V = OCV + R0 I + R1 i1 + R2 i2 +
/// A asinh(I / I0), where i1 and i2 are the currents through the resistors of the two RC pairs (Plett, Battery
/// Management Systems I, 2.4; the last term is Butler–Volmer's with equal transfer coefficients). The OCV is that of the
/// particles' surface, which diffusion keeps away from the mean: OCV(SoC + d i2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impedance {
    /// Nodes, rising, fractions.
    pub soc: Vec<f64>,
    /// One layer for each temperature, rising. Between them values follow Arrhenius' law, beyond them too, for 15 K.
    pub layers: Vec<Layer>,
    /// Energy of that law in J/mol, 10,000–90,000.
    pub activation_j_per_mol: f64,
}

/// The circuit at one temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// In °C.
    pub temp_c: f64,
    /// Time constant of the fast pair in s.
    pub tau1_s: f64,
    /// Time constant of the slow pair in s.
    pub tau2_s: f64,
    /// Current in A from which on charge transfer is no longer ohmic.
    pub exchange_current_a: f64,
    /// How far the surface is from the mean for each A of i2 in SoC/A.
    pub depletion_per_a: f64,
    /// What entropy does not explain of the OCV at this temperature, at each node of SoC, in V.
    pub ocv_shift_v: Vec<f64>,
    /// At each node of SoC, in Ω.
    pub r0_ohm: Vec<f64>,
    /// At each node of SoC, in Ω.
    pub r1_ohm: Vec<f64>,
    /// At each node of SoC, in Ω.
    pub r2_ohm: Vec<f64>,
    /// At each node of SoC, in V.
    pub transfer_v: Vec<f64>,
}

/// One-state hysteresis (Plett, 2.5): h' = −|γ I / Q| (h + sgn I), the voltage M h.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hysteresis {
    /// M, the voltage far from the last turn, in V. Default 0.
    pub max_v: f64,
    /// γ, how fast it gets there, per unit of SoC. Default 20.
    pub rate: f64,
}

impl Default for Hysteresis {
    fn default() -> Self {
        Self { max_v: 0.0, rate: 20.0 }
    }
}

/// Heat of core and surface, lumped (Lin et al., J. Power Sources 257:1, 2014, eq. 1–2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thermal {
    /// Heat capacity of the core in J/K.
    pub core_j_per_k: f64,
    /// Heat capacity of the surface in J/K.
    pub surface_j_per_k: f64,
    /// From core to surface in K/W.
    pub inner_k_per_w: f64,
    /// From surface to ambient in K/W.
    pub outer_k_per_w: f64,
}

/// Root mean square of what the model leaves unexplained, where it was not fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelError {
    /// Temperatures in °C, rising.
    pub temp_c: Vec<f64>,
    /// Nodes of SoC, rising, fractions.
    pub soc: Vec<f64>,
    /// For each temperature at each node, in V.
    pub voltage_v: Vec<Vec<f64>>,
    /// By how much the curves of this very cell may lie elsewhere along the charge, as a standard deviation of SoC. 0, the
    /// default, for parameters that were fitted to the cell.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub soc_shift: f64,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn check(holds: bool, what: impl Fn() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::parameters(what())) }
}

fn rising(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] < pair[1])
}

fn axis(name: &str, values: &[f64], least: usize) -> Result<(), Error> {
    check((least..=MAX_NODES).contains(&values.len()), || {
        format!("{name} has {} nodes, want {least} to {MAX_NODES}", values.len())
    })?;
    check(values.iter().all(|value| value.is_finite()) && rising(values), || {
        format!("{name} does not rise from node to node")
    })
}

fn column(name: &str, values: &[f64], nodes: usize, range: (f64, f64)) -> Result<(), Error> {
    check(values.len() == nodes, || format!("{name} has {} values for {nodes} nodes", values.len()))?;
    match values.iter().find(|value| !(range.0..=range.1).contains(*value)) {
        Some(value) => {
            Err(Error::parameters(format!("{name} has a value of {value}, want {} to {}", range.0, range.1)))
        }
        None => Ok(()),
    }
}

fn within(name: &str, value: f64, range: (f64, f64)) -> Result<(), Error> {
    column(name, &[value], 1, range)
}

impl CellParams {
    /// Whether all of it can be computed with.
    ///
    /// # Errors
    ///
    /// [`Error::Parameters`] names the first that cannot.
    pub fn check(&self) -> Result<(), Error> {
        within("capacity_ah", self.capacity_ah, (1e-3, 1e4))?;
        axis("ocv.soc", &self.ocv.soc, 2)?;
        column("ocv.voltage_v", &self.ocv.voltage_v, self.ocv.soc.len(), (0.5, 6.0))?;
        check(rising(&self.ocv.voltage_v), || "ocv.voltage_v does not rise with SoC".into())?;
        axis("ocv.entropic_soc", &self.ocv.entropic_soc, 2)?;
        column(
            "ocv.entropic_mv_per_k",
            &self.ocv.entropic_mv_per_k,
            self.ocv.entropic_soc.len(),
            (-5.0, 5.0),
        )?;
        let Impedance { soc, layers, activation_j_per_mol } = &self.impedance;
        axis("impedance.soc", soc, 2)?;
        let temps: Vec<f64> = layers.iter().map(|layer| layer.temp_c).collect();
        axis("temp_c of impedance.layers", &temps, 1)?;
        within("impedance.activation_j_per_mol", *activation_j_per_mol, (1e4, 9e4))?;
        for layer in layers {
            let name = |what: &str| format!("{what} at {} °C", layer.temp_c);
            within(&name("temp_c"), layer.temp_c, (-60.0, 120.0))?;
            within(&name("tau1_s"), layer.tau1_s, (1e-3, 1e6))?;
            within(&name("tau2_s"), layer.tau2_s, (1e-3, 1e6))?;
            within(&name("exchange_current_a"), layer.exchange_current_a, (1e-6, 1e6))?;
            within(&name("depletion_per_a"), layer.depletion_per_a, (0.0, 1e3))?;
            column(&name("ocv_shift_v"), &layer.ocv_shift_v, soc.len(), (-0.2, 0.2))?;
            column(&name("r0_ohm"), &layer.r0_ohm, soc.len(), (0.0, 100.0))?;
            column(&name("r1_ohm"), &layer.r1_ohm, soc.len(), (0.0, 100.0))?;
            column(&name("r2_ohm"), &layer.r2_ohm, soc.len(), (0.0, 100.0))?;
            column(&name("transfer_v"), &layer.transfer_v, soc.len(), (0.0, 1.0))?;
        }
        within("hysteresis.max_v", self.hysteresis.max_v, (0.0, 0.5))?;
        within("hysteresis.rate", self.hysteresis.rate, (0.0, 1e4))?;
        let Thermal { core_j_per_k, surface_j_per_k, inner_k_per_w, outer_k_per_w } = self.thermal;
        for (name, value) in [
            ("core_j_per_k", core_j_per_k),
            ("surface_j_per_k", surface_j_per_k),
            ("inner_k_per_w", inner_k_per_w),
            ("outer_k_per_w", outer_k_per_w),
        ] {
            within(&format!("thermal.{name}"), value, (1e-3, 1e6))?;
        }
        if let Some(Residual { weights_v, low, high, clip_v }) = &self.residual {
            column("residual.weights_v", weights_v, FEATURES, (-1.0, 1.0))?;
            check(low.iter().zip(high).all(|(low, high)| low <= high), || {
                "residual.low is above residual.high".into()
            })?;
            within("residual.clip_v", *clip_v, (0.0, 0.1))?;
        }
        axis("model_error.temp_c", &self.model_error.temp_c, 1)?;
        let ModelError { temp_c, soc, voltage_v, soc_shift } = &self.model_error;
        within("model_error.soc_shift", *soc_shift, (0.0, 0.5))?;
        axis("model_error.soc", soc, 1)?;
        check(voltage_v.len() == temp_c.len(), || {
            format!("model_error.voltage_v has {} rows for {} temperatures", voltage_v.len(), temp_c.len())
        })?;
        voltage_v.iter().try_for_each(|row| column("model_error.voltage_v", row, soc.len(), (1e-4, 1.0)))
    }
}
