//! Configuration.

use serde::Deserialize;
use voltmesh_guest::curve::Chemistry;

/// Gas constant in J/(mol K), 25 °C and 0 °C in K.
const GAS: f64 = 8.314;
const REFERENCE_K: f64 = 298.15;
const ZERO_K: f64 = 273.15;

/// Volts above the chemistry's lowest that are the floor by default.
const ABOVE_LOWEST_V: f64 = 0.15;

/// Configuration of discharge control; `manifest.toml` has it as a JSON Schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Charge of one parallel group between full and empty in Ah; it has no default.
    pub capacity_ah: f64,
    /// Active material, for the default of the floor; default nmc.
    pub chemistry: Chemistry,
    /// Most discharging current in C; default 4.
    pub discharge_c: f64,
    /// Voltage in V that no cell is to fall below; default: 0.15 V above the chemistry's lowest.
    pub floor_v: Option<f64>,
    /// Resistance of a nearly empty cell at 25 °C within ten seconds, times its capacity, in Ω Ah; default 0.2.
    pub resistance_ohm_ah: f64,
    /// Activation energy of that resistance in J/mol; default 25,000.
    pub activation_j_per_mol: f64,
    /// °C that counts where no temperature is known; default 0.
    pub unknown_c: f64,
    /// Multiple of the highest current of the last minutes that the limit must be below to be told; default 1.2.
    pub reserve: f64,
    /// Cells in series, for packs without cell voltages.
    pub cells: Option<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity_ah: f64::NAN,
            chemistry: Chemistry::Nmc,
            discharge_c: 4.0,
            floor_v: None,
            resistance_ohm_ah: 0.2,
            activation_j_per_mol: 25_000.0,
            unknown_c: 0.0,
            reserve: 1.2,
            cells: None,
        }
    }
}

impl Settings {
    /// A reason where it contradicts itself.
    pub fn check(&self) -> Result<(), String> {
        if self.capacity_ah.is_nan() {
            return Err("capacity_ah is missing: the charge of one parallel group in Ah".to_owned());
        }
        let (low_v, high_v) = self.chemistry.window_v();
        let within = [
            ("capacity_ah", self.capacity_ah, 0.1, 10_000.0),
            ("discharge_c", self.discharge_c, 0.1, 20.0),
            ("floor_v", self.floor_v(), low_v - 0.5, high_v - 0.5),
            ("resistance_ohm_ah", self.resistance_ohm_ah, 0.01, 10.0),
            ("activation_j_per_mol", self.activation_j_per_mol, 0.0, 100_000.0),
            ("unknown_c", self.unknown_c, -40.0, 40.0),
            ("reserve", self.reserve, 1.0, 5.0),
        ];
        let wrong = within.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value));
        wrong.map_or(Ok(()), |(name, value, low, high)| {
            Err(format!("{name}: {value} is not between {low} and {high}"))
        })
    }

    /// Voltage in V that no cell is to fall below.
    pub fn floor_v(&self) -> f64 {
        self.floor_v.unwrap_or(self.chemistry.window_v().0 + ABOVE_LOWEST_V)
    }

    /// Resistance of a group in Ω at a temperature, of that age.
    pub fn resistance_ohm(&self, coldest_c: f64, aged: f64) -> f64 {
        // Warmer than the reference it counts as at the reference: the floor is not to be met by a hair.
        let kelvin = (coldest_c + ZERO_K).min(REFERENCE_K);
        let slower = (self.activation_j_per_mol / GAS * (1.0 / kelvin - 1.0 / REFERENCE_K)).exp();
        self.resistance_ohm_ah / self.capacity_ah * slower * aged
    }

    /// Most current in A.
    pub fn full_a(&self) -> f64 {
        self.discharge_c * self.capacity_ah
    }
}
