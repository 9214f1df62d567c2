//! Mutated control messages: no panic, nothing forged accepted, bounded time.
//!
//! `FUZZ_SECONDS=60 FUZZ_SEED=7 cargo test -p voltmesh-control --test fuzz_wire` runs longer or repeats a failure.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use std::time::{Duration, Instant};
use voltmesh_control::{
    ArchiveNotice, ArchiveStatement, ArchivedBatch, BatchReceipt, Envelope, Handovers, Hello, Latency,
    Opening, Receipts, Role, Status, Tree, topics::Topic,
};
use voltmesh_telemetry::{BatchId, Boot, Digest, RecordNumber, Timestamp};
use voltmesh_testing::{Random, setting};

/// No input of some kilobytes may take longer, even unoptimised on a busy machine.
const SLOWEST: Duration = Duration::from_secs(5);

#[test]
fn mutated_messages_are_refused() {
    let seed = setting("FUZZ_SEED", 1);
    let until = Instant::now() + Duration::from_secs(setting("FUZZ_SECONDS", 2));
    let mut random = Random::new(seed);

    let key = SigningKey::from_bytes(&[1; 32]);
    let opening = Opening { salt: [2; 32], key: [3; 32] };
    let blob = Bytes::from(vec![0x82; 300]);
    let batch = BatchId::from([4; 32]);
    let archived = ArchivedBatch { boot: Boot::new(1), first: RecordNumber::ZERO, count: 60, id: batch };
    let notice = ArchiveNotice {
        vehicle: "bus-7".parse().expect("a name"),
        batches: vec![archived; 3],
        archived: Timestamp::from_millis(1_767_600_000_000),
    };
    let mut status = Status::new(Role::Edge, "bus-7");
    status.latencies.insert("anchor".into(), Latency::default());
    let tree = Tree { size: 9, root: Digest::new([5; 32]) };
    let statement = ArchiveStatement {
        cloud: "cloud-1".into(),
        sequence: 1,
        time: Timestamp::from_millis(1),
        versions: [1, 2, 3],
        records: 60,
        batches: tree,
        quarantine: tree,
        audit: None,
    };
    let messages: [Vec<u8>; 8] = [
        Hello { opening, boot: Boot::new(1), client_version: "0.1.0".into() }.encode(),
        Receipts { items: vec![BatchReceipt { batch, evidence: blob.clone() }; 2] }.encode(),
        Envelope {
            fog: "fog-1".into(),
            batch: blob.clone(),
            opening,
            evidence: blob.clone(),
            received: Timestamp::from_millis(1),
        }
        .encode(),
        Handovers { items: vec![blob; 2] }.encode(),
        notice.sign(&key),
        statement.sign(&key),
        status.to_json().into_bytes(),
        b"v1/fog/fog-1/envelope".to_vec(),
    ];

    let mut round = 0u64;
    while Instant::now() < until {
        round += 1;
        let (pick, other) = (random.below(messages.len()), random.below(messages.len()));
        let mut bytes = messages[pick].clone();
        random.mutate(&mut bytes, &messages[other]);
        let bytes = Bytes::from(bytes);
        let start = Instant::now();
        // What is accepted has one encoding: the bytes it came from.
        let again = |encoded: Vec<u8>| assert_eq!(encoded, bytes, "FUZZ_SEED={seed}, round {round}");
        Hello::decode(&bytes).map(|message| again(message.encode())).ok();
        Receipts::decode(&bytes).map(|message| again(message.encode())).ok();
        Envelope::decode(&bytes).map(|message| again(message.encode())).ok();
        Handovers::decode(&bytes).map(|message| again(message.encode())).ok();
        Status::from_json(&bytes).ok();
        if let Ok(text) = std::str::from_utf8(&bytes)
            && let Ok(topic) = text.parse::<Topic>()
        {
            again(topic.to_string().into_bytes());
        }
        let _ = ArchiveNotice::peek(&bytes);
        let verified = ArchiveNotice::verify(&bytes, &key.verifying_key());
        assert!(verified.is_err() || messages.contains(&bytes.to_vec()), "FUZZ_SEED={seed}, round {round}");
        let _ = ArchiveStatement::peek(&bytes);
        let verified = ArchiveStatement::verify(&bytes, &key.verifying_key());
        assert!(verified.is_err() || messages.contains(&bytes.to_vec()), "FUZZ_SEED={seed}, round {round}");
        let took = start.elapsed();
        assert!(took < SLOWEST, "took {took:?}: FUZZ_SEED={seed}, round {round}");
    }
    assert!(round > 10, "only {round} rounds");
}
