//! Charges within temperature, voltage, charge and schedule (see README.md).

mod settings;

use voltmesh_guest::Function;
use voltmesh_guest::commands::Commands;
use voltmesh_guest::curve::Curve;
use voltmesh_guest::outputs::Outputs;
use voltmesh_guest::sensors::{self, Charging, STALE_MS, SampleClock, Step};
use voltmesh_guest::state::{Reader, Writer};
use voltmesh_guest::types::{Action, Input, Report, Sample, Severity};

pub use settings::{Settings, Window};

/// Validity of a limit and of a stop in ms.
const VALID_MS: u32 = 30_000;

/// Temperature in °C from which on cells may have less voltage (JEITA's T3).
const WARM_C: f64 = 45.0;

/// Samples in a row beyond the voltage after which charging ends.
const STOP_SAMPLES: u64 = 3;

/// Volts below the highest at which the current begins to be taken back, and further below which it may rise again.
const TAPER_V: f64 = 0.003;
const RISE_V: f64 = 0.02;

/// What a sample near the highest voltage leaves of the current, and what one far from it gives back.
const TAPER: f64 = 0.93;
const RISE: f64 = 1.02;

/// Least share that tapering leaves: C/50 of a charge at 1 C, at which constant-voltage charging ends.
const LEAST_TAPER: f64 = 0.02;

/// Charge and volts that a battery must lose after a stop before it is charged again while it stays plugged in.
const AGAIN_SOC: f64 = 0.05;
const AGAIN_V: f64 = 0.05;

/// Age in ms of a report that still counts.
const REPORT_MS: u64 = 10 * STALE_MS;

/// Time in ms between two metrics.
const METRIC_MS: u64 = 10_000;

/// Why the current is limited most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Temperature,
    Voltage,
    Schedule,
}

impl Cause {
    const fn text(self) -> &'static str {
        match self {
            Self::Temperature => "the battery's temperature",
            Self::Voltage => "the voltage of the highest cell",
            Self::Schedule => "the schedule",
        }
    }
}

/// Why charging was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Charge,
    Voltage,
}

/// The function.
#[derive(Debug, Clone)]
pub struct ChargingControl {
    settings: Settings,
    curve: Option<Curve>,
    clock: SampleClock,
    charging: Charging,
    plugged: Option<bool>,
    /// Coldest and hottest sensor.
    temps_c: Option<(f64, f64)>,
    highest_v: Option<f64>,
    management_soc: Option<f64>,
    /// The twin's state of charge, with its time.
    twin_soc: Option<(u64, f64)>,
    /// Share that the voltage leaves.
    taper: f64,
    beyond: u64,
    share: f64,
    limited: bool,
    stopped: Option<Stop>,
    metric_ms: u64,
    commands: Commands,
}

impl Default for ChargingControl {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            curve: None,
            clock: SampleClock::default(),
            charging: Charging::default(),
            plugged: None,
            temps_c: None,
            highest_v: None,
            management_soc: None,
            twin_soc: None,
            taper: 1.0,
            beyond: 0,
            share: 1.0,
            limited: false,
            stopped: None,
            metric_ms: 0,
            commands: Commands::default(),
        }
    }
}

