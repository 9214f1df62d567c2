//! What the archive holds of every boot, as far as memory tells: it starts from marks, finds what a batch is to it,
//! and gives the marks of the next commit.

use super::{Answer, Entry, Question, Verified};
use crate::{
    check::{Refusal, Stage},
    coverage::{Coverage, Foreign, RECENT, RECENT_FOREIGN, Range, Verdict},
};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_telemetry::{Boot, VehicleId};

/// What the archive must remember beside its rows to recognise what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The contiguous watermark of each boot; for boot 0 the number after the highest.
    pub watermarks: BTreeMap<(VehicleId, Boot), u64>,
    /// Ranges beyond the watermark.
    pub islands: BTreeMap<(VehicleId, Boot), Vec<Range>>,
}

/// A gap in a boot's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose.
    pub vehicle: VehicleId,
    /// In which boot.
    pub boot: Boot,
    /// The first missing number.
    pub first: u64,
    /// The number after the last missing one.
    pub next: u64,
}

/// What a verified batch is to what is archived or about to be.
pub(super) enum Finding {
    /// New, and held from now on; positions of the records that are new, `None` if all are.
    New(Option<Vec<u32>>),
    /// Held already.
    Known,
    /// At odds with what is held.
    Wrong(Refusal),
    /// The memory does not tell: ask the table.
    Unclear {
        /// What to ask.
        about: Question,
        /// How far the memory is, for [`Holdings::outruns`].
        insertions: u64,
    },
}

/// What is archived or about to be, boot by boot.
#[derive(Default)]
pub(super) struct Holdings {
    coverage: BTreeMap<(VehicleId, Boot), Coverage>,
    foreign: BTreeMap<VehicleId, Foreign>,
    /// The boots whose coverage has islands: those with gaps.
    islanded: BTreeSet<(VehicleId, Boot)>,
}

impl Holdings {
    pub fn new(marks: &Marks) -> Self {
        let mut holdings = Self::default();
        for ((vehicle, boot), watermark) in &marks.watermarks {
            if boot.is_foreign() {
                holdings.foreign.insert(vehicle.clone(), Foreign::new(*watermark));
            } else {
                let islands = marks.islands.get(&(vehicle.clone(), *boot)).map_or(&[][..], Vec::as_slice);
                holdings.coverage.insert((vehicle.clone(), *boot), Coverage::new(*watermark, islands));
            }
        }
        holdings.islanded =
            marks.islands.iter().filter(|(_, i)| !i.is_empty()).map(|(key, _)| key.clone()).collect();
        holdings
    }

    /// Judges a verified batch, and holds it if it is new; `answer` is what the table said of it, once it was asked.
    pub fn admit(&mut self, batch: &Verified, answer: Option<&Answer>) -> Finding {
        if batch.header.boot.is_foreign() {
            self.admit_foreign(batch, answer)
        } else {
            self.admit_chained(batch, answer)
        }
    }

    fn admit_chained(&mut self, batch: &Verified, answer: Option<&Answer>) -> Finding {
        let stored = batch.stored();
        let key = batch.key();
        let asked = match answer {
            Some(Answer::Batches(batches)) => Some(batches.as_slice()),
            _ => None,
        };
        let coverage = self.coverage.entry(key.clone()).or_default();
        match coverage.judge(&stored, asked) {
            Verdict::Fresh => {
                coverage.insert(stored);
                if coverage.islands().is_empty() {
                    self.islanded.remove(&key);
                } else {
                    self.islanded.insert(key);
                }
                Finding::New(None)
            }
            Verdict::Duplicate => Finding::Known,
            Verdict::Fork(other) => {
                let reason =
                    format!("batch {other} with the same numbers is archived: the vehicle signed both");
                Finding::Wrong(Refusal { stage: Stage::Fork, reason })
            }
            Verdict::BrokenChain(other) => {
                let reason = format!("the chain to its archived neighbour {other} is broken");
                Finding::Wrong(Refusal { stage: Stage::Chain, reason })
            }
            Verdict::Unknown => {
                let insertions = coverage.insertions();
                let (vehicle, boot) = key;
                let about = Question::Batches {
                    vehicle,
                    boot,
                    first: stored.first.saturating_sub(1),
                    last: stored.next,
                };
                Finding::Unclear { about, insertions }
            }
        }
    }

    fn admit_foreign(&mut self, batch: &Verified, answer: Option<&Answer>) -> Finding {
        let vehicle = batch.header.vehicle.clone();
        let numbers: Vec<u64> = batch.records.iter().map(|record| record.number.get()).collect();
        let asked = match answer {
            Some(Answer::Numbers(held)) => Some(held),
            _ => None,
        };
        let foreign = self.foreign.entry(vehicle.clone()).or_default();
        match foreign.fresh(&numbers, asked) {
            None => {
                let insertions = foreign.insertions();
                let about = Question::Numbers { vehicle, numbers: numbers.into_iter().collect() };
                Finding::Unclear { about, insertions }
            }
            Some(fresh) if fresh.is_empty() => Finding::Known,
            Some(fresh) => {
                for position in &fresh {
                    foreign.insert(numbers[*position as usize]);
                }
                Finding::New((fresh.len() < numbers.len()).then_some(fresh))
            }
        }
    }

    /// Whether an answer that was asked for after so many insertions is stale: the memory that complements it reaches
    /// back only so far.
    pub fn outruns(&self, batch: &Verified, insertions: u64) -> bool {
        let key = batch.key();
        let (now, reach) = if key.1.is_foreign() {
            (self.foreign.get(&key.0).map_or(0, Foreign::insertions), RECENT_FOREIGN)
        } else {
            (self.coverage.get(&key).map_or(0, Coverage::insertions), RECENT)
        };
        now.saturating_sub(insertions) >= reach as u64
    }

    /// The watermarks of the boots that these entries touch, and all islands.
    pub fn marks_of(&self, entries: &[Entry]) -> Marks {
        let keys: BTreeSet<_> = entries.iter().map(|entry| entry.batch.key()).collect();
        let watermark = |key: &(VehicleId, Boot)| {
            if key.1.is_foreign() {
                self.foreign.get(&key.0).map_or(0, Foreign::watermark)
            } else {
                self.coverage.get(key).map_or(0, Coverage::watermark)
            }
        };
        let islands =
            |key: &(VehicleId, Boot)| self.coverage.get(key).map(Coverage::islands).unwrap_or_default();
        Marks {
            watermarks: keys.iter().map(|key| (key.clone(), watermark(key))).collect(),
            islands: self.islanded.iter().map(|key| (key.clone(), islands(key))).collect(),
        }
    }

    pub fn boots(&self) -> usize {
        self.coverage.len() + self.foreign.len()
    }

    pub fn vehicles(&self) -> BTreeSet<VehicleId> {
        self.coverage.keys().map(|(vehicle, _)| vehicle).chain(self.foreign.keys()).cloned().collect()
    }

    pub fn gaps(&self) -> Vec<Gap> {
        let gaps_of = |key: &(VehicleId, Boot)| {
            let gaps = self.coverage.get(key).map(Coverage::gaps).unwrap_or_default();
            let (vehicle, boot) = key.clone();
            gaps.into_iter().map(move |(first, next)| Gap { vehicle: vehicle.clone(), boot, first, next })
        };
        self.islanded.iter().flat_map(gaps_of).collect()
    }
}
