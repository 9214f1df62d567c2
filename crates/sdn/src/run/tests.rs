//! The whole controller over real sockets: a fog node over mutual TLS, operators over HTTP, a kill and a restart.

use super::*;
use crate::controller::summary_for_tests;
use bytes::Bytes;
use commonware_runtime::Runner as _;
use ed25519_dalek::SigningKey;
use std::path::PathBuf;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use voltmesh_control::{
    FunctionReport, Instance, InstanceState, Lease, Order, Room, Summaries, VehicleSummary, Work,
};
use voltmesh_function::{Manifest, Package, WIT_VERSION};
use voltmesh_identity::{Expected, Identity, Pki};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, ClientOptions, ClientSettings, Outgoing, Reason};

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "correct-horse-battery-staple";
const GUARD: &str = "plating-guard";

/// Folder, CA and keys of a controller, a fog node and a vehicle.
struct Place {
    folder: tempfile::TempDir,
    pki: Pki,
    publisher: SigningKey,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let pki = Pki::init(&folder.path().join("pki")).expect("a CA");
        for identity in ["controller:controller-1", "fog:fog-1", "edge:car-1"] {
            pki.issue(&format!("urn:voltmesh:{identity}").parse().expect("an identity"), &[], 1)
                .expect("issued");
        }
        voltmesh_identity::write_private(&folder.path().join("token"), TOKEN.as_bytes()).expect("written");
        let policy = format!("{}\n[[battery]]\ncapacity_ah = 60.0\ncells = 96\n", crate::policy::DEFAULTS);
        std::fs::write(folder.path().join("policy.toml"), policy).expect("written");
        Self { folder, pki, publisher: SigningKey::from_bytes(&[5; 32]) }
    }

    fn credentials(&self, identity: &str) -> Credentials {
        let identity = format!("urn:voltmesh:{identity}").parse().expect("an identity");
        Credentials::load(&self.pki.folder_of(&identity)).expect("issued")
    }

    fn config(&self, extra: &str) -> Config {
        let identity: Identity = "urn:voltmesh:controller:controller-1".parse().expect("an identity");
        let text = format!(
            "terms = 'alone'\ndata = 'data'\ncredentials = {:?}\nrevocations = {:?}\npolicy = 'policy.toml'\npublishers = ['{}']\n\
             [mqtt]\nlisten = '127.0.0.1:0'\n[http]\nlisten = '127.0.0.1:0'\n{extra}",
            self.pki.folder_of(&identity),
            self.pki.crl_path(),
            hex::encode(self.publisher.verifying_key().to_bytes()),
        );
        let mut config = Config::parse(&text).expect("right");
        config.resolve(self.folder.path()).expect("right");
        config
    }

    fn package(&self, function: &str, content: u8) -> Vec<u8> {
        self.package_as(function, content, content, 1)
    }

    fn package_as(&self, function: &str, content: u8, patch: u8, memory_mib: u8) -> Vec<u8> {
        let manifest = Manifest::from_toml(&format!(
            "name = '{function}'\nrelease = '1.0.{patch}'\nwit = '{WIT_VERSION}'\nstate-version = 1\nmemory-mib = {memory_mib}\n\
             fuel = 100000\nlatency = 'second'\nfailure = 'hold'\ndescription = 'a'\nmethod = 'b'\nsource = 'c'\n\
             [configuration]\ntype = 'object'\n"
        ))
        .expect("right");
        let component = [0, b'a', b's', b'm', 0x0d, 0, 1, 0, content];
        Package::sign(&manifest, &component, "publisher-1", &self.publisher).expect("signed")
    }

    /// Runs something beside a controller on this place's disk; both end with it.
    fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        extra: &str,
        work: impl FnOnce(SocketAddr, SocketAddr) -> F + Send + 'static,
    ) -> T {
        let config = self.config(extra);
        let storage = commonware_runtime::tokio::Config::default()
            .with_storage_directory(&config.data)
            .with_worker_threads(2);
        commonware_runtime::tokio::Runner::new(storage).start(|context| async move {
            let more: MetricsText = Arc::new(|| "other_metric 1\n".to_owned());
            let running = Running::start(context.child("controller"), config, Default::default(), more).await;
            let running = running.expect("it starts");
            let (mqtt, http) = (running.mqtt_address(), running.http_address());
            tokio::select! {
                ended = running.serve(std::future::pending()) => panic!("it ended: {ended:?}"),
                done = work(mqtt, http) => done,
            }
        })
    }

    async fn connect(
        credentials: Credentials,
        crl: PathBuf,
        mqtt: SocketAddr,
        topics: &[&str],
    ) -> (Client, ClientEvents) {
        let revoked = RevocationWatch::open(&crl, &credentials.ca).expect("a list");
        let tls = credentials.client_config(Expected::role(Role::Controller), Some(&revoked)).expect("TLS");
        let subscriptions = topics.iter().map(|kind| format!("v1/fog/fog-1/{kind}")).collect();
        let options = ClientOptions { subscriptions, ..ClientOptions::default() };
        let settings = ClientSettings { options, ..ClientSettings::default() };
        Client::connect(&mqtt.to_string(), tls, settings).await.expect("connected")
    }
}