impl Function for ChargingControl {
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
        let charging = self.clock.is_fresh(now_ms) && self.charging.now();
        self.stop(charging, outputs);
        self.limit(now_ms, charging, outputs);
        self.commands.send(now_ms, outputs);
    }

    fn save(&self, writer: &mut Writer) {
        self.clock.save(writer);
        self.charging.save(writer);
        writer.u64(match self.plugged {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
        let (coldest_c, hottest_c) = self.temps_c.unwrap_or((f64::NAN, f64::NAN));
        let (twin_ms, twin_soc) = self.twin_soc.unwrap_or((0, f64::NAN));
        writer.u64(twin_ms);
        let unknown = f64::NAN;
        let highest_v = self.highest_v.unwrap_or(unknown);
        let management_soc = self.management_soc.unwrap_or(unknown);
        for value in [coldest_c, hottest_c, twin_soc, highest_v, management_soc, self.taper, self.share] {
            writer.f64(value);
        }
        writer.u64(self.beyond);
        writer.bool(self.limited);
        writer.u64(match self.stopped {
            None => 0,
            Some(Stop::Charge) => 1,
            Some(Stop::Voltage) => 2,
        });
        writer.u64(self.metric_ms);
        self.commands.save(writer);
    }

    fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        self.clock = SampleClock::restore(reader)?;
        self.charging = Charging::restore(reader)?;
        self.plugged = match reader.u64()? {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            other => return Err(format!("state: {other} says nothing of a plug")),
        };
        let known = |value: f64| Some(value).filter(|value| value.is_finite());
        let twin_ms = reader.u64()?;
        self.temps_c = known(reader.f64()?).zip(known(reader.f64()?));
        self.twin_soc = known(reader.f64()?).map(|soc| (twin_ms, soc));
        self.highest_v = known(reader.f64()?);
        self.management_soc = known(reader.f64()?);
        let share = |value: f64| {
            known(value).filter(|value| (0.0..=1.0).contains(value)).ok_or("state: a share is none")
        };
        self.taper = share(reader.f64()?)?;
        self.share = share(reader.f64()?)?;
        self.beyond = reader.u64()?;
        self.limited = reader.bool()?;
        self.stopped = match reader.u64()? {
            0 => None,
            1 => Some(Stop::Charge),
            2 => Some(Stop::Voltage),
            other => return Err(format!("state: {other} is no reason to end charging")),
        };
        self.metric_ms = reader.u64()?;
        self.commands = Commands::restore(reader)?;
        Ok(())
    }
}

impl ChargingControl {
    fn see(&mut self, now_ms: u64, sample: &Sample) {
        let step = self.clock.step(now_ms, sample.time_ms);
        if step == Step::Old {
            return;
        }
        self.charging.see(sample, step);
        self.plugged = sample.plugged;
        self.temps_c = sensors::temperatures_c(sample);
        self.management_soc = sample.soc.and_then(sensors::soc);
        self.highest_v = sensors::cells_v(sample, self.settings.cells).map(|(_, _, highest_v)| highest_v);
        let Some(highest_v) = self.highest_v else { return };
        let most_v = self.most_v();
        self.beyond = if highest_v >= most_v + self.settings.stop_beyond_v { self.beyond + 1 } else { 0 };
        // As a charger at constant voltage does: less while the highest cell is there, more while it is far from it.
        if highest_v >= most_v - TAPER_V {
            self.taper = (self.taper * TAPER).max(LEAST_TAPER);
        } else if highest_v < most_v - RISE_V {
            self.taper = (self.taper * RISE).min(1.0);
        }
    }

    fn hear(&mut self, report: &Report) {
        if let Some(soc) = sensors::soc(report.soc.value) {
            self.twin_soc = Some((report.time_ms, soc));
        }
    }

    /// The twin's state of charge where it is of late, else the battery's own.
    fn soc(&self) -> Option<f64> {
        let last_ms = self.clock.last_ms()?;
        let twin = self.twin_soc.filter(|(at_ms, _)| last_ms.abs_diff(*at_ms) <= REPORT_MS);
        twin.map(|(_, soc)| soc).or(self.management_soc)
    }

    /// Voltage in V that no cell is to pass now.
    fn most_v(&self) -> f64 {
        let warm = self.temps_c.is_some_and(|(_, hottest_c)| hottest_c >= WARM_C);
        self.settings.top_v() - if warm { self.settings.warm_less_v } else { 0.0 }
    }

