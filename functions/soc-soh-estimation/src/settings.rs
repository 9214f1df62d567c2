//! Configuration.

use serde::Deserialize;
use voltmesh_guest::curve::{Chemistry, Curve};

/// Resistance in Ω Ah of a typical cell at 25 °C: at once, and after a minute.
const R0_OHM_AH: f64 = 0.07;
const R1_OHM_AH: f64 = 0.065;

/// Resistance against °C, relative to that at 25 °C.
const COLDER: [(f64, f64); 5] = [(-20.0, 2.6), (0.0, 1.6), (10.0, 1.25), (25.0, 1.0), (45.0, 0.8)];

/// Error along the state of charge of a curve that is typical of a chemistry, and of one that was measured.
const TYPICAL_SOC: f64 = 0.03;
const TYPICAL_FLAT_SOC: f64 = 0.05;
const MEASURED_SOC: f64 = 0.01;

/// Configuration of the estimation; `manifest.toml` has it as a JSON Schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Charge of one parallel group when new, between full and empty, in Ah; it has no default.
    pub capacity_ah: f64,
    /// Active material, for the defaults below; default nmc.
    pub chemistry: Chemistry,
    /// Points of state of charge (0..1) and open-circuit voltage in V; default: those typical of the chemistry.
    pub open_circuit: Option<Curve>,
    /// Standard deviation of that curve along the state of charge; default 0.03 (lfp 0.05), 0.01 with `open_circuit`.
    pub curve_sd_soc: Option<f64>,
    /// Resistance of one group when new at 25 °C in mΩ. Without it resistances are not compared.
    pub resistance_mohm: Option<f64>,
    /// Time constant of its slow part in s; default 40.
    pub time_constant_s: f64,
    /// Standard deviation of the model's voltage in V; default 0.02.
    pub voltage_sd_v: f64,
    /// Standard deviations by which two estimates disagree; default 2.5.
    pub sure: f64,
    /// Difference in state of charge, and relative one in capacity and resistance, that is no disagreement; default 0.05.
    pub least_difference: f64,
    /// Seconds for which a disagreement must last, and must be over; default 60.
    pub hold_s: f64,
    /// Seconds of samples before anything is compared; default 300.
    pub settle_s: f64,
    /// Cells in series, for packs without cell voltages.
    pub cells: Option<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity_ah: f64::NAN,
            chemistry: Chemistry::Nmc,
            open_circuit: None,
            curve_sd_soc: None,
            resistance_mohm: None,
            time_constant_s: 40.0,
            voltage_sd_v: 0.02,
            sure: 2.5,
            least_difference: 0.05,
            hold_s: 60.0,
            settle_s: 300.0,
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
        if let Some(curve) = &self.open_circuit {
            curve.check_rising("open_circuit")?;
            if curve.at(0.0) < 1.0
                || curve.at(1.0) > 5.0
                || curve.inverse(0.0) != 0.0
                || curve.inverse(10.0) != 1.0
            {
                return Err("open_circuit: it must lead from 0 to 1 within 1 to 5 V".to_owned());
            }
        }
        let within = [
            ("capacity_ah", self.capacity_ah, 0.1, 10_000.0),
            ("curve_sd_soc", self.curve_sd_soc(), 0.0, 0.5),
            ("resistance_mohm", self.resistance_mohm.unwrap_or(1.0), 0.001, 1_000.0),
            ("time_constant_s", self.time_constant_s, 1.0, 10_000.0),
            ("voltage_sd_v", self.voltage_sd_v, 1e-4, 1.0),
            ("sure", self.sure, 1.0, 10.0),
            ("least_difference", self.least_difference, 0.0, 1.0),
            ("hold_s", self.hold_s, 0.0, 86_400.0),
            ("settle_s", self.settle_s, 0.0, 86_400.0),
        ];
        let wrong = within.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value));
        wrong.map_or(Ok(()), |(name, value, low, high)| {
            Err(format!("{name}: {value} is not between {low} and {high}"))
        })
    }

    /// Open-circuit voltage.
    pub fn curve(&self) -> Curve {
        self.open_circuit.clone().unwrap_or_else(|| self.chemistry.open_circuit())
    }

    /// Standard deviation of the curve along the state of charge.
    pub fn curve_sd_soc(&self) -> f64 {
        self.curve_sd_soc.unwrap_or(match (&self.open_circuit, self.chemistry) {
            (Some(_), _) => MEASURED_SOC,
            (None, Chemistry::Lfp) => TYPICAL_FLAT_SOC,
            (None, _) => TYPICAL_SOC,
        })
    }

    /// Resistance at once, when new, in Ω.
    pub fn r0_ohm(&self) -> f64 {
        self.resistance_mohm.map_or(R0_OHM_AH / self.capacity_ah, |mohm| mohm / 1_000.0)
    }

    /// Resistance of the slow part in Ω.
    pub fn r1_ohm(&self) -> f64 {
        self.r0_ohm() * R1_OHM_AH / R0_OHM_AH
    }

    /// Resistance against °C, relative to that at 25 °C.
    pub fn colder() -> Curve {
        Curve::through(&COLDER)
    }
}
