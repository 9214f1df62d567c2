//! Four fog nodes in this process with everything real but the machines: TLS, MQTT, p2p, disks. The vehicle, the foreign
//! client and the cloud are the test's own.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod place;

use ed25519_dalek::SigningKey;
use place::{
    Ask, Place, ask, ask_bytes,
    peer::{PATIENCE, Peer, hello},
};
use voltmesh_audit::HeadStatement;
use voltmesh_control::{
    Action, Allowed, ArchiveNotice, ArchiveStatement, Command, CommandAnswer, Epoch, Lease, Outcome,
    Receipts, Status, commitment,
};
use voltmesh_identity::{Reason as Revocation, Role, Target};
use voltmesh_ledger::{
    Act, AnchorProof, AnchoredStatement, EventProof, Lane, Leaves, Trust, testing::Vehicle,
};
use voltmesh_mqtt::Reason;
use voltmesh_telemetry::{Millivolts, Sample, SealedBatch, Timestamp, VehicleId, vss};

fn sample() -> String {
    vss::to_json(&Sample {
        time: Timestamp::from_millis(1_700_000_000_000),
        pack_voltage: Millivolts::new(352_100),
        ..Sample::default()
    })
}

/// A command reaches the vehicle that it is signed for, and its answer whoever asked; it reaches nobody else.
async fn a_command_reaches_its_vehicle(place: &mut Place, vehicle: &mut Peer) {
    let key = SigningKey::from_bytes(&[3; 32]);
    let command = |vehicle: &str| {
        let vehicle: VehicleId = vehicle.parse().unwrap();
        let (fog_key, at) = (key.verifying_key().to_bytes(), Timestamp::from_millis);
        let (fog, function, until) = ("fog-0".to_owned(), "balance".to_owned(), at(9));
        let epoch = Epoch { term: 1, count: 1 };
        let allowed = Allowed::everything();
        let lease = Lease { vehicle: vehicle.clone(), function, fog, fog_key, epoch, until, allowed };
        let (issued, expires, reason) = (at(1), at(5), String::new());
        let command = Command { vehicle, number: 1, issued, expires, action: Action::StopCharging, reason };
        bytes::Bytes::from(command.sign("fog-0", &lease.sign("ctl", &key), &key))
    };
    let (relay, mut answers) = place.relay(0);
    let (car, other): (VehicleId, VehicleId) = ("car".parse().unwrap(), "other".parse().unwrap());
    let sent = tokio::spawn({
        let (relay, car, message) = (relay.clone(), car.clone(), command("car"));
        async move { relay.send(car, message).await }
    });
    vehicle.until("command", |peer| peer.message("v1/car/command").is_some()).await;
    assert_eq!(sent.await.unwrap(), Ok(()));
    assert_eq!(vehicle.message("v1/car/command"), Some(&command("car")));
    let error = relay.send(car.clone(), command("other")).await.unwrap_err().to_string();
    assert!(error.contains("signed for other"), "{error}");
    let error = relay.send(other.clone(), command("other")).await.unwrap_err().to_string();
    assert!(error.contains("not connected"), "{error}");
    let answer = CommandAnswer {
        function: "balance".into(),
        epoch: (1, 1),
        number: 1,
        at_ms: 7,
        outcome: Outcome::Applied { value: None, why_less: None },
    };
    let json = serde_json::to_vec(&answer).unwrap();
    assert_eq!(vehicle.publish("v1/car/answer", json, 90).await, Reason::SUCCESS);
    let answered = tokio::time::timeout(PATIENCE, answers.recv()).await.expect("an answer").unwrap();
    assert_eq!((answered.vehicle, answered.answer), (car, answer));
}

