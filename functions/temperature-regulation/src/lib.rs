//! Heats, cools and derates a battery by where its temperature goes (see README.md).

mod forecast;
mod settings;

use voltmesh_guest::Function;
use voltmesh_guest::commands::Commands;
use voltmesh_guest::outputs::Outputs;
use voltmesh_guest::sensors::{self, Charging, SampleClock, Step};
use voltmesh_guest::state::{Reader, Writer};
use voltmesh_guest::types::{Action, Input, Sample, Severity};

use forecast::Forecast;
pub use settings::Settings;

/// Validity of a target temperature in ms: a minute without a word and the vehicle decides alone.
const TARGET_VALID_MS: u32 = 60_000;

/// Validity of a share of the limits in ms.
const DERATE_VALID_MS: u32 = 30_000;

/// Steps of the share: finer ones would be told again and again.
const DERATE_STEP: f64 = 0.05;

/// Rise of the share in one decision at most, so that a battery that cools is not heated up again at once.
const RECOVERY: f64 = 0.05;

/// Time in ms between two metrics.
const METRIC_MS: u64 = 10_000;

/// What is done about the temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Idle,
    Heating,
    Cooling,
}

/// The function.
#[derive(Debug, Clone, Default)]
pub struct TemperatureRegulation {
    settings: Settings,
    clock: SampleClock,
    charging: Charging,
    hottest: Forecast,
    coldest: Forecast,
    mode: Mode,
    /// Share of the limits that may be used, while there is one.
    share: Option<f64>,
    share_ms: u64,
    metric_ms: u64,
    commands: Commands,
}

impl Function for TemperatureRegulation {
    type Settings = Settings;

    fn configure(&mut self, settings: Settings) -> Result<(), String> {
        settings.check()?;
        self.settings = settings;
        Ok(())
    }

    fn take(&mut self, now_ms: u64, input: &Input, outputs: &mut Outputs) {
        match input {
            Input::Samples(samples) => samples.iter().for_each(|sample| self.see(now_ms, sample)),
            Input::Feedback(feedback) => self.commands.feedback(now_ms, feedback, outputs),
            Input::Report(_) | Input::Tick => {}
        }
    }

    fn decide(&mut self, now_ms: u64, outputs: &mut Outputs) {
        let known = self.hottest.now_c().zip(self.coldest.now_c());
        let (Some((hottest_c, coldest_c)), true) = (known, self.is_known(now_ms)) else {
            // Of what is not known nothing is asked: what is in force expires.
            self.commands.release_all();
            return;
        };
        self.regulate(hottest_c, coldest_c, outputs);
        self.derate(now_ms, hottest_c, outputs);
        self.commands.send(now_ms, outputs);
        if now_ms.saturating_sub(self.metric_ms) >= METRIC_MS {
            self.metric_ms = now_ms;
            outputs.metric("hottest_c", hottest_c);
            outputs
                .metric("hottest_forecast_c", self.hottest.after_c(&self.settings, self.settings.horizon_s));
            outputs.metric(
                "rise_k_per_min",
                self.hottest.slope_k_per_s().map_or(f64::NAN, |slope| slope * 60.0),
            );
        }
    }

    fn save(&self, writer: &mut Writer) {
        self.clock.save(writer);
        self.charging.save(writer);
        self.hottest.save(writer);
        self.coldest.save(writer);
        writer.u64(self.mode as u64);
        writer.f64(self.share.unwrap_or(f64::NAN));
        writer.u64(self.share_ms);
        writer.u64(self.metric_ms);
        self.commands.save(writer);
    }

    fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        self.clock = SampleClock::restore(reader)?;
        self.charging = Charging::restore(reader)?;
        self.hottest = Forecast::restore(reader)?;
        self.coldest = Forecast::restore(reader)?;
        self.mode = match reader.u64()? {
            0 => Mode::Idle,
            1 => Mode::Heating,
            2 => Mode::Cooling,
            other => return Err(format!("state: {other} is no mode")),
        };
        self.share = Some(reader.f64()?).filter(|share| (0.0..=1.0).contains(share));
        self.share_ms = reader.u64()?;
        self.metric_ms = reader.u64()?;
        self.commands = Commands::restore(reader)?;
        Ok(())
    }
}

impl TemperatureRegulation {
    fn see(&mut self, now_ms: u64, sample: &Sample) {
        let step = self.clock.step(now_ms, sample.time_ms);
        if step == Step::Old {
            return;
        }
        self.charging.see(sample, step);
        if step == Step::Anew {
            (self.hottest, self.coldest) = Default::default();
        }
        if let Some((coldest_c, hottest_c)) = sensors::temperatures_c(sample) {
            self.hottest.see(sample.time_ms, hottest_c);
            self.coldest.see(sample.time_ms, coldest_c);
        }
    }

    /// Whether samples come, with temperatures in them.
    fn is_known(&self, now_ms: u64) -> bool {
        let age_ms = self
            .clock
            .last_ms()
            .zip(self.hottest.last_ms())
            .map(|(sample, value)| sample.saturating_sub(value));
        self.clock.is_fresh(now_ms) && age_ms.is_some_and(|age_ms| age_ms <= sensors::STALE_MS)
    }

