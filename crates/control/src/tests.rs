mod commands;
mod orders;

use super::*;
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use topics::{FogTopic, Topic, VehicleTopic, may_publish, may_subscribe};
use voltmesh_telemetry::{BatchId, Boot, Digest, RecordNumber, Timestamp, VehicleId};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn vehicle() -> VehicleId {
    "bus-7".parse().expect("a name")
}

fn opening() -> Opening {
    Opening { salt: [2; 32], key: [3; 32] }
}

fn hello() -> Hello {
    Hello { opening: opening(), boot: Boot::new(17), client_version: "0.1.0".into() }
}

fn receipts() -> Receipts {
    let item =
        |byte: u8| BatchReceipt { batch: BatchId::from([byte; 32]), evidence: Bytes::from(vec![byte; 5]) };
    Receipts { items: vec![item(1), item(2)] }
}

fn envelope() -> Envelope {
    Envelope {
        fog: "fog-1".into(),
        batch: Bytes::from_static(b"batch"),
        opening: opening(),
        evidence: Bytes::from_static(b"evidence"),
        received: Timestamp::from_millis(1_767_600_000_000),
    }
}

fn handovers() -> Handovers {
    Handovers { items: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")] }
}

fn notice() -> ArchiveNotice {
    let batch = |first: u64| ArchivedBatch {
        boot: Boot::new(17),
        first: RecordNumber::new(first),
        count: 60,
        id: BatchId::from([first as u8; 32]),
    };
    ArchiveNotice {
        vehicle: vehicle(),
        batches: vec![batch(0), batch(60)],
        archived: Timestamp::from_millis(1_767_600_000_000),
    }
}

fn statement() -> ArchiveStatement {
    ArchiveStatement {
        cloud: "cloud-1".into(),
        sequence: 7,
        time: Timestamp::from_millis(1_767_600_000_000),
        versions: [41, 40, 2],
        records: 6_000,
        batches: Tree { size: 100, root: Digest::new([5; 32]) },
        quarantine: Tree { size: 3, root: Digest::new([6; 32]) },
        audit: None,
    }
}

fn statement_with_head() -> ArchiveStatement {
    ArchiveStatement { audit: Some(AuditHead { seq: 41, hash: Digest::new([7; 32]) }), ..statement() }
}

/// Bytes on the wire. Changing them is a format decision with an ADR; `UPDATE_GOLDEN=1` then writes them.
#[test]
fn golden_messages() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let check = |name, bytes: &[u8]| {
        let path = format!("{folder}/src/tests/{name}.hex");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, hex::encode(bytes) + "\n").expect("a writable checkout");
        }
        let golden = std::fs::read_to_string(&path).expect("a golden file");
        assert_eq!(hex::encode(bytes), golden.trim(), "{name} has other bytes than {path}");
    };
    check("commitment", commitment(&vehicle(), &opening()).as_ref());
    check("hello", &hello().encode());
    check("receipts", &receipts().encode());
    check("envelope", &envelope().encode());
    check("handovers", &handovers().encode());
    check("notice", &notice().sign(&key()));
    check("statement", &statement().sign(&key()));
    check("statement_with_head", &statement_with_head().sign(&key()));
}

/// Every message: decodes to what was encoded, and no other bytes decode to the same.
fn check<T: PartialEq + std::fmt::Debug>(
    message: &T,
    bytes: Vec<u8>,
    decode: impl Fn(&Bytes) -> Result<T, Error>,
    bit: usize,
) {
    let bytes = Bytes::from(bytes);
    assert_eq!(&decode(&bytes).expect("own bytes"), message);
    assert!(decode(&bytes.slice(..bytes.len() - 1)).is_err(), "cut");
    assert!(decode(&Bytes::from([&bytes[..], &[0]].concat())).is_err(), "longer");
    let mut flipped = bytes.to_vec();
    let bit = bit % (8 * flipped.len());
    flipped[bit / 8] ^= 1 << (bit % 8);
    assert!(decode(&Bytes::from(flipped)).map_or(true, |other| other != *message), "bit {bit}");
}

