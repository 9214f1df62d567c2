//! Live heap of archivist and archive while records are archived: nothing of it grows with what is in the archive.
//!
//! `MEMORY_RECORDS=1000000 cargo test -p voltmesh-cloud --test memory -- --nocapture` goes further and prints more rows.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]
#![allow(clippy::print_stdout, reason = "figures for who runs it with more records")]

use ed25519_dalek::SigningKey;
use peak_alloc::PeakAlloc;
use std::collections::VecDeque;
use voltmesh_cloud::{
    Answer, Archive, Archivist, Grouping, Input, Location, Output, Question, Reader, Settings, Token,
    testing::{Fleet, fog_name, sample},
};
use voltmesh_telemetry::{Record, RecordNumber, Sample, SealedBatch, Timestamp};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const VEHICLES: u8 = 2;
/// As a vehicle batches what it replays.
const BATCH: u64 = 2_048;
/// Batches of a commit, of each vehicle.
const PER_COMMIT: u64 = 2;

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// A vehicle whose values hardly change: millions of its records take little on the disk, and as much in memory as others'.
fn parked(vehicle: u8, number: u64) -> Sample {
    Sample { time: sample(vehicle, 1, number).time, ..sample(vehicle, 1, 0) }
}

struct Cloud {
    core: Archivist,
    archive: Archive,
    clock: u64,
    tokens: u64,
    merges: u64,
}

impl Cloud {
    async fn open(fleet: &Fleet, location: &Location) -> Self {
        let settings = Settings { compact_files: 8, ..Settings::default() };
        let (archive, marks) = Archive::open(location, settings).await.unwrap();
        let key = SigningKey::from_bytes(&[42; 32]);
        let core = Archivist::new(fleet.trust(), key, Grouping::default(), &marks);
        Self { core, archive, clock: 0, tokens: 0, merges: 0 }
    }

    async fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Timestamp::from_millis(1_780_300_000_000 + self.clock);
            for output in self.core.handle(now, input) {
                match output {
                    Output::Commit(commit) => {
                        self.archive.commit(&commit).await.unwrap();
                        while self.archive.compact().await.unwrap() {
                            self.merges += 1;
                        }
                        inputs.push_back(Input::Committed { ticket: commit.ticket });
                    }
                    Output::Ask { question, about } => {
                        let answer = ask(&self.archive.reader(), about).await;
                        inputs.push_back(Input::Answered { question, answer });
                    }
                    Output::Reject(_, refusal) => panic!("refused: {refusal}"),
                    Output::Defer(_, why) => panic!("held off: {why}"),
                    Output::Accept(_) | Output::Notice { .. } => {}
                }
            }
        }
    }

    async fn deliver(&mut self, fleet: &mut Fleet, batch: &SealedBatch) {
        let bytes = fleet.envelope(0, batch);
        // The test's own ledger keeps its blocks.
        fleet.forget();
        self.tokens += 1;
        self.step(Input::Envelope { fog: fog_name(0), token: Token(self.tokens), bytes }).await;
    }
}

async fn ask(reader: &Reader, about: Question) -> Answer {
    match about {
        Question::Batches { vehicle, boot, first, last } => {
            Answer::Batches(reader.batches_near(&vehicle, boot, first, last).await.unwrap())
        }
        Question::Numbers { vehicle, numbers } => {
            Answer::Numbers(reader.foreign_numbers(&vehicle, &numbers).await.unwrap())
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_archive() {
    let total: u64 = std::env::var("MEMORY_RECORDS").map_or(160_000, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(total));
}

async fn run(total: u64) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path()).unwrap();
    let mut fleet = Fleet::new(VEHICLES);
    let before = HEAP.current_usage();
    let mut cloud = Cloud::open(&fleet, &location).await;
    let (mut next, mut previous) = ([0; VEHICLES as usize], [None; VEHICLES as usize]);
    // At each eighth: live bytes between commits, and the most since the eighth before.
    let mut seen: Vec<(usize, usize)> = Vec::new();
    HEAP.reset_peak_usage();
    while next.iter().sum::<u64>() < total {
        for _ in 0..PER_COMMIT {
            for vehicle in 0..VEHICLES {
                let at = usize::from(vehicle);
                let record =
                    |number| Record { number: RecordNumber::new(number), sample: parked(vehicle, number) };
                let records: Vec<_> = (next[at]..next[at] + BATCH).map(record).collect();
                let batch = fleet.sealed(vehicle, 1, previous[at], &records);
                (next[at], previous[at]) = (next[at] + BATCH, Some(batch.id()));
                drop(records);
                cloud.deliver(&mut fleet, &batch).await;
            }
        }
        cloud.clock += 10_000;
        cloud.step(Input::Tick).await;
        let archived = next.iter().sum::<u64>();
        if archived * 8 / total > seen.len() as u64 {
            let live = HEAP.current_usage().saturating_sub(before);
            let most = HEAP.peak_usage().saturating_sub(before);
            println!(
                "{archived} records, {} merges: {:.2} MB live, {:.2} MB at most",
                cloud.merges,
                mb(live),
                mb(most)
            );
            seen.push((live, most));
            HEAP.reset_peak_usage();
        }
    }
    assert!(cloud.merges > 1, "nothing was merged: this test shows little");
    let (early, late) = (&seen[1], &seen[seen.len() - 1]);
    let live = HEAP.current_usage();
    let Cloud { core, archive, .. } = cloud;
    drop(core);
    let of_core = live - HEAP.current_usage();
    drop(archive);
    let of_archive = live - of_core - HEAP.current_usage();
    println!("of it the archivist {:.2} MB, the archive {:.2} MB", mb(of_core), mb(of_archive));
    assert!(late.0 < early.0 + (1 << 20), "live heap grows: {early:?} to {late:?}");
    // A commit of 8,192 records takes 15 MB, a merge of seven such files 119 MB while it held all of their rows.
    let most = seen.iter().map(|(_, most)| *most).max().unwrap();
    assert!(most < 48 << 20, "{:.1} MB at most", mb(most));
}
