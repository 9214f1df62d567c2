//! Configuration.

use serde::Deserialize;
use voltmesh_guest::curve::{Chemistry, Curve};

/// Configuration of cell balancing; `manifest.toml` has it as a JSON Schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Active material, whose typical curve counts without `open_circuit`; default nmc.
    pub chemistry: Chemistry,
    /// Points of state of charge (0..1) and open-circuit voltage in V; default: those typical of the chemistry.
    pub open_circuit: Option<Curve>,
    /// Current in A up to which voltages tell of charge; default 3.
    pub low_current_a: f64,
    /// Seconds of low current after which they do; default 120.
    pub settle_s: f64,
    /// Seconds over which they are averaged; default 30.
    pub average_s: f64,
    /// Standard deviation of a cell's measured voltage in V; default 0.002.
    pub voltage_sd_v: f64,
    /// Surplus in charge over the lowest group, beyond what is unsure, from which on balancing begins; default 0.01.
    pub start_soc: f64,
    /// Surplus, beyond what is unsure, that is left alone; default 0.003.
    pub dead_band_soc: f64,
    /// Distance of the lowest group from the median beyond which its reading is not believed; default 0.3.
    pub most_spread_soc: f64,
    /// State of charge of the lowest group below which nothing is bled; default 0.1.
    pub least_soc: f64,
    /// °C of the hottest sensor above which nothing is bled; default 50.
    pub most_temp_c: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            chemistry: Chemistry::Nmc,
            open_circuit: None,
            low_current_a: 3.0,
            settle_s: 120.0,
            average_s: 30.0,
            voltage_sd_v: 0.002,
            start_soc: 0.01,
            dead_band_soc: 0.003,
            most_spread_soc: 0.3,
            least_soc: 0.1,
            most_temp_c: 50.0,
        }
    }
}

impl Settings {
    /// A reason where it contradicts itself.
    pub fn check(&self) -> Result<(), String> {
        if let Some(curve) = &self.open_circuit {
            curve.check_rising("open_circuit")?;
        }
        let within = [
            ("low_current_a", self.low_current_a, 0.0, 1_000.0),
            ("settle_s", self.settle_s, 0.0, 86_400.0),
            ("average_s", self.average_s, 1.0, 3_600.0),
            ("voltage_sd_v", self.voltage_sd_v, 1e-5, 0.1),
            ("start_soc", self.start_soc, 0.001, 0.5),
            ("dead_band_soc", self.dead_band_soc, 0.0, 0.5),
            ("most_spread_soc", self.most_spread_soc, 0.01, 1.0),
            ("least_soc", self.least_soc, 0.0, 1.0),
            ("most_temp_c", self.most_temp_c, -40.0, 90.0),
        ];
        if let Some((name, value, low, high)) =
            within.into_iter().find(|(_, v, low, high)| !(low..=high).contains(&v))
        {
            return Err(format!("{name}: {value} is not between {low} and {high}"));
        }
        if self.dead_band_soc >= self.start_soc {
            return Err(format!(
                "dead_band_soc {} is not below start_soc {}",
                self.dead_band_soc, self.start_soc
            ));
        }
        if self.start_soc >= self.most_spread_soc {
            return Err(format!(
                "start_soc {} is not below most_spread_soc {}",
                self.start_soc, self.most_spread_soc
            ));
        }
        Ok(())
    }
}