fn blobs(most: usize) -> impl Strategy<Value = Vec<Bytes>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50).prop_map(Bytes::from), 1..most)
}

proptest! {
    #[test]
    fn a_hello_says_the_time(clock in 0..=u64::MAX, version in "[a-z/.0-9]{1,20}") {
        let hello = Hello { opening: opening(), boot: Boot::new(17), client_version: version };
        prop_assert_eq!(hello.clock(), None);
        let clock = Timestamp::from_millis(clock);
        let again = hello.with_clock(Timestamp::from_millis(1)).with_clock(clock);
        prop_assert_eq!(Hello::decode(&again.encode()).unwrap().clock(), Some(clock));
    }

    #[test]
    fn hellos(salt: [u8; 32], key: [u8; 32], boot in 1..=u64::MAX, client_version in "[ -~]{0,64}", bit: usize) {
        let hello = Hello { opening: Opening { salt, key }, boot: Boot::new(boot), client_version };
        check(&hello, hello.encode(), |bytes| Hello::decode(bytes), bit);
    }

    #[test]
    fn receipt_lists(evidence in blobs(20), bit: usize) {
        let item = |evidence: Bytes| BatchReceipt { batch: BatchId::from([evidence[0]; 32]), evidence };
        let receipts = Receipts { items: evidence.into_iter().map(item).collect() };
        check(&receipts, receipts.encode(), Receipts::decode, bit);
    }

    #[test]
    fn envelopes(fog in "[A-Za-z0-9._-]{1,64}", batch in blobs(2), evidence in blobs(2), received: u64, bit: usize) {
        let received = Timestamp::from_millis(received);
        let envelope = Envelope { fog, batch: batch[0].clone(), opening: opening(), evidence: evidence[0].clone(), received };
        check(&envelope, envelope.encode(), Envelope::decode, bit);
    }

    #[test]
    fn handover_lists(items in blobs(20), bit: usize) {
        let handovers = Handovers { items };
        check(&handovers, handovers.encode(), Handovers::decode, bit);
    }

    #[test]
    fn notices(batches in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), any::<[u8; 32]>()), 1..20), archived: u64, bit: usize) {
        let batch = |(boot, first, count, id)| ArchivedBatch {
            boot: Boot::new(boot),
            first: RecordNumber::new(first),
            count,
            id: BatchId::from(id),
        };
        let batches = batches.into_iter().map(batch).collect();
        let notice = ArchiveNotice { vehicle: vehicle(), batches, archived: Timestamp::from_millis(archived) };
        let bytes = notice.sign(&key());
        prop_assert_eq!(ArchiveNotice::peek(&bytes), Ok(notice.clone()));
        prop_assert_eq!(ArchiveNotice::verify(&bytes, &key().verifying_key()), Ok(notice));
        let mut flipped = bytes;
        let bit = bit % (8 * flipped.len());
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(ArchiveNotice::verify(&flipped, &key().verifying_key()).is_err());
    }

    #[test]
    fn statements(cloud in "[A-Za-z0-9._-]{1,64}", numbers: [u64; 8], roots: [[u8; 32]; 2], head: Option<u64>, bit: usize) {
        let [sequence, time, a, b, c, records, batches, quarantine] = numbers;
        let statement = ArchiveStatement {
            cloud,
            sequence,
            time: Timestamp::from_millis(time),
            versions: [a, b, c],
            records,
            batches: Tree { size: batches, root: Digest::new(roots[0]) },
            quarantine: Tree { size: quarantine, root: Digest::new(roots[1]) },
            audit: head.map(|seq| AuditHead { seq, hash: Digest::new(roots[0]) }),
        };
        let bytes = statement.sign(&key());
        prop_assert!(bytes.len() <= MAX_STATEMENT_BYTES);
        prop_assert_eq!(ArchiveStatement::peek(&bytes), Ok(statement.clone()));
        prop_assert_eq!(ArchiveStatement::verify(&bytes, &key().verifying_key()), Ok(statement));
        let mut flipped = bytes;
        let bit = bit % (8 * flipped.len());
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(ArchiveStatement::verify(&flipped, &key().verifying_key()).is_err());
    }

    #[test]
    fn topics_have_one_text(name in "[A-Za-z0-9._-]{1,64}", kind in 0..11usize) {
        prop_assume!(name != "fog");
        let vehicle = |kind| Topic::Vehicle(name.parse().expect("a name"), kind);
        let fog = |kind| Topic::Fog(name.clone(), kind);
        let topic = [
            vehicle(VehicleTopic::Hello),
            vehicle(VehicleTopic::Batch),
            vehicle(VehicleTopic::Sample),
            vehicle(VehicleTopic::Receipt),
            vehicle(VehicleTopic::Notice),
            vehicle(VehicleTopic::Trust),
            fog(FogTopic::Envelope),
            fog(FogTopic::Trust),
            fog(FogTopic::Notice),
            fog(FogTopic::Statement),
            fog(FogTopic::Anchored),
        ][kind].clone();
        prop_assert_eq!(topic.to_string().parse(), Ok(topic));
    }

    #[test]
    fn any_text_is_at_most_one_topic(text in "(v1|v2|fog|a|/|hello|envelope|notice|#|\\+){0,6}") {
        if let Ok(topic) = text.parse::<Topic>() {
            prop_assert_eq!(topic.to_string(), text);
        }
    }
}

