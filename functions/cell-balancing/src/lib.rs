//! Bleeds the groups of a pack that surely hold more charge than its lowest (see README.md).

mod groups;
mod settings;

use voltmesh_guest::Function;
use voltmesh_guest::commands::Commands;
use voltmesh_guest::curve::Curve;
use voltmesh_guest::outputs::Outputs;
use voltmesh_guest::sensors::{self, MOST_STEP_S, SampleClock, Step};
use voltmesh_guest::state::{Reader, Writer};
use voltmesh_guest::types::{Action, Input, Sample, Severity};

use groups::Groups;
pub use settings::Settings;

/// Validity of a balancing mask in ms.
const VALID_MS: u32 = 60_000;

/// Standard deviations that a surplus must be sure by.
const SURE: f64 = 2.0;

/// Time in ms between two metrics.
const METRIC_MS: u64 = 10_000;

/// Surplus of groups over the lowest.
#[derive(Debug, Clone, PartialEq)]
struct Surplus {
    /// Groups with their surplus in charge less what is unsure of it.
    sure: Vec<(u16, f64)>,
    lowest_soc: f64,
    /// Distance of the lowest from the median.
    below_median: f64,
    spread_soc: f64,
    imbalance_mv: f64,
}

/// A balancing that is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct UnderWay {
    since_ms: u64,
    imbalance_mv: f64,
}

/// The function.
#[derive(Debug, Clone, Default)]
pub struct CellBalancing {
    settings: Settings,
    curve: Option<Curve>,
    clock: SampleClock,
    groups: Groups,
    low_s: f64,
    hottest_c: Option<f64>,
    under_way: Option<UnderWay>,
    /// Whether it was said that the lowest reading is not believed.
    disbelieved: bool,
    metric_ms: u64,
    commands: Commands,
}

impl Function for CellBalancing {
    type Settings = Settings;

    fn configure(&mut self, settings: Settings) -> Result<(), String> {
        settings.check()?;
        self.curve = Some(settings.open_circuit.clone().unwrap_or_else(|| settings.chemistry.open_circuit()));
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
        self.commands.release_all();
        let cool = self.hottest_c.is_none_or(|hottest_c| hottest_c <= self.settings.most_temp_c);
        if let Some(surplus) = self.surplus().filter(|_| self.clock.is_fresh(now_ms)) {
            self.judge(now_ms, &surplus, cool, outputs);
        }
        self.commands.send(now_ms, outputs);
    }

    fn save(&self, writer: &mut Writer) {
        self.clock.save(writer);
        self.groups.save(writer);
        writer.f64(self.low_s);
        writer.f64(self.hottest_c.unwrap_or(f64::NAN));
        writer.bool(self.under_way.is_some());
        let under_way = self.under_way.unwrap_or(UnderWay { since_ms: 0, imbalance_mv: 0.0 });
        writer.u64(under_way.since_ms);
        writer.f64(under_way.imbalance_mv);
        writer.bool(self.disbelieved);
        writer.u64(self.metric_ms);
        self.commands.save(writer);
    }

    fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        self.clock = SampleClock::restore(reader)?;
        self.groups = Groups::restore(reader)?;
        self.low_s = reader.f64()?;
        self.hottest_c = Some(reader.f64()?).filter(|value| value.is_finite());
        let known = reader.bool()?;
        let under_way = UnderWay { since_ms: reader.u64()?, imbalance_mv: reader.f64()? };
        self.under_way = known.then_some(under_way);
        self.disbelieved = reader.bool()?;
        self.metric_ms = reader.u64()?;
        self.commands = Commands::restore(reader)?;
        Ok(())
    }
}

impl CellBalancing {
    fn see(&mut self, now_ms: u64, sample: &Sample) {
        let step = self.clock.step(now_ms, sample.time_ms);
        if step == Step::Old {
            return;
        }
        self.hottest_c = sensors::temperatures_c(sample).map(|(_, hottest_c)| hottest_c);
        self.groups.see(&sample.cells_v);
        let low = sensors::current_a(sample).is_some_and(|a| a.abs() <= self.settings.low_current_a);
        match step {
            Step::After(step_s) if low => {
                self.low_s += step_s.min(MOST_STEP_S);
                if self.low_s >= self.settings.settle_s {
                    self.groups.average(&sample.cells_v, step_s, self.settings.average_s);
                }
            }
            // Under load voltages tell of resistance, and after a gap it is not known what was before.
            _ => {
                self.low_s = 0.0;
                self.groups.forget();
            }
        }
    }

