//! Forecasts of a status: probabilities of every label at every horizon.
//!
//! The baselines are what any model has to beat. Five models are those of ENERGETIC D5.3, section 5.2.2, from kept crates
//! where one gives probabilities. `boosting` is gradient boosting of the features alone; `ours` boosts from each EVSE's own
//! moves and is blended with the neural network as far as that helps on the days held back.

mod ann;
mod baselines;
pub mod boost;
mod forest;
mod input;
mod knn;
mod linear;
mod ours;

use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use ann::Ann;
pub use baselines::{AtHorizon, Baseline, Baselines};
pub use forest::Forest;
pub use input::Standard;
pub use knn::Knn;
pub use linear::{Logistic, Svm};
pub use ours::Ours;

use crate::samples::{Samples, Seen};
use crate::{Error, History};
use boost::{Boost, Options};

/// Input of a baseline for one forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Which EVSE.
    pub evse: usize,
    /// The label in force.
    pub now: usize,
    /// The slot to forecast.
    pub target: usize,
}

/// Something that forecasts.
pub trait Model: Send + Sync {
    /// Writes the probability of each label at each horizon, `horizon × label`; those of a horizon sum to 1.
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]);
}

/// Plain boosting sees every so many of the rows that ours sees.
const BOOSTING_EVERY: usize = 3;

/// Which model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// One of the baselines.
    Baseline(Baseline),
    /// Neural network (D5.3).
    Ann,
    /// K nearest neighbours (D5.3).
    Knn,
    /// Logistic regression (D5.3).
    Lr,
    /// Random forest (D5.3).
    Rf,
    /// Support vector machine (D5.3).
    Svm,
    /// Gradient boosting, one model a horizon, of the features alone.
    Boosting,
    /// Boosting from an EVSE's moves, all horizons at once, blended with the network.
    Ours,
}

impl Kind {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 11] = [
        Self::Baseline(Baseline::Majority),
        Self::Baseline(Baseline::Persistence),
        Self::Baseline(Baseline::Climatology),
        Self::Baseline(Baseline::Markov),
        Self::Ann,
        Self::Knn,
        Self::Lr,
        Self::Rf,
        Self::Svm,
        Self::Boosting,
        Self::Ours,
    ];

    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline(baseline) => baseline.name(),
            Self::Ann => "ann",
            Self::Knn => "knn",
            Self::Lr => "lr",
            Self::Rf => "rf",
            Self::Svm => "svm",
            Self::Boosting => "boosting",
            Self::Ours => "ours",
        }
    }

    /// Whether it is one of D5.3's five.
    pub fn is_of_d53(self) -> bool {
        matches!(self, Self::Ann | Self::Knn | Self::Lr | Self::Rf | Self::Svm)
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| Error::NoModel { given: crate::error::cut(name), known: known() })
    }
}

/// A model that has learnt, of any kind.
#[derive(Debug, Serialize, Deserialize)]
pub enum Trained {
    /// A baseline.
    Baselines(Baselines),
    /// Neural network.
    Ann(Ann),
    /// K nearest neighbours.
    Knn(Knn),
    /// Logistic regression.
    Logistic(Logistic),
    /// Random forest.
    Forest(Forest),
    /// Support vector machine.
    Svm(Svm),
    /// Boosting, one a horizon.
    Boosting(Vec<Boost>),
    /// Ours.
    Ours(Ours),
}

/// Training data of a model.
pub struct Lesson<'a> {
    /// For baselines, which need no features.
    pub history: &'a History,
    /// Its slots to learn from.
    pub slots: Range<usize>,
    /// Horizons in slots.
    pub horizons: &'a [usize],
    /// Rows.
    pub samples: &'a Samples,
    /// Later rows to choose sizes on, if there are any; none when all is used after that.
    pub held_back: Option<&'a Samples>,
    /// Where the logarithms of the moves begin in a row.
    pub moves: usize,
    /// Which feature is the label in force.
    pub label: usize,
}

impl Trained {
    /// Learns. `like` is the same kind trained on less, whose sizes are kept. `progress` is told the share that is done.
    ///
    /// # Errors
    /// Nothing to learn from.
    pub fn train(
        kind: Kind,
        lesson: &Lesson<'_>,
        like: Option<&Self>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Self, Error> {
        let samples = lesson.samples;
        if samples.is_empty() && !matches!(kind, Kind::Baseline(_)) {
            let found = "no row of which the future is known before training ends".to_owned();
            return Err(Error::TooShort { found, needed: "give more days to train on" });
        }
        Ok(match kind {
            Kind::Baseline(kind) => {
                Self::Baselines(Baselines::train(kind, lesson.history, &lesson.slots, lesson.horizons)?)
            }
            Kind::Ann => Self::Ann(Ann::train(samples, lesson.label, progress)),
            Kind::Knn => Self::Knn(Knn::train(samples, lesson.label)),
            Kind::Lr => Self::Logistic(Logistic::train(samples, lesson.label, progress)),
            Kind::Rf => Self::Forest(Forest::train(samples, lesson.label, progress)),
            Kind::Svm => Self::Svm(Svm::train(samples, lesson.label, progress)),
            Kind::Boosting => {
                let horizons = samples.horizons;
                let thinned = samples.thinned(BOOSTING_EVERY);
                let one = |horizon: usize| {
                    let part = thinned.of_horizons(horizon..horizon + 1);
                    let options = Options { trees: 50, rate: 0.15, ..Options::default() };
                    let boost = Boost::train(&part, None, &options, |_| true);
                    progress((horizon + 1) as f64 / horizons as f64);
                    boost
                };
                Self::Boosting((0..horizons).map(one).collect())
            }
            Kind::Ours => {
                let like = like.and_then(|like| if let Self::Ours(ours) = like { Some(ours) } else { None });
                Self::Ours(Ours::train(lesson, like, progress))
            }
        })
    }

    /// Whether a model that was read fits rows of `width` features and `horizons × classes` outputs, so that no index of it can
    /// be out of range.
    pub fn is_sound(&self, width: usize, horizons: usize, classes: usize) -> bool {
        let outputs = horizons * classes;
        match self {
            Self::Baselines(model) => model.is_sound(classes),
            Self::Ann(model) => model.is_sound(width, outputs),
            Self::Knn(model) => model.is_sound(width, horizons, classes),
            Self::Logistic(model) => model.is_sound(width, outputs),
            Self::Forest(model) => model.is_sound(width, horizons),
            Self::Svm(model) => model.is_sound(width, horizons, classes),
            Self::Boosting(boosts) => {
                boosts.len() == horizons && boosts.iter().all(|b| b.outputs() == classes && b.is_sound(width))
            }
            Self::Ours(model) => model.is_sound(width, outputs),
        }
    }
}

impl Model for Trained {
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        match self {
            Self::Baselines(model) => model.predict(seen, out),
            Self::Ann(model) => model.predict(seen, out),
            Self::Knn(model) => model.predict(seen, out),
            Self::Logistic(model) => model.predict(seen, out),
            Self::Forest(model) => model.predict(seen, out),
            Self::Svm(model) => model.predict(seen, out),
            Self::Boosting(boosts) => {
                let classes = out.len() / boosts.len().max(1);
                boosts.iter().zip(out.chunks_mut(classes)).for_each(|(b, out)| b.predict(seen.features, out));
            }
            Self::Ours(model) => model.predict(seen, out),
        }
    }
}

/// Up to `most` rows, evenly spread; how many the five of D5.3 learn from is stated at each.
fn spread(rows: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = rows.min(most);
    (0..count).map(move |i| i * rows / count)
}
