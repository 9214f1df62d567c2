//! Configuration, and the criterion that it gives the numbers of.

use serde::Deserialize;
use voltmesh_guest::curve::Curve;

/// Gas constant in J/(mol K).
const GAS: f64 = 8.314;

/// 25 °C and 0 °C in K.
const REFERENCE_K: f64 = 298.15;
const ZERO_K: f64 = 273.15;

/// Potential of graphite against lithium in V over the state of charge of the cell, between its steps on the low side.
const GRAPHITE_V: [(f64, f64); 9] = [
    (0.0, 0.30),
    (0.05, 0.22),
    (0.1, 0.19),
    (0.2, 0.15),
    (0.3, 0.13),
    (0.5, 0.115),
    (0.6, 0.09),
    (0.8, 0.085),
    (1.0, 0.075),
];

/// Configuration of the plating guard; `manifest.toml` has it as a JSON Schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Charge of one parallel group between full and empty in Ah; it has no default.
    pub capacity_ah: f64,
    /// Points of state of charge (0..1) and potential of the negative electrode at rest in V; default: graphite.
    pub negative_v: Option<Curve>,
    /// Potential in V that is to be left; default 0.01.
    pub margin_v: f64,
    /// Resistance of the negative electrode at 25 °C, times capacity, in Ω Ah; default 0.08.
    pub resistance_ohm_ah: f64,
    /// Activation energy of that resistance in J/mol; default 50,000.
    pub activation_j_per_mol: f64,
    /// °C of the coldest sensor below which nothing is charged; default 0.
    pub lowest_c: f64,
    /// °C that counts where no temperature is known; default 0.
    pub unknown_c: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity_ah: f64::NAN,
            negative_v: None,
            margin_v: 0.01,
            resistance_ohm_ah: 0.08,
            activation_j_per_mol: 50_000.0,
            lowest_c: 0.0,
            unknown_c: 0.0,
        }
    }
}

impl Settings {
    /// A reason where it contradicts itself.
    pub fn check(&self) -> Result<(), String> {
        if self.capacity_ah.is_nan() {
            return Err("capacity_ah is missing: the charge of one parallel group in Ah".to_owned());
        }
        if let Some(curve) = &self.negative_v {
            curve.check("negative_v")?;
        }
        let within = [
            ("capacity_ah", self.capacity_ah, 0.1, 10_000.0),
            ("margin_v", self.margin_v, 0.0, 0.2),
            ("resistance_ohm_ah", self.resistance_ohm_ah, 0.001, 10.0),
            ("activation_j_per_mol", self.activation_j_per_mol, 0.0, 200_000.0),
            ("lowest_c", self.lowest_c, -40.0, 40.0),
            ("unknown_c", self.unknown_c, -40.0, 40.0),
        ];
        let wrong = within.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value));
        wrong.map_or(Ok(()), |(name, value, low, high)| {
            Err(format!("{name}: {value} is not between {low} and {high}"))
        })
    }

    /// The negative electrode's curve.
    pub fn curve(&self) -> Curve {
        self.negative_v.clone().unwrap_or_else(|| Curve::through(&GRAPHITE_V))
    }

    /// Most current in A at which the negative electrode's potential stays above the margin: what its potential at rest leaves
    /// over its resistance, which grows in the cold by Arrhenius' law and with age.
    pub fn limit_a(&self, curve: &Curve, coldest_c: f64, soc: f64, aged: f64) -> f64 {
        if coldest_c < self.lowest_c {
            return 0.0;
        }
        let kelvin = coldest_c + ZERO_K;
        let slower = (self.activation_j_per_mol / GAS * (1.0 / kelvin - 1.0 / REFERENCE_K)).exp();
        let volts = (curve.at(soc) - self.margin_v).max(0.0);
        volts / (self.resistance_ohm_ah * slower * aged) * self.capacity_ah
    }
}