/// Status and body of a request.
async fn ask(
    http: SocketAddr,
    method: &str,
    path: &str,
    token: bool,
    body: &[u8],
) -> (u16, serde_json::Value) {
    let mut stream = TcpStream::connect(http).await.expect("connected");
    let token = if token { format!("Authorization: Bearer {TOKEN}\r\n") } else { String::new() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\n{token}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(body).await.expect("sent");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time").expect("an answer");
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a header");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let body = serde_json::from_slice(&answer[end + 4..]);
    (status, body.unwrap_or_else(|_| String::from_utf8_lossy(&answer[end + 4..]).into_owned().into()))
}

fn summaries(at_ms: u64) -> Bytes {
    let vehicle = VehicleSummary {
        vehicle: "car-1".parse().expect("a name"),
        connected: true,
        round_trip_us: Some(4_000),
        chemistry: Some("nmc".to_owned()),
        summary: Some(summary_for_tests(at_ms as f64 / 1e3)),
    };
    let room = Room { instances: 0, most_instances: 9, load: 0.0, capabilities: Vec::new() };
    Summaries { at_ms, room, vehicles: vec![vehicle] }.encode().expect("small").into()
}

/// What a fog node has completed, and was sent.
struct Fog {
    client: Client,
    events: ClientEvents,
    completed: Vec<(u64, Reason)>,
    orders: Vec<Order>,
    releases: Vec<Bytes>,
    next: u64,
}

impl Fog {
    fn say(&mut self, kind: &str, payload: impl Into<Bytes>) {
        self.next += 1;
        let topic = format!("v1/fog/fog-1/{kind}");
        self.client.publish(Outgoing::new(topic, payload.into(), self.next)).expect("room");
    }

    /// Reads until that is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            let event = timeout(PATIENCE, self.events.next()).await;
            match event.unwrap_or_else(|_| panic!("{what}: nothing comes; {:?}", self.completed)) {
                Some(ClientEvent::Completed(done)) => self.completed.extend(done),
                Some(ClientEvent::Messages(items)) => {
                    for item in items {
                        match &*item.topic {
                            "v1/fog/fog-1/order" => {
                                self.orders.push(Order::decode(&item.payload).expect("an order"));
                            }
                            _ => self.releases.push(item.payload.clone()),
                        }
                        self.client.accept(item.token);
                    }
                }
                Some(ClientEvent::Ended(end)) => panic!("{what}: {end}"),
                None => panic!("{what}: the connection is over"),
                Some(_) => {}
            }
        }
    }
}

fn found(place: &Place) -> (Credentials, PathBuf, [u8; 32]) {
    let credentials = place.credentials("fog:fog-1");
    let key = credentials.signing.verifying_key().to_bytes();
    (credentials, place.pki.crl_path(), key)
}

