//! A second opinion on charge and health, and where it contradicts the vehicle's twin (see README.md).

mod capacity;
mod disagreement;
mod filter;
mod settings;

use voltmesh_guest::Function;
use voltmesh_guest::curve::Curve;
use voltmesh_guest::outputs::Outputs;
use voltmesh_guest::sensors::{self, SampleClock, Step};
use voltmesh_guest::state::{Reader, Writer};
use voltmesh_guest::types::{Input, Report, Sample};

use capacity::Capacity;
use disagreement::{Bounds, Disagreement, Pair};
use filter::Filter;
pub use settings::Settings;

/// Standard deviation of a state of charge beyond which it says nothing worth comparing.
const USEFUL_SOC: f64 = 0.1;

/// The same of a resistance, relative.
const USEFUL_RESISTANCE: f64 = 0.2;

/// Difference in ms between the report's time and the last sample's up to which they are of one moment.
const TOGETHER_MS: u64 = 10_000;

/// Voltages in a row that are not believed, after which the filter begins anew.
const MOST_DISBELIEVED: u64 = 60;

/// Time in ms between two metrics.
const METRIC_MS: u64 = 10_000;

/// The function.
#[derive(Debug, Clone, Default)]
pub struct Estimation {
    settings: Settings,
    curves: Option<(Curve, Curve)>,
    clock: SampleClock,
    filter: Option<Filter>,
    running_s: f64,
    disbelieved: u64,
    capacity: Capacity,
    soc: Disagreement,
    soh_capacity: Disagreement,
    soh_resistance: Disagreement,
    metric_ms: u64,
}

impl Function for Estimation {
    type Settings = Settings;

    fn configure(&mut self, settings: Settings) -> Result<(), String> {
        settings.check()?;
        // What was estimated by another model is of no use to this one.
        if self.settings != settings {
            (self.filter, self.running_s) = (None, 0.0);
            self.capacity = Capacity::default();
        }
        self.curves = Some((settings.curve(), Settings::colder()));
        self.settings = settings;
        Ok(())
    }

    fn take(&mut self, now_ms: u64, input: &Input, outputs: &mut Outputs) {
        match input {
            Input::Samples(samples) => samples.iter().for_each(|sample| self.see(now_ms, sample)),
            Input::Report(report) => self.compare(report, outputs),
            Input::Feedback(_) | Input::Tick => {}
        }
    }

    fn decide(&mut self, now_ms: u64, outputs: &mut Outputs) {
        let Some((soc, sd)) = self.soc() else { return };
        if self.clock.is_fresh(now_ms) && now_ms.saturating_sub(self.metric_ms) >= METRIC_MS {
            self.metric_ms = now_ms;
            outputs.metric("soc", soc);
            outputs.metric("soc_sd", sd);
            outputs.metric("soh_resistance", self.soh_resistance().map_or(f64::NAN, |(value, _)| value));
            outputs.metric("soh_capacity", self.soh_capacity().map_or(f64::NAN, |(value, _)| value));
        }
    }

    fn save(&self, writer: &mut Writer) {
        self.clock.save(writer);
        writer.bool(self.filter.is_some());
        if let Some(filter) = &self.filter {
            filter.save(writer);
        }
        writer.f64(self.running_s);
        writer.u64(self.disbelieved);
        self.capacity.save(writer);
        self.soc.save(writer);
        self.soh_capacity.save(writer);
        self.soh_resistance.save(writer);
        writer.u64(self.metric_ms);
    }

    fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        self.clock = SampleClock::restore(reader)?;
        self.filter = if reader.bool()? { Some(Filter::restore(reader)?) } else { None };
        self.running_s = reader.f64()?;
        self.disbelieved = reader.u64()?;
        self.capacity = Capacity::restore(reader)?;
        self.soc = Disagreement::restore(reader)?;
        self.soh_capacity = Disagreement::restore(reader)?;
        self.soh_resistance = Disagreement::restore(reader)?;
        self.metric_ms = reader.u64()?;
        Ok(())
    }
}

