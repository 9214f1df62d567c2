//! Several models on the same rows, day by day, with intervals from resampled days.

use std::ops::Range;

use serde::Serialize;

use super::metrics::{LEAST, Scores, macro_f1, score, weighted_f1};
use crate::calibrate::Told;
use crate::features::{NONE, Tracker};
use crate::forecaster::{Forecaster, probabilities};
use crate::random::SplitMix;
use crate::samples::Walk;
use crate::{Covariates, History};

/// Times that days are drawn again.
const DRAWS: usize = 1000;

/// Probability outside an interval on each side.
const TAIL: f64 = 0.025;

/// From the 2.5 % to the 97.5 % quantile over days drawn with replacement (Efron 1979; whole days, since rows of one day are
/// anything but independent).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// One model at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// The horizon in minutes.
    pub minutes: u32,
    /// The scores.
    pub scores: Scores,
    /// Of the log loss.
    pub log_loss: Interval,
    /// Of the macro F1.
    pub macro_f1: Interval,
    /// Of the weighted F1.
    pub weighted_f1: Interval,
}

/// A day's rows of one model and horizon.
struct Day {
    rows: usize,
    loss: f64,
    confusion: Vec<u64>,
}

#[derive(Default)]
struct Collected {
    told: Told,
    decided: Vec<u8>,
    days: Vec<Day>,
}

/// Scores models of the same training on `slots` of a history, with an embargo of one horizon after `trained_until`: by model
/// and horizon, `None` where there are no rows. `progress` is told the share that is done. Returned beside the scores: the
/// network as it is after the last slot.
///
/// # Panics
/// If there is no model, or the models do not share labels, horizons and features: a mistake of the caller.
pub fn score_models(
    models: &[Forecaster],
    history: &History,
    covariates: &Covariates,
    trained_until: usize,
    slots: Range<usize>,
    progress: &mut dyn FnMut(f64),
) -> (Vec<Vec<Option<Scored>>>, Tracker) {
    let first = models.first().expect("a model to score");
    let layout = first.layout();
    assert!(models.iter().all(|model| model.layout() == layout), "models of one training");
    let (horizons, classes) = (layout.horizons, layout.classes);
    let mut tracker = first.tracker().clone();
    let walk = |every| Walk { history, layout, covariates, every, until: history.slots() };
    walk(usize::MAX).run(&mut tracker, trained_until..slots.start, |_, _, _| {});
    let mut collected: Vec<Vec<Collected>> =
        models.iter().map(|_| (0..horizons).map(|_| Collected::default()).collect()).collect();
    let mut from = slots.start;
    while from < slots.end {
        let day = tracker.clock.day(history.time(from));
        let to = (from..slots.end).find(|slot| tracker.clock.day(history.time(*slot)) != day);
        let to = to.unwrap_or(slots.end);
        let earliest: Vec<i64> = tracker
            .horizons
            .iter()
            .map(|h| history.time(0) + (trained_until + h) as i64 * history.step_s())
            .collect();
        let rows = walk(1).samples(&mut tracker, from..to).told(|at, horizon| at >= earliest[horizon]);
        for (model, collected) in models.iter().zip(&mut collected) {
            let p = probabilities(&rows, |seen, out| model.predict(seen, out));
            for (horizon, to) in collected.iter_mut().enumerate() {
                let mut today = Day { rows: 0, loss: 0.0, confusion: vec![0; classes * classes] };
                for row in 0..rows.len() {
                    let truth = rows.truth(row)[horizon];
                    if truth == NONE {
                        continue;
                    }
                    let p = &p[(row * horizons + horizon) * classes..][..classes];
                    let decided = model.calibration().decide(horizon, p);
                    today.rows += 1;
                    today.loss -= f64::from(p[usize::from(truth)]).max(LEAST).ln();
                    today.confusion[usize::from(truth) * classes + decided] += 1;
                    to.told.p.extend_from_slice(p);
                    to.told.truth.push(truth);
                    to.told.now.push(rows.seen[row].1);
                    to.decided.push(decided as u8);
                }
                to.days.push(today);
            }
        }
        from = to;
        progress((from - slots.start) as f64 / slots.len().max(1) as f64);
    }
    let finish = |(collected, minutes): (Collected, &u32)| {
        let Told { p, truth, now } = &collected.told;
        let scores = score(classes, p, &collected.decided, truth, now)?;
        let [log_loss, macro_f1, weighted_f1] = intervals(&collected.days, classes);
        Some(Scored { minutes: *minutes, scores, log_loss, macro_f1, weighted_f1 })
    };
    let minutes = first.horizons_min();
    let scored = collected.into_iter().map(|each| each.into_iter().zip(minutes).map(finish).collect());
    (scored.collect(), tracker)
}

/// Of log loss, macro and weighted F1.
fn intervals(days: &[Day], classes: usize) -> [Interval; 3] {
    let days: Vec<&Day> = days.iter().filter(|day| day.rows > 0).collect();
    let mut random = SplitMix::new(1);
    let mut drawn: [Vec<f64>; 3] = Default::default();
    for _ in 0..DRAWS {
        let (mut rows, mut loss, mut confusion) = (0, 0.0, vec![0; classes * classes]);
        for _ in 0..days.len() {
            let day = days[random.below(days.len())];
            rows += day.rows;
            loss += day.loss;
            confusion.iter_mut().zip(&day.confusion).for_each(|(sum, count)| *sum += count);
        }
        drawn[0].push(loss / (rows.max(1)) as f64);
        drawn[1].push(macro_f1(classes, &confusion));
        drawn[2].push(weighted_f1(classes, &confusion));
    }
    drawn.map(|mut values| {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Interval { low: at(TAIL), high: at(1.0 - TAIL) }
    })
}
