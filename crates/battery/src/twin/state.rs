//! Output of a twin: its state, the passport, the schedule.

use super::Twin;
use crate::{
    act::{Balance, CurrentLimits, Item, Outlook, balance, current_limits, schedule, warm_enough_c},
    ageing::{self, Rest, Use},
    estimate::{
        self,
        power::{Power, Uncertain, Window, power, state_of_energy},
    },
    pack::PackEstimator,
    passport::{Passport, certified_energy},
    watch::{self, Kind, Stage},
};
use serde::{Deserialize, Serialize};

/// A twin's state, as it goes with a batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// Of the sample that it is of, in s.
    pub time_s: f64,
    /// State of charge of the mean cell, 0..1.
    pub soc: Uncertain,
    /// Lowest and highest cell.
    pub soc_range: (f64, f64),
    /// State of energy, 0..1.
    pub soe: Uncertain,
    /// Capacity relative to new.
    pub soh_capacity: Uncertain,
    /// Resistance relative to new.
    pub soh_resistance: Uncertain,
    /// Power of the pack in W for 2, 10 and 30 s.
    pub power: Power,
    /// Currents of the pack in A that are allowed.
    pub limits: Limits,
    /// Groups to bleed.
    pub balance: Vec<Balance>,
    /// Temperature in °C to heat to before charging, where the pack is too cold to charge at half its best current.
    pub heat_to_c: Option<f64>,
    /// Largest difference in charge between the fast path and the cells' own filters.
    pub disagreement: Option<f64>,
    /// Offset of the current sensor in A.
    pub current_offset_a: Uncertain,
    /// What is found and not over.
    pub active: Vec<(Kind, Stage)>,
    /// Versions of the methods.
    pub methods: [&'static str; 3],
}

/// Current limits of a pack in A, both positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Charge.
    pub charge_a: f64,
    /// Discharge.
    pub discharge_a: f64,
}

/// Share of the best charging current below which heating is asked for.
const COLD_SHARE: f64 = 0.5;

