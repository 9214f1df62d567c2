//! Training: the last days are held back to choose sizes, temperature and decisions; then all days are learnt from.

use std::ops::Range;

use rayon::prelude::*;

use super::Forecaster;
use crate::calibrate::{Calibration, Told};
use crate::features::{Layout, NONE, Tracker};
use crate::models::{Kind, Lesson, Model as _, Trained};
use crate::samples::{Samples, Walk};
use crate::{Covariates, Error, History, Places};

/// Days at the start from which nothing is learnt but habits.
const SKIPPED_DAYS: i64 = 1;

/// Rows to learn from at most; slots are thinned until there are no more.
const MAX_ROWS: usize = 340_000;

/// Rows held back are looked at every so many.
const HELD_EVERY: usize = 3;

/// Which days are held back.
#[derive(Debug, Clone)]
pub enum Held {
    /// The last fifth; afterwards all days are learnt from.
    Last,
    /// From this slot to the end of training, given apart; nothing is learnt from them but calibration and sizes.
    From(usize),
}

/// Everything that models learn from, prepared once for all of them.
pub struct School<'a> {
    history: &'a History,
    layout: Layout,
    covariates: &'a Covariates,
    horizons: Vec<usize>,
    horizons_min: Vec<u32>,
    train: Range<usize>,
    middle: usize,
    refit: bool,
    /// As it is after the last slot of training.
    tracker: Tracker,
    /// Rows before the days held back, those of them, and both.
    early: Samples,
    held: Samples,
    all: Samples,
}

impl<'a> School<'a> {
    /// Prepares: `train` are slots, horizons are in minutes.
    ///
    /// # Errors
    /// A horizon shorter than the sampling interval, too few slots, or no status that means free.
    pub fn new(
        history: &'a History,
        places: &Places,
        covariates: &'a Covariates,
        train: Range<usize>,
        horizons_min: &[u32],
        held: &Held,
    ) -> Result<Self, Error> {
        if !history.labels().meanings().iter().any(|meaning| meaning.usable()) {
            return Err(nothing_free(history));
        }
        let mut horizons_min = horizons_min.to_vec();
        horizons_min.sort_unstable();
        horizons_min.dedup();
        let horizons: Vec<usize> =
            horizons_min.iter().map(|minutes| history.horizon(*minutes)).collect::<Result<_, _>>()?;
        let mut distinct = horizons.clone();
        distinct.dedup();
        if distinct.len() != horizons.len() || horizons.is_empty() {
            let minutes = horizons_min.first().copied().unwrap_or(0);
            return Err(Error::Horizon { minutes, step_s: history.step_s() });
        }
        let layout = Layout::new(history.labels(), &horizons_min, covariates.names());
        let mut tracker = Tracker::of(history, places, horizons.clone());
        let day = (86_400 / history.step_s()).max(1) as usize;
        let skip = (SKIPPED_DAYS as usize * day).min(train.len() / 4);
        let (middle, refit) = match held {
            Held::Last => (train.start + train.len() * 4 / 5, true),
            Held::From(slot) => ((*slot).clamp(train.start, train.end), false),
        };
        let rows = (train.len() - skip).saturating_mul(history.evses().len());
        let every = rows.div_ceil(MAX_ROWS).max(1);
        let walk = |every| Walk { history, layout: &layout, covariates, every, until: train.end };
        walk(usize::MAX).run(&mut tracker, train.start..train.start + skip, |_, _, _| {});
        let all = walk(every).samples(&mut tracker, train.start + skip..train.end);
        let (border, step_s) = (history.time(middle), history.step_s());
        let ahead = |horizon: usize| horizons[horizon] as i64 * step_s;
        let early = all.select(|row| all.seen[row].2 < border);
        let early = early.told(|at, horizon| at + ahead(horizon) < border);
        let held = all.select(|row| all.seen[row].2 >= border);
        let held = held.told(|at, horizon| at >= border + ahead(horizon));
        // Where all truths of a long horizon fall into the embargo, nothing is held back of it.
        let told = |samples: &Samples| samples.truth.iter().any(|truth| *truth != NONE);
        if !told(&all) {
            let found = format!("{} slots before training ends", train.len());
            return Err(Error::TooShort { found, needed: "give more days to train on" });
        }
        Ok(Self {
            history,
            covariates,
            horizons,
            horizons_min,
            train,
            middle,
            refit,
            tracker,
            early,
            held,
            all,
            layout,
        })
    }

    /// How many rows there are to learn from.
    pub fn rows(&self) -> usize {
        self.all.len()
    }

