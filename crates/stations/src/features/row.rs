//! One row of features of one EVSE at one moment.

use serde::{Deserialize, Serialize};

use super::habits::watch;
use super::tracker::{CHANGE_MEMORIES_MIN, MEMORIES_MIN, NONE, Tracker};
use crate::Labels;

/// A duration that is not known or longer than this counts as this, in minutes: a week.
const LONGEST_MIN: f32 = 10_080.0;

/// The names of features, in the order of a row. What is not known is NaN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The names.
    pub names: Vec<String>,
    /// Horizons and labels: the last `horizons × labels` features are logarithms of the probabilities that an EVSE's moves
    /// give alone.
    pub horizons: usize,
    /// How many labels.
    pub classes: usize,
    /// Covariates, after everything but the moves.
    pub covariates: usize,
}

impl Layout {
    /// What [`Layout::fill`] writes for a tracker's labels and horizons, and further columns of the caller's.
    pub fn new(labels: &Labels, horizons_min: &[u32], covariates: &[String]) -> Self {
        let classes = labels.len();
        let of_label = |what: &str| labels.names().iter().map(|l| format!("{what} {l}")).collect::<Vec<_>>();
        let mut names: Vec<String> =
            ["kind", "power", "connectors", "minute of day", "weekend", "label"].map(str::to_owned).to_vec();
        names.extend(
            ["lasted", "previous label", "previous lasted", "usual length", "of usual length"]
                .map(str::to_owned),
        );
        names.extend(of_label("since"));
        for memory in MEMORIES_MIN {
            names.extend(of_label(&format!("share {memory} min")));
        }
        names.extend(CHANGE_MEMORIES_MIN.map(|memory| format!("changes {memory} min")));
        names.extend(of_label("usual now"));
        for minutes in horizons_min {
            names.extend(of_label(&format!("usual +{minutes}")));
            names.push(format!("yesterday +{minutes} same"));
            names.push(format!("yesterday +{minutes} usable"));
        }
        names.extend(of_label("siblings"));
        names.push("sibling lasted".to_owned());
        names.push("sibling changes".to_owned());
        names.extend(of_label("pool"));
        names.extend(of_label("near"));
        names.extend(of_label("near 60 min"));
        names.extend(covariates.iter().map(|name| format!("covariate {name}")));
        for minutes in horizons_min {
            names.extend(of_label(&format!("moves +{minutes}")));
        }
        Self { names, horizons: horizons_min.len(), classes, covariates: covariates.len() }
    }

    /// How many features.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// Which feature is the label in force.
    pub fn label(&self) -> usize {
        5
    }

    /// Where the logarithms of the moves begin.
    pub fn moves(&self) -> usize {
        self.width() - self.horizons * self.classes
    }

