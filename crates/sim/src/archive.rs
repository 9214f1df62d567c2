//! The archive's table as the cloud's core sees it: atomic commits, and answers from what is committed.
//!
//! It keeps the same rule as the Delta table: a commit is there as a whole or not at all, and the
//! watermarks are part of it. A process that dies on the way leaves either; a commit may be
//! reported as failed although it is there. The table itself outlives the cloud's processes.

use crate::checker::Checker;
use commonware_runtime::Clock;
use commonware_utils::sync::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use voltmesh_cloud::{Answer, Commit, Marks, Question, coverage::Stored, foreign::content_of};
use voltmesh_ledger::{AnchorEvidence, Trust};
use voltmesh_telemetry::{Boot, Digest, VehicleId};

/// The table. Clones are the same one.
#[derive(Clone)]
pub struct Archive(Arc<Mutex<Table>>);

struct Table {
    rng: StdRng,
    checker: Checker,
    marks: Marks,
    batches: BTreeMap<(VehicleId, Boot), Vec<Stored>>,
    numbers: BTreeMap<VehicleId, BTreeMap<u64, Digest>>,
    /// Of 1,000 commits, how many are reported as failed; half of those are there.
    failures_per_mille: u32,
    failures: u64,
}

/// The commit did not happen, as far as its writer can tell; this is what the table holds.
pub struct Failed(pub Marks);

impl Archive {
    /// An empty table.
    pub fn new(seed: u64, checker: Checker) -> Self {
        Self(Arc::new(Mutex::new(Table {
            rng: StdRng::seed_from_u64(seed),
            checker,
            marks: Marks::default(),
            batches: BTreeMap::new(),
            numbers: BTreeMap::new(),
            failures_per_mille: 0,
            failures: 0,
        })))
    }

    /// Of 1,000 commits from now on, how many are reported as failed.
    pub fn set_failures_per_mille(&self, failures: u32) {
        self.0.lock().failures_per_mille = failures;
    }

    /// Commits reported as failed so far.
    pub fn failures(&self) -> u64 {
        self.0.lock().failures
    }

    /// What a starting cloud finds.
    pub fn marks(&self) -> Marks {
        self.0.lock().marks.clone()
    }

    /// Appends. Dropping the future leaves the commit there or not.
    pub async fn commit(&self, clock: &impl Clock, commit: Commit, trust: &Trust) -> Result<(), Failed> {
        let (delay, fails, early, lands) = {
            let mut table = self.0.lock();
            let failures = table.failures_per_mille;
            let rng = &mut table.rng;
            let delay = Duration::from_millis(rng.random_range(5..80));
            (
                delay,
                failures > 0 && rng.random_range(0..1000) < failures,
                rng.random::<bool>(),
                rng.random::<bool>(),
            )
        };
        let applies = !fails || lands;
        if applies && early {
            self.apply(&commit, trust);
        }
        clock.sleep(delay).await;
        if applies && !early {
            self.apply(&commit, trust);
        }
        if fails {
            let mut table = self.0.lock();
            table.failures += 1;
            return Err(Failed(table.marks.clone()));
        }
        Ok(())
    }

    fn apply(&self, commit: &Commit, trust: &Trust) {
        let mut table = self.0.lock();
        let table = &mut *table;
        for entry in &commit.entries {
            let batch = &entry.batch;
            let header = &batch.header;
            // Checked again here, by the ledger alone: the core under test is not asked.
            if let Err(error) = verify(trust, batch) {
                table
                    .checker
                    .problem(format!("batch {} is archived without valid evidence: {error}", batch.id));
            }
            table.checker.archived(header, batch.id, entry.kept_records());
            if header.boot.is_foreign() {
                let numbers = entry.kept_records().map(|record| (record.number.get(), content_of(record)));
                table.numbers.entry(header.vehicle.clone()).or_default().extend(numbers);
            } else {
                let stored = Stored {
                    first: header.first.get(),
                    next: header.next().get(),
                    id: batch.id,
                    previous: header.previous,
                };
                table.batches.entry((header.vehicle.clone(), header.boot)).or_default().push(stored);
            }
        }
        for refused in &commit.quarantine {
            table.checker.quarantined(&refused.refusal.to_string());
        }
        table.marks.watermarks.extend(commit.marks.watermarks.clone());
        table.marks.islands.clone_from(&commit.marks.islands);
    }

    /// Answers from what is committed.
    pub fn answer(&self, question: &Question) -> Answer {
        let table = self.0.lock();
        match question {
            Question::Batches { vehicle, boot, first, last } => {
                let stored = table.batches.get(&(vehicle.clone(), *boot)).into_iter().flatten();
                // Those that hold or touch the numbers asked for.
                let touches =
                    |stored: &&Stored| stored.first <= last.saturating_add(1) && stored.next >= *first;
                Answer::Batches(stored.filter(touches).cloned().collect())
            }
            Question::Numbers { vehicle, numbers } => {
                let known = table.numbers.get(vehicle);
                let archived = numbers.iter().filter_map(|number| Some((*number, *known?.get(number)?)));
                Answer::Numbers(archived.collect())
            }
        }
    }
}

fn verify(trust: &Trust, batch: &voltmesh_cloud::Verified) -> Result<(), String> {
    let evidence = AnchorEvidence::from_bytes(&batch.evidence).map_err(|error| error.to_string())?;
    let opening = voltmesh_cloud::opening_from(&batch.opening).ok_or("no opening")?;
    let signer = match batch.attested_by() {
        Some(fog) => fog.parse().map_err(|error| format!("{error}"))?,
        None => batch.header.vehicle.clone(),
    };
    let commitment = voltmesh_control::commitment(&signer, &opening);
    evidence.verify(trust, &batch.id, &commitment).map(drop).map_err(|error| error.to_string())
}
