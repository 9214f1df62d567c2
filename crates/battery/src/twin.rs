//! A pack's digital twin: checks each sample, estimates, watches, counts and says what follows.

use crate::{
    Cell, Health,
    act::{Balance, CurrentLimits, Item, Outlook, balance, current_limits, schedule, warm_enough_c},
    ageing::{self, Rest, Tracker, Use},
    estimate::{
        self,
        power::{Power, Uncertain, Window, power, state_of_energy},
    },
    pack::{PackEstimate, PackEstimator, PackSample},
    passport::{Counters, Moment, Passport, certified_energy},
    watch::{self, Checker, Event, Kind, Stage, Verdict, Watch},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// How a pack is built and what its twin does.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Cells in parallel in a group.
    pub parallel: usize,
    /// Groups in series; what a sample without cell voltages is divided by.
    pub series: usize,
    /// Seconds between samples that the filter of each cell takes; `None` runs the fast path alone.
    pub full_every_s: Option<f64>,
    /// Current of a balancing resistor in A.
    pub bleed_a: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { parallel: 1, series: 96, full_every_s: Some(1.0), bleed_a: 0.1 }
    }
}

/// What outlives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Capacity of a cell in Ah and its overpotential relative to new, as found.
    pub capacity_ah: f64,
    /// See `capacity_ah`.
    pub resistance_factor: f64,
    /// Use so far.
    pub tracker: Tracker,
    /// Sums so far.
    pub counters: Counters,
    /// Faults found so far, by kind.
    pub faults: BTreeMap<Kind, u64>,
}

/// What a sample led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What its checks said.
    pub verdict: Verdict,
    /// What is new.
    pub events: Vec<Event>,
}

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
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limits {
    /// Charge.
    pub charge_a: f64,
    /// Discharge.
    pub discharge_a: f64,
}

/// Share of the best charging current below which heating is asked for.
const COLD_SHARE: f64 = 0.5;

/// The twin of one pack.
pub struct Twin {
    cell: Arc<Cell>,
    setup: Setup,
    health: Health,
    checker: Checker,
    estimator: Option<PackEstimator>,
    latest: Option<PackEstimate>,
    watch: Watch,
    tracker: Tracker,
    counters: Counters,
    faults: BTreeMap<Kind, u64>,
    /// What use has been like: sums of temperature, charge and its square, over hours.
    sums: Sums,
    last: Option<PackSample>,
    refused: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    hours: f64,
    temp_c: f64,
    soc: f64,
}

impl Twin {
    /// A twin; `memory` is that of the same pack before.
    #[must_use]
    pub fn new(cell: Arc<Cell>, setup: Setup, memory: Option<Memory>) -> Self {
        let new = cell.new_health();
        let chemistry = cell.params().chemistry;
        let group_ah = new.capacity_ah * setup.parallel as f64;
        let known = memory.filter(|memory| {
            // Of another pack, or damaged.
            (0.3..1.5).contains(&(memory.capacity_ah / new.capacity_ah))
                && (0.2..5.0).contains(&memory.resistance_factor)
        });
        let health = known.as_ref().map_or(new, |memory| Health {
            capacity_ah: memory.capacity_ah,
            resistance_factor: memory.resistance_factor,
        });
        let (tracker, counters, faults) = match known {
            Some(memory) => (memory.tracker, memory.counters, memory.faults),
            None => (Tracker::new(chemistry, new.capacity_ah), Counters::default(), BTreeMap::new()),
        };
        Self {
            checker: Checker::new(chemistry, group_ah),
            watch: Watch::new(group_ah),
            estimator: None,
            latest: None,
            sums: Sums::default(),
            last: None,
            refused: false,
            health,
            tracker,
            counters,
            faults,
            setup,
            cell,
        }
    }

