//! Configuration.

use serde::Deserialize;

/// Configuration of temperature regulation; `manifest.toml` has it as a JSON Schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Below this °C of the coldest sensor heating begins; default 5.
    pub heat_below_c: f64,
    /// To this °C it heats; default 15.
    pub heat_to_c: f64,
    /// Whether it heats without a plug, from the battery's own charge; default no.
    pub heat_unplugged: bool,
    /// Above this °C of the hottest sensor, now or at the horizon, cooling begins; default 38.
    pub cool_above_c: f64,
    /// To this °C it cools; default 30.
    pub cool_to_c: f64,
    /// Seconds for which the model looks ahead for cooling; default 300.
    pub horizon_s: f64,
    /// Seconds for which it looks ahead for derating; default 120.
    pub derate_horizon_s: f64,
    /// Time constant of the battery against its coolant in s; default 1,800.
    pub time_constant_s: f64,
    /// °C that no sensor is to reach; default 55.
    pub limit_c: f64,
    /// Kelvins below the limit from which on current is derated; default 8.
    pub derate_span_k: f64,
    /// Kelvins further down at which derating may end; default 2.
    pub hysteresis_k: f64,
    /// Least share of the vehicle's limits that is left; default 0.1.
    pub least_share: f64,
    /// Rise in K/min that derates to the least share at once; default 3.
    pub runaway_k_per_min: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heat_below_c: 5.0,
            heat_to_c: 15.0,
            heat_unplugged: false,
            cool_above_c: 38.0,
            cool_to_c: 30.0,
            horizon_s: 300.0,
            derate_horizon_s: 120.0,
            time_constant_s: 1_800.0,
            limit_c: 55.0,
            derate_span_k: 8.0,
            hysteresis_k: 2.0,
            least_share: 0.1,
            runaway_k_per_min: 3.0,
        }
    }
}

impl Settings {
    /// A reason where it contradicts itself.
    pub fn check(&self) -> Result<(), String> {
        let order = [
            ("heat_below_c", self.heat_below_c),
            ("heat_to_c", self.heat_to_c),
            ("cool_to_c", self.cool_to_c),
            ("cool_above_c", self.cool_above_c),
            ("limit_c", self.limit_c),
        ];
        // A number that is none is below nothing.
        let ascends = |pair: &[(&str, f64)]| pair[0].1 < pair[1].1;
        if let Some([low, high]) = order.windows(2).find(|pair| !ascends(pair)) {
            return Err(format!("{} {} is not below {} {}", low.0, low.1, high.0, high.1));
        }
        if self.heat_below_c < -40.0 || self.limit_c > 90.0 {
            return Err("temperatures must lie between -40 and 90 °C".to_owned());
        }
        let positive = [
            ("horizon_s", self.horizon_s, 3_600.0),
            ("derate_horizon_s", self.derate_horizon_s, 3_600.0),
            ("time_constant_s", self.time_constant_s, 100_000.0),
            ("derate_span_k", self.derate_span_k, 40.0),
            ("hysteresis_k", self.hysteresis_k, 40.0),
            ("least_share", self.least_share, 1.0),
            ("runaway_k_per_min", self.runaway_k_per_min, 600.0),
        ];
        let wrong = positive.into_iter().find(|(_, value, most)| !(*value > 0.0 && value <= most));
        wrong.map_or(Ok(()), |(name, value, most)| {
            Err(format!("{name}: {value} is not above 0 and up to {most}"))
        })
    }
}