impl Twin {
    /// The state now; `None` before the first estimate, and while samples are refused.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        if self.refused {
            return None;
        }
        let (estimator, estimate, sample) = (self.estimator.as_ref()?, self.latest?, self.last.as_ref()?);
        let ageing = estimator.ageing()?;
        let chemistry = self.cell.params().chemistry;
        let new_ah = self.cell.params().capacity_ah;
        let parallel = self.setup.parallel as f64;
        let temp_c = sample.mean_temp_c().unwrap_or(25.0);
        let known = sample.temps_c.iter().copied().filter(|temp| temp.is_finite());
        let coldest_c = known.clone().fold(temp_c, f64::min);
        let hottest_c = known.fold(temp_c, f64::max);
        let mean = estimate.mean;
        // The fullest cell bounds the charge, the emptiest the discharge.
        let at = |soc: f64, temp_c: f64| current_limits(chemistry, soc, temp_c, ageing.resistance_factor);
        let charge = CurrentLimits {
            charge_c: at(estimate.soc_range.1, coldest_c)
                .charge_c
                .min(at(estimate.soc_range.1, hottest_c).charge_c),
            discharge_c: at(estimate.soc_range.0, coldest_c)
                .discharge_c
                .min(at(estimate.soc_range.0, hottest_c).discharge_c),
        };
        let cell_ah = ageing.capacity_ah;
        let best_c = current_limits(chemistry, 0.5, 25.0, ageing.resistance_factor).charge_c;
        let heat_to_c = (at(0.5, coldest_c).charge_c < COLD_SHARE * best_c && coldest_c < 25.0)
            .then(|| warm_enough_c(chemistry, COLD_SHARE * best_c))
            .flatten();
        let window = Window::of(chemistry, cell_ah);
        let one = power(&self.cell, &window, &ageing, &mean, estimator.bar().branch_a(), temp_c);
        let cells =
            sample.cells_v.len().max(if sample.cells_v.len() == 1 { self.setup.series } else { 1 }) as f64;
        let of_pack = |power: Uncertain| Uncertain {
            value: power.value * cells * parallel,
            sd: power.sd * cells * parallel,
        };
        Some(State {
            time_s: sample.time_s,
            soc: Uncertain { value: mean.soc, sd: mean.soc_sd },
            soc_range: estimate.soc_range,
            soe: state_of_energy(&self.cell, &mean, temp_c),
            soh_capacity: Uncertain { value: cell_ah / new_ah, sd: ageing.capacity_sd_ah / new_ah },
            soh_resistance: Uncertain { value: ageing.resistance_factor, sd: ageing.resistance_sd },
            power: Power { discharge_w: one.discharge_w.map(of_pack), charge_w: one.charge_w.map(of_pack) },
            limits: Limits {
                charge_a: charge.charge_c * cell_ah * parallel,
                discharge_a: charge.discharge_c * cell_ah * parallel,
            },
            balance: self.balance(),
            heat_to_c,
            disagreement: estimate.disagreement,
            current_offset_a: Uncertain { value: mean.offset_a * parallel, sd: mean.offset_sd_a * parallel },
            active: self.watch.active(),
            methods: [estimate::VERSION, watch::VERSION, ageing::VERSION],
        })
    }

    /// Groups to bleed; none while nothing is estimated.
    fn balance(&self) -> Vec<Balance> {
        let estimator = self.estimator.as_ref().filter(|_| !self.refused && self.latest.is_some());
        let found = estimator.and_then(|estimator| Some((estimator, estimator.ageing()?)));
        found.map_or_else(Vec::new, |(estimator, ageing)| {
            balance(estimator.deltas(), ageing.capacity_ah * self.setup.parallel as f64, self.setup.bleed_a)
        })
    }

    pub(super) fn capacity(&self) -> Uncertain {
        let found = self.estimator.as_ref().and_then(PackEstimator::ageing);
        found.map_or(
            Uncertain { value: self.health.capacity_ah, sd: 0.1 * self.health.capacity_ah },
            |ageing| Uncertain { value: ageing.capacity_ah, sd: ageing.capacity_sd_ah },
        )
    }

    pub(super) fn resistance(&self) -> Uncertain {
        let found = self.estimator.as_ref().and_then(PackEstimator::ageing);
        found.map_or(Uncertain { value: self.health.resistance_factor, sd: 0.25 }, |ageing| Uncertain {
            value: ageing.resistance_factor,
            sd: ageing.resistance_sd,
        })
    }

    /// The passport's dynamic attributes.
    #[must_use]
    pub fn passport(&self) -> Passport {
        let new_ah = self.cell.params().capacity_ah;
        let parallel = self.setup.parallel as f64;
        let (capacity, resistance) = (self.capacity(), self.resistance());
        let counters = &self.counters;
        let cycles = counters.full_cycles(new_ah);
        Passport {
            state_of_certified_energy: certified_energy(&self.cell, capacity),
            remaining_capacity_ah: Uncertain { value: capacity.value * parallel, sd: capacity.sd * parallel },
            capacity_fade: Uncertain {
                value: 100.0 * (1.0 - capacity.value / new_ah),
                sd: 100.0 * capacity.sd / new_ah,
            },
            internal_resistance_increase: Uncertain {
                value: 100.0 * (resistance.value - 1.0),
                sd: 100.0 * resistance.sd,
            },
            number_of_full_cycles: cycles,
            capacity_throughput_ah: (counters.charged_ah + counters.discharged_ah) * parallel,
            energy_throughput_kwh: (counters.charged_wh + counters.discharged_wh) / 1_000.0,
            round_trip_efficiency: (cycles > 0.1 && counters.charged_wh > 0.0)
                .then(|| 100.0 * (counters.discharged_wh / counters.charged_wh).min(1.0)),
            time_unknown_h: counters.unknown_h,
            time_at_low_temperature_h: counters.cold_h,
            time_at_high_temperature_h: counters.hot_h,
            time_charging_at_low_temperature_h: counters.cold_charge_h,
            time_charging_at_high_temperature_h: counters.hot_charge_h,
            deep_discharge_events: counters.deep_discharges,
            overcharge_events: counters.overcharges,
            overtemperature_events: counters.overheated,
            fault_events: self.faults.iter().map(|(kind, times)| (kind.name().to_owned(), *times)).collect(),
            methods: [estimate::VERSION, watch::VERSION, ageing::VERSION].map(str::to_owned).to_vec(),
        }
    }

    /// What has to be done, and when, if use goes on as so far.
    #[must_use]
    pub fn maintenance(&self) -> Vec<Item> {
        let mean =
            |sum: f64, otherwise: f64| if self.sums.hours > 0.0 { sum / self.sums.hours } else { otherwise };
        let (temp_c, soc) = (mean(self.sums.temp_c, 20.0), mean(self.sums.soc, 0.6));
        let voltage_v = self.cell.ocv_v(soc, temp_c);
        let new_ah = self.cell.params().capacity_ah;
        let days = (self.counters.seen_h / 24.0).max(1.0);
        let capacity = self.capacity();
        schedule(&Outlook {
            chemistry: self.cell.params().chemistry,
            loss: self.tracker.loss(),
            capacity: Some((capacity.value / new_ah, capacity.sd / new_ah)),
            rest: Rest { temp_c, soc, voltage_v },
            cycle: Use { depth: 0.4, full_cycles: 0.4, soc, voltage_v, temp_c, c_rate: 0.5 },
            full_cycles_per_day: (self.tracker.full_cycles() / days).clamp(0.0, 4.0),
            active: self.watch.active(),
            balance_s: self.balance().iter().map(|group| group.seconds).fold(0.0, f64::max),
        })
    }
}