    /// Surplus of each group; `None` while voltages do not tell.
    fn surplus(&self) -> Option<Surplus> {
        let curve = self.curve.as_ref()?;
        let known = self.groups.known(self.settings.average_s);
        if known.len() < 2 {
            return None;
        }
        let charge = |volts: f64| {
            let soc = curve.inverse(volts);
            (soc, self.settings.voltage_sd_v / curve.slope(soc).max(1e-3))
        };
        let mut volts: Vec<f64> = known.iter().map(|group| group.volts).collect();
        volts.sort_by(f64::total_cmp);
        let (lowest_v, highest_v) = (*volts.first()?, *volts.last()?);
        let (lowest_soc, lowest_sd) = charge(lowest_v);
        let (median_soc, _) = charge(volts[volts.len() / 2]);
        let sure = known
            .iter()
            .map(|group| {
                let (soc, sd) = charge(group.volts);
                (group.index, soc - lowest_soc - SURE * sd.hypot(lowest_sd))
            })
            .collect();
        Some(Surplus {
            sure,
            lowest_soc,
            below_median: median_soc - lowest_soc,
            spread_soc: charge(highest_v).0 - lowest_soc,
            imbalance_mv: (highest_v - lowest_v) * 1_000.0,
        })
    }

    fn judge(&mut self, now_ms: u64, surplus: &Surplus, cool: bool, outputs: &mut Outputs) {
        let s = &self.settings;
        let spread_pct = surplus.spread_soc * 100.0;
        if now_ms.saturating_sub(self.metric_ms) >= METRIC_MS {
            self.metric_ms = now_ms;
            outputs.metric("imbalance_mv", surplus.imbalance_mv);
            outputs.metric("spread_pct", spread_pct);
        }
        // To bleed all groups down to one that only reads low would empty the pack.
        let believed = surplus.below_median <= s.most_spread_soc;
        if !believed && !self.disbelieved {
            let text = format!(
                "The lowest group reads {:.0} % below the median: it is not balanced to.",
                surplus.below_median * 100.0
            );
            outputs.event(
                "lowest-not-believed",
                Severity::Warning,
                text,
                &[("imbalance_mv", surplus.imbalance_mv)],
            );
        }
        self.disbelieved = !believed;
        if !believed {
            return;
        }
        let above =
            |limit: f64| surplus.sure.iter().filter(move |(_, sure)| *sure > limit).map(|(index, _)| *index);
        let mask: Vec<u16> = above(s.dead_band_soc).collect();
        match self.under_way {
            None if cool && surplus.lowest_soc >= s.least_soc && above(s.start_soc).next().is_some() => {
                self.under_way = Some(UnderWay { since_ms: now_ms, imbalance_mv: surplus.imbalance_mv });
                let text = format!(
                    "{} groups hold up to {spread_pct:.1} % more charge than the lowest.",
                    mask.len()
                );
                let figures = [
                    ("imbalance_mv", surplus.imbalance_mv),
                    ("spread_pct", spread_pct),
                    ("groups", mask.len() as f64),
                ];
                outputs.event("balancing-started", Severity::Information, text, &figures);
            }
            Some(under_way) if mask.is_empty() => {
                self.under_way = None;
                let hours = now_ms.saturating_sub(under_way.since_ms) as f64 / 3.6e6;
                let text = format!(
                    "The groups differ by {:.0} mV, by {:.0} mV before.",
                    surplus.imbalance_mv, under_way.imbalance_mv
                );
                let figures = [
                    ("imbalance_mv", surplus.imbalance_mv),
                    ("imbalance_before_mv", under_way.imbalance_mv),
                    ("spread_pct", spread_pct),
                    ("hours", hours),
                ];
                outputs.event("balancing-ended", Severity::Information, text, &figures);
            }
            _ => {}
        }
        if self.under_way.is_some() && cool && surplus.lowest_soc >= s.least_soc {
            let reason = format!("{:.0} mV between the groups", surplus.imbalance_mv);
            self.commands.want(VALID_MS, Action::Balance(mask), reason);
        }
    }
}

voltmesh_guest::export!(CellBalancing);

#[cfg(test)]
mod tests;
