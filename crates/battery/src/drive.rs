//! Load of a vehicle on its battery: public driving schedules, and the forces of the road.

use serde::{Deserialize, Serialize};

/// A driving schedule: speed over time, second by second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Urban Dynamometer Driving Schedule, US EPA.
    #[default]
    Udds,
    /// Highway Fuel Economy Driving Schedule, US EPA.
    Hwfet,
    /// WLTC class 3a, UN GTR No. 15.
    WltcClass3a,
    /// WLTC class 3b, UN GTR No. 15.
    WltcClass3b,
}

impl Schedule {
    fn table(self) -> &'static str {
        match self {
            Self::Udds => include_str!("../cycles/udds.csv"),
            Self::Hwfet => include_str!("../cycles/hwfet.csv"),
            Self::WltcClass3a => include_str!("../cycles/wltc_class3a.csv"),
            Self::WltcClass3b => include_str!("../cycles/wltc_class3b.csv"),
        }
    }

    /// Speed in m/s at each second from 0 on.
    #[must_use]
    pub fn speeds(self) -> Vec<f64> {
        let rows = self.table().lines().filter_map(|line| line.split_once(','));
        rows.filter_map(|(_, kmh)| kmh.parse::<f64>().ok()).map(|kmh| kmh / 3.6).collect()
    }

    /// Length in km.
    #[must_use]
    pub fn km(self) -> f64 {
        self.speeds().windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).sum::<f64>() / 1_000.0
    }
}

/// Longitudinal forces of a car, and what else takes power.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Car {
    /// In kg. Default 1,600.
    pub mass_kg: f64,
    /// Drag coefficient times frontal area in m². Default 0.62.
    pub drag_m2: f64,
    /// Rolling resistance coefficient. Default 0.009.
    pub rolling: f64,
    /// Of the drivetrain, each way. Default 0.92.
    pub efficiency: f64,
    /// Most that braking recovers, in W. Default 60,000.
    pub recuperation_w: f64,
    /// Auxiliaries but for cabin heat, in W. Default 400.
    pub auxiliaries_w: f64,
    /// Cabin heat or cooling for each K away from 20 °C, in W. Default 60.
    pub cabin_w_per_k: f64,
}

impl Default for Car {
    fn default() -> Self {
        Self {
            mass_kg: 1_600.0,
            drag_m2: 0.62,
            rolling: 0.009,
            efficiency: 0.92,
            recuperation_w: 60_000.0,
            auxiliaries_w: 400.0,
            cabin_w_per_k: 60.0,
        }
    }
}

/// Density of air in kg/m³ and gravity in m/s².
const AIR_KG_M3: f64 = 1.2;
const GRAVITY: f64 = 9.81;

/// Most that cabin heat takes, in W.
const CABIN_MOST_W: f64 = 4_000.0;

impl Car {
    /// Power at the battery's terminals in W; positive discharges.
    #[must_use]
    pub fn power_w(&self, speed_ms: f64, acceleration_ms2: f64) -> f64 {
        let rolling = if speed_ms > 0.0 { self.rolling * GRAVITY * self.mass_kg } else { 0.0 };
        let drag = 0.5 * AIR_KG_M3 * self.drag_m2 * speed_ms * speed_ms;
        let wheels_w = (self.mass_kg * acceleration_ms2 + rolling + drag) * speed_ms;
        let electric_w = if wheels_w >= 0.0 {
            wheels_w / self.efficiency
        } else {
            (wheels_w * self.efficiency).max(-self.recuperation_w)
        };
        electric_w + self.auxiliaries_w
    }

    /// Cabin heat or cooling in W.
    #[must_use]
    pub fn cabin_w(&self, ambient_c: f64) -> f64 {
        (self.cabin_w_per_k * (ambient_c - 20.0).abs()).min(CABIN_MOST_W)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_as_long_as_published() {
        for (schedule, seconds, km) in [
            (Schedule::Udds, 1_370, 11.99),
            (Schedule::Hwfet, 766, 16.51),
            (Schedule::WltcClass3a, 1_801, 23.19),
            (Schedule::WltcClass3b, 1_801, 23.27),
        ] {
            assert!((schedule.km() - km).abs() < 0.02, "{schedule:?}: {} km", schedule.km());
            assert_eq!(schedule.speeds().len(), seconds, "{schedule:?}");
        }
    }

    #[test]
    fn braking_gives_back_less_than_speeding_up_took() {
        let car = Car::default();
        let (faster, slower) = (car.power_w(15.0, 1.0), car.power_w(15.0, -1.0));
        assert!(faster > 0.0 && slower < 0.0 && -slower < faster);
        assert_eq!(car.cabin_w(20.0), 0.0);
    }
}