    /// Writes the row of an EVSE that has a label in force. `covariates` are as many as the layout has.
    ///
    /// # Panics
    /// If `out` is not one row wide, or no label is in force: a mistake of the caller.
    pub fn fill(&self, tracker: &Tracker, evse: usize, covariates: &[f32], out: &mut [f32]) {
        assert_eq!(out.len(), self.width(), "one row");
        let state = &tracker.evses[evse];
        assert_ne!(state.now, NONE, "a label in force");
        let at = tracker.at.unwrap_or(0);
        let mut to = Row { out, at: 0 };
        let (now, classes) = (usize::from(state.now), self.classes);
        let network = &tracker.network;
        let kind = usize::from(network.kind[evse]);
        let clock = tracker.clock;
        to.put(kind as f32);
        to.put(network.power_kw[evse]);
        to.put(network.siblings[evse].len() as f32);
        to.put(clock.minute(at) as f32);
        to.put(clock.day_type(at) as f32);
        to.put(now as f32);
        // Its own past.
        let lasted = tracker.lasted_min(evse);
        to.put(lasted.min(LONGEST_MIN));
        let (previous, previous_s) = state.previous;
        to.put(if previous == NONE { f32::NAN } else { f32::from(previous) });
        to.put(if previous == NONE { f32::NAN } else { (previous_s as f32 / 60.0).min(LONGEST_MIN) });
        let (hours, spells) = tracker.kind_spells[kind * classes + now];
        let of_kind = (hours + 1.0) / (spells + 1.0);
        let (hours, spells) = state.spells[now];
        let usual_min = 60.0 * (hours + 3.0 * of_kind) / (spells + 3.0);
        to.put(usual_min);
        to.put(lasted / usual_min);
        for seen in &state.seen {
            let ago = if *seen == i64::MIN { LONGEST_MIN } else { (at - seen) as f32 / 60.0 };
            to.put(ago.min(LONGEST_MIN));
        }
        for (shares, weight) in state.shares.chunks(classes).zip(state.weights) {
            let scale = 1.0 / weight.max(1.0);
            shares.iter().for_each(|share| to.put(share * scale));
        }
        for (changes, weight) in state.changes.iter().zip(state.change_weights) {
            to.put(changes / weight.max(1.0));
        }
        // Its habits.
        to.put_all(tracker.habits.usual(evse, clock.day_type(at), clock.half_hour(at)));
        let day = (86_400 / tracker.step_s) as usize;
        let around = (1800 / tracker.step_s) as usize;
        for slots in &tracker.horizons {
            let then = at + *slots as i64 * tracker.step_s;
            to.put_all(tracker.habits.usual(evse, clock.day_type(then), clock.half_hour(then)));
            let (mut known, mut same, mut usable) = (0.0, 0.0, 0.0);
            // Half an hour before and after the same time yesterday; nothing there is later than now.
            let newest = day.saturating_sub(slots + around);
            for slot in (newest..=(day + around).saturating_sub(*slots)).step_by(around.max(3) / 3) {
                let label = tracker.ago(evse, slot);
                if label != NONE {
                    known += 1.0;
                    same += f32::from(u8::from(label == state.now));
                    usable += f32::from(u8::from(
                        tracker.labels.meanings().get(usize::from(label)).is_some_and(|m| m.usable()),
                    ));
                }
            }
            to.put(if known > 0.0 { same / known } else { f32::NAN });
            to.put(if known > 0.0 { usable / known } else { f32::NAN });
        }
        self.neighbours(tracker, evse, &mut to);
        to.put_all(covariates);
        let lasted = watch(lasted.max(0.0) as u32);
        for horizon in 0..self.horizons {
            let out = &mut to.out[to.at..to.at + classes];
            tracker.habits.moves(evse, kind, horizon, (now, lasted), out);
            to.at += classes;
        }
        assert_eq!(to.at, self.width(), "every feature is written");
    }

    fn neighbours(&self, tracker: &Tracker, evse: usize, to: &mut Row<'_>) {
        let network = &tracker.network;
        let (mut lasted, mut changes) = (f32::NAN, 0.0);
        let at = to.at;
        to.out[at..at + self.classes].fill(0.0);
        for sibling in &network.siblings[evse] {
            let state = &tracker.evses[*sibling as usize];
            if state.now != NONE {
                to.out[at + usize::from(state.now)] += 1.0;
                lasted = tracker.lasted_min(*sibling as usize).min(LONGEST_MIN).min(lasted);
                changes += state.changes[0] / state.change_weights[0].max(1.0);
            }
        }
        to.at += self.classes;
        to.put(lasted);
        to.put(changes);
        self.shares(tracker, network.pool[evse].iter().map(|other| (*other, 1.0)), None, to);
        let near = || network.near[evse].iter().copied();
        self.shares(tracker, near(), None, to);
        self.shares(tracker, near(), Some(1), to);
    }

    /// Weighted shares of the labels of others: in force now, or by one of the memories. NaN where there are no others.
    fn shares(
        &self,
        tracker: &Tracker,
        others: impl Iterator<Item = (u32, f32)>,
        memory: Option<usize>,
        to: &mut Row<'_>,
    ) {
        let classes = self.classes;
        let out = &mut to.out[to.at..to.at + classes];
        out.fill(0.0);
        let mut sum = 0.0;
        for (other, weight) in others {
            let state = &tracker.evses[other as usize];
            if state.now == NONE {
                continue;
            }
            sum += weight;
            match memory {
                None => out[usize::from(state.now)] += weight,
                Some(memory) => {
                    let scale = weight / state.weights[memory].max(1.0);
                    let shares = &state.shares[memory * classes..][..classes];
                    out.iter_mut().zip(shares).for_each(|(out, share)| *out += share * scale);
                }
            }
        }
        let scale = if sum > 0.0 { 1.0 / sum } else { f32::NAN };
        out.iter_mut().for_each(|share| *share *= scale);
        to.at += classes;
    }
}

/// Writer of one row of features.
struct Row<'a> {
    out: &'a mut [f32],
    at: usize,
}

impl Row<'_> {
    fn put(&mut self, value: f32) {
        self.out[self.at] = value;
        self.at += 1;
    }

    fn put_all(&mut self, values: &[f32]) {
        self.out[self.at..self.at + values.len()].copy_from_slice(values);
        self.at += values.len();
    }
}
