//! How good forecasts of a status are, in temporal order: trained before, scored after, one horizon between.

mod metrics;

use std::ops::Range;

pub use metrics::{ClassScore, ECE_BINS, Scores, score};

use crate::History;
use crate::models::{Model, Moment};

/// Every forecast that can be made in `slots` and checked `horizon` slots later, with what came true: both the status now and
/// the one then are in force, so nothing is scored that was not observed within a sampling interval.
pub fn rows(
    history: &History,
    slots: Range<usize>,
    horizon: usize,
) -> impl Iterator<Item = (Moment, usize)> + '_ {
    slots.flat_map(move |slot| {
        (0..history.evses().len()).filter_map(move |evse| {
            let target = slot + horizon;
            let (now, truth) = (history.in_force(slot, evse)?, history.in_force(target, evse)?);
            Some((Moment { evse, now, target }, truth))
        })
    })
}

/// Scores a model trained before `trained_until` on `slots`, with an embargo of one horizon: the first slot scored is at least
/// one horizon after the last that training saw. The decision is the most probable label. `None` without rows.
pub fn evaluate(
    model: &impl Model,
    history: &History,
    trained_until: usize,
    slots: Range<usize>,
    horizon: usize,
) -> Option<Scores> {
    let classes = history.labels().len();
    let (mut p, mut decided, mut truths, mut now) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut one = vec![0.0; classes];
    for (moment, truth) in rows(history, slots.start.max(trained_until + horizon)..slots.end, horizon) {
        model.predict(moment, &mut one);
        decided.push(metrics::top(&one) as u8);
        truths.push(truth as u8);
        now.push(moment.now as u8);
        p.extend_from_slice(&one);
    }
    score(classes, &p, &decided, &truths, &now)
}
