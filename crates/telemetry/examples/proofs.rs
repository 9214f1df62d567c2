//! How long a proof is and how long its two paths take to check: a record in a batch of 4,096, the batch in a log of 10^6.
//!
//! Signatures are left out: a verifier checks a batch's and a root's once for all records under them.

use std::{hint::black_box, time::Instant};
use voltmesh_telemetry::merkle::{self, Frontier, Inclusion};
use voltmesh_telemetry::{Digest, merkle::LeafHasher};

const RECORDS: usize = 4_096;
const BATCHES: usize = 1_000_000;
const RECORD_BYTES: usize = 128;
const ROUNDS: u32 = 200_000;

#[allow(clippy::print_stdout)]
fn main() {
    let record = [7_u8; RECORD_BYTES];
    let salts: Vec<[u8; 16]> = (0..RECORDS).map(|n| (n as u128).to_be_bytes()).collect();
    let mut hasher = LeafHasher::default();
    let leaves: Vec<Digest> = salts.iter().map(|salt| hasher.hash(salt, &record)).collect();
    let (Some(in_batch), Some(salt)) = (merkle::prove(&leaves, 1_234), salts.get(1_234)) else { return };
    let Some(batch_root) = in_batch.root(&leaves[1_234]) else { return };

    // The batch is the last but one of a million; its path leads to the root of them all.
    let batch = merkle::leaf_hash(batch_root.as_bytes());
    let mut log = Frontier::new();
    let others: Vec<Digest> = (0..BATCHES - 2).map(|n| Digest::of(&n.to_be_bytes())).collect();
    log.extend(&others);
    let in_log: Vec<Inclusion> = log.append(&[batch, Digest::of(b"the last")]);
    let (Some(in_log), root) = (in_log.first(), log.root()) else { return };

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
