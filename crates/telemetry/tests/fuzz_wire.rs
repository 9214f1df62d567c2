//! Mutated batches and receipts: no panic, no false acceptance, bounded time.
//!
//! `FUZZ_SECONDS=60 FUZZ_SEED=7 cargo test -p voltmesh-telemetry --test fuzz_wire` runs longer or repeats a failure.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use std::time::{Duration, Instant};
use voltmesh_telemetry::{
    Boot, CentiPercent, Milliamps, Millivolts, Millivolts16, Place, Record, RecordNumber, RecordReceipt,
    Sample, SealedBatch, Secret, Signer, Timestamp, cose::Receipt, seal_with, vss,
};
use voltmesh_testing::{Random, setting};

/// No input of at most 1 MiB may take longer, even unoptimised on a busy machine.
const SLOWEST: Duration = Duration::from_secs(5);

fn records(count: u64, cells: u16) -> Vec<Record> {
    let sample = |second: u64| Sample {
        time: Timestamp::from_millis(1_767_600_000_000 + 1000 * second),
        pack_voltage: Millivolts::new(350_000 + 7 * second as u32),
        pack_current: Milliamps::new(-12_345),
        cells: (0..cells).map(|i| Millivolts16::new(3_700 + i % 13)).collect(),
        soc: CentiPercent::new(5_000),
        ..Sample::default()
    };
    (0..count).map(|n| Record { number: RecordNumber::new(n), sample: sample(n) }).collect()
}

#[test]
fn mutated_input_is_refused() {
    let seed = setting("FUZZ_SEED", 1);
    let until = Instant::now() + Duration::from_secs(setting("FUZZ_SECONDS", 2));
    let mut random = Random::new(seed);

    let key = SigningKey::from_bytes(&[1; 32]);
    let place = Place {
        vehicle: "vehicle-1".parse().expect("a name"),
        boot: Boot::new(1),
        previous: None,
        signer: Signer::Vehicle,
    };
    let batches: Vec<SealedBatch> = [(1, 0), (3, 2), (60, 96)]
        .into_iter()
        .map(|(count, cells)| {
            // One without a report, two with.
            let report = (count > 1).then_some(br#"{"state":{"soc":0.8}}"#.as_slice());
            seal_with(&place, &records(count, cells), report, &Secret::new([2; 32]), &key).expect("valid")
        })
        .collect();
    let receipts: Vec<Vec<u8>> =
        batches.iter().map(|batch| batch.prove(0).expect("own batch").expect("in range").encode()).collect();
    let json: Vec<String> = records(2, 3).iter().map(|record| vss::to_json(&record.sample)).collect();

    let mut round = 0u64;
    while Instant::now() < until {
        round += 1;
        let start = Instant::now();
        let (pick, other) = (random.below(3), random.below(3));
        let batch = &batches[pick];
        let mut wire = batch.wire().to_vec();
        random.mutate(&mut wire, batches[other].wire());
        if wire != **batch.wire() {
            let parsed = SealedBatch::parse(Bytes::from(wire));
            let verified = parsed.and_then(|batch| batch.verify(&key.verifying_key()));
            assert!(verified.is_err(), "accepted: FUZZ_SEED={seed}, round {round}");
        }

        let mut receipt = receipts[pick].clone();
        random.mutate(&mut receipt, &receipts[other]);
        if !receipts.contains(&receipt) {
            let verified =
                RecordReceipt::decode(&receipt).and_then(|receipt| receipt.verify(&key.verifying_key()));
            assert!(verified.is_err(), "accepted: FUZZ_SEED={seed}, round {round}");
            let _ = Receipt::decode(&receipt);
        }

        let mut text = json[0].clone().into_bytes();
        random.mutate(&mut text, json[1].as_bytes());
        let _ = vss::parse(&text);
        let took = start.elapsed();
        assert!(took < SLOWEST, "took {took:?}: FUZZ_SEED={seed}, round {round}");
    }
    assert!(round > 10, "only {round} rounds");
}