    /// All rows.
    pub fn samples(&self) -> &Samples {
        &self.all
    }

    /// The features.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Horizons in minutes, ascending.
    pub fn horizons_min(&self) -> &[u32] {
        &self.horizons_min
    }

    /// What a model learns from.
    pub fn lesson<'b>(
        &'b self,
        samples: &'b Samples,
        slots: Range<usize>,
        held_back: Option<&'b Samples>,
    ) -> Lesson<'b> {
        Lesson {
            history: self.history,
            slots,
            horizons: &self.horizons,
            samples,
            held_back,
            moves: self.layout.moves(),
            label: self.layout.label(),
        }
    }

    /// Trains one model: `progress` is told the share that is done.
    ///
    /// # Errors
    /// Nothing to learn from.
    pub fn train(&self, kind: Kind, progress: &mut dyn FnMut(f64)) -> Result<Forecaster, Error> {
        let early = if self.early.is_empty() { &self.all } else { &self.early };
        let held = Some(&self.held).filter(|held| !held.is_empty());
        let until = if self.early.is_empty() { self.train.end } else { self.middle };
        let lesson = self.lesson(early, self.train.start..until, held);
        let share = if self.refit { 0.5 } else { 1.0 };
        let first = Trained::train(kind, &lesson, None, &mut |done| progress(share * done));
        // Too few days to hold any back: the model is what it is.
        let (first, calibration) = match first {
            Ok(model) => {
                let calibration = self.calibrate(&model);
                (Some(model), calibration)
            }
            Err(_) if self.refit => (None, Calibration::none(self.horizons.len(), self.layout.classes)),
            Err(error) => return Err(error),
        };
        let model = match first {
            Some(model) if !self.refit => model,
            like => {
                let lesson = self.lesson(&self.all, self.train.clone(), None);
                Trained::train(kind, &lesson, like.as_ref(), &mut |done| progress(0.5 + 0.5 * done))?
            }
        };
        Ok(Forecaster {
            kind,
            model,
            calibration,
            layout: self.layout.clone(),
            covariate_names: self.covariates.names().to_vec(),
            covariates: vec![f32::NAN; self.covariates.names().len()],
            horizons_min: self.horizons_min.clone(),
            trained: (self.history.time(self.train.start), self.history.time(self.train.end)),
            tracker: self.tracker.clone(),
        })
    }

    fn calibrate(&self, model: &Trained) -> Calibration {
        let held = self.held.thinned(if self.held.len() > 20_000 { HELD_EVERY } else { 1 });
        let p = probabilities(&held, |seen, out| model.predict(seen, out));
        let (horizons, classes) = (held.horizons, held.classes);
        let mut told = vec![Told::default(); horizons];
        for (row, p) in p.chunks(horizons * classes).enumerate() {
            for (horizon, told) in told.iter_mut().enumerate() {
                let truth = held.truth(row)[horizon];
                if truth != NONE {
                    told.p.extend_from_slice(&p[horizon * classes..][..classes]);
                    told.truth.push(truth);
                    told.now.push(held.seen[row].1);
                }
            }
        }
        Calibration::learn(&told, classes)
    }
}

/// What a history calls its statuses, none of which means free.
fn nothing_free(history: &History) -> Error {
    let words = &history.report().words;
    let named = |word: &crate::history::Word| format!("`{}` ({} rows)", word.word, word.rows);
    let strange = words.iter().find(|word| word.meaning.is_none()).or(words.first());
    Error::NothingFree {
        words: words.iter().map(named).collect::<Vec<_>>().join(", "),
        example: strange.map_or_else(String::new, |word| word.word.clone()),
    }
}

/// `row × horizon × label`, on all cores.
pub fn probabilities(
    samples: &Samples,
    predict: impl Fn(crate::samples::Seen<'_>, &mut [f32]) + Sync,
) -> Vec<f32> {
    let outputs = samples.horizons * samples.classes;
    let mut out = vec![0.0; samples.len() * outputs];
    out.par_chunks_mut(outputs.max(1))
        .with_min_len(256)
        .enumerate()
        .for_each(|(row, out)| predict(samples.row(row), out));
    out
}

/// Trains ours on some slots of a history.
///
/// # Errors
/// As [`School::new`] and [`School::train`].
pub fn train_ours(
    history: &History,
    places: &Places,
    train: Range<usize>,
    horizons_min: &[u32],
    covariates: &Covariates,
    progress: &mut dyn FnMut(f64),
) -> Result<Forecaster, Error> {
    School::new(history, places, covariates, train, horizons_min, &Held::Last)?.train(Kind::Ours, progress)
}