    /// Takes a sample, in the order of time. What cannot be believed is not used, and said.
    pub fn update(&mut self, mut sample: PackSample) -> Update {
        if sample.cells_v.is_empty() {
            // A pack that reports no cells is one mean cell.
            sample.cells_v.push(sample.voltage_v / self.setup.series.max(1) as f64);
        }
        let verdict = self.checker.check(&mut sample);
        self.refused = verdict.refused;
        if !verdict.usable {
            return Update { verdict, events: Vec::new() };
        }
        self.watch.screen(&mut sample);
        let groups = sample.cells_v.len();
        let renewed = self.estimator.as_ref().is_none_or(|estimator| estimator.deltas().len() != groups);
        if renewed {
            let estimator = PackEstimator::new(self.cell.clone(), self.health, groups, self.setup.parallel);
            self.estimator = Some(match self.setup.full_every_s {
                Some(every_s) => estimator.with_full(self.health, every_s),
                None => estimator,
            });
        }
        let Some(estimator) = &mut self.estimator else { return Update { verdict, events: Vec::new() } };
        let before = self.latest;
        self.latest = estimator.update(&sample).or(before);
        let events = self.watch.update(&sample, estimator);
        for event in events.iter().filter(|event| !event.over) {
            *self.faults.entry(event.kind).or_default() += 1;
        }
        self.count(&sample);
        self.last = Some(sample);
        Update { verdict, events }
    }

    fn count(&mut self, sample: &PackSample) {
        let dt_s = self.last.as_ref().map_or(0.0, |last| sample.time_s - last.time_s);
        let range = |values: &[f64]| {
            let known = values.iter().copied().filter(|value| value.is_finite());
            known.fold((f64::INFINITY, f64::NEG_INFINITY), |range, value| {
                (range.0.min(value), range.1.max(value))
            })
        };
        let cell_a = sample.current_a / self.setup.parallel as f64;
        let moment = Moment {
            cell_a,
            pack_w: sample.current_a * sample.voltage_v,
            cells_v: range(&sample.cells_v),
            temps_c: range(&sample.temps_c),
            dt_s,
        };
        self.counters.push(self.cell.params().chemistry, &moment);
        let (Some(estimate), Some(temp_c)) = (self.latest, sample.mean_temp_c()) else { return };
        let soc = estimate.mean.soc;
        self.tracker.push(&self.cell, soc, temp_c, cell_a, dt_s.min(watch::GAP_S));
        let hours = dt_s.clamp(0.0, watch::GAP_S) / 3_600.0;
        self.sums.hours += hours;
        self.sums.temp_c += temp_c * hours;
        self.sums.soc += soc * hours;
    }