/// The log's size and its leaves, and a statement of the archive, are proven to whoever asks; a restart loses neither.
async fn what_is_gone_would_show(place: &mut Place) {
    place.until_status(0, PATIENCE, |status| status.counter("statements_anchored") > 0).await;
    let trust = Trust::from_toml(&ask(place.http(0), Ask::Get("/chain/trust")).await.1).unwrap();
    let head = trust.log().expect("the node proves it");
    assert!(head.size >= 3, "{head:?}");
    let (code, leaves) = ask_bytes(place.http(0), Ask::Get("/chain/leaves?from=0")).await;
    assert_eq!(code, 200);
    let mut leaves = Leaves::decode(&leaves).unwrap();
    leaves.hashes.truncate(head.size as usize);
    assert_eq!(leaves.root(), Some(head.root));
    for (path, code) in [("/chain/leaves", 400), ("/chain/leaves?from=4000000000", 400)] {
        assert_eq!(ask(place.http(0), Ask::Get(path)).await.0, code, "{path}");
    }

    let statement = async |place: &Place| {
        let (code, bytes) = ask_bytes(place.http(0), Ask::Get("/archive/statement")).await;
        assert_eq!(code, 200);
        AnchoredStatement::from_bytes(&bytes).unwrap()
    };
    let before = statement(place).await;
    before.verify(&trust).unwrap();
    ArchiveStatement::verify(&before.statement, &place.cloud_key()).unwrap();
    place.stop(0).await;
    place.start(0);
    place.until_ready(PATIENCE).await;
    let after = statement(place).await;
    let sequence = |one: &AnchoredStatement| ArchiveStatement::peek(&one.statement).unwrap().sequence;
    assert!(sequence(&after) >= sequence(&before));
}

/// Heads of a node's audit log whose receipts it keeps: checked against the log and the trust file that another node gives.
async fn heads_on_the_ledger(place: &Place, fog: usize) -> Vec<std::path::PathBuf> {
    let folder = place.audit(fog).join("ledger");
    let entries = std::fs::read_dir(&folder).into_iter().flatten();
    let mut receipts: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    receipts.retain(|path| path.extension().is_some_and(|extension| extension == "event"));
    receipts.sort();
    let trust = Trust::from_toml(&ask(place.http(3), Ask::Get("/chain/trust")).await.1).unwrap();
    let mut hashes = std::collections::BTreeMap::new();
    let report = voltmesh_audit::read(&place.audit(fog), |entry| {
        hashes.insert(entry.seq.wrapping_sub(1), entry.previous);
    })
    .unwrap();
    assert_eq!(report.problem_count, 0);
    hashes.extend(report.head.map(|head| (head.seq, head.hash)));
    for receipt in &receipts {
        let proof = EventProof::from_bytes(&std::fs::read(receipt).unwrap()).unwrap();
        let proven = proof.verify(&trust).unwrap();
        assert!(matches!(proven.act, Act::Events { lane: Lane::Audit, .. }), "{:?}", proven.act);
        let said = HeadStatement::from_bytes(&proven.bytes).unwrap();
        assert_eq!(said.node, format!("fog-{fog}"));
        assert_eq!(hashes.get(&said.head.seq), Some(&said.head.hash), "the head is an entry of the log");
    }
    receipts
}

async fn until_heads(place: &Place, fog: usize, count: usize) -> Vec<std::path::PathBuf> {
    let enough = async || Some(heads_on_the_ledger(place, fog).await).filter(|heads| heads.len() >= count);
    place.until_some(fog, "heads on the ledger", PATIENCE, enough).await
}

/// A node puts the head of its audit log onto the ledger when it starts for the first time, and again after a day.
async fn the_audit_logs_head_goes_onto_the_ledger_each_day(place: &mut Place) {
    let first = until_heads(place, 2, 1).await;
    assert_eq!(first.len(), 1, "one a day");
    place.stop(2).await;
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 3_600);
    std::fs::File::options().write(true).open(&first[0]).unwrap().set_modified(yesterday).unwrap();
    place.start(2);
    place.until_ready(PATIENCE).await;
    let second = until_heads(place, 2, 2).await;
    assert_eq!((second.len(), &second[0]), (2, &first[0]));
}

#[test]
fn from_vehicle_to_cloud_over_real_sockets() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(main());
}

