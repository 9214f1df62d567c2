//! Majority, persistence, climatology, and Markov × climatology.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Model, Moment};
use crate::evaluate::rows;
use crate::samples::Seen;
use crate::{Error, History};

/// Hours of a day.
const HOURS: usize = 24;

/// An EVSE's whole record counts as so many observations of any one of its hours, and the network's as so many of an EVSE's
/// whole record: statuses last about an hour, which is a dozen observations at five minutes.
const PRIOR: f64 = 12.0;

/// Every transition and status has been seen so often before the first: nothing is impossible.
const ONCE: f64 = 0.5;

/// Powers of an EVSE's habits that are tried: 0 is transitions alone, 1 would be right if both were independent.
const POWERS: [f64; 7] = [0.0, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0];

/// Which baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Baseline {
    /// How frequent each label is.
    Majority,
    /// As now. The probability is how often that came true; the rest is shared equally.
    Persistence,
    /// How frequent each label is for this EVSE at this hour of the local day.
    Climatology,
    /// Transitions of the whole network, times a power of how much more frequent than usual the label is for this EVSE at this
    /// hour. The power is the best on the last fifth of training, of habits learnt from the rest.
    Markov,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Majority, Self::Persistence, Self::Climatology, Self::Markov];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Persistence => "persistence",
            Self::Climatology => "climatology",
            Self::Markov => "markov",
        }
    }
}

/// A baseline for one horizon, trained.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AtHorizon {
    kind: Baseline,
    classes: usize,
    /// Label frequencies of the network.
    overall: Vec<f64>,
    /// `from × to`, rows sum to 1.
    moves: Vec<f64>,
    /// `evse × hour × label`, each sums to 1.
    climate: Vec<f64>,
    stays: f64,
    power: f64,
    start_local_s: i64,
    step_s: i64,
}

impl AtHorizon {
    /// Learns from the pairs of slots `horizon` apart that both lie in `train`.
    ///
    /// # Errors
    /// No such pair.
    pub fn train(
        kind: Baseline,
        history: &History,
        train: Range<usize>,
        horizon: usize,
    ) -> Result<Self, Error> {
        let mut model = Self::learn(kind, history, train.clone(), horizon)?;
        if kind == Baseline::Markov {
            let middle = train.start + train.len() * 4 / 5;
            // Too little to hold anything back: transitions alone.
            model.power = match Self::learn(kind, history, train.start..middle, horizon) {
                Ok(earlier) => {
                    earlier.best_power(history, middle..train.end.saturating_sub(horizon), horizon)
                }
                Err(_) => 0.0,
            };
        }
        Ok(model)
    }

    /// The power with the least log loss.
    fn best_power(mut self, history: &History, held_back: Range<usize>, horizon: usize) -> f64 {
        let mut out = vec![0.0; self.classes];
        let mut loss = |power: f64| {
            self.power = power;
            let losses = rows(history, held_back.clone(), horizon).map(|(moment, truth)| {
                self.predict(moment, &mut out);
                -f64::from(out[truth].max(f32::MIN_POSITIVE)).ln()
            });
            losses.sum::<f64>()
        };
        let losses = POWERS.map(|power| (loss(power), power));
        losses.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, power)| *power)
    }

    fn learn(kind: Baseline, history: &History, train: Range<usize>, horizon: usize) -> Result<Self, Error> {
        let (classes, evses) = (history.labels().len(), history.evses().len());
        let mut model = Self {
            kind,
            classes,
            overall: vec![ONCE; classes],
            moves: vec![ONCE; classes * classes],
            climate: vec![0.0; evses * HOURS * classes],
            stays: 0.0,
            power: 1.0,
            start_local_s: history.time(0) + i64::from(history.offset_s()),
            step_s: history.step_s(),
        };
        let mut pairs = 0.0;
        let last = train.end.saturating_sub(horizon);
        for (moment, truth) in rows(history, train.start..last, horizon) {
            let hour = model.hour(moment.target);
            model.overall[truth] += 1.0;
            model.moves[moment.now * classes + truth] += 1.0;
            model.climate[(moment.evse * HOURS + hour) * classes + truth] += 1.0;
            model.stays += f64::from(u8::from(moment.now == truth));
            pairs += 1.0;
        }
        if pairs == 0.0 {
            let found = format!("no EVSE was observed twice, {horizon} slots apart, before training ends");
            return Err(Error::TooShort { found, needed: "give more days to train on" });
        }
        model.stays /= pairs;
        normalise(&mut model.overall);
        model.moves.chunks_mut(classes).for_each(normalise);
        for evse in model.climate.chunks_mut(HOURS * classes) {
            let mut whole: Vec<f64> = model.overall.iter().map(|p| PRIOR * p).collect();
            evse.iter().enumerate().for_each(|(at, count)| whole[at % classes] += count);
            normalise(&mut whole);
            for hour in evse.chunks_mut(classes) {
                hour.iter_mut().zip(&whole).for_each(|(count, p)| *count += PRIOR * p);
                normalise(hour);
            }
        }
        Ok(model)
    }

    fn hour(&self, slot: usize) -> usize {
        let local = self.start_local_s + slot as i64 * self.step_s;
        (local.rem_euclid(86_400) / 3600) as usize
    }

    /// Of the EVSE at the target's hour; the network's for an EVSE that training did not see.
    fn climate(&self, moment: Moment) -> &[f64] {
        let at = (moment.evse * HOURS + self.hour(moment.target)) * self.classes;
        self.climate.get(at..at + self.classes).unwrap_or(&self.overall)
    }
}

fn normalise(p: &mut [f64]) {
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
}