#[test]
fn a_fog_node_is_ordered_what_operators_publish_and_a_restart_knows_it() {
    let place = Place::new();
    let (credentials, crl, key) = found(&place);
    let controller_key = place.credentials("controller:controller-1").signing.verifying_key();
    let (package, other) = (place.package(GUARD, 0), place.package(GUARD, 1));
    let mut altered = package.clone();
    if let Some(last) = altered.last_mut() {
        *last ^= 1;
    }
    let token = "token_file = 'token'";
    let before = place.run(token, move |mqtt, http| async move {
        for (with_token, body, expected) in
            [(false, &package, 401), (true, &altered, 422), (true, &package, 201), (true, &package, 201)]
        {
            let (status, answer) = ask(http, "POST", "/functions/releases", with_token, body).await;
            assert_eq!(status, expected, "{answer}");
        }
        let (client, events) = Place::connect(credentials, crl, mqtt, &["order", "release"]).await;
        let mut fog = Fog { client, events, completed: vec![], orders: vec![], releases: vec![], next: 0 };
        fog.say(
            "function",
            FunctionReport::Ready { key: hex::encode(key), term: 0 }.encode().expect("small"),
        );
        fog.say("function", FunctionReport::Running { instances: vec![] }.encode().expect("small"));
        fog.say("summary", summaries(now().as_millis()));
        fog.until("an order", |fog| !fog.orders.is_empty()).await;
        let Work::Run { vehicle, function, release, lease, .. } = fog.orders[0].work.clone() else {
            panic!("{:?}", fog.orders)
        };
        let lease =
            Lease::verify(&hex::decode(lease).expect("hexadecimal"), &[controller_key]).expect("signed");
        assert_eq!((lease.fog.as_str(), lease.fog_key, function.as_str()), ("fog-1", key, GUARD));
        fog.say("function", FunctionReport::Wanted { release }.encode().expect("small"));
        fog.until("the package", |fog| !fog.releases.is_empty()).await;
        assert_eq!(fog.releases[0], package);
        let instance = Instance {
            vehicle,
            function,
            release,
            epoch: (lease.epoch.term, lease.epoch.count),
            state: InstanceState::Running,
            calls: 3,
            traps: 0,
        };
        fog.say("function", FunctionReport::Running { instances: vec![instance] }.encode().expect("small"));
        let good = fog.next;
        fog.until("acknowledgements", |fog| fog.completed.len() as u64 == good).await;
        assert!(fog.completed.iter().all(|(_, reason)| *reason == Reason::SUCCESS), "{:?}", fog.completed);

        // What is refused, with its reason.
        fog.say("summary", Bytes::from_static(b"junk"));
        fog.say("summary", summaries(now().as_millis() - 60_000));
        fog.say("envelope", Bytes::from_static(b"the cloud's"));
        fog.until("refusals", |fog| fog.completed.len() as u64 == fog.next).await;
        let refused: BTreeMapOf = fog.completed.iter().copied().filter(|(tag, _)| *tag > good).collect();
        assert_eq!(refused[&(good + 1)], Reason::PAYLOAD_FORMAT_INVALID);
        assert_eq!(refused[&(good + 2)], Reason::IMPLEMENTATION_SPECIFIC);
        assert_eq!(refused[&(good + 3)], Reason::NOT_AUTHORIZED);

        let (_, placements) = ask(http, "GET", "/placements", false, b"").await;
        let one = &placements["placements"][0];
        assert_eq!(
            (one["fog"].as_str(), one["phase"].as_str()),
            (Some("fog-1"), Some("running")),
            "{placements}"
        );
        let (_, vehicle) = ask(http, "GET", "/vehicles/car-1", false, b"").await;
        assert!(vehicle["summary"]["voltage_v"].is_number(), "{vehicle}");
        assert!(vehicle["unplaced"]["charging-control"].is_string(), "{vehicle}");
        let (_, decisions) = ask(http, "GET", "/decisions?vehicle=car-1", false, b"").await;
        let number = decisions["decisions"][0]["number"].as_u64().expect("one was taken");

        let rules = "version = 1\n[sensors]\nvoltage_v = 0.1\ntemperature_c = 1.0\ncurrent_a = 1.0\n";
        let deployment = br#"{"name":"d","function":"absent"}"#;
        for (method, path, body, expected) in [
            ("PUT", "/rules", &b"version = 2"[..], 422),
            ("PUT", "/rules", rules.as_bytes(), 200),
            ("POST", "/functions/deployments", &b"{}"[..], 400),
            ("POST", "/functions/deployments", deployment, 404),
            ("DELETE", "/functions/deployments/absent", b"", 404),
            ("DELETE", "/functions/releases/zz", b"", 400),
            ("POST", "/decisions/999/undo", b"", 404),
            ("POST", "/pause", b"", 200),
            ("POST", "/resume", b"", 200),
            ("GET", "/vehicles/absent", b"", 404),
            ("GET", "/vehicles/..%2F", b"", 400),
            ("GET", "/decisions?nonsense=1", b"", 400),
            ("GET", "/functions/logs", b"", 200),
            ("GET", "/conditions", b"", 200),
            ("GET", "/fogs", b"", 200),
        ] {
            let (status, answer) = ask(http, method, path, true, body).await;
            assert_eq!(status, expected, "{method} {path}: {answer}");
            assert!(expected < 400 || answer["detail"].is_string(), "{answer}");
        }
        let (_, decision) = ask(http, "GET", &format!("/decisions/{number}"), false, b"").await;
        assert!(decision["text"].as_str().is_some_and(|text| text.contains(GUARD)), "{decision}");
        let (_, status) = ask(http, "GET", "/status", false, b"").await;
        assert_eq!((status["role"].as_str(), status["ready"].as_bool()), (Some("controller"), Some(true)));
        assert_eq!(status["counters"]["refused_malformed"], 1);
        let (_, metrics) = ask(http, "GET", "/metrics", false, b"").await;
        let metrics = metrics.as_str().unwrap_or_default().to_owned();
        assert!(metrics.contains("voltmesh_controller_functions_running 1"), "{metrics}");
        let (status, answer) = ask(http, "POST", "/functions/releases", true, &other).await;
        assert_eq!(status, 201, "{answer}");
        ask(http, "GET", "/functions/deployments", false, b"").await.1
    });
    // Dropped in the middle of its work: no orderly end.
    let after = place.run(token, |_, http| async move {
        let (_, status) = ask(http, "GET", "/status", false, b"").await;
        assert_eq!(status["counters"]["term"], 2);
        assert_eq!(status["counters"]["releases"], 2);
        ask(http, "GET", "/functions/deployments", false, b"").await.1
    });
    let places = |all: &serde_json::Value| {
        let one = &all["instances"][0];
        [one["fog"].clone(), one["function"].clone(), one["vehicle"].clone()]
    };
    assert_eq!(places(&after), places(&before));
}