async fn main() {
    let mut place = Place::of(4).await;
    for fog in 0..4 {
        place.start(fog);
    }
    place.until_ready(PATIENCE).await;

    // The operators enrol the vehicle and the fog nodes' own keys.
    let car = Vehicle::new("car");
    let mut commitments = vec![car.commitment()];
    commitments.extend(place.openings().iter().map(|(fog, opening)| commitment(fog, opening)));
    place.enrol(&commitments, PATIENCE).await;

    // A batch of the vehicle.
    let mut vehicle = Peer::new(place.connect(Role::Edge, "car", 0, &["receipt", "notice", "command"]).await);
    assert_eq!(vehicle.publish("v1/car/hello", hello(&car), 1).await, Reason::SUCCESS);
    let batch = car.batch(1, 0, 100, None);
    assert_eq!(vehicle.publish("v1/car/batch", batch.wire().clone(), 2).await, Reason::SUCCESS);
    vehicle.until("receipt", |peer| peer.message("v1/car/receipt").is_some()).await;
    let receipts = Receipts::decode(vehicle.message("v1/car/receipt").unwrap()).unwrap();
    let trust = Trust::from_toml(&ask(place.http(0), Ask::Get("/chain/trust")).await.1).unwrap();
    let evidence = AnchorProof::from_bytes(&receipts.items[0].evidence).unwrap();
    evidence.verify(&trust, &batch.id(), &car.commitment()).unwrap();
    vehicle.until("notice", |peer| peer.message("v1/car/notice").is_some()).await;
    let notice =
        ArchiveNotice::verify(vehicle.message("v1/car/notice").unwrap(), &place.cloud_key()).unwrap();
    assert_eq!(notice.batches[0].id, batch.id());

    a_command_reaches_its_vehicle(&mut place, &mut vehicle).await;

    // A sample of a foreign client, attested by the fog node.
    let mut paho = Peer::new(place.connect(Role::Client, "paho", 1, &[]).await);
    assert_eq!(paho.publish("v1/paho/sample", sample(), 1).await, Reason::SUCCESS);
    place.until_archived(|batch: &SealedBatch| batch.header().vehicle.as_str() == "paho", PATIENCE).await;

    // Another's topic is refused for good, and counted.
    assert_eq!(paho.publish("v1/car/sample", sample(), 2).await, Reason::TOPIC_NAME_INVALID);
    place.until_status(1, PATIENCE, |status| status.counter("rejected_topic") == 1).await;
    let (code, metrics) = ask(place.http(1), Ask::Get("/metrics")).await;
    assert!(code == 200 && metrics.contains("voltmesh_fog_rejected_topic_total 1"), "{metrics}");

    // A node that was away takes up where it was.
    place.stop(2).await;
    let next = car.batch(1, 100, 100, Some(batch.id()));
    assert_eq!(vehicle.publish("v1/car/batch", next.wire().clone(), 3).await, Reason::SUCCESS);
    place.until_archived(|archived| archived.id() == next.id(), PATIENCE).await;
    place.start(2);
    place.until_ready(PATIENCE).await;

    // Everything is archived, so nothing is held anywhere.
    for fog in 0..4 {
        let settled =
            |status: &Status| status.counter("held_batches") == 0 && status.counter("quarantined") < 2;
        place.until_status(fog, PATIENCE, settled).await;
    }

    what_is_gone_would_show(&mut place).await;
    the_audit_logs_head_goes_onto_the_ledger_each_day(&mut place).await;

    // A revoked certificate ends its session without a restart.
    let identity = voltmesh_identity::Identity::new(Role::Client, "paho").unwrap();
    place.pki.revoke(&Target::Identity(identity), Revocation::KeyCompromise).unwrap();
    paho.until("end of the revoked session", |peer| peer.ended).await;

    let (code, refused) = ask(place.http(0), Ask::Post("/tx", b"nonsense".to_vec())).await;
    assert_eq!(code, 400, "{refused}");
    for fog in 0..4 {
        place.stop(fog).await;
    }
}
