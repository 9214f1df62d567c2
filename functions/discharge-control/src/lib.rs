//! Limits the discharging current so that the lowest cell stays within its voltages (see README.md).

mod settings;

use voltmesh_guest::Function;
use voltmesh_guest::commands::Commands;
use voltmesh_guest::outputs::Outputs;
use voltmesh_guest::sensors::{self, Charging, STALE_MS, SampleClock, Step};
use voltmesh_guest::state::{Reader, Writer};
use voltmesh_guest::types::{Action, Input, Report, Sample, Severity};

pub use settings::Settings;

/// Validity of a limit in ms.
const VALID_MS: u32 = 30_000;

/// Samples of which the middle one counts.
const MIDDLE_OF: usize = 3;

/// Samples in a row below the floor from which on the battery counts as empty.
const EMPTY_SAMPLES: u64 = 3;

/// Share of the most current by which the limit rises in a second at most.
const RISE: f64 = 0.005;

/// Share of the limit that a second below the floor leaves.
const CUT: f64 = 0.5;

/// Time in s in which the highest current is forgotten by half.
const PEAK_S: f64 = 120.0;

/// Share of the most current that a limit must be below to be told.
const MATTERS: f64 = 0.5;

/// Volts above the floor from which on a limit is told. Higher up it is a prediction alone, and in the cold, where resistance varies most
/// between cells, a wrong one: of 110 limits that a cell at -20 to 25 °C had under drive cycles with 0.35 V here, it reached the floor in 78.
const NEAR_V: f64 = 0.05;

/// Time in ms for which a limit is kept although it does not matter any more.
const KEEP_MS: u64 = 60_000;

/// Age in ms of a report that still counts.
const REPORT_MS: u64 = 10 * STALE_MS;

/// Time in ms between two metrics.
const METRIC_MS: u64 = 10_000;

/// The function.
#[derive(Debug, Clone, Default)]
pub struct DischargeControl {
    settings: Settings,
    clock: SampleClock,
    charging: Charging,
    /// Age by resistance that the twin says, with its time.
    aged: Option<(u64, f64)>,
    /// Voltages behind the resistance of the lowest cell, the newest last.
    behind_v: Vec<f64>,
    /// Voltages of the lowest cell at the same samples.
    measured_v: Vec<f64>,
    lowest_v: Option<f64>,
    /// Highest current of the last minutes.
    peak_a: f64,
    /// Limit now; none before the first.
    limit_a: Option<f64>,
    below: u64,
    empty: bool,
    limiting: bool,
    mattered_ms: Option<u64>,
    metric_ms: u64,
    commands: Commands,
}

impl Function for DischargeControl {
    type Settings = Settings;

    fn configure(&mut self, settings: Settings) -> Result<(), String> {
        settings.check()?;
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
        let known = self.limit_a.filter(|_| self.clock.is_fresh(now_ms) && self.lowest_v.is_some());
        let Some(limit_a) = known else {
            // Of what is not known nothing is asked: what is in force expires.
            self.commands.release_all();
            return;
        };
        self.say_empty(outputs);
        self.limit(now_ms, limit_a, outputs);
        self.commands.send(now_ms, outputs);
        if self.limiting && now_ms.saturating_sub(self.metric_ms) >= METRIC_MS {
            self.metric_ms = now_ms;
            outputs.metric("discharge_limit_a", limit_a);
        }
    }

    fn save(&self, writer: &mut Writer) {
        self.clock.save(writer);
        self.charging.save(writer);
        let (aged_ms, aged) = self.aged.unwrap_or((0, f64::NAN));
        writer.u64(aged_ms);
        writer.f64(aged);
        for voltages in [&self.behind_v, &self.measured_v] {
            writer.list(voltages, |writer, volts| writer.f64(*volts));
        }
        writer.f64(self.lowest_v.unwrap_or(f64::NAN));
        writer.f64(self.peak_a);
        writer.f64(self.limit_a.unwrap_or(f64::NAN));
        writer.u64(self.below);
        writer.bool(self.empty);
        writer.bool(self.limiting);
        writer.bool(self.mattered_ms.is_some());
        writer.u64(self.mattered_ms.unwrap_or_default());
        writer.u64(self.metric_ms);
        self.commands.save(writer);
    }

    fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        let known = |value: f64| Some(value).filter(|value| value.is_finite());
        self.clock = SampleClock::restore(reader)?;
        self.charging = Charging::restore(reader)?;
        let aged_ms = reader.u64()?;
        self.aged = known(reader.f64()?).map(|aged| (aged_ms, aged.clamp(1.0, 4.0)));
        for voltages in [&mut self.behind_v, &mut self.measured_v] {
            *voltages = reader.list(Reader::f64)?;
            if voltages.len() > MIDDLE_OF || voltages.iter().any(|volts| !volts.is_finite()) {
                return Err("state: more than three voltages, or one that is no number".to_owned());
            }
        }
        self.lowest_v = known(reader.f64()?);
        self.peak_a = known(reader.f64()?).filter(|peak| *peak >= 0.0).ok_or("state: no highest current")?;
        self.limit_a = known(reader.f64()?).filter(|limit| *limit >= 0.0);
        self.below = reader.u64()?;
        self.empty = reader.bool()?;
        self.limiting = reader.bool()?;
        let mattered = reader.bool()?;
        let mattered_ms = reader.u64()?;
        self.mattered_ms = mattered.then_some(mattered_ms);
        self.metric_ms = reader.u64()?;
        self.commands = Commands::restore(reader)?;
        Ok(())
    }
}

