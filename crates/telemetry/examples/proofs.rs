//! Length of a proof, and time that its two paths take to check: a record in a batch of 4,096, the batch in a log of 10^6.
//!
//! ```sh
//! cargo run --release -p voltmesh-telemetry --example proofs
//! ```
//!
//! Signatures are left out: a verifier checks a batch's and a root's once for all records under them.

#![allow(clippy::print_stdout, reason = "it reports to a terminal")]

use std::{hint::black_box, time::Instant};
use voltmesh_telemetry::{
    Digest,
    merkle::{self, LeafHasher},
};

const RECORDS: usize = 4_096;
const BATCHES: usize = 1_000_000;
const RECORD_BYTES: usize = 128;
const ROUNDS: u32 = 200_000;

fn main() {
    let record = [7_u8; RECORD_BYTES];
    let salts: Vec<[u8; 16]> = (0..RECORDS).map(|n| (n as u128).to_be_bytes()).collect();
    let mut hasher = LeafHasher::default();
    let leaves: Vec<Digest> = salts.iter().map(|salt| hasher.hash(salt, &record)).collect();
    let (Some(in_batch), Some(salt)) = (merkle::prove(&leaves, 1_234), salts.get(1_234)) else { return };
    let Some(batch_root) = in_batch.root(&leaves[1_234]) else { return };

    let batch = merkle::leaf_hash(batch_root.as_bytes());
    let mut log: Vec<Digest> = (0..BATCHES).map(|n| Digest::of(&n.to_be_bytes())).collect();
    log[BATCHES / 3] = batch;
    let (Some(in_log), root) = (merkle::prove(&log, BATCHES / 3), merkle::root(&log)) else { return };

    let bytes = in_batch.encode().len() + salt.len() + in_log.encode().len();
    println!(
        "{bytes} bytes: path of {} in the batch, path of {} in the log, salt",
        in_batch.path.len(),
        in_log.path.len()
    );
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            let leaf = hasher.hash(black_box(salt), black_box(&record));
            let found = in_batch.root(&leaf).map(|root| merkle::leaf_hash(root.as_bytes()));
            assert!(found.is_some_and(|batch| in_log.verify(&batch, &root)), "the proof holds");
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    }
    println!("{best:.2} us to check both, best of 5 runs of {ROUNDS}");
}
