//! Dynamic attributes of a battery passport: what a battery has gone through (Regulation (EU) 2023/1542, annexes VII and
//! XIII; names after DIN DKE SPEC 99100).

use crate::{Cell, Chemistry, estimate::power::Uncertain, units::HOUR_S};
use serde::{Deserialize, Serialize};

/// Temperatures in °C beyond which time counts as extreme.
pub const EXTREME_C: (f64, f64) = (-10.0, 45.0);

/// Longest time in s between samples that is counted as use.
const STEP_S: f64 = 600.0;

/// Sums over a battery's life so far. Can be written down and gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Ah into each cell, and out of it.
    pub charged_ah: f64,
    /// Out of each cell.
    pub discharged_ah: f64,
    /// Wh into the pack.
    pub charged_wh: f64,
    /// Out of the pack.
    pub discharged_wh: f64,
    /// Hours below [`EXTREME_C`].
    pub cold_h: f64,
    /// Hours above.
    pub hot_h: f64,
    /// Hours of charging below.
    pub cold_charge_h: f64,
    /// Hours of charging above.
    pub hot_charge_h: f64,
    /// Hours seen.
    pub seen_h: f64,
    /// Hours, of those seen or between samples, in which current or voltage was unknown: the throughputs lack them.
    #[serde(default)]
    pub unknown_h: f64,
    /// Times that a cell fell below the lowest voltage.
    pub deep_discharges: u64,
    /// Times that a cell rose above the highest.
    pub overcharges: u64,
    /// Times that a sensor passed 60 °C.
    pub overheated: u64,
    /// Whether those are so now: bits 0, 1, 2.
    now: u8,
}

/// Hottest temperature in °C that is no event.
const OVERHEATED_C: f64 = 60.0;

/// Distance by which a voltage may pass its window without being an event, in V.
const MARGIN_V: f64 = 0.05;

/// A moment of use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Current of a cell in A.
    pub cell_a: f64,
    /// Power of the pack in W, charge positive; no number if it is unknown.
    pub pack_w: f64,
    /// Lowest and highest cell voltage in V.
    pub cells_v: (f64, f64),
    /// Coldest and hottest temperature in °C.
    pub temps_c: (f64, f64),
    /// Since the last one, in s.
    pub dt_s: f64,
}

impl Counters {
    /// Takes a moment. What is not a number is not counted.
    pub fn push(&mut self, chemistry: Chemistry, moment: &Moment) {
        let hours = if moment.dt_s > 0.0 && moment.dt_s <= STEP_S { moment.dt_s / HOUR_S } else { 0.0 };
        self.seen_h += hours;
        if moment.cell_a.is_finite() {
            self.charged_ah += moment.cell_a.max(0.0) * hours;
            self.discharged_ah += (-moment.cell_a).max(0.0) * hours;
        }
        if moment.pack_w.is_finite() {
            self.charged_wh += moment.pack_w.max(0.0) * hours;
            self.discharged_wh += (-moment.pack_w).max(0.0) * hours;
        }
        if !moment.cell_a.is_finite() || !moment.pack_w.is_finite() {
            self.unknown_h += hours;
        }
        let charging = moment.cell_a > 0.0;
        if moment.temps_c.0 < EXTREME_C.0 {
            self.cold_h += hours;
            self.cold_charge_h += if charging { hours } else { 0.0 };
        }
        if moment.temps_c.1 > EXTREME_C.1 {
            self.hot_h += hours;
            self.hot_charge_h += if charging { hours } else { 0.0 };
        }
        let (low, high) = chemistry.voltage_window_v();
        let begins = |bit: u8, is: bool, now: &mut u8| {
            let was = *now & bit != 0;
            *now = if is { *now | bit } else { *now & !bit };
            u64::from(is && !was)
        };
        self.deep_discharges += begins(1, moment.cells_v.0 < low - MARGIN_V, &mut self.now);
        self.overcharges += begins(2, moment.cells_v.1 > high + MARGIN_V, &mut self.now);
        self.overheated += begins(4, moment.temps_c.1 > OVERHEATED_C, &mut self.now);
    }

