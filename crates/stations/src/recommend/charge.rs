//! Duration of a charge, with the battery's curve and its limits of temperature.

use std::collections::BTreeMap;

use voltmesh_battery::act::{ChargeRequest, plan};
use voltmesh_battery::{Cell, CellParams, Chemistry, Health};

use super::Request;

/// Plans kept, 40 bytes each: 100 states of charge at 40 powers; beyond that all are made again.
const MAX_PLANS: usize = 4096;

/// Capacity of the cell that stands for all of the pack's, in Ah.
const CELL_AH: f64 = 60.0;

/// Hottest that a cell may get, in °C.
const HOTTEST_C: f64 = 50.0;

/// Plans of charges, each made once: one takes a millisecond.
pub struct Charging {
    cell: Cell,
    health: Health,
    cell_kwh: f64,
    plans: BTreeMap<Key, Option<f64>>,
}

/// A plan's conditions, coarse enough to meet again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    capacity_100wh: u32,
    power_500w: u32,
    percent: (u8, u8),
    battery_c: i8,
    ambient_c: i8,
}

impl Default for Charging {
    fn default() -> Self {
        Self::new(Chemistry::Nmc)
    }
}

impl Charging {
    /// For packs of new cells of that chemistry.
    pub fn new(chemistry: Chemistry) -> Self {
        let cell = Cell::new(CellParams::generic(chemistry, CELL_AH)).expect("a preset is valid");
        let health = cell.new_health();
        let mean_v =
            (0..100).map(|percent| cell.ocv_v((f64::from(percent) + 0.5) / 100.0, 25.0)).sum::<f64>() / 100.0;
        Self { cell, health, cell_kwh: mean_v * CELL_AH / 1000.0, plans: BTreeMap::new() }
    }

    /// Minutes from a state of charge to the request's target at so much power; `None` if it is too cold, or there is no
    /// power. State of charge is rounded to 1 %, power down to 0.5 kW, from 10 kW on to 2 kW.
    pub fn minutes(&mut self, request: &Request, power_kw: f64, soc: f64) -> Option<f64> {
        let percent = |soc: f64| (soc.clamp(0.0, 1.0) * 100.0).round() as u8;
        let (from, to) = (percent(soc), percent(request.target_soc));
        if from >= to {
            return Some(0.0);
        }
        let halves = (power_kw.clamp(0.0, 10_000.0) * 2.0) as u32;
        let key = Key {
            capacity_100wh: (request.capacity_kwh * 10.0).round() as u32,
            power_500w: if halves >= 20 { halves - halves % 4 } else { halves },
            percent: (from, to),
            battery_c: request.battery_c.round() as i8,
            ambient_c: request.ambient_c.round() as i8,
        };
        if key.power_500w == 0 || key.capacity_100wh == 0 {
            return None;
        }
        if let Some(known) = self.plans.get(&key) {
            return *known;
        }
        let minutes = self.plan(key);
        if self.plans.len() >= MAX_PLANS {
            self.plans.clear();
        }
        self.plans.insert(key, minutes);
        minutes
    }

    fn plan(&self, key: Key) -> Option<f64> {
        let cells = f64::from(key.capacity_100wh) / 10.0 / self.cell_kwh;
        let request = ChargeRequest {
            soc: (f64::from(key.percent.0) / 100.0, f64::from(key.percent.1) / 100.0),
            temp_c: f64::from(key.battery_c),
            ambient_c: f64::from(key.ambient_c),
            power_w: f64::from(key.power_500w) * 500.0 / cells,
            hottest_c: HOTTEST_C,
            loss: f64::INFINITY,
        };
        plan(&self.cell, &self.health, &request).seconds.map(|seconds| seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plug, Position};

    #[test]
    fn minutes_follow_power_charge_and_cold() {
        let position = Position { latitude: 53.0, longitude: -6.0 };
        let request = Request::new(position, 0.2, 58.0, vec![Plug::Ccs]);
        let mut charging = Charging::default();
        let mut check = |power_kw, soc, low, high| {
            let minutes = charging.minutes(&request, power_kw, soc).unwrap();
            assert!((low..=high).contains(&minutes), "{power_kw} kW from {soc}: {minutes} min");
        };
        // 34.8 kWh at 50 and 11 kW take 42 and 190 minutes if nothing but the power limits them.
        check(50.0, 0.2, 40.0, 60.0);
        check(11.0, 0.2, 185.0, 220.0);
        check(3.0, 0.79, 5.0, 20.0);
        check(50.0, 0.9, 0.0, 0.0);
        assert_eq!(charging.minutes(&request, 0.0, 0.2), None);
        let cold = Request { battery_c: -10.0, ambient_c: -10.0, ..request };
        assert_eq!(charging.minutes(&cold, 50.0, 0.2), None);
    }
}
