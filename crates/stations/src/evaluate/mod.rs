//! Evaluation of forecasts of a status, in temporal order: trained before, scored after, one horizon between.

mod days;
mod metrics;
mod random_split;

use std::ops::Range;

pub use days::{Interval, Scored, score_models};
pub use metrics::{ClassScore, ECE_BINS, Scores, score};
pub use random_split::{Lookup, random_split};

use crate::History;
use crate::models::Moment;

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
