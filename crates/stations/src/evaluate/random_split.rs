//! D5.3's protocol, to show what it is worth: rows split at random, so that a neighbour in time of nearly every row scored was
//! learnt from; and the trivial lookup that needs nothing else.

use std::collections::BTreeMap;

use super::metrics::{Scores, score, top};
use crate::Error;
use crate::features::NONE;
use crate::forecaster::{School, probabilities};
use crate::models::{Kind, Model as _, Trained};
use crate::random::SplitMix;

/// Share of rows learnt from.
const LEARNT: f64 = 0.8;

/// Probability that the lookup gives to its label.
const SURE: f32 = 0.98;

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// The model, or `nearest in time`.
    pub name: &'static str,
    /// Its scores at the shortest horizon; the decision is the most probable label.
    pub scores: Scores,
}

/// Splits the rows of a training at random, trains each kind on four fifths and scores the rest, beside the label of the same
/// EVSE at the nearest time learnt from.
///
/// # Errors
/// Nothing to learn from.
pub fn random_split(
    school: &School<'_>,
    kinds: &[Kind],
    train_slots: std::ops::Range<usize>,
) -> Result<Vec<Lookup>, Error> {
    let all = school.samples();
    let mut random = SplitMix::new(5);
    let learnt: Vec<bool> = (0..all.len()).map(|_| random.unit() < LEARNT).collect();
    let (train, test) = (all.select(|row| learnt[row]), all.select(|row| !learnt[row]));
    let known: Vec<usize> = (0..test.len()).filter(|row| test.truth(*row)[0] != NONE).collect();
    let truth: Vec<u8> = known.iter().map(|row| test.truth(*row)[0]).collect();
    let now: Vec<u8> = known.iter().map(|row| test.seen[*row].1).collect();
    let classes = all.classes;
    let of = |name, p: Vec<f32>| {
        let decided: Vec<u8> = p.chunks(classes).map(|p| top(p) as u8).collect();
        score(classes, &p, &decided, &truth, &now).map(|scores| Lookup { name, scores })
    };
    let mut lines = Vec::new();
    // By EVSE, times of what was learnt and the label that came true.
    let mut by_evse = BTreeMap::<u32, BTreeMap<i64, u8>>::new();
    for row in 0..train.len() {
        let (evse, _, at) = train.seen[row];
        if train.truth(row)[0] != NONE {
            by_evse.entry(evse).or_default().insert(at, train.truth(row)[0]);
        }
    }
    let mut p = Vec::new();
    for row in &known {
        let (evse, now, at) = test.seen[*row];
        let nearest = by_evse.get(&evse).and_then(|times| {
            let (before, after) = (times.range(..=at).next_back(), times.range(at..).next());
            before
                .into_iter()
                .chain(after)
                .min_by_key(|(time, _)| (*time - at).abs())
                .map(|(_, label)| *label)
        });
        let label = usize::from(nearest.unwrap_or(now));
        p.extend(
            (0..classes).map(|k| if k == label { SURE } else { (1.0 - SURE) / (classes.max(2) - 1) as f32 }),
        );
    }
    lines.extend(of("nearest in time", p));
    for kind in kinds {
        let lesson = school.lesson(&train, train_slots.clone(), None);
        let model = Trained::train(*kind, &lesson, None, &mut |_| {})?;
        let p = probabilities(&test, |seen, out| model.predict(seen, out));
        let width = all.horizons * classes;
        let first = known.iter().flat_map(|row| p[row * width..][..classes].to_vec()).collect();
        lines.extend(of(kind.name(), first));
    }
    Ok(lines)
}