    /// Whether samples contradict chemistry or sign, so that nothing is estimated.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.refused
    }

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
            balance: balance(estimator.deltas(), cell_ah * parallel, self.setup.bleed_a),
            heat_to_c,
            disagreement: estimate.disagreement,
            current_offset_a: Uncertain { value: mean.offset_a * parallel, sd: mean.offset_sd_a * parallel },
            active: self.watch.active(),
            methods: [estimate::VERSION, watch::VERSION, ageing::VERSION],
        })
    }

    fn capacity(&self) -> Uncertain {
        let found = self.estimator.as_ref().and_then(PackEstimator::ageing);
        found.map_or(
            Uncertain { value: self.health.capacity_ah, sd: 0.1 * self.health.capacity_ah },
            |ageing| Uncertain { value: ageing.capacity_ah, sd: ageing.capacity_sd_ah },
        )
    }

    fn resistance(&self) -> Uncertain {
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
        let state = self.state();
        schedule(&Outlook {
            chemistry: self.cell.params().chemistry,
            loss: self.tracker.loss(),
            capacity: Some((capacity.value / new_ah, capacity.sd / new_ah)),
            rest: Rest { temp_c, soc, voltage_v },
            cycle: Use { depth: 0.4, full_cycles: 0.4, soc, voltage_v, temp_c, c_rate: 0.5 },
            full_cycles_per_day: (self.tracker.full_cycles() / days).clamp(0.0, 4.0),
            active: self.watch.active(),
            balance_s: state
                .iter()
                .flat_map(|state| &state.balance)
                .map(|group| group.seconds)
                .fold(0.0, f64::max),
        })
    }

    /// What has to outlive a restart.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory {
            capacity_ah: self.capacity().value,
            resistance_factor: self.resistance().value,
            tracker: self.tracker.clone(),
            counters: self.counters,
            faults: self.faults.clone(),
        }
    }

    /// The estimator, once a sample has come.
    #[must_use]
    pub fn estimator(&self) -> Option<&PackEstimator> {
        self.estimator.as_ref()
    }

    /// The detectors.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CellParams, Chemistry,
        pack::{Layout, Pack, Sensors},
    };

    fn cell() -> Arc<Cell> {
        Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, 60.0)).expect("a preset"))
    }

    fn driven(seconds: u32) -> (Twin, Pack) {
        let mut pack = Pack::new(cell(), &Layout { series: 8, ..Layout::default() }, 0.8, 15.0);
        let mut twin = Twin::new(cell(), Setup { series: 8, ..Setup::default() }, None);
        for second in 0..seconds {
            let amps = if second % 60 < 40 { -60.0 } else { 20.0 };
            pack.step(amps, 15.0, 1.0);
            let update = twin.update(Sensors::default().read(&pack, f64::from(second), amps));
            assert!(update.verdict.failed.is_empty() && update.events.is_empty(), "{second}: {update:?}");
        }
        (twin, pack)
    }

    #[test]
    fn state_passport_and_schedule_say_what_happened() {
        let (twin, pack) = driven(1_800);
        let state = twin.state().expect("a state");
        let truth = pack.socs().iter().sum::<f64>() / 8.0;
        assert!((state.soc.value - truth).abs() < 0.01, "{state:?} is {truth}");
        assert!(state.power.discharge_w[0].value > state.power.discharge_w[2].value * 0.99);
        assert!(state.limits.charge_a > 0.0 && state.limits.discharge_a > state.limits.charge_a);
        assert!(state.disagreement.expect("both paths run") < 0.02);
        let passport = twin.passport();
        assert!(
            (passport.capacity_throughput_ah - (60.0 * 1_200.0 + 20.0 * 600.0) / 3_600.0).abs() < 0.2,
            "{passport:?}"
        );
        assert!(twin.maintenance().iter().any(|item| item.what.contains("second life")));
        let json = serde_json::to_value((&state, &passport)).expect("JSON");
        assert!(json[1]["stateOfCertifiedEnergy"]["value"].as_f64().is_some_and(|energy| energy > 80.0));
    }

    #[test]
    fn what_must_outlive_a_restart_does() {
        let (twin, _) = driven(600);
        let text = serde_json::to_string(&twin.memory()).expect("JSON");
        let memory: Memory = serde_json::from_str(&text).expect("what was written");
        let again = Twin::new(cell(), Setup::default(), Some(memory));
        assert_eq!(again.passport().capacity_throughput_ah, twin.passport().capacity_throughput_ah);
        let damaged = Memory { capacity_ah: f64::NAN, ..twin.memory() };
        assert_eq!(Twin::new(cell(), Setup::default(), Some(damaged)).passport().capacity_throughput_ah, 0.0);
    }

    #[test]
    fn samples_of_another_chemistry_are_refused_and_nothing_panics() {
        let mut twin = Twin::new(
            Arc::new(Cell::new(CellParams::generic(Chemistry::Lfp, 60.0)).expect("a preset")),
            Setup::default(),
            None,
        );
        for second in 0..20u32 {
            let sample = PackSample {
                time_s: f64::from(second),
                voltage_v: 400.0,
                current_a: 0.0,
                cells_v: vec![4.15; 96],
                temps_c: vec![f64::NAN],
                insulation_ohm: None,
            };
            twin.update(sample);
        }
        assert!(twin.refuses() && twin.state().is_none());
        let mut twin = Twin::new(cell(), Setup::default(), None);
        for (second, volts) in [f64::NAN, 3.7, -1.0, f64::INFINITY, 3.7e3, 3.7].into_iter().enumerate() {
            for current_a in [f64::NAN, 1e9, -1.0] {
                twin.update(PackSample {
                    time_s: second as f64,
                    voltage_v: volts * 96.0,
                    current_a,
                    cells_v: if second % 2 == 0 { Vec::new() } else { vec![volts; second] },
                    temps_c: Vec::new(),
                    insulation_ohm: Some(volts),
                });
                let _ = twin.state();
                let _ = twin.passport();
                let _ = twin.maintenance();
            }
        }
    }
}
