//! Configuration.

use serde::Deserialize;
use voltmesh_guest::curve::{Chemistry, Curve};

/// Minutes of a day.
const DAY_MIN: u16 = 1_440;

/// Share of the charging current against °C after JEITA's four temperatures (0, 10, 45 and 60 °C), without its steps.
const LAYERED: [(f64, f64); 8] =
    [(0.0, 0.0), (2.0, 0.2), (10.0, 0.5), (15.0, 1.0), (45.0, 1.0), (50.0, 0.5), (58.0, 0.2), (60.0, 0.0)];
const PHOSPHATE: [(f64, f64); 8] =
    [(0.0, 0.0), (2.0, 0.1), (10.0, 0.4), (20.0, 1.0), (45.0, 1.0), (50.0, 0.5), (58.0, 0.2), (60.0, 0.0)];

/// Part of each day in which it may be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Minute of the day at which it begins.
    pub from_min: u16,
    /// Minute at which it ends; before `from_min` it is of the next day.
    pub to_min: u16,
}

impl Window {
    const fn contains(self, minute: u16) -> bool {
        if self.from_min <= self.to_min {
            self.from_min <= minute && minute < self.to_min
        } else {
            minute >= self.from_min || minute < self.to_min
        }
    }
}

/// Configuration of charging control; `manifest.toml` has it as a JSON Schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Charge of one parallel group between full and empty in Ah; it has no default.
    pub capacity_ah: f64,
    /// Active material, for the defaults below; default nmc.
    pub chemistry: Chemistry,
    /// Most charging current in C; default 1.
    pub charge_c: f64,
    /// Points of °C and share of that current; default: JEITA's temperatures.
    pub share_by_temperature: Option<Curve>,
    /// Voltage in V that no cell is to pass; default: the highest at which the chemistry is used.
    pub most_cell_v: Option<f64>,
    /// Volts less than that above 45 °C; default 0.1.
    pub warm_less_v: f64,
    /// Volts beyond it at which charging ends; default 0.01.
    pub stop_beyond_v: f64,
    /// State of charge at which charging ends; default 1: when it is full.
    pub stop_soc: f64,
    /// Kelvins by which a temperature must be better before the limit rises again; default 2.
    pub hysteresis_k: f64,
    /// Share of the current where no temperature is known; default 0.2.
    pub unknown_share: f64,
    /// When it may be charged; default: always.
    pub windows: Vec<Window>,
    /// Minutes by which the windows' clock is ahead of UTC; default 0.
    pub utc_offset_min: i16,
    /// State of charge below which it is charged at any time; default 0.2.
    pub always_below_soc: f64,
    /// Cells in series, for packs without cell voltages.
    pub cells: Option<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity_ah: f64::NAN,
            chemistry: Chemistry::Nmc,
            charge_c: 1.0,
            share_by_temperature: None,
            most_cell_v: None,
            warm_less_v: 0.1,
            stop_beyond_v: 0.01,
            stop_soc: 1.0,
            hysteresis_k: 2.0,
            unknown_share: 0.2,
            windows: Vec::new(),
            utc_offset_min: 0,
            always_below_soc: 0.2,
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
        if let Some(curve) = &self.share_by_temperature {
            curve.check("share_by_temperature")?;
            if (-60..=100).any(|c| !(0.0..=1.0).contains(&curve.at(f64::from(c)))) {
                return Err("share_by_temperature: a share is not between 0 and 1".to_owned());
            }
        }
        let (low_v, high_v) = self.chemistry.window_v();
        let within = [
            ("capacity_ah", self.capacity_ah, 0.1, 10_000.0),
            ("charge_c", self.charge_c, 0.01, 10.0),
            ("most_cell_v", self.top_v(), low_v, high_v + 0.05),
            ("warm_less_v", self.warm_less_v, 0.0, 0.5),
            ("stop_beyond_v", self.stop_beyond_v, 0.0, 0.1),
            ("stop_soc", self.stop_soc, 0.05, 1.0),
            ("hysteresis_k", self.hysteresis_k, 0.0, 20.0),
            ("unknown_share", self.unknown_share, 0.0, 1.0),
            ("always_below_soc", self.always_below_soc, 0.0, 1.0),
            ("utc_offset_min", f64::from(self.utc_offset_min), -840.0, 840.0),
        ];
        if let Some((name, value, low, high)) =
            within.into_iter().find(|(_, v, low, high)| !(low..=high).contains(&v))
        {
            return Err(format!("{name}: {value} is not between {low} and {high}"));
        }
        if self.always_below_soc >= self.stop_soc {
            return Err(format!(
                "always_below_soc {} is not below stop_soc {}",
                self.always_below_soc, self.stop_soc
            ));
        }
        let wrong = |window: &&Window| {
            window.from_min >= DAY_MIN || window.to_min > DAY_MIN || window.from_min == window.to_min
        };
        match self.windows.iter().find(wrong) {
            Some(window) => Err(format!(
                "windows: {} to {} is no part of a day of 1440 minutes",
                window.from_min, window.to_min
            )),
            None if self.windows.len() > 16 => Err("windows: more than 16".to_owned()),
            None => Ok(()),
        }
    }

    /// Share of the current against °C.
    pub fn curve(&self) -> Curve {
        let of_chemistry = if self.chemistry == Chemistry::Lfp { &PHOSPHATE } else { &LAYERED };
        self.share_by_temperature.clone().unwrap_or_else(|| Curve::through(of_chemistry))
    }

    /// Voltage in V that no cell is to pass.
    pub fn top_v(&self) -> f64 {
        self.most_cell_v.unwrap_or(self.chemistry.window_v().1)
    }

    /// Whether it may be charged at a Unix time in ms.
    pub fn is_in_window(&self, now_ms: u64) -> bool {
        let minutes = i64::try_from(now_ms / 60_000).unwrap_or_default() + i64::from(self.utc_offset_min);
        let minute = minutes.rem_euclid(i64::from(DAY_MIN)) as u16;
        self.windows.is_empty() || self.windows.iter().any(|window| window.contains(minute))
    }
}