impl Estimation {
    fn see(&mut self, now_ms: u64, sample: &Sample) {
        let step = self.clock.step(now_ms, sample.time_ms);
        let Some((curve, colder_by)) = &self.curves else { return };
        let s = &self.settings;
        let step_s = match step {
            Step::Old => return,
            Step::After(step_s) => step_s,
            Step::Anew => {
                (self.filter, self.running_s) = (None, 0.0);
                self.capacity.forget();
                0.0
            }
        };
        // What is beyond any battery is a fault of the sensor.
        let current = sensors::current_a(sample).filter(|current| current.abs() <= 100.0 * s.capacity_ah);
        let Some(current_a) = current else {
            (self.filter, self.running_s) = (None, 0.0);
            self.capacity.forget();
            return;
        };
        let mean_c = sensors::temperatures_c(sample)
            .map_or(25.0, |(coldest_c, hottest_c)| 0.5 * (coldest_c + hottest_c));
        let colder = colder_by.at(mean_c);
        let volts = sensors::cells_v(sample, s.cells).map(|(_, mean_v, _)| mean_v);
        let Some(filter) = &mut self.filter else {
            self.filter = volts.map(|volts| Filter::begin(s, curve, volts, current_a, colder));
            return;
        };
        filter.step(s, current_a, colder, step_s);
        self.running_s += step_s;
        let Some(volts) = volts else { return };
        if step_s > 0.0 && filter.see(s, curve, volts, current_a, colder, step_s) {
            self.disbelieved = 0;
        } else {
            self.disbelieved += 1;
        }
        let rest_soc = curve.inverse(volts);
        self.capacity.see(
            step_s,
            current_a,
            s.capacity_ah,
            (rest_soc, curve.slope(rest_soc)),
            s.curve_sd_soc(),
        );
        if self.disbelieved >= MOST_DISBELIEVED {
            (self.filter, self.running_s, self.disbelieved) = (None, 0.0, 0);
        }
    }

    /// State of charge with its standard deviation, the curve's included.
    fn soc(&self) -> Option<(f64, f64)> {
        let (soc, sd) = self.filter.as_ref()?.soc();
        Some((soc, sd.hypot(self.settings.curve_sd_soc())))
    }

    fn soh_capacity(&self) -> Option<(f64, f64)> {
        let (measured_ah, sd_ah) = self.capacity.last()?;
        Some((measured_ah / self.settings.capacity_ah, sd_ah / self.settings.capacity_ah))
    }

    fn soh_resistance(&self) -> Option<(f64, f64)> {
        self.settings.resistance_mohm?;
        let (ohm, sd_ohm) = self.filter.as_ref()?.resistance_ohm();
        let new_ohm = self.settings.r0_ohm();
        Some((ohm / new_ohm, sd_ohm / new_ohm)).filter(|(value, sd)| *sd <= USEFUL_RESISTANCE * value)
    }

    fn compare(&mut self, report: &Report, outputs: &mut Outputs) {
        let s = &self.settings;
        let together =
            self.clock.last_ms().is_some_and(|last_ms| last_ms.abs_diff(report.time_ms) <= TOGETHER_MS);
        if !together || self.running_s < s.settle_s {
            return;
        }
        let bounds = Bounds { sure: s.sure, least: s.least_difference, hold_ms: (s.hold_s * 1_000.0) as u64 };
        let estimate = |estimate: &voltmesh_guest::Estimate| (estimate.value, estimate.sd);
        let pairs = [
            self.soc()
                .filter(|(_, sd)| *sd <= USEFUL_SOC)
                .map(|own| Pair { own, twin: estimate(&report.soc) }),
            self.soh_capacity().map(|own| Pair { own, twin: estimate(&report.soh_capacity) }),
            self.soh_resistance().map(|own| Pair { own, twin: estimate(&report.soh_resistance) }),
        ];
        let of = [
            ("soc", &mut self.soc),
            ("soh-capacity", &mut self.soh_capacity),
            ("soh-resistance", &mut self.soh_resistance),
        ];
        for (pair, (name, disagreement)) in pairs.into_iter().zip(of) {
            if let Some(pair) = pair {
                disagreement.see(name, report.time_ms, pair, bounds, outputs);
            }
        }
    }
}

voltmesh_guest::export!(Estimation);

#[cfg(test)]
mod tests;
