//! Expectations of each EVSE: asked for by whoever ranks stations, answered by a model with forecasts made once.

use crate::{Forecaster, Meaning};

/// Source of the expectations of each EVSE, by its index in the network that the stations were made of.
pub trait Outlook {
    /// P(one can plug in) so many minutes from now.
    fn usable(&self, evse: usize, minutes: f64) -> f64;
    /// P(one can plug in beside so many others that no status shows yet); no more than [`Outlook::usable`]. An EVSE has one plug,
    /// unless an implementation knows better.
    fn usable_beside(&self, evse: usize, minutes: f64, others: usize) -> f64 {
        if others == 0 { self.usable(evse, minutes) } else { 0.0 }
    }
    /// Share of the last days that it was out of order.
    fn faulty(&self, evse: usize) -> f64;
    /// Age of its newest status, in s; `None` if there never was one.
    fn age_s(&self, evse: usize) -> Option<i64>;
    /// How long it stays busy once it is, in minutes.
    fn busy_min(&self, evse: usize) -> f64;
}

/// Expectations of a model, with its forecasts made once: the one outlook of replay, fog node and command line.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    model: &'a Forecaster,
    forecasts: &'a [Option<Vec<f32>>],
    /// Minutes from the model's newest slot to now.
    since_min: f64,
    /// The model's index by the asker's, where they differ.
    index: Option<&'a [Option<usize>]>,
    /// When each EVSE's newest status was said, by the model's index, and now; seconds since 1970.
    said: Option<(&'a [Option<i64>], i64)>,
}

impl<'a> Expected<'a> {
    /// At the model's newest slot. `forecasts` are those of [`Forecaster::forecast_all`] now.
    pub fn new(model: &'a Forecaster, forecasts: &'a [Option<Vec<f32>>]) -> Self {
        Self { model, forecasts, since_min: 0.0, index: None, said: None }
    }

    /// The same so many minutes after the model's newest slot.
    #[must_use]
    pub fn after(self, since_min: f64) -> Self {
        Self { since_min, ..self }
    }

    /// The same for an asker who counts EVSEs otherwise: the model's index by the asker's.
    #[must_use]
    pub fn by(self, index: &'a [Option<usize>]) -> Self {
        Self { index: Some(index), ..self }
    }

    /// The same with ages of statuses from when they were said, and not from when they were observed.
    #[must_use]
    pub fn said(self, said: &'a [Option<i64>], now: i64) -> Self {
        Self { said: Some((said, now)), ..self }
    }

    fn own(&self, evse: usize) -> Option<usize> {
        match self.index {
            Some(index) => index.get(evse).copied().flatten(),
            None => Some(evse),
        }
    }

    fn forecast(&self, own: usize) -> Option<&'a [f32]> {
        self.forecasts.get(own).and_then(Option::as_deref)
    }
}

impl Outlook for Expected<'_> {
    fn usable(&self, evse: usize, minutes: f64) -> f64 {
        let Some(own) = self.own(evse) else { return 0.0 };
        let minutes = minutes + self.since_min;
        match self.forecast(own) {
            Some(p) => self.model.usable_of(own, p, minutes),
            None => self.model.usable(own, minutes),
        }
    }

    fn usable_beside(&self, evse: usize, minutes: f64, others: usize) -> f64 {
        let Some(own) = self.own(evse) else { return 0.0 };
        beside(self.model, own, self.forecast(own), others) * self.usable(evse, minutes)
    }

    fn faulty(&self, evse: usize) -> f64 {
        self.own(evse).map_or(0.0, |own| self.model.faulty(own))
    }

    fn age_s(&self, evse: usize) -> Option<i64> {
        let own = self.own(evse)?;
        match self.said {
            Some((said, now)) => said.get(own).copied().flatten().map(|said| now.saturating_sub(said).max(0)),
            None => self.model.age_s(own),
        }
    }

    fn busy_min(&self, evse: usize) -> f64 {
        self.own(evse).map_or(f64::NAN, |own| self.model.busy_min(own))
    }
}

/// P(one can plug in beside so many others | one can plug in). An EVSE that was seen partly taken has two plugs: the chance
/// that both are free, if one is, is that of the shortest horizon of a `forecast`; one half where there is none.
fn beside(model: &Forecaster, evse: usize, forecast: Option<&[f32]>, others: usize) -> f64 {
    let meanings = model.labels().meanings();
    let seen = model.tracker().evses.get(evse).map_or(&[][..], |state| &state.seen);
    let two =
        seen.iter().zip(meanings).any(|(at, meaning)| *at > i64::MIN && *meaning == Meaning::PartlyFree);
    match others {
        0 => 1.0,
        1 if two => forecast.map_or(0.5, |p| {
            let sum = |wanted: fn(Meaning) -> bool| {
                meanings
                    .iter()
                    .zip(p)
                    .filter(|(meaning, _)| wanted(**meaning))
                    .map(|(_, p)| f64::from(*p))
                    .sum::<f64>()
            };
            let usable = sum(Meaning::usable);
            if usable > 0.0 {
                (sum(|meaning| meaning == Meaning::Free) / usable).clamp(0.0, 1.0)
            } else {
                0.0
            }
        }),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecaster::{Held, School};
    use crate::{Covariates, History, Mapping, Places};

    /// A model of two EVSEs that are free at night: one with two sockets, one with one.
    fn model() -> Forecaster {
        let mut text = "timestamp,evse_id,status\n".to_owned();
        for slot in 0..192 {
            let at = 1_740_960_000 + slot * 900;
            let day = (32..72).contains(&(slot % 96));
            let (two, one) = match slot % 4 {
                0 if day => ("Part", "Occ"),
                1 if day => ("Occ", "Occ"),
                _ => ("Available", "Available"),
            };
            text.push_str(&format!("{at},two,{two}\n{at},one,{one}\n"));
        }
        let history = History::from_csv(text.as_bytes(), &Mapping::new()).unwrap();
        let (none, places) = (Covariates::default(), Places::new());
        let school = School::new(&history, &places, &none, 0..192, &[15, 60], &Held::Last).unwrap();
        school.train("markov".parse().unwrap(), &mut |_| {}).unwrap()
    }

    #[test]
    fn a_second_socket_is_there_for_every_asker() {
        let model = model();
        let forecasts = model.forecast_all();
        let (two, one) = (model.evse("two").unwrap(), model.evse("one").unwrap());
        let plain = Expected::new(&model, &forecasts);
        // An asker that counts otherwise, as a replay does, hears the same.
        let index = [Some(one), None, Some(two)];
        let replay = plain.by(&index);
        for minutes in [0.0, 10.0, 60.0, 500.0] {
            for others in 0..3 {
                let p = plain.usable_beside(two, minutes, others);
                assert_eq!(p, replay.usable_beside(2, minutes, others));
                assert!(p <= plain.usable(two, minutes) + 1e-9);
                assert_eq!(p > 0.0, others < 2, "{minutes} min beside {others}");
                assert_eq!(plain.usable_beside(one, minutes, others) > 0.0, others == 0);
            }
            assert_eq!((replay.usable(1, minutes), replay.usable_beside(1, minutes, 0)), (0.0, 0.0));
        }
        assert_eq!(plain.after(45.0).usable(two, 15.0), plain.usable(two, 60.0));
        assert_eq!((replay.age_s(1), replay.age_s(2)), (None, model.age_s(two)));
        let said = [Some(1_000), Some(5_000)];
        assert_eq!(
            [two, one].map(|evse| plain.said(&said, 3_000).age_s(evse)),
            [two, one].map(|evse| [Some(2_000), Some(0)][evse])
        );
    }
}
