//! Model of a perfect table in memory, for the laws of the core.

use crate::{Answer, Commit, Marks, Question, coverage::Stored, foreign::content_of};
use std::collections::BTreeMap;
use voltmesh_telemetry::{Boot, Digest, VehicleId};

/// Model of a perfect table, with the count of appends of each record.
#[derive(Default)]
pub struct Table {
    pub rows: BTreeMap<(VehicleId, Boot, u64), u32>,
    contents: BTreeMap<(VehicleId, Boot, u64), Digest>,
    pub batches: Vec<(VehicleId, Boot, Stored)>,
    pub marks: Marks,
}

impl Table {
    pub fn append(&mut self, commit: &Commit) {
        for entry in &commit.entries {
            let header = &entry.batch.header;
            for record in entry.kept_records() {
                let key = (header.vehicle.clone(), header.boot, record.number.get());
                *self.rows.entry(key.clone()).or_default() += 1;
                self.contents.insert(key, content_of(record));
            }
            let stored = Stored {
                first: entry.batch.first(),
                next: entry.batch.last() + 1,
                id: entry.batch.id,
                previous: header.previous,
            };
            self.batches.push((header.vehicle.clone(), header.boot, stored));
        }
        self.marks.watermarks.extend(commit.marks.watermarks.clone());
        self.marks.islands = commit.marks.islands.clone();
        self.marks.places = commit.marks.places.clone();
    }

    /// What a starting cloud finds.
    pub fn marks(&self) -> Marks {
        self.marks.clone()
    }

    pub fn answer(&self, about: &Question) -> Answer {
        match about {
            Question::Batches { vehicle, boot, first, last } => Answer::Batches(
                self.batches
                    .iter()
                    .filter(|(v, b, s)| v == vehicle && b == boot && s.first <= *last && *first < s.next)
                    .map(|(_, _, stored)| *stored)
                    .collect(),
            ),
            Question::Numbers { vehicle, numbers } => Answer::Numbers(
                numbers
                    .iter()
                    .filter_map(|n| {
                        let key = (vehicle.clone(), Boot::FOREIGN, *n);
                        Some((*n, *self.contents.get(&key)?))
                    })
                    .collect(),
            ),
        }
    }
}