#[test]
fn limits_come_before_parsing() {
    let long = |len: usize| Bytes::from(vec![0; len + 1]);
    let oversized = |result: Result<(), Error>| {
        let error = result.expect_err("too long");
        assert!(matches!(error, Error::Message(voltmesh_telemetry::Error::Oversized { .. })), "{error}");
    };
    oversized(Hello::decode(&long(MAX_HELLO_BYTES)).map(drop));
    oversized(Receipts::decode(&long(MAX_RECEIPTS_BYTES)).map(drop));
    oversized(Envelope::decode(&long(MAX_ENVELOPE_BYTES)).map(drop));
    oversized(Handovers::decode(&long(MAX_HANDOVERS_BYTES)).map(drop));
    oversized(ArchiveNotice::peek(&long(MAX_NOTICE_BYTES)).map(drop));
    oversized(ArchiveStatement::peek(&long(MAX_STATEMENT_BYTES)).map(drop));
    oversized(Status::from_json(&long(MAX_STATUS_BYTES)).map(drop));
}

#[test]
fn the_largest_messages_fit() {
    let batch = ArchivedBatch {
        boot: Boot::new(u64::MAX),
        first: RecordNumber::new(u64::MAX),
        count: u32::MAX,
        id: BatchId::from([0xff; 32]),
    };
    let batches = vec![batch; MAX_NOTICE_BATCHES];
    let notice = ArchiveNotice { batches, ..notice() };
    assert!(ArchiveNotice::peek(&notice.sign(&key())).is_ok());
}

#[test]
fn forged_notices_are_refused() {
    let error =
        ArchiveNotice::verify(&notice().sign(&SigningKey::from_bytes(&[9; 32])), &key().verifying_key());
    assert!(error.expect_err("another key").to_string().contains("is signed by key"));
    // A batch statement is signed COSE too, and no notice.
    let other = voltmesh_telemetry::cose::Protected {
        key_id: voltmesh_telemetry::cose::key_id(&key().verifying_key()),
        issuer: "urn:voltmesh:vehicle:bus-7".into(),
        subject: "bus-7/1".into(),
        tree: true,
        extension: vec![0x80],
    };
    let other = voltmesh_telemetry::cose::Sign1::sign(&other, &[0; 32], &key()).encode();
    let error = ArchiveNotice::verify(&other, &key().verifying_key()).expect_err("another statement");
    assert!(error.to_string().contains("another kind"), "{error}");
}

