//! Limits the charging current so that no lithium plates, and counts what was charged beyond (see README.md).

mod settings;

use voltmesh_guest::Function;
use voltmesh_guest::commands::Commands;
use voltmesh_guest::curve::Curve;
use voltmesh_guest::outputs::Outputs;
use voltmesh_guest::sensors::{self, Charging, STALE_MS, SampleClock, Step};
use voltmesh_guest::state::{Reader, Writer};
use voltmesh_guest::types::{Action, Input, Report, Sample, Severity};

pub use settings::Settings;

/// Validity of a limit in ms.
const VALID_MS: u32 = 30_000;

/// Share of the limit at which it is told to the vehicle, and below which it is not needed any more.
const NEAR: f64 = 0.9;
const FAR: f64 = 0.5;

/// Time in ms for which a limit is kept although it is not needed.
const KEEP_MS: u64 = 60_000;

/// Excess over the limit that counts as a risk, and seconds of it that are said.
const EXCESS: f64 = 1.05;
const RISK_S: f64 = 5.0;

/// Time in ms between two metrics.
const METRIC_MS: u64 = 10_000;

/// Uncertainty of a state of charge that the battery's own management reports.
const MANAGEMENT_SOC: f64 = 0.05;

/// Age in ms of a report that still counts: ten minutes at 6 C are more than any charge, so with the sample's own it is bounded.
const REPORT_MS: u64 = 10 * STALE_MS;

/// The vehicle's twin's word on charge and age.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Word {
    time_ms: u64,
    highest_soc: f64,
    aged: f64,
}

/// The function.
#[derive(Debug, Clone, Default)]
pub struct PlatingGuard {
    settings: Settings,
    curve: Option<Curve>,
    clock: SampleClock,
    charging: Charging,
    word: Option<Word>,
    management_soc: Option<f64>,
    coldest_c: Option<f64>,
    current_a: Option<f64>,
    risk_ah: f64,
    excess_s: f64,
    at_risk: bool,
    limiting: bool,
    needed_ms: Option<u64>,
    metric_ms: u64,
    commands: Commands,
}

impl Function for PlatingGuard {
    type Settings = Settings;

    fn configure(&mut self, settings: Settings) -> Result<(), String> {
        settings.check()?;
        self.curve = Some(settings.curve());
        self.settings = settings;
        Ok(())
    }

    fn take(&mut self, now_ms: u64, input: &Input, outputs: &mut Outputs) {
        match input {
            Input::Samples(samples) => samples.iter().for_each(|sample| self.see(now_ms, sample)),
            Input::Report(report) => self.hear(report),
            Input::Feedback(feedback) => self.commands.feedback(now_ms, feedback, outputs),
            Input::Tick => {}
        }
    }

    fn decide(&mut self, now_ms: u64, outputs: &mut Outputs) {
        let limit_a = self.limit_a();
        self.warn(limit_a, outputs);
        self.guard(now_ms, limit_a, outputs);
        self.commands.send(now_ms, outputs);
        if now_ms.saturating_sub(self.metric_ms) >= METRIC_MS {
            self.metric_ms = now_ms;
            outputs.metric("plating_risk_ah", self.risk_ah);
            outputs.metric("plating_limit_a", limit_a);
        }
    }

    fn save(&self, writer: &mut Writer) {
        self.clock.save(writer);
        self.charging.save(writer);
        writer.bool(self.word.is_some());
        let word = self.word.unwrap_or(Word { time_ms: 0, highest_soc: 0.0, aged: 0.0 });
        writer.u64(word.time_ms);
        writer.f64(word.highest_soc);
        writer.f64(word.aged);
        for value in [self.management_soc, self.coldest_c, self.current_a] {
            writer.f64(value.unwrap_or(f64::NAN));
        }
        writer.f64(self.risk_ah);
        writer.f64(self.excess_s);
        writer.bool(self.at_risk);
        writer.bool(self.limiting);
        writer.bool(self.needed_ms.is_some());
        writer.u64(self.needed_ms.unwrap_or_default());
        writer.u64(self.metric_ms);
        self.commands.save(writer);
    }

    fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        self.clock = SampleClock::restore(reader)?;
        self.charging = Charging::restore(reader)?;
        let known = reader.bool()?;
        let word = Word { time_ms: reader.u64()?, highest_soc: reader.f64()?, aged: reader.f64()? };
        self.word = known.then_some(word);
        let known = |value: f64| Some(value).filter(|value| value.is_finite());
        self.management_soc = known(reader.f64()?);
        self.coldest_c = known(reader.f64()?);
        self.current_a = known(reader.f64()?);
        self.risk_ah = reader.f64()?;
        if !(self.risk_ah >= 0.0 && self.risk_ah.is_finite()) {
            return Err("state: the charge at risk is no number".to_owned());
        }
        self.excess_s = reader.f64()?;
        self.at_risk = reader.bool()?;
        self.limiting = reader.bool()?;
        let needed = reader.bool()?;
        let needed_ms = reader.u64()?;
        self.needed_ms = needed.then_some(needed_ms);
        self.metric_ms = reader.u64()?;
        self.commands = Commands::restore(reader)?;
        Ok(())
    }
}

