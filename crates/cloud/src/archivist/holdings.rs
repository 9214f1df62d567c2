//! Holdings of the archive for every boot, as far as memory tells: it starts from marks, finds what a batch is to it, and
//! gives the marks of the next commit.

use super::{
    Answer, Entry, Question,
    marks::{Gap, Marks},
    places::Places,
};
use crate::{
    coverage::{Coverage, Verdict},
    foreign::{Foreign, Sorted, content_of},
    verify::{Rejection, Stage, Verified},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voltmesh_telemetry::{Boot, VehicleId};

/// Committed batches kept by id for look-ups that take long: 65,536 × 150 B; beyond, the oldest look-ups are asked again.
pub(super) const MAX_UNSETTLED: usize = 65_536;

/// Finding on a verified batch: its relation to what is archived or about to be.
pub(super) enum Finding {
    /// New, and held from now on.
    New {
        /// Positions of the records that are new, `None` if all are.
        kept: Option<Vec<u32>>,
        /// Positions of records whose number is held with other content.
        collisions: Vec<u32>,
    },
    /// Held already, but for records whose number is held with other content.
    Known {
        /// Positions of those.
        collisions: Vec<u32>,
    },
    /// At odds with what is held.
    Wrong(Rejection),
    /// The memory does not tell: ask the table.
    Unclear(Question),
    /// The table lacks what its watermark says it holds.
    Contradiction(Rejection),
}

/// A committed batch that a look-up under way might not show yet.
#[derive(Debug)]
enum Unsettled {
    /// A vehicle's batch, by its first number.
    Batch((VehicleId, Boot), u64),
    /// Records of a client that is not ours.
    Numbers(VehicleId, Vec<u64>),
}

/// Holdings that are archived or about to be, boot by boot.
///
/// A look-up that is asked after `n` commits shows these `n` commits in full, and perhaps more. Everything that it might
/// not show is known by id: what is not committed, and what was committed while it was under way ([`Unsettled`]).
#[derive(Default)]
pub(super) struct Holdings {
    coverage: BTreeMap<(VehicleId, Boot), Coverage>,
    foreign: BTreeMap<VehicleId, Foreign>,
    /// The boots whose coverage has islands: those with gaps.
    islanded: BTreeSet<(VehicleId, Boot)>,
    /// Commits since the marks were read.
    commits: u64,
    /// Committed, and perhaps not shown by a look-up under way: by the number of the commit, oldest first.
    unsettled: VecDeque<(u64, Unsettled)>,
    /// Look-ups that were asked after fewer commits are too old to be judged by.
    oldest_usable: u64,
    /// Entries of the ledger's log whose evidence is archived, or will be with the next commit.
    places: Places,
}

impl Holdings {
    pub fn new(marks: &Marks) -> Self {
        let mut holdings = Self { places: Places::new(&marks.places), ..Self::default() };
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
                Finding::New { kept: None, collisions: Vec::new() }
            }
            Verdict::Duplicate => Finding::Known { collisions: Vec::new() },
            Verdict::Fork(other) => {
                let reason =
                    format!("batch {other} with the same numbers is archived: the vehicle signed both");
                Finding::Wrong(Rejection { stage: Stage::Fork, reason })
            }
            Verdict::BrokenChain(other) => {
                let reason = format!("the chain to its archived neighbour {other} is broken");
                Finding::Wrong(Rejection { stage: Stage::Chain, reason })
            }
            Verdict::Unknown => {
                let (vehicle, boot) = key;
                let (first, last) = (stored.first.saturating_sub(1), stored.next);
                Finding::Unclear(Question::Batches { vehicle, boot, first, last })
            }
            Verdict::Contradiction(number) => {
                let (vehicle, boot) = key;
                let reason = format!(
                    "record {vehicle}/{boot}/{number} is archived by the table's watermark, but no row of table \
                     batches has it: restore the archive's tables, or look with voltmesh verify --archive"
                );
                Finding::Contradiction(Rejection { stage: Stage::Table, reason })
            }
        }
    }

    fn admit_foreign(&mut self, batch: &Verified, answer: Option<&Answer>) -> Finding {
        let vehicle = batch.header.vehicle.clone();
        let records: Vec<_> =
            batch.records.iter().map(|record| (record.number.get(), content_of(record))).collect();
        let asked = match answer {
            Some(Answer::Numbers(held)) => Some(held),
            _ => None,
        };
        let foreign = self.foreign.entry(vehicle.clone()).or_default();
        let Some(Sorted { fresh, collisions }) = foreign.sort(&records, asked) else {
            let numbers = foreign.to_ask(&records);
            return Finding::Unclear(Question::Numbers { vehicle, numbers });
        };
        if fresh.is_empty() {
            return Finding::Known { collisions };
        }
        for position in &fresh {
            let (number, content) = records[*position as usize];
            foreign.insert(number, content);
        }
        let kept = (fresh.len() < records.len()).then_some(fresh);
        Finding::New { kept, collisions }
    }

    /// Notes the batch's entry of the ledger's log; false if its evidence is held.
    pub fn hold_place(&mut self, batch: &Verified) -> bool {
        batch.log_index.is_some_and(|index| self.places.insert(index))
    }

    /// Commits since the marks were read: what a look-up that is asked now shows at least.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Notes that these entries are committed. `asked` is the number of commits after which the oldest look-up under
    /// way was asked.
    pub fn committed(&mut self, entries: &[Entry], asked: Option<u64>) {
        self.commits += 1;
        for entry in entries {
            let (vehicle, boot) = entry.batch.key();
            let unsettled = if boot.is_foreign() {
                Unsettled::Numbers(vehicle, entry.kept_records().map(|record| record.number.get()).collect())
            } else {
                Unsettled::Batch((vehicle, boot), entry.batch.stored().first)
            };
            self.unsettled.push_back((self.commits, unsettled));
        }
        self.settle(asked);
    }

    /// Settles what every look-up under way shows: all if there is none.
    pub fn settle(&mut self, asked: Option<u64>) {
        let shown = asked.unwrap_or(self.commits);
        while let Some((commit, _)) = self.unsettled.front() {
            if *commit > shown {
                if self.unsettled.len() <= MAX_UNSETTLED {
                    return;
                }
                // Too much to keep for a look-up that takes so long: it is asked again.
                self.oldest_usable = *commit;
            }
            match self.unsettled.pop_front() {
                Some((_, Unsettled::Batch(key, first))) => {
                    if let Some(coverage) = self.coverage.get_mut(&key) {
                        coverage.settle(first);
                    }
                }
                Some((_, Unsettled::Numbers(vehicle, numbers))) => {
                    if let Some(foreign) = self.foreign.get_mut(&vehicle) {
                        numbers.into_iter().for_each(|number| foreign.settle(number));
                    }
                }
                None => return,
            }
        }
    }

    #[cfg(test)]
    pub fn outdate_answers(&mut self) {
        self.commits += 1;
        self.oldest_usable = self.commits;
    }

    /// Whether the memory complements an answer that was asked for after so many commits.
    pub fn complements(&self, asked: u64) -> bool {
        asked >= self.oldest_usable
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
            places: self.places.saved(),
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