#[test]
fn forged_statements_are_refused() {
    let refused = |bytes: &[u8], why: &str| {
        let error = ArchiveStatement::verify(bytes, &key().verifying_key()).expect_err(why);
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(&statement().sign(&SigningKey::from_bytes(&[9; 32])), "is signed by key");
    refused(&notice().sign(&key()), "another kind");
    refused(&ArchiveStatement { cloud: "no name".into(), ..statement() }.sign(&key()), "no valid name");
    assert!(ArchiveNotice::verify(&statement().sign(&key()), &key().verifying_key()).is_err());
}

#[test]
fn statements_only_grow() {
    let check = |change: &dyn Fn(&mut ArchiveStatement), expected: bool| {
        let mut later = statement();
        change(&mut later);
        assert_eq!(statement().may_become(&later), expected, "{later:?}");
    };
    check(&|_| (), true);
    check(&|later| (later.sequence, later.batches) = (8, Tree { size: 101, root: Digest::ZERO }), true);
    check(&|later| later.sequence = 6, false);
    check(&|later| later.batches.size = 99, false);
    check(&|later| later.batches.root = Digest::ZERO, false);
    check(&|later| later.quarantine.size = 2, false);
    check(&|later| later.cloud = "cloud-2".into(), false);
}

#[test]
fn each_topic_has_one_owner() {
    let topic = |text: &str| text.parse::<Topic>().expect("a topic");
    let check = |role: &str, id: &str, text: &str, publish: bool, subscribe: bool| {
        assert_eq!(may_publish(role, id, &topic(text)), publish, "{role} {id} {text}");
        assert_eq!(may_subscribe(role, id, &topic(text)), subscribe, "{role} {id} {text}");
    };
    check("edge", "bus-7", "v1/bus-7/batch", true, false);
    check("edge", "bus-7", "v1/bus-7/hello", true, false);
    check("edge", "bus-7", "v1/bus-7/receipt", false, true);
    check("edge", "bus-7", "v1/bus-7/notice", false, true);
    check("edge", "bus-7", "v1/bus-7/trust", false, true);
    check("edge", "bus-7", "v1/bus-8/batch", false, false);
    check("edge", "bus-7", "v1/bus-7/sample", false, false);
    check("client", "bus-7", "v1/bus-7/sample", true, false);
    check("client", "bus-7", "v1/bus-7/batch", false, false);
    check("client", "bus-7", "v1/bus-7/notice", false, false);
    check("fog", "fog-1", "v1/fog/fog-1/envelope", true, false);
    check("fog", "fog-1", "v1/fog/fog-1/trust", true, false);
    check("fog", "fog-1", "v1/fog/fog-1/notice", false, true);
    check("fog", "fog-1", "v1/fog/fog-1/statement", false, true);
    check("fog", "fog-1", "v1/fog/fog-1/anchored", true, false);
    check("fog", "fog-2", "v1/fog/fog-1/statement", false, false);
    check("cloud", "fog-1", "v1/fog/fog-1/statement", false, false);
    check("fog", "fog-1", "v1/fog/fog-2/envelope", false, false);
    check("fog", "bus-7", "v1/bus-7/batch", false, false);
    check("cloud", "fog-1", "v1/fog/fog-1/notice", false, false);
}

#[test]
fn no_topics() {
    for text in [
        "",
        "v1",
        "v1/bus-7",
        "v1/bus-7/other",
        "v2/bus-7/batch",
        "v1/fog/batch",
        "v1/fog/f/batch",
        "v1/#/batch",
    ] {
        let error = text.parse::<Topic>().expect_err(text);
        assert_eq!(error, Error::Topic(text.to_owned()));
    }
}

#[test]
fn status_json() {
    let mut status = Status::new(Role::Fog, "fog-1");
    status.ready = true;
    status.counters.insert("received_records".into(), 60);
    status.latencies.insert("commit".into(), Latency { p50_us: 90_000, p99_us: 140_000, count: 60 });
    let json = r#"{"role":"fog","id":"fog-1","ready":true,"counters":{"received_records":60},"latencies":{"commit":{"p50_us":90000,"p99_us":140000,"count":60}}}"#;
    assert_eq!(status.to_json(), json);
    assert_eq!(Status::from_json(json.as_bytes()), Ok(status.clone()));
    assert_eq!((status.counter("received_records"), status.counter("none")), (60, 0));
    assert!(Status::from_json(b"{}").expect_err("no role").to_string().contains("role"));
    assert_eq!("fog".parse(), Ok(Role::Fog));
    assert!("roof".parse::<Role>().is_err());
}