impl PlatingGuard {
    fn see(&mut self, now_ms: u64, sample: &Sample) {
        let step = self.clock.step(now_ms, sample.time_ms);
        if step == Step::Old {
            return;
        }
        self.charging.see(sample, step);
        self.coldest_c = sensors::temperatures_c(sample).map(|(coldest_c, _)| coldest_c);
        self.management_soc = sample.soc.and_then(sensors::soc);
        // What is beyond any battery is a fault of the sensor.
        let most_a = 100.0 * self.settings.capacity_ah;
        self.current_a = sensors::current_a(sample).filter(|current| current.abs() <= most_a);
        let (Step::After(step_s), Some(current_a)) = (step, self.current_a) else {
            self.excess_s = 0.0;
            return;
        };
        let limit_a = self.limit_a();
        let over_a = current_a - limit_a;
        if over_a > 0.0 && current_a > EXCESS * limit_a {
            self.risk_ah += over_a * step_s / 3_600.0;
            self.excess_s += step_s;
        } else {
            self.excess_s = 0.0;
        }
    }

    fn hear(&mut self, report: &Report) {
        let Some(highest) = sensors::soc(report.soc_highest) else { return };
        let sd = Some(report.soc.sd).filter(|sd| (0.0..=1.0).contains(sd)).unwrap_or(MANAGEMENT_SOC);
        let aged = report.soh_resistance.value + report.soh_resistance.sd;
        let aged = if aged.is_finite() { aged.clamp(1.0, 4.0) } else { 1.0 };
        self.word = Some(Word { time_ms: report.time_ms, highest_soc: (highest + 2.0 * sd).min(1.0), aged });
    }

    /// Most current in A that plates nothing. What is not known counts as bad: a full cell, and the configured cold.
    fn limit_a(&self) -> f64 {
        let Some(curve) = &self.curve else { return 0.0 };
        let last_ms = self.clock.last_ms().unwrap_or_default();
        let word = self.word.filter(|word| last_ms.abs_diff(word.time_ms) <= REPORT_MS);
        let management = self.management_soc.map(|soc| (soc + MANAGEMENT_SOC).min(1.0));
        let soc = word.map(|word| word.highest_soc).or(management).unwrap_or(1.0);
        let coldest_c = self.coldest_c.unwrap_or(self.settings.unknown_c);
        self.settings.limit_a(curve, coldest_c, soc, word.map_or(1.0, |word| word.aged))
    }

    fn warn(&mut self, limit_a: f64, outputs: &mut Outputs) {
        let at_risk = self.excess_s >= RISK_S && self.charging.now();
        if at_risk == self.at_risk {
            return;
        }
        self.at_risk = at_risk;
        let figures = [
            ("current_a", self.current_a.unwrap_or(f64::NAN)),
            ("limit_a", limit_a),
            ("coldest_c", self.coldest_c.unwrap_or(f64::NAN)),
            ("plating_risk_ah", self.risk_ah),
        ];
        if at_risk {
            let text = format!("More is charged than the {limit_a:.1} A at which lithium begins to plate.");
            outputs.event("plating-risk-began", Severity::Protect, text, &figures);
        } else {
            let text = format!(
                "The current is within what plates nothing; {:.3} Ah were at risk so far.",
                self.risk_ah
            );
            outputs.event("plating-risk-ended", Severity::Information, text, &figures);
        }
    }

    fn guard(&mut self, now_ms: u64, limit_a: f64, outputs: &mut Outputs) {
        let charging = self.clock.is_fresh(now_ms) && self.charging.now();
        let current_a = self.current_a.unwrap_or(0.0);
        if charging
            && (limit_a <= 0.0 || current_a > NEAR * limit_a || (self.limiting && current_a > FAR * limit_a))
        {
            self.needed_ms = Some(now_ms);
        }
        let limiting =
            charging && self.needed_ms.is_some_and(|needed_ms| now_ms.saturating_sub(needed_ms) < KEEP_MS);
        if limiting != self.limiting {
            self.limiting = limiting;
            let figures = [
                ("limit_a", limit_a),
                ("coldest_c", self.coldest_c.unwrap_or(f64::NAN)),
                ("plating_risk_ah", self.risk_ah),
            ];
            if limiting {
                let text = format!("Charging is limited to {limit_a:.1} A, at which no lithium plates.");
                outputs.event("charge-limited", Severity::Protect, text, &figures);
            } else {
                let text = "Charging needs no limit against plating any more.".to_owned();
                outputs.event("charge-limit-ended", Severity::Information, text, &figures);
            }
        }
        if limiting {
            let reason = match self.coldest_c {
                Some(coldest_c) => format!("lithium plates above {limit_a:.1} A at {coldest_c:.0} °C"),
                None => format!("lithium may plate above {limit_a:.1} A; no temperature is known"),
            };
            self.commands.want(VALID_MS, Action::ChargeLimitA(limit_a), reason);
        } else {
            self.commands.release_all();
        }
    }
}

voltmesh_guest::export!(PlatingGuard);

#[cfg(test)]
mod tests;
