//! The whole cloud over real sockets: mutual TLS MQTT in, HTTP out.

use super::*;
use crate::{Cloud, Config, testing::*};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};
use voltmesh_audit::Recorder;
use voltmesh_control::{
    ArchiveNotice, ArchiveStatement, Handovers,
    topics::{FogTopic, Topic},
};
use voltmesh_http::Process;
use voltmesh_identity::{Credentials, Expected, Identity, Pki, RevocationWatch, Role};
use voltmesh_ledger::{AnchoredStatement, Proof, commitment};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, ClientOptions, ClientSettings, Outgoing, Reason};

const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    http: std::net::SocketAddr,
    mqtt: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<Result<(), crate::Error>>,
}

async fn start(folder: &Path, pki: &Pki, extra: &str) -> Running {
    start_with(folder, pki, extra, Process::default()).await
}

async fn start_with(folder: &Path, pki: &Pki, extra: &str, process: Process) -> Running {
    let cloud = pki.folder_of(&Identity::new(Role::Cloud, "cloud-1").unwrap());
    let text = format!(
        "credentials = {:?}\nrevocations = {:?}\ntrust = 'trust.toml'\ntrust_learned = 'learned.toml'\narchive = 'archive'\n\
         [mqtt]\nlisten = '127.0.0.1:0'\n[commit]\ninterval_ms = 20\n[http]\nlisten = '127.0.0.1:0'\n{extra}",
        cloud,
        pki.crl_path(),
    );
    let mut config = Config::parse(&text).unwrap();
    config.resolve(folder);
    let cloud = Cloud::start(config, process, Arc::new(|| "other_metric 1\n".to_owned())).await.unwrap();
    let (http, mqtt) = (cloud.http_address(), cloud.mqtt_address());
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(cloud.serve(async move {
        stopped.await.ok();
    }));
    Running { http, mqtt, stop, done }
}

async fn connect(
    pki: &Pki,
    identity: &str,
    cloud: &Running,
    subscriptions: Vec<String>,
) -> (Client, ClientEvents) {
    let identity: Identity = identity.parse().unwrap();
    let credentials = Credentials::load(&pki.folder_of(&identity)).unwrap();
    let revoked = RevocationWatch::open(&pki.crl_path(), &credentials.ca).unwrap();
    let tls = credentials.client_config(Expected::role(Role::Cloud), Some(&revoked)).unwrap();
    let options = ClientOptions { subscriptions, ..ClientOptions::default() };
    let settings = ClientSettings { options, ..ClientSettings::default() };
    Client::connect(&cloud.mqtt.to_string(), tls, settings).await.unwrap()
}