    fn stop(&mut self, charging: bool, outputs: &mut Outputs) {
        let (soc, most_v) = (self.soc(), self.most_v());
        let figures = [("soc", soc.unwrap_or(f64::NAN)), ("highest_v", self.highest_v.unwrap_or(f64::NAN))];
        match self.stopped {
            None if charging => {
                if self.beyond >= STOP_SAMPLES {
                    self.stopped = Some(Stop::Voltage);
                    let text = format!("A cell has passed {most_v:.2} V: charging is ended.");
                    outputs.event("charging-stopped", Severity::Protect, text, &figures);
                } else if self.settings.stop_soc < 1.0 && soc.is_some_and(|soc| soc >= self.settings.stop_soc)
                {
                    self.stopped = Some(Stop::Charge);
                    let text = format!(
                        "The battery is charged to {:.0} %: charging is ended.",
                        self.settings.stop_soc * 100.0
                    );
                    outputs.event("charging-stopped", Severity::Information, text, &figures);
                }
            }
            Some(stop) => {
                let lower_v = self.highest_v.is_some_and(|volts| volts < most_v - AGAIN_V);
                let lower_soc = soc.is_some_and(|soc| soc < self.settings.stop_soc - AGAIN_SOC);
                let again = if stop == Stop::Voltage { lower_v } else { lower_soc };
                if self.plugged == Some(false) || again {
                    self.stopped = None;
                    outputs.event(
                        "charging-allowed",
                        Severity::Information,
                        "The battery may be charged again.".to_owned(),
                        &figures,
                    );
                }
            }
            None => {}
        }
        if charging && self.stopped.is_some() {
            let reason = match self.stopped {
                Some(Stop::Voltage) => format!("a cell has passed {most_v:.2} V"),
                _ => format!("charged to {:.0} %", self.settings.stop_soc * 100.0),
            };
            self.commands.want(VALID_MS, Action::StopCharging, reason);
        } else {
            self.commands.release(&Action::StopCharging);
        }
    }

    /// Share of the current that temperatures leave; it rises only when they are better by the hysteresis.
    fn share_by_temperature(&self) -> f64 {
        let (Some(curve), Some((coldest_c, hottest_c))) = (&self.curve, self.temps_c) else {
            return self.settings.unknown_share;
        };
        let worse = |by_k: f64| curve.at(coldest_c - by_k).min(curve.at(hottest_c + by_k));
        let now = worse(0.0);
        if now > self.share { self.share.max(worse(self.settings.hysteresis_k)) } else { now }
    }

    fn limit(&mut self, now_ms: u64, charging: bool, outputs: &mut Outputs) {
        let full_a = self.settings.charge_c * self.settings.capacity_ah;
        // Nobody's hysteresis outlives the charge that it is of.
        if !charging {
            (self.share, self.taper) = (1.0, 1.0);
        }
        self.share = self.share_by_temperature();
        let low = self.soc().is_some_and(|soc| soc < self.settings.always_below_soc);
        let in_time = self.settings.is_in_window(now_ms) || low;
        let (share, cause) = if !in_time {
            (0.0, Cause::Schedule)
        } else if self.taper < self.share {
            (self.taper, Cause::Voltage)
        } else {
            (self.share, Cause::Temperature)
        };
        let limit_a = share * full_a;
        let limited = charging && share < 1.0;
        if limited != self.limited {
            self.limited = limited;
            let (coldest_c, hottest_c) = self.temps_c.unwrap_or((f64::NAN, f64::NAN));
            let figures = [
                ("limit_a", limit_a),
                ("coldest_c", coldest_c),
                ("hottest_c", hottest_c),
                ("highest_v", self.highest_v.unwrap_or(f64::NAN)),
            ];
            if limited {
                let text = format!("Charging is limited to {limit_a:.1} A by {}.", cause.text());
                outputs.event("charge-limited", Severity::Information, text, &figures);
            } else {
                let text = "Charging is not limited any more.".to_owned();
                outputs.event("charge-limit-ended", Severity::Information, text, &figures);
            }
        }
        if limited {
            self.commands.want(VALID_MS, Action::ChargeLimitA(limit_a), cause.text().to_owned());
        } else {
            self.commands.release(&Action::ChargeLimitA(0.0));
        }
        if charging && now_ms.saturating_sub(self.metric_ms) >= METRIC_MS {
            self.metric_ms = now_ms;
            outputs.metric("charge_limit_a", limit_a);
        }
    }
}

voltmesh_guest::export!(ChargingControl);

#[cfg(test)]
mod tests;