    /// Takes a time in s for which no sample could be used. A longer one than between samples in use is no use.
    pub fn push_unknown(&mut self, dt_s: f64) {
        if dt_s > 0.0 && dt_s <= STEP_S {
            self.unknown_h += dt_s / HOUR_S;
        }
    }

    /// Equivalent full cycles.
    #[must_use]
    pub fn full_cycles(&self, capacity_ah: f64) -> f64 {
        (self.charged_ah + self.discharged_ah) / 2.0 / capacity_ah
    }
}

/// The attributes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Passport {
    /// Remaining usable energy relative to the certified, in percent.
    pub state_of_certified_energy: Uncertain,
    /// Remaining capacity in Ah of a group.
    pub remaining_capacity_ah: Uncertain,
    /// Capacity lost, in percent of the rated one.
    pub capacity_fade: Uncertain,
    /// Resistance gained, in percent.
    pub internal_resistance_increase: Uncertain,
    /// Equivalent full cycles.
    pub number_of_full_cycles: f64,
    /// Of a group in Ah, both directions.
    pub capacity_throughput_ah: f64,
    /// Of the pack in kWh, both directions.
    pub energy_throughput_kwh: f64,
    /// Energy out over energy in, in percent; nothing before a tenth of a cycle.
    pub round_trip_efficiency: Option<f64>,
    /// In hours, with unknown current or voltage: what flowed then is in none of the sums.
    pub time_unknown_h: f64,
    /// In hours, below −10 °C.
    pub time_at_low_temperature_h: f64,
    /// In hours, above 45 °C.
    pub time_at_high_temperature_h: f64,
    /// In hours, charging below −10 °C.
    pub time_charging_at_low_temperature_h: f64,
    /// In hours, charging above 45 °C.
    pub time_charging_at_high_temperature_h: f64,
    /// Times that a cell was discharged below its window.
    pub deep_discharge_events: u64,
    /// Times that a cell was charged above its window.
    pub overcharge_events: u64,
    /// Times that a sensor passed 60 °C.
    pub overtemperature_events: u64,
    /// Faults that were found, by kind.
    pub fault_events: std::collections::BTreeMap<String, u64>,
    /// Versions of the methods.
    pub methods: Vec<String>,
}

/// Energy that a cell gives slowly at 25 °C relative to the certified: capacity and the voltage it is given at.
#[must_use]
pub fn certified_energy(cell: &Cell, capacity_ah: Uncertain) -> Uncertain {
    let rated = cell.params().capacity_ah;
    let whole = |ah: f64| crate::estimate::power::energy_wh(cell, ah, 1.0, 25.0);
    let full = whole(rated);
    Uncertain { value: 100.0 * whole(capacity_ah.value) / full, sd: 100.0 * whole(capacity_ah.sd) / full }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_count_once_and_hours_where_they_belong() {
        let mut counters = Counters::default();
        let calm =
            Moment { cell_a: 10.0, pack_w: 3_700.0, cells_v: (3.7, 3.7), temps_c: (20.0, 21.0), dt_s: 36.0 };
        for _ in 0..100 {
            counters.push(Chemistry::Nmc, &calm);
        }
        assert!((counters.charged_ah - 10.0).abs() < 1e-9 && counters.cold_h == 0.0);
        assert!((counters.full_cycles(50.0) - 0.1).abs() < 1e-9);
        for volts in [2.5, 2.5, 3.0, 2.5] {
            counters.push(Chemistry::Nmc, &Moment { cells_v: (volts, 3.7), temps_c: (-15.0, 61.0), ..calm });
        }
        assert_eq!((counters.deep_discharges, counters.overcharges, counters.overheated), (2, 0, 1));
        assert!((counters.cold_charge_h - 0.04).abs() < 1e-9 && (counters.hot_h - 0.04).abs() < 1e-9);
        counters.push(Chemistry::Nmc, &Moment { dt_s: 1e9, cell_a: f64::NAN, ..calm });
        assert!((counters.seen_h - 1.04).abs() < 1e-9, "a gap is no use");
    }
}