/// Status, headers and body of a GET.
async fn get(address: std::net::SocketAddr, path: &str, header: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

async fn json(address: std::net::SocketAddr, path: &str) -> serde_json::Value {
    let (status, _, body) = get(address, path, "").await;
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envelopes_in_records_and_proofs_out() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    for identity in ["urn:voltmesh:cloud:cloud-1", "urn:voltmesh:fog:fog-0", "urn:voltmesh:edge:ev-0"] {
        pki.issue(&identity.parse().unwrap(), &[], 1).unwrap();
    }
    let mut fleet = Fleet::new(2);
    std::fs::write(folder.path().join("trust.toml"), fleet.trust().to_toml()).unwrap();
    let cloud = start(folder.path(), &pki, "").await;

    let topic = |kind| Topic::Fog(fog_name(0), kind).to_string();
    let (fog, mut events) = connect(
        &pki,
        "urn:voltmesh:fog:fog-0",
        &cloud,
        vec![topic(FogTopic::Notice), topic(FogTopic::Statement)],
    )
    .await;
    let handovers = Handovers { items: fleet.chain.handovers().iter().map(|h| h.to_bytes()).collect() };
    fog.publish(Outgoing::new(topic(FogTopic::Trust), handovers.encode().into(), 1)).unwrap();
    let batches = fleet.boot(0, 1, &[5, 5, 5]);
    let wanted = [(2, &batches[0]), (3, &batches[2])];
    for (tag, batch) in wanted {
        fog.publish(Outgoing::new(topic(FogTopic::Envelope), fleet.envelope(0, batch), tag)).unwrap();
    }
    fog.publish(Outgoing::new(topic(FogTopic::Envelope), Bytes::from_static(b"junk"), 4)).unwrap();
    let foreign = Topic::Fog(fog_name(1), FogTopic::Envelope).to_string();
    fog.publish(Outgoing::new(foreign, fleet.envelope(1, &batches[1]), 5)).unwrap();

    let (mut done, mut noticed) = (std::collections::BTreeMap::new(), std::collections::BTreeSet::new());
    let key =
        Credentials::load(&pki.folder_of(&"urn:voltmesh:cloud:cloud-1".parse().unwrap())).unwrap().signing;
    let mut said = None;
    while done.len() < 5 || noticed.len() < 2 || said.is_none() {
        match timeout(PATIENCE, events.next())
            .await
            .expect("the cloud answers")
            .expect("the connection stays")
        {
            ClientEvent::Completed(items) => done.extend(items),
            ClientEvent::Messages(items) => {
                for item in items {
                    if *item.topic == *topic(FogTopic::Statement) {
                        said = Some(ArchiveStatement::verify(&item.payload, &key.verifying_key()).unwrap());
                        fog.accept(item.token);
                        continue;
                    }
                    let notice = ArchiveNotice::verify(&item.payload, &key.verifying_key()).unwrap();
                    assert_eq!(notice.vehicle.as_str(), "ev-0");
                    noticed.extend(notice.batches.iter().map(|batch| batch.id));
                    fog.accept(item.token);
                }
            }
            ClientEvent::Ended(end) => panic!("{end}"),
            ClientEvent::Subscribed(_) | ClientEvent::RoundTrip(_) => {}
        }
    }
    let said = said.unwrap();
    assert!(said.cloud == "cloud-1" && said.batches.size + said.quarantine.size > 0, "{said:?}");
    let reasons: Vec<_> = done.into_values().collect();
    let (fine, bad, not) = (Reason::SUCCESS, Reason::PAYLOAD_FORMAT_INVALID, Reason::NOT_AUTHORIZED);
    assert_eq!(reasons, [fine, fine, fine, bad, not]);

    assert_eq!(json(cloud.http, "/v1/vehicles").await["vehicles"], serde_json::json!(["ev-0"]));
    let latest = json(cloud.http, "/v1/vehicles/ev-0/latest").await;
    assert_eq!((latest["number"].as_u64(), latest["cells_mv"].as_array().unwrap().len()), (Some(14), 96));
    let page = json(cloud.http, "/v1/vehicles/ev-0/records?limit=4").await;
    assert_eq!(page["records"].as_array().unwrap().len(), 4);
    let next = page["next"].as_str().unwrap();
    let page = json(cloud.http, &format!("/v1/vehicles/ev-0/records?after={next}")).await;
    let numbers: Vec<_> =
        page["records"].as_array().unwrap().iter().map(|r| r["number"].as_u64().unwrap()).collect();
    assert_eq!((numbers, page["next"].is_null()), (vec![4, 10, 11, 12, 13, 14], true));
    let gaps = json(cloud.http, "/v1/gaps").await;
    assert_eq!(gaps["gaps"], serde_json::json!([{ "vehicle": "ev-0", "boot": 1, "first": 5, "count": 5 }]));
    let stages = json(cloud.http, "/v1/stages").await;
    assert_eq!(stages["tables"], serde_json::json!({ "records": 10, "batches": 2, "quarantined": 1 }));

    let (status, head, proof) = get(cloud.http, "/v1/records/ev-0/1/12/proof", "").await;
    assert!(status == 200 && head.contains("application/cose"), "{head}");
    let proven = Proof::decode(&proof).unwrap().verify(&fleet.trust()).unwrap();
    assert_eq!(proven.id.to_string(), "ev-0/1/12");

    for (path, want) in [
        ("/v1/records/ev-0/1/7/proof", 404),
        ("/v1/vehicles/ev-1/latest", 404),
        ("/v1/vehicles/..%2F/latest", 400),
        ("/v1/vehicles/ev-0/records?from=yesterday", 400),
        ("/v1/vehicles/ev-0/records?nonsense=1", 400),
        ("/openapi.json", 200),
        ("/v1/trust", 200),
    ] {
        assert_eq!(get(cloud.http, path, "").await.0, want, "{path}");
    }
    let metrics = String::from_utf8(get(cloud.http, "/metrics", "").await.2).unwrap();
    for line in [
        "voltmesh_cloud_archived_records_total 10",
        "voltmesh_cloud_quarantined_envelope_total 1",
        "other_metric 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let status = voltmesh_control::Status::from_json(&get(cloud.http, "/status", "").await.2).unwrap();
    assert_eq!((status.ready, status.counter("gaps"), status.counter("archived_records")), (true, 1, 10));

    // Neither another name nor another site's page gets anything.
    for (header, want) in [
        ("Origin: http://evil.example\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Host: evil.example\r\n", 400),
    ] {
        let (status, head, body) = get(cloud.http, "/v1/vehicles", header).await;
        assert!(status == want && head.contains("application/problem+json"), "{header}: {head}");
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(problem["detail"].is_string() && problem["status"] == want, "{problem}");
    }
    let status = voltmesh_control::Status::from_json(&get(cloud.http, "/status", "").await.2).unwrap();
    assert_eq!((status.counter("http_refused_origin"), status.counter("http_refused_host")), (2, 1));

    // Only fog nodes may come in.
    let (_edge, mut events) = connect(&pki, "urn:voltmesh:edge:ev-0", &cloud, Vec::new()).await;
    let ended = timeout(PATIENCE, async {
        while !matches!(events.next().await, Some(ClientEvent::Ended(_)) | None) {}
    });
    ended.await.expect("others are sent away");

    cloud.stop.send(()).unwrap();
    timeout(PATIENCE, cloud.done).await.unwrap().unwrap().unwrap();
    let location = Location::existing_folder(&folder.path().join("archive")).unwrap();
    let kept = crate::read_statements(&location).await.unwrap();
    assert_eq!(ArchiveStatement::peek(&kept[0]), Ok(said), "what was sent is kept");

    // Started again, with a token: nothing is lost, and nobody reads without it.
    voltmesh_identity::write_private(&folder.path().join("token"), b"0123456789abcdef\n").unwrap();
    let cloud = start(folder.path(), &pki, "token_file = 'token'\n").await;
    assert_eq!(get(cloud.http, "/v1/vehicles/ev-0/latest", "").await.0, 401);
    assert_eq!(
        get(cloud.http, "/v1/vehicles/ev-0/latest", "Authorization: Bearer 0123456789abcdeF\r\n").await.0,
        401
    );
    let (status, _, body) =
        get(cloud.http, "/v1/vehicles/ev-0/latest", "Authorization: Bearer 0123456789abcdef\r\n").await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["number"], 14);
    cloud.stop.send(()).unwrap();
    timeout(PATIENCE, cloud.done).await.unwrap().unwrap().unwrap();
}

/// A statement names the head of the audit log, and what a fog node tells of its place in the ledger's log is kept as the
/// head's receipt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_puts_its_audit_logs_head_onto_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    for identity in ["urn:voltmesh:cloud:cloud-1", "urn:voltmesh:fog:fog-0"] {
        pki.issue(&identity.parse().unwrap(), &[], 1).unwrap();
    }
    let mut fleet = Fleet::new(1);
    std::fs::write(folder.path().join("trust.toml"), fleet.trust().to_toml()).unwrap();
    let log = folder.path().join("audit");
    let audit = Recorder::open(&log).unwrap();
    audit.started("test", "the test's configuration");
    let cloud = start_with(folder.path(), &pki, "", Process { audit, ..Process::default() }).await;

    let topic = |kind| Topic::Fog(fog_name(0), kind).to_string();
    let (fog, mut events) =
        connect(&pki, "urn:voltmesh:fog:fog-0", &cloud, vec![topic(FogTopic::Statement)]).await;
    let batch = fleet.batch(0, 1, 0, 5, None);
    fog.publish(Outgoing::new(topic(FogTopic::Envelope), fleet.envelope(0, &batch), 1)).unwrap();
    let said = timeout(PATIENCE, async {
        loop {
            let Some(ClientEvent::Messages(items)) = events.next().await else { continue };
            let named = |bytes: &Bytes| ArchiveStatement::peek(bytes).is_ok_and(|said| said.audit.is_some());
            if let Some(item) = items.into_iter().find(|item| named(&item.payload)) {
                return item.payload;
            }
        }
    });
    let statement = said.await.expect("a statement names the head");
    let head = ArchiveStatement::peek(&statement).unwrap().audit.unwrap();

    // As a fog node anchors it, and tells the cloud.
    let leaf = AnchoredStatement::leaf(&statement);
    fleet.chain.anchor(&[leaf]);
    let opening = opening_of("fog-0");
    let signer = commitment("fog-0", &opening.salt, &opening.key);
    let evidence = fleet.chain.blocks.last().unwrap().evidence(&leaf, &signer).unwrap();
    let receipt = AnchoredStatement { statement, evidence };
    fog.publish(Outgoing::new(topic(FogTopic::Anchored), receipt.to_bytes(), 2)).unwrap();
    let path = log.join("ledger").join(format!("head-{:020}.statement", head.seq));
    let kept = timeout(PATIENCE, async {
        loop {
            match std::fs::read(&path) {
                Ok(bytes) => return bytes,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    assert_eq!(AnchoredStatement::from_bytes(&kept.await.expect("it is kept")).unwrap(), receipt);
    receipt.verify(&fleet.trust()).unwrap();
    cloud.stop.send(()).unwrap();
    timeout(PATIENCE, cloud.done).await.unwrap().unwrap().unwrap();
    let mut hashes = std::collections::BTreeMap::new();
    let report = voltmesh_audit::read(&log, |entry| {
        hashes.insert(entry.seq.wrapping_sub(1), entry.previous);
    });
    hashes.extend(report.unwrap().head.map(|head| (head.seq, head.hash)));
    assert_eq!(hashes[&head.seq].to_bytes(), head.hash.to_bytes(), "the head is an entry of the log");
}