impl DischargeControl {
    fn see(&mut self, now_ms: u64, sample: &Sample) {
        let step = self.clock.step(now_ms, sample.time_ms);
        if step == Step::Old {
            return;
        }
        self.charging.see(sample, step);
        self.lowest_v = sensors::cells_v(sample, self.settings.cells).map(|(lowest_v, _, _)| lowest_v);
        // What is beyond any battery is a fault of the sensor.
        let most_a = 100.0 * self.settings.capacity_ah;
        let current_a = sensors::current_a(sample).filter(|current| current.abs() <= most_a);
        if step == Step::Anew {
            self.forget_voltages();
            (self.peak_a, self.below) = (0.0, 0);
        }
        let (Some(lowest_v), Some(current_a)) = (self.lowest_v, current_a) else {
            self.forget_voltages();
            return;
        };
        let out_a = (-current_a).max(0.0);
        let step_s = if let Step::After(step_s) = step { step_s } else { 0.0 };
        self.peak_a = (self.peak_a * 0.5_f64.powf(step_s / PEAK_S)).max(out_a);
        let coldest_c =
            sensors::temperatures_c(sample).map_or(self.settings.unknown_c, |(coldest_c, _)| coldest_c);
        let ohm = self.settings.resistance_ohm(coldest_c, self.age());
        push(&mut self.behind_v, lowest_v + out_a * ohm);
        push(&mut self.measured_v, lowest_v);
        self.below = if lowest_v < self.settings.floor_v() { self.below + 1 } else { 0 };
        self.renew(ohm, step_s);
    }

    /// The limit after a sample.
    fn renew(&mut self, ohm: f64, step_s: f64) {
        let full_a = self.settings.full_a();
        let Some(behind_v) = middle(&self.behind_v) else { return };
        let by_voltage = ((behind_v - self.settings.floor_v()) / ohm).clamp(0.0, full_a);
        let before = self.limit_a.unwrap_or(full_a);
        // What charges is filled, and what rested knows its voltage: nothing of before holds back.
        let risen = if self.charging.now() { full_a } else { before + RISE * full_a * step_s };
        let mut limit_a = by_voltage.min(risen);
        if self.below >= EMPTY_SAMPLES {
            limit_a = limit_a.min(before * CUT);
            if limit_a < 0.01 * full_a {
                limit_a = 0.0;
            }
        }
        self.limit_a = Some(limit_a);
    }

    fn forget_voltages(&mut self) {
        self.behind_v.clear();
        self.measured_v.clear();
    }

    /// Whether the lowest cell is so near to the floor that what is predicted of it is also seen.
    fn is_near(&self) -> bool {
        middle(&self.measured_v).is_some_and(|volts| volts < self.settings.floor_v() + NEAR_V)
    }

    fn hear(&mut self, report: &Report) {
        let aged = report.soh_resistance.value + report.soh_resistance.sd;
        if aged.is_finite() {
            self.aged = Some((report.time_ms, aged.clamp(1.0, 4.0)));
        }
    }

    fn age(&self) -> f64 {
        let last_ms = self.clock.last_ms().unwrap_or_default();
        self.aged.filter(|(at_ms, _)| last_ms.abs_diff(*at_ms) <= REPORT_MS).map_or(1.0, |(_, aged)| aged)
    }

    fn say_empty(&mut self, outputs: &mut Outputs) {
        let empty = self.below >= EMPTY_SAMPLES || (self.empty && !self.charging.now());
        if empty && !self.empty {
            let volts = self.lowest_v.unwrap_or(f64::NAN);
            let text = format!("The lowest cell is at {volts:.2} V: the battery is empty.");
            outputs.event("battery-empty", Severity::Protect, text, &[("lowest_v", volts)]);
        }
        self.empty = empty;
    }

    fn limit(&mut self, now_ms: u64, limit_a: f64, outputs: &mut Outputs) {
        let s = &self.settings;
        let charging = self.charging.now();
        let matters = limit_a < s.reserve * self.peak_a && limit_a < MATTERS * s.full_a();
        if !charging && (matters && self.is_near() || limit_a <= 0.0) {
            self.mattered_ms = Some(now_ms);
        }
        let limiting =
            !charging && self.mattered_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < KEEP_MS);
        let volts = self.lowest_v.unwrap_or(f64::NAN);
        if limiting != self.limiting {
            self.limiting = limiting;
            let figures = [("limit_a", limit_a), ("lowest_v", volts), ("peak_a", self.peak_a)];
            if limiting {
                let text = format!(
                    "Discharging is limited to {limit_a:.1} A, at which the lowest cell stays above {:.2} V.",
                    s.floor_v()
                );
                outputs.event("discharge-limited", Severity::Protect, text, &figures);
            } else {
                let text = "Discharging is not limited any more.".to_owned();
                outputs.event("discharge-limit-ended", Severity::Information, text, &figures);
            }
        }
        if limiting {
            let reason = format!("lowest cell {volts:.2} V");
            self.commands.want(VALID_MS, Action::DischargeLimitA(limit_a), reason);
        } else {
            self.commands.release(&Action::DischargeLimitA(0.0));
        }
    }
}

/// Adds the newest of the few that are kept.
fn push(voltages: &mut Vec<f64>, volts: f64) {
    if voltages.len() == MIDDLE_OF {
        voltages.remove(0);
    }
    voltages.push(volts);
}

/// The middle one: one that is wrong once does nothing.
fn middle(voltages: &[f64]) -> Option<f64> {
    let mut sorted = voltages.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

voltmesh_guest::export!(DischargeControl);

#[cfg(test)]
mod tests;
