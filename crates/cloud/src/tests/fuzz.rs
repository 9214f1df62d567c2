//! Mutated logs of an archive: opened, verified or refused, never a panic, and never sound if the rows are not those of the log.
//!
//! `FUZZ_SECONDS=60 FUZZ_SEED=7 cargo test -p voltmesh-cloud --lib fuzz_archive_logs` runs longer or repeats a failure.

use super::lab::Lab;
use crate::{Archive, Claims, Look, Settings, look};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use voltmesh_testing::setting;

/// Every file of the logs of all tables.
fn logs(lab: &Lab) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for table in ["records", "batches", "quarantine"] {
        let entries = fs::read_dir(lab.table(table).join("_delta_log")).unwrap();
        found.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    }
    found.sort();
    found
}

fn mutate(random: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len().max(1));
        match random.random_range(0..6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if !bytes.is_empty() => bytes[at] = b"{}[]\",:0-9\\n"[random.random_range(0..12)],
            2 => bytes.truncate(at),
            3 => bytes.insert(at.min(bytes.len()), random.random()),
            4 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => {
                let piece = bytes[at.min(bytes.len())..].iter().copied().take(200).collect::<Vec<_>>();
                bytes.extend(piece);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuzz_archive_logs() {
    let seed = setting("FUZZ_SEED", 1);
    let mut random = StdRng::seed_from_u64(seed);
    let lab = Lab::new().await;
    let sound = lab.verify().await;
    assert!(sound.is_sound(), "{sound:#?}");
    let (files, trust, mut rounds, mut refused) = (logs(&lab), lab.fleet.trust(), 0_u64, 0_u64);
    let until = Instant::now() + Duration::from_secs(setting("FUZZ_SECONDS", 2));
    while rounds == 0 || Instant::now() < until {
        let file = &files[random.random_range(0..files.len())];
        let before = fs::read(file).unwrap();
        let mut bytes = before.clone();
        mutate(&mut random, &mut bytes);
        fs::write(file, &bytes).unwrap();
        // Each in a task of its own: a panic is told with what repeats it.
        let (location, trust) = (lab.location(), trust.clone());
        let looked = tokio::spawn(async move {
            let opened = Archive::open(&location, Settings::default()).await.is_ok();
            (opened, look(&location, &trust, &Claims::default()).await)
        });
        let (opened, report) = looked.await.unwrap_or_else(|panic| {
            panic!("{} in round {rounds} of FUZZ_SEED={seed}: {panic}", file.display())
        });
        refused += u64::from(!opened);
        if let Ok(Look { report, .. }) = report
            && report.is_sound()
        {
            assert!(report.records <= sound.records, "{}: rows that were never there", file.display());
        }
        fs::write(file, &before).unwrap();
        rounds += 1;
    }
    println!("{rounds} mutated logs, {refused} refused");
    assert!(lab.verify().await.is_sound(), "what was put back is sound");
}