    fn regulate(&mut self, hottest_c: f64, coldest_c: f64, outputs: &mut Outputs) {
        let s = &self.settings;
        let ahead_c = self.hottest.after_c(s, s.horizon_s);
        let may_heat = s.heat_unplugged || self.charging.now();
        let mode = match self.mode {
            Mode::Cooling if hottest_c > s.cool_to_c || ahead_c > s.cool_above_c => Mode::Cooling,
            Mode::Heating if coldest_c < s.heat_to_c && may_heat => Mode::Heating,
            _ if hottest_c > s.cool_above_c || (ahead_c > s.cool_above_c && hottest_c > s.cool_to_c) => {
                Mode::Cooling
            }
            _ if coldest_c < s.heat_below_c && may_heat && hottest_c < s.cool_to_c => Mode::Heating,
            _ => Mode::Idle,
        };
        let figures = [("hottest_c", hottest_c), ("coldest_c", coldest_c), ("forecast_c", ahead_c)];
        if mode != self.mode {
            let (kind, text) = match (self.mode, mode) {
                (_, Mode::Cooling) => (
                    "cooling-started",
                    format!("The hottest sensor is at {hottest_c:.1} °C and goes to {ahead_c:.1} °C."),
                ),
                (_, Mode::Heating) => {
                    ("heating-started", format!("The coldest sensor is at {coldest_c:.1} °C while charging."))
                }
                (Mode::Cooling, Mode::Idle) => {
                    ("cooling-ended", format!("The hottest sensor is at {hottest_c:.1} °C."))
                }
                (_, Mode::Idle) => ("heating-ended", format!("The coldest sensor is at {coldest_c:.1} °C.")),
            };
            outputs.event(kind, Severity::Information, text, &figures);
            self.mode = mode;
        }
        let s = &self.settings;
        match mode {
            Mode::Idle => self.commands.release(&Action::TargetTemperatureC(0.0)),
            Mode::Heating => {
                let reason = format!("coldest sensor {coldest_c:.1} °C");
                self.commands.want(TARGET_VALID_MS, Action::TargetTemperatureC(s.heat_to_c), reason);
            }
            Mode::Cooling => {
                let reason = format!("hottest sensor {hottest_c:.1} °C");
                self.commands.want(TARGET_VALID_MS, Action::TargetTemperatureC(s.cool_to_c), reason);
            }
        }
    }

    fn derate(&mut self, now_ms: u64, hottest_c: f64, outputs: &mut Outputs) {
        let s = &self.settings;
        let ahead_c = self.hottest.after_c(s, s.derate_horizon_s).max(hottest_c);
        let rises = self.hottest.rises();
        // Below the temperature that is cooled to a rapid rise is heating, and wanted.
        let fast = hottest_c > s.cool_to_c && self.hottest.races(s.runaway_k_per_min / 60.0);
        let from_c = s.limit_c - s.derate_span_k;
        let asked = if fast {
            Some(s.least_share)
        } else if ahead_c > from_c && (rises || hottest_c > from_c || self.share.is_some()) {
            Some(((s.limit_c - ahead_c) / s.derate_span_k).clamp(s.least_share, 1.0))
        } else {
            None
        };
        let was = self.share;
        let stepped = |share: f64| ((share / DERATE_STEP).floor() * DERATE_STEP).clamp(s.least_share, 1.0);
        self.share = match (was, asked) {
            (None, asked) => asked.map(stepped).filter(|share| *share < 1.0),
            (Some(was), Some(asked)) if asked <= was => Some(stepped(asked)),
            // It rises in small steps, one each ten seconds, and is over once it is whole and the battery is clear of the limit.
            (Some(was), asked) if now_ms.saturating_sub(self.share_ms) >= 10_000 => {
                let next = (was + RECOVERY).min(asked.unwrap_or(1.0));
                Some(next.max(was)).filter(|share| *share < 1.0 - 1e-9 || ahead_c > from_c - s.hysteresis_k)
            }
            (was, _) => was,
        };
        if self.share != was {
            self.share_ms = now_ms;
        }
        let figures = |share: f64| [("hottest_c", hottest_c), ("forecast_c", ahead_c), ("share", share)];
        match (was, self.share) {
            (None, Some(share)) => {
                let text = format!(
                    "The hottest sensor is at {hottest_c:.1} °C and goes to {ahead_c:.1} °C of at most {:.0} °C; the vehicle may use {:.0} % of its limits.",
                    s.limit_c,
                    share * 100.0
                );
                outputs.event("derating-started", Severity::Protect, text, &figures(share));
            }
            (Some(_), None) => {
                let text = format!(
                    "The hottest sensor is at {hottest_c:.1} °C; the limits are the vehicle's own again."
                );
                outputs.event("derating-ended", Severity::Information, text, &figures(1.0));
            }
            _ => {}
        }
        match self.share {
            Some(share) => {
                let reason = format!("hottest sensor {hottest_c:.1} °C, {ahead_c:.1} °C ahead");
                self.commands.want(DERATE_VALID_MS, Action::Derate(share), reason);
            }
            None => self.commands.release(&Action::Derate(0.0)),
        }
    }
}

voltmesh_guest::export!(TemperatureRegulation);

#[cfg(test)]
mod tests;
