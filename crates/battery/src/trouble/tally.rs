//! What a run did to a pack, by its true cells.

use crate::Chemistry;
use crate::act::current_limits;
use crate::ageing::Tracker;
use crate::pack::Pack;
use crate::units::HOUR_S;
use serde::{Deserialize, Serialize};

/// Highest temperature of a core in °C that is safe for all three chemistries.
pub const HOTTEST_C: f64 = 55.0;

/// Beyond the chemistry's window by more volts than this is outside: what chargers regulate within.
pub const MARGIN_V: f64 = 0.01;

/// Charging current in C that counts as charging.
const CHARGING_C: f64 = 0.02;

/// Temperature of the open-circuit curve by which imbalance is measured.
const ROOM_C: f64 = 25.0;

/// Damage that a run did to a pack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toll {
    /// Seconds in which any cell was outside the safe area: beyond its chemistry's window of voltage by [`MARGIN_V`], above
    /// [`HOTTEST_C`], or charged below 0 °C.
    pub outside_s: f64,
    /// Highest temperature of a core in °C.
    pub max_temp_c: f64,
    /// Charge in Ah of one group that flowed in beyond what the chemistry's limits allow at the coldest core and the highest
    /// charge: what may have plated.
    pub plating_ah: f64,
    /// Spread of the groups' open-circuit voltages at the end, in mV.
    pub imbalance_mv: f64,
    /// Capacity that the group which aged most lost in the run, in percent, by the laws of [`crate::ageing`], which know neither
    /// overcharge nor plating.
    pub ageing_pct: f64,
    /// Minutes on the charger until the pack was charged to the script's state of charge; none if it never was.
    pub charge_min: Option<f64>,
}

/// Counts what a run does to a pack.
#[derive(Debug, Clone)]
pub struct Tally {
    chemistry: Chemistry,
    group_ah: f64,
    charged: f64,
    plugged_s: f64,
    toll: Toll,
    trackers: Vec<Tracker>,
}

impl Tally {
    /// Of a pack; charging time is until that mean state of charge.
    #[must_use]
    pub fn new(pack: &Pack, charged: f64) -> Self {
        let params = pack.cell().params();
        let (chemistry, capacity_ah) = (params.chemistry, params.capacity_ah);
        let toll = Toll { max_temp_c: f64::NEG_INFINITY, ..Toll::default() };
        Self {
            chemistry,
            group_ah: capacity_ah * pack.layout().parallel as f64,
            charged,
            plugged_s: 0.0,
            toll,
            trackers: vec![Tracker::new(chemistry, capacity_ah); pack.layout().series],
        }
    }

    /// Takes the pack after a step of `dt_s` under a current of the pack in A, plugged in or not.
    pub fn push(&mut self, pack: &Pack, current_a: f64, plugged: bool, dt_s: f64) {
        self.plugged_s += if plugged { dt_s } else { 0.0 };
        let (low_v, high_v) = self.chemistry.voltage_window_v();
        let (lowest_v, highest_v) = range(&pack.voltages_v(current_a));
        let (coldest_c, hottest_c) = range(pack.cores_c());
        let socs = pack.socs();
        let (_, highest_soc) = range(&socs);
        let c_rate = current_a / self.group_ah;
        let voltage = highest_v > high_v + MARGIN_V || lowest_v < low_v - MARGIN_V;
        if voltage || hottest_c > HOTTEST_C || (c_rate > CHARGING_C && coldest_c < 0.0) {
            self.toll.outside_s += dt_s;
        }
        self.toll.max_temp_c = self.toll.max_temp_c.max(hottest_c);
        if c_rate > CHARGING_C {
            let allowed_c = current_limits(self.chemistry, highest_soc, coldest_c, 1.0).charge_c;
            self.toll.plating_ah += (c_rate - allowed_c).max(0.0) * self.group_ah * dt_s / HOUR_S;
        }
        let each_a = current_a / pack.layout().parallel as f64;
        let temps = pack.cores_c().chunks(pack.layout().parallel);
        for ((tracker, soc), temps_c) in self.trackers.iter_mut().zip(&socs).zip(temps) {
            tracker.push(pack.cell(), *soc, temps_c[0], each_a, dt_s);
        }
        let mean = socs.iter().sum::<f64>() / socs.len().max(1) as f64;
        if plugged && self.toll.charge_min.is_none() && mean >= self.charged {
            self.toll.charge_min = Some(self.plugged_s / 60.0);
        }
    }

    /// What the run has done so far.
    #[must_use]
    pub fn toll(&self, pack: &Pack) -> Toll {
        let volts: Vec<f64> = pack.socs().iter().map(|soc| pack.cell().ocv_v(*soc, ROOM_C)).collect();
        let (lowest_v, highest_v) = range(&volts);
        let lost = self.trackers.iter().map(|tracker| {
            let mut tracker = tracker.clone();
            tracker.finish(pack.cell());
            1.0 - tracker.loss().capacity()
        });
        Toll {
            imbalance_mv: (highest_v - lowest_v) * 1e3,
            ageing_pct: 100.0 * lost.fold(0.0, f64::max),
            ..self.toll
        }
    }
}

/// Lowest and highest.
fn range(values: &[f64]) -> (f64, f64) {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    values.iter().fold(start, |(low, high), value| (low.min(*value), high.max(*value)))
}
