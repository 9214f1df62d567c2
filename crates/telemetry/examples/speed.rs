//! Records per second of one core's time: hashing, sealing, verifying.
//!
//! ```sh
//! cargo run --release -p voltmesh-telemetry --example speed
//! ```

#![allow(clippy::print_stdout, reason = "it reports to a terminal")]

mod drive;

use ed25519_dalek::SigningKey;
use std::{hint::black_box, time::Instant};
use voltmesh_telemetry::{Boot, Place, Record, SealedBatch, Secret, Signer, merkle, seal, vss};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let payload: Vec<[u8; 128]> = (0..4096u32).map(|i| [i as u8; 128]).collect();
    measure("root of 4,096 records of 128 bytes", 4096, || {
        black_box(merkle::root_of_records(&[7; 32], payload.iter().map(|record| &record[..])));
    });
    let leaves: Vec<_> = payload.iter().map(|record| merkle::leaf_hash(record)).collect();
    measure("root of 4,096 leaf hashes", 4096, || {
        black_box(merkle::root(&leaves));
    });
    let mut frontier = merkle::Frontier::new();
    measure("4,096 leaves into a log, with proofs", 4096, || {
        black_box(frontier.append(&leaves));
    });

    let key = SigningKey::from_bytes(&[1; 32]);
    let secret = Secret::new([2; 32]);
    let place =
        Place { vehicle: "vehicle-1".parse()?, boot: Boot::new(1), previous: None, signer: Signer::Vehicle };
    let records = drive::synthetic(4096);
    for count in [1, 10, 60, 600, 4096] {
        let records: &[Record] = &records[..count];
        let batch = seal(&place, records, &secret, &key)?;
        let verifying = key.verifying_key();
        measure(&format!("seal {count} records of 96 cells"), count, || {
            black_box(seal(&place, records, &secret, &key).is_ok());
        });
        measure(&format!("parse and verify {count} records of 96 cells"), count, || {
            let batch = SealedBatch::parse(batch.wire().clone());
            assert!(black_box(batch.and_then(|batch| batch.verify(&verifying))).is_ok());
        });
    }
    let json = vss::to_json(&records[0].sample);
    measure("parse a JSON sample of 96 cells", 1, || {
        assert!(black_box(vss::parse(json.as_bytes())).is_ok());
    });
    Ok(())
}

/// Runs `work` for half a second of processor time and prints how many records it went through per such second.
fn measure(name: &str, records: usize, mut work: impl FnMut()) {
    work();
    let start = processor_seconds();
    let mut rounds = 0;
    while processor_seconds() - start < 0.5 {
        work();
        rounds += 1;
    }
    let rate = (rounds * records) as f64 / (processor_seconds() - start);
    println!("{name:<52} {rate:>12.0} records/s");
}

/// Time that this thread has spent on a processor, so that other work on the machine does not count; wall-clock time
/// where the system does not tell.
fn processor_seconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let on_processor = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = on_processor.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| START.get_or_init(Instant::now).elapsed().as_secs_f64(), |ns| ns / 1e9)
}
