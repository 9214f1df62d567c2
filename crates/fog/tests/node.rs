//! Four fog nodes in this process with everything real but the machines: TLS, MQTT, p2p, disks. The vehicle, the foreign
//! client and the cloud are the test's own.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod place;

use std::time::Duration;

use place::{Ask, Place, ask, ask_bytes};
use voltmesh_control::{ArchiveNotice, ArchiveStatement, Hello, Opening, Receipts, Status, commitment};
use voltmesh_identity::{Reason as Revocation, Role, Target};
use voltmesh_ledger::{AnchorEvidence, AnchoredStatement, Leaves, Trust, testing::Vehicle};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, Outgoing, Reason};
use voltmesh_telemetry::{Boot, Millivolts, Sample, SealedBatch, Timestamp, vss};

/// Longest wait for anything: a loaded machine with one core.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client's connection, with what came on it.
struct Peer {
    client: Client,
    events: ClientEvents,
    done: Vec<(u64, Reason)>,
    messages: Vec<(String, bytes::Bytes)>,
    ended: bool,
}

impl Peer {
    fn new((client, events): (Client, ClientEvents)) -> Self {
        Self { client, events, done: Vec::new(), messages: Vec::new(), ended: false }
    }

    async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !enough(self) {
                match self.events.next().await {
                    Some(ClientEvent::Completed(done)) => self.done.extend(done),
                    Some(ClientEvent::Messages(items)) => {
                        for item in items {
                            self.client.accept(item.token);
                            self.messages.push((item.topic.to_string(), item.payload));
                        }
                    }
                    Some(ClientEvent::Ended(_)) | None => self.ended = true,
                    Some(_) => {}
                }
            }
        });
        assert!(
            waited.await.is_ok(),
            "no {what} in {PATIENCE:?}; so far {:?} {:?}",
            self.done,
            self.messages.len()
        );
    }

    async fn publish(&mut self, topic: &str, payload: impl Into<bytes::Bytes>, tag: u64) -> Reason {
        self.client.publish(Outgoing::new(topic, payload.into(), tag)).unwrap();
        self.until(topic, |peer| peer.done.iter().any(|(done, _)| *done == tag)).await;
        self.done.iter().find(|(done, _)| *done == tag).unwrap().1
    }

    fn message(&self, topic: &str) -> Option<&bytes::Bytes> {
        self.messages.iter().find(|(t, _)| t == topic).map(|(_, payload)| payload)
    }
}

fn hello(vehicle: &Vehicle) -> Vec<u8> {
    let opening = Opening { salt: vehicle.opening.salt, key: vehicle.opening.key };
    Hello { opening, boot: Boot::new(1), client_version: "test".into() }.encode()
}

fn sample() -> String {
    vss::to_json(&Sample {
        time: Timestamp::from_millis(1_700_000_000_000),
        pack_voltage: Millivolts::new(352_100),
        ..Sample::default()
    })
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

#[test]
fn from_vehicle_to_cloud_over_real_sockets() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(main());
}

async fn main() {
    let mut place = Place::new().await;
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
    let mut vehicle = Peer::new(place.connect(Role::Edge, "car", 0, &["receipt", "notice"]).await);
    assert_eq!(vehicle.publish("v1/car/hello", hello(&car), 1).await, Reason::SUCCESS);
    let batch = car.batch(1, 0, 100, None);
    assert_eq!(vehicle.publish("v1/car/batch", batch.wire().clone(), 2).await, Reason::SUCCESS);
    vehicle.until("receipt", |peer| peer.message("v1/car/receipt").is_some()).await;
    let receipts = Receipts::decode(vehicle.message("v1/car/receipt").unwrap()).unwrap();
    let trust = Trust::from_toml(&ask(place.http(0), Ask::Get("/chain/trust")).await.1).unwrap();
    let evidence = AnchorEvidence::from_bytes(&receipts.items[0].evidence).unwrap();
    evidence.verify(&trust, &batch.id(), &car.commitment()).unwrap();
    vehicle.until("notice", |peer| peer.message("v1/car/notice").is_some()).await;
    let notice =
        ArchiveNotice::verify(vehicle.message("v1/car/notice").unwrap(), &place.cloud_key()).unwrap();
    assert_eq!(notice.batches[0].id, batch.id());

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