/// Fog nodes know a release by its component: no other signed package changes what is kept of it, and what is refused leaves none.
#[test]
fn a_component_keeps_the_manifest_that_it_was_published_with() {
    let place = Place::new();
    let first = place.package(GUARD, 0);
    let (later, renamed) = (place.package_as(GUARD, 0, 9, 1), place.package_as("renamed", 0, 0, 1));
    let (limits, component) = (place.package_as(GUARD, 0, 0, 64), place.package_as(GUARD, 5, 0, 1));
    let folder = place.config("").data.join("releases");
    let kept = move || {
        let files = std::fs::read_dir(&folder).expect("a folder");
        files.map(|file| std::fs::read(file.expect("a file").path()).expect("read")).collect::<Vec<_>>()
    };
    place.run("token_file = 'token'", move |_, http| async move {
        for (package, expected) in
            [(&first, 201), (&later, 409), (&renamed, 409), (&limits, 409), (&component, 409), (&first, 201)]
        {
            let (status, answer) = ask(http, "POST", "/functions/releases", true, package).await;
            assert_eq!(status, expected, "{answer}");
            assert_eq!(kept(), std::slice::from_ref(&first), "{answer}");
        }
    });
}

type BTreeMapOf = std::collections::BTreeMap<u64, Reason>;

#[test]
fn without_token_and_tls_nothing_can_be_changed() {
    let place = Place::new();
    place.run("", |_, http| async move {
        let (status, answer) = ask(http, "POST", "/pause", true, b"").await;
        assert_eq!(status, 403, "{answer}");
        assert!(answer["detail"].as_str().is_some_and(|why| why.contains("token_file")), "{answer}");
        assert_eq!(ask(http, "GET", "/status", false, b"").await.0, 200);
    });
}

#[test]
fn who_is_no_fog_node_is_turned_away() {
    let place = Place::new();
    let (credentials, crl) = (place.credentials("edge:car-1"), place.pki.crl_path());
    place.run("", |mqtt, _| async move {
        let (_client, mut events) = Place::connect(credentials, crl, mqtt, &[]).await;
        loop {
            match timeout(PATIENCE, events.next()).await.expect("it is told") {
                Some(ClientEvent::Ended(end)) => {
                    assert!(end.to_string().contains("not authorized"), "{end}");
                    break;
                }
                Some(_) => {}
                None => panic!("it is told why"),
            }
        }
    });
}

#[test]
fn another_ones_certificate_is_refused_at_the_start() {
    let place = Place::new();
    let mut config = place.config("");
    config.id = "controller-2".to_owned();
    let storage = commonware_runtime::tokio::Config::default().with_storage_directory(&config.data);
    commonware_runtime::tokio::Runner::new(storage).start(|context| async move {
        let started =
            Running::start(context.child("controller"), config, Default::default(), Arc::new(String::new))
                .await;
        let error = started.err().expect("refused").to_string();
        assert!(error.contains("controller-2"), "{error}");
    });
}
