//! Configuration.

use serde::Deserialize;

/// Configuration of down-sampling; `manifest.toml` has it as a JSON Schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Samples a second while nothing happens; default 0.1.
    pub slow_hz: f64,
    /// Samples a second while a condition is the case; default 10.
    pub fast_hz: f64,
    /// Seconds at rest after which nothing happens; default 600.
    pub quiet_s: f64,
    /// Seconds for which the rate stays high after the last condition; default 60.
    pub after_s: f64,
    /// Least seconds between two changes, but for a condition that begins; default 120.
    pub stay_s: f64,
    /// Current in A up to which the battery is at rest; default 1.
    pub rest_current_a: f64,
    /// Change of the mean cell in V that ends a rest; default 0.01.
    pub rest_change_v: f64,
    /// Change of the hottest sensor in K that ends a rest; default 1.
    pub rest_change_k: f64,
    /// Cells in series, for packs without cell voltages.
    pub cells: Option<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slow_hz: 0.1,
            fast_hz: 10.0,
            quiet_s: 600.0,
            after_s: 60.0,
            stay_s: 120.0,
            rest_current_a: 1.0,
            rest_change_v: 0.01,
            rest_change_k: 1.0,
            cells: None,
        }
    }
}

impl Settings {
    /// A reason where it contradicts itself.
    pub fn check(&self) -> Result<(), String> {
        if !(self.slow_hz >= 0.01 && self.slow_hz < self.fast_hz && self.fast_hz <= 1_000.0) {
            return Err("slow_hz and fast_hz: 0.01 ≤ slow_hz < fast_hz ≤ 1000 must hold".to_owned());
        }
        let times = [("quiet_s", self.quiet_s), ("after_s", self.after_s), ("stay_s", self.stay_s)];
        let limits = [
            ("rest_current_a", self.rest_current_a),
            ("rest_change_v", self.rest_change_v),
            ("rest_change_k", self.rest_change_k),
        ];
        let wrong = times.into_iter().chain(limits).find(|(_, value)| !(0.0..=86_400.0).contains(value));
        wrong.map_or(Ok(()), |(name, value)| Err(format!("{name}: {value} is not between 0 and 86400")))
    }

    /// `quiet_s` in ms.
    pub const fn quiet_ms(&self) -> u64 {
        (self.quiet_s * 1_000.0) as u64
    }

    /// `after_s` in ms.
    pub const fn after_ms(&self) -> u64 {
        (self.after_s * 1_000.0) as u64
    }

    /// `stay_s` in ms.
    pub const fn stay_ms(&self) -> u64 {
        (self.stay_s * 1_000.0) as u64
    }
}