impl AtHorizon {
    /// Writes the probability of each label.
    ///
    /// # Panics
    /// If `out` is not as long as there are labels.
    pub fn predict(&self, moment: Moment, out: &mut [f32]) {
        assert_eq!(out.len(), self.classes, "one probability a label");
        let others = (1.0 - self.stays) / (self.classes.max(2) - 1) as f64;
        let climate = self.climate(moment);
        let mut p: Vec<f64> = (0..self.classes)
            .map(|k| match self.kind {
                Baseline::Majority => self.overall[k],
                Baseline::Persistence if k == moment.now => self.stays,
                Baseline::Persistence => others,
                Baseline::Climatology => climate[k],
                Baseline::Markov => {
                    self.moves[moment.now * self.classes + k]
                        * (climate[k] / self.overall[k]).powf(self.power)
                }
            })
            .collect();
        normalise(&mut p);
        out.iter_mut().zip(&p).for_each(|(out, p)| *out = *p as f32);
    }
}

/// A baseline for every horizon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Baselines {
    each: Vec<AtHorizon>,
    /// In slots.
    horizons: Vec<usize>,
    start: i64,
}

impl Baselines {
    /// Learns each horizon, in slots, from `train`.
    ///
    /// # Errors
    /// As [`AtHorizon::train`].
    pub fn train(
        kind: Baseline,
        history: &History,
        train: &Range<usize>,
        horizons: &[usize],
    ) -> Result<Self, Error> {
        let each = horizons.iter().map(|horizon| AtHorizon::train(kind, history, train.clone(), *horizon));
        Ok(Self {
            each: each.collect::<Result<_, _>>()?,
            horizons: horizons.to_vec(),
            start: history.time(0),
        })
    }

    /// Whether a model that was read fits together.
    pub fn is_sound(&self, classes: usize) -> bool {
        let one = |at: &AtHorizon| {
            let sizes = (at.overall.len(), at.moves.len(), at.climate.len() % (HOURS * classes));
            at.classes == classes && at.step_s > 0 && sizes == (classes, classes * classes, 0)
        };
        self.each.len() == self.horizons.len() && self.each.iter().all(one)
    }
}

impl Model for Baselines {
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        let classes = out.len() / self.each.len().max(1);
        for ((at, horizon), out) in self.each.iter().zip(&self.horizons).zip(out.chunks_mut(classes)) {
            let slot = (seen.at - self.start).div_euclid(at.step_s).max(0) as usize;
            at.predict(Moment { evse: seen.evse, now: seen.now, target: slot + horizon }, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Mapping};

    /// Two EVSEs every half hour for `days`: `day` is busy from 8 to 18, `night` the other way round; then whatever `after` says.
    fn history(days: i64, after: impl Fn(i64) -> bool) -> History {
        let mut builder = Builder::default();
        for slot in 0..days * 48 + 96 {
            let hour = slot % 48 / 2;
            let office = if slot < days * 48 { (8..18).contains(&hour) } else { after(slot) };
            for (evse, busy) in [("day", office), ("night", !office)] {
                builder
                    .push(1_540_425_600 + slot * 1800, evse, if busy { "Occ" } else { "Available" })
                    .unwrap();
            }
        }
        builder.build(&Mapping::new()).unwrap()
    }

    fn forecasts(history: &History, kind: Baseline) -> Vec<f32> {
        let model = AtHorizon::train(kind, history, 0..7 * 48, 2).unwrap();
        let mut all = Vec::new();
        for target in 7 * 48..8 * 48 {
            for (evse, now) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut p = [0.0; 2];
                model.predict(Moment { evse, now, target }, &mut p);
                assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{kind:?}: {p:?}");
                all.extend(p);
            }
        }
        all
    }

    #[test]
    fn the_future_cannot_leak() {
        for kind in Baseline::ALL {
            let (one, other) = (history(7, |_| true), history(7, |slot| slot % 3 == 0));
            assert_eq!(forecasts(&one, kind), forecasts(&other, kind), "{kind:?}");
        }
    }

    #[test]
    fn habits_are_learnt_by_hour() {
        let history = history(7, |_| true);
        let busy = history.labels().index("Occ").unwrap();
        let check = |kind, evse: &str, hour: usize, now, expected: std::ops::RangeInclusive<f32>| {
            let model = AtHorizon::train(kind, &history, 0..7 * 48, 2).unwrap();
            let mut p = [0.0; 2];
            let evse = history.evse(evse).unwrap();
            model.predict(Moment { evse, now, target: 7 * 48 + hour * 2 }, &mut p);
            assert!(expected.contains(&p[busy]), "{kind:?} {evse} {hour}: {p:?}");
        };
        check(Baseline::Climatology, "day", 12, 1 - busy, 0.7..=1.0);
        check(Baseline::Climatology, "night", 12, busy, 0.0..=0.3);
        check(Baseline::Majority, "day", 12, busy, 0.4..=0.6);
        check(Baseline::Persistence, "day", 12, busy, 0.8..=1.0);
        check(Baseline::Markov, "day", 12, busy, 0.95..=1.0);
    }

    #[test]
    fn an_evse_that_training_did_not_see_has_the_networks_habits() {
        let history = history(7, |_| true);
        let model = AtHorizon::train(Baseline::Climatology, &history, 0..7 * 48, 2).unwrap();
        let mut p = [0.0; 2];
        model.predict(Moment { evse: 99, now: 0, target: 400 }, &mut p);
        assert!((p[0] - 0.5).abs() < 0.01, "{p:?}");
    }

    #[test]
    fn too_short_a_training_is_an_error() {
        let history = history(7, |_| true);
        let error = AtHorizon::train(Baseline::Markov, &history, 0..2, 2).unwrap_err();
        assert!(error.to_string().contains("give more days"), "{error}");
    }
}
