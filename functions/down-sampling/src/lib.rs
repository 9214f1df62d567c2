//! Asks for fewer samples when nothing happens and for more while an operating condition is the case (see README.md).

mod settings;

use voltmesh_guest::Function;
use voltmesh_guest::commands::Commands;
use voltmesh_guest::outputs::Outputs;
use voltmesh_guest::sensors::{self, SampleClock, Step};
use voltmesh_guest::state::{Reader, Writer};
use voltmesh_guest::types::{Action, Feedback, Input, Sample, Severity};

pub use settings::Settings;

/// Validity of a command in ms.
const VALID_MS: u32 = 120_000;

/// Conditions that are remembered.
const CONDITIONS: usize = 32;

/// How much is wanted to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pace {
    /// Nothing happens.
    Slow,
    /// The vehicle's own rate.
    #[default]
    Own,
    /// Something is the case.
    Fast,
}

impl Pace {
    const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Own => "own",
            Self::Fast => "fast",
        }
    }
}

/// What the battery was like when it last changed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Still {
    mean_v: f64,
    hottest_c: f64,
    since_ms: u64,
}

/// The function.
#[derive(Debug, Clone, Default)]
pub struct DownSampling {
    settings: Settings,
    clock: SampleClock,
    still: Option<Still>,
    conditions: Vec<String>,
    pace: Pace,
    pace_since_ms: u64,
    last_condition_ms: Option<u64>,
    commands: Commands,
}

impl Function for DownSampling {
    type Settings = Settings;

    fn configure(&mut self, settings: Settings) -> Result<(), String> {
        settings.check()?;
        self.settings = settings;
        Ok(())
    }

    fn take(&mut self, now_ms: u64, input: &Input, outputs: &mut Outputs) {
        match input {
            Input::Samples(samples) => samples.iter().for_each(|sample| self.see(now_ms, sample)),
            Input::Feedback(Feedback::Condition((name, true))) => {
                if !self.conditions.contains(name) && self.conditions.len() < CONDITIONS {
                    self.conditions.push(name.clone());
                }
            }
            Input::Feedback(Feedback::Condition((name, false))) => {
                self.conditions.retain(|known| known != name);
                self.last_condition_ms = Some(now_ms);
            }
            Input::Feedback(feedback) => self.commands.feedback(now_ms, feedback, outputs),
            Input::Report(_) | Input::Tick => {}
        }
    }

    fn decide(&mut self, now_ms: u64, outputs: &mut Outputs) {
        let pace = self.wanted(now_ms);
        let stayed_ms = now_ms.saturating_sub(self.pace_since_ms);
        let may_change = pace == Pace::Fast || stayed_ms >= self.settings.stay_ms();
        if pace != self.pace && may_change {
            (self.pace, self.pace_since_ms) = (pace, now_ms);
            let (kind, text) = match pace {
                Pace::Fast => ("sampling-raised", format!("More samples: {}.", self.conditions.join(", "))),
                Pace::Slow => ("sampling-lowered", "Fewer samples: the battery is at rest.".to_owned()),
                Pace::Own => ("sampling-own", "The vehicle samples at its own rate again.".to_owned()),
            };
            outputs.event(
                kind,
                Severity::Information,
                text,
                &[("rate_hz", self.rate_hz().unwrap_or(f64::NAN))],
            );
        }
        match self.rate_hz() {
            Some(rate_hz) => {
                let reason = format!("pace {}", self.pace.name());
                self.commands.want(VALID_MS, Action::SamplingRateHz(rate_hz), reason);
            }
            None => self.commands.release_all(),
        }
        self.commands.send(now_ms, outputs);
    }

    fn save(&self, writer: &mut Writer) {
        self.clock.save(writer);
        writer.bool(self.still.is_some());
        let still = self.still.unwrap_or(Still { mean_v: 0.0, hottest_c: 0.0, since_ms: 0 });
        writer.f64(still.mean_v);
        writer.f64(still.hottest_c);
        writer.u64(still.since_ms);
        writer.list(&self.conditions, |writer, name| writer.text(name));
        writer.u64(self.pace as u64);
        writer.u64(self.pace_since_ms);
        writer.bool(self.last_condition_ms.is_some());
        writer.u64(self.last_condition_ms.unwrap_or_default());
        self.commands.save(writer);
    }

    fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        self.clock = SampleClock::restore(reader)?;
        let known = reader.bool()?;
        let still = Still { mean_v: reader.f64()?, hottest_c: reader.f64()?, since_ms: reader.u64()? };
        self.still = known.then_some(still);
        self.conditions = reader.list(Reader::text)?;
        self.pace = match reader.u64()? {
            0 => Pace::Slow,
            1 => Pace::Own,
            2 => Pace::Fast,
            other => return Err(format!("state: {other} is no pace")),
        };
        self.pace_since_ms = reader.u64()?;
        let known = reader.bool()?;
        let last_ms = reader.u64()?;
        self.last_condition_ms = known.then_some(last_ms);
        self.commands = Commands::restore(reader)?;
        Ok(())
    }
}

impl DownSampling {
    fn see(&mut self, now_ms: u64, sample: &Sample) {
        let step = self.clock.step(now_ms, sample.time_ms);
        if step == Step::Old {
            return;
        }
        let quiet_current =
            sensors::current_a(sample).is_some_and(|a| a.abs() <= self.settings.rest_current_a);
        let measured = sensors::cells_v(sample, self.settings.cells).zip(sensors::temperatures_c(sample));
        // What is not known is not at rest; while it is charged it is not either.
        let (true, false, Some(((_, mean_v, _), (_, hottest_c)))) =
            (quiet_current, sample.plugged == Some(true), measured)
        else {
            self.still = None;
            return;
        };
        let moved = self.still.is_none_or(|still| {
            (still.mean_v - mean_v).abs() > self.settings.rest_change_v
                || (still.hottest_c - hottest_c).abs() > self.settings.rest_change_k
        });
        if moved || step == Step::Anew {
            self.still = Some(Still { mean_v, hottest_c, since_ms: sample.time_ms });
        }
    }

    fn wanted(&self, now_ms: u64) -> Pace {
        let after_ms = self.last_condition_ms.map(|last_ms| now_ms.saturating_sub(last_ms));
        if !self.conditions.is_empty() || after_ms.is_some_and(|after_ms| after_ms < self.settings.after_ms())
        {
            // After a condition the rate stays, but a rate that was never raised is not raised by its end.
            if !self.conditions.is_empty() || self.pace == Pace::Fast {
                return Pace::Fast;
            }
        }
        let still_ms =
            self.still.zip(self.clock.last_ms()).map(|(still, last)| last.saturating_sub(still.since_ms));
        match still_ms {
            Some(still_ms) if still_ms >= self.settings.quiet_ms() => Pace::Slow,
            _ => Pace::Own,
        }
    }

    const fn rate_hz(&self) -> Option<f64> {
        match self.pace {
            Pace::Slow => Some(self.settings.slow_hz),
            Pace::Own => None,
            Pace::Fast => Some(self.settings.fast_hz),
        }
    }
}

voltmesh_guest::export!(DownSampling);

#[cfg(test)]
mod tests;
