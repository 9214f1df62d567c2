//! A place with some fog nodes, a CA, operators, and a cloud that archives in memory.
#![allow(dead_code, reason = "each test uses its part of it")]

pub mod controller;
pub mod peer;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use commonware_codec::Encode as _;
use commonware_cryptography::Signer as _;
use commonware_runtime::{Runner as _, Supervisor as _, tokio::Config as Runtime, tokio::Runner};
use ed25519_dalek::{SigningKey, VerifyingKey};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{oneshot, watch},
};
use voltmesh_audit::Recorder;
use voltmesh_control::{ArchiveNotice, ArchiveStatement, ArchivedBatch, Envelope, Opening, Status, Tree};
use voltmesh_fog::{Answered, Config, Fog, Relay, own_opening};
use voltmesh_identity::{Credentials, Expected, Identity, Pki, RevocationWatch, Role};
use voltmesh_ledger::{Action, Commitment, Genesis, RegistryTx, Transaction, private_key, testing::key};
use voltmesh_mqtt::{
    Client, ClientEvents, ClientOptions, ClientSettings, Outgoing, Policy, Reason, Server, ServerEvent,
    ServerSettings,
};
use voltmesh_telemetry::{Digest, SealedBatch, Timestamp, VehicleId};

/// Number of the first operator's key.
const OPERATORS: u64 = 1 << 32;

/// A running node.
struct Running {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
    mqtt: SocketAddr,
    http: SocketAddr,
    relay: Relay,
    answers: Option<tokio::sync::mpsc::Receiver<Answered>>,
    /// Changes each time that its loop has written it.
    status: watch::Receiver<Status>,
    audit: Recorder,
}

/// Fog nodes, CA, operators and cloud of one test.
pub struct Place {
    folder: tempfile::TempDir,
    pub pki: Pki,
    genesis: Genesis,
    p2p: Vec<SocketAddr>,
    fogs: Vec<SigningKey>,
    nodes: Vec<Option<Running>>,
    cloud: SocketAddr,
    cloud_key: SigningKey,
    archive: watch::Receiver<Vec<SealedBatch>>,
    /// What else stands in each node's configuration.
    pub more: String,
}

/// Servers of a test let fog nodes do anything.
pub struct Anything;

impl Policy for Anything {
    fn may_publish(&self, _: &Identity, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn may_subscribe(&self, _: &Identity, _: &str) -> Result<(), Reason> {
        Ok(())
    }
}

impl Place {
    /// A place with so many fog nodes.
    pub async fn of(nodes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::init(&folder.path().join("pki")).unwrap();
        let issue = |role, id: &str| {
            let issued = pki.issue(&Identity::new(role, id).unwrap(), &[], 30).unwrap();
            Credentials::load(&issued.folder).unwrap()
        };
        let fogs: Vec<_> = (0..nodes).map(|n| issue(Role::Fog, &format!("fog-{n}")).signing).collect();
        let cloud = issue(Role::Cloud, "cloud");
        issue(Role::Edge, "car");
        issue(Role::Client, "paho");
        let genesis = Genesis::new(
            "test",
            Timestamp::from_millis(1_000),
            fogs.iter().map(|key| private_key(&key.to_bytes()).public_key()),
            (0..3).map(|n| key(OPERATORS + n).public_key()),
            2,
            1_000,
        )
        .unwrap();
        std::fs::write(folder.path().join("genesis.toml"), genesis.to_toml()).unwrap();
        // Free now, and hardly anyone else's in a moment.
        let free: Vec<_> = (0..nodes).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let p2p = free.iter().map(|listener| listener.local_addr().unwrap()).collect();
        drop(free);

        let (archiving, archive) = watch::channel(Vec::new());
        let revoked = RevocationWatch::open(&pki.crl_path(), &cloud.ca).unwrap();
        let mut settings = ServerSettings::default();
        settings.limits.max_packet = 3 << 20;
        let tls = cloud.server_config(&revoked).unwrap();
        let (server, events) =
            Server::bind(([127, 0, 0, 1], 0).into(), tls, revoked, Arc::new(Anything), settings)
                .await
                .unwrap();
        let (address, cloud_key) = (server.address(), cloud.signing.clone());
        tokio::spawn(run_cloud(server, events, cloud_key.clone(), archiving));
        let running = (0..nodes).map(|_| None).collect();
        Self {
            folder,
            pki,
            genesis,
            p2p,
            fogs,
            nodes: running,
            cloud: address,
            cloud_key,
            archive,
            more: String::new(),
        }
    }

    fn config(&self, fog: usize) -> Config {
        let (hex, mut text) =
            (|key: &[u8]| key.iter().map(|b| format!("{b:02x}")).collect::<String>(), String::new());
        text.push_str(&format!(
            "data = 'fog-{fog}'\ncredentials = 'pki/fog-fog-{fog}'\ncrl = 'pki/crl.pem'\n[listen]\n\
             mqtt = '127.0.0.1:0'\np2p = '{}'\nhttp = '127.0.0.1:0'\n[cloud]\naddress = '{}'\nnotice_key = '{}'\n\
             [spool]\nreserve_bytes = 0\n[foreign]\ncopy_ms = 30000\n[ledger]\ngenesis = 'genesis.toml'\n",
            self.p2p[fog],
            self.cloud,
            hex(self.cloud_key.verifying_key().as_bytes()),
        ));
        for peer in (0..self.fogs.len()).filter(|peer| *peer != fog) {
            let key = hex(self.fogs[peer].verifying_key().as_bytes());
            text.push_str(&format!("[[ledger.peers]]\nkey = '{key}'\naddress = '{}'\n", self.p2p[peer]));
        }
        text.push_str(&self.more);
        Config::parse(&text, self.folder.path()).unwrap()
    }

    /// Starts a node in its own thread, with its own runtime and folder.
    pub fn start(&mut self, fog: usize) {
        let config = self.config(fog);
        let audit = Recorder::open(&self.audit(fog)).unwrap();
        audit.started("test", "the test's configuration");
        let process = voltmesh_http::Process { audit: audit.clone(), ..Default::default() };
        let data: PathBuf = config.data.clone();
        let (stop, stopped) = oneshot::channel();
        let (started, addresses) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = Runtime::default().with_storage_directory(data).with_worker_threads(1);
            Runner::new(runtime).start(|context| async move {
                let mut fog =
                    Fog::start(context.child("fog"), config, process).await.expect("the node starts");
                started.send((fog.addresses(), fog.relay(), fog.take_answers(), fog.status())).unwrap();
                let _ = stopped.await;
                fog.stop().await.expect("the node stops");
            });
        });
        let (addresses, relay, answers, status) = addresses.recv().expect("the node starts");
        let (mqtt, http) = (addresses.mqtt, addresses.http);
        self.nodes[fog] = Some(Running { stop, thread, mqtt, http, relay, answers, status, audit });
    }

    /// Folder of a node's audit log.
    pub fn audit(&self, fog: usize) -> PathBuf {
        self.folder.path().join(format!("audit-{fog}"))
    }

    pub async fn stop(&mut self, fog: usize) {
        let Some(node) = self.nodes[fog].take() else { return };
        let _ = node.stop.send(());
        tokio::task::spawn_blocking(move || node.thread.join().unwrap()).await.unwrap();
        node.audit.close();
    }

    /// The way of commands to the node's vehicles, and their answers.
    pub fn relay(&mut self, fog: usize) -> (Relay, tokio::sync::mpsc::Receiver<Answered>) {
        let node = self.nodes[fog].as_mut().expect("it runs");
        (node.relay.clone(), node.answers.take().expect("taken once"))
    }

    pub fn http(&self, fog: usize) -> SocketAddr {
        self.nodes[fog].as_ref().expect("it runs").http
    }

    /// Public key by which a node signs.
    pub fn fog_key(&self, fog: usize) -> VerifyingKey {
        self.fogs[fog].verifying_key()
    }

    /// Credentials of another role, made now.
    pub fn issue(&self, role: Role, id: &str) -> Credentials {
        let issued = self.pki.issue(&Identity::new(role, id).unwrap(), &[], 30).unwrap();
        Credentials::load(&issued.folder).unwrap()
    }

    pub fn cloud_key(&self) -> VerifyingKey {
        self.cloud_key.verifying_key()
    }

    /// What is to be enrolled for the nodes themselves.
    pub fn openings(&self) -> Vec<(VehicleId, Opening)> {
        let named = self.fogs.iter().enumerate();
        named.map(|(n, key)| (format!("fog-{n}").parse().unwrap(), own_opening(key))).collect()
    }

    pub async fn until_status(&self, fog: usize, patience: Duration, enough: impl Fn(&Status) -> bool) {
        self.until_answer(fog, "/status", patience, |body| {
            let status = Status::from_json(body.as_bytes()).unwrap();
            enough(&status).then_some(())
        })
        .await;
    }

    /// Asks a node until the answer is enough; takes what `found` makes of it.
    async fn until_answer<T>(
        &self,
        fog: usize,
        path: &'static str,
        patience: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> T {
        let look = async || {
            let (code, body) = ask(self.http(fog), Ask::Get(path)).await;
            assert_eq!(code, 200, "{body}");
            found(&body)
        };
        self.until_some(fog, path, patience, look).await
    }

    /// Looks each time that a node's loop has written its status, until there is something to take.
    pub async fn until_some<T>(
        &self,
        fog: usize,
        what: &str,
        patience: Duration,
        look: impl AsyncFn() -> Option<T>,
    ) -> T {
        let mut written = self.nodes[fog].as_ref().expect("it runs").status.clone();
        let waited = tokio::time::timeout(patience, async {
            loop {
                written.borrow_and_update();
                if let Some(found) = look().await {
                    return found;
                }
                written.changed().await.expect("the node runs");
            }
        });
        let Ok(found) = waited.await else {
            let status = self.nodes[fog].as_ref().expect("it runs").status.borrow().clone();
            panic!("fog-{fog}: no {what} in {patience:?}: {status:?}");
        };
        found
    }

    pub async fn until_ready(&self, patience: Duration) {
        for fog in 0..self.fogs.len() {
            self.until_status(fog, patience, |status| status.ready).await;
        }
    }

    pub async fn until_archived(&self, is_it: impl Fn(&SealedBatch) -> bool, patience: Duration) {
        let mut archive = self.archive.clone();
        let archived = tokio::time::timeout(patience, archive.wait_for(|batches| batches.iter().any(&is_it)));
        let archived = archived.await.is_ok_and(|held| held.is_ok());
        assert!(archived, "{:?}", ask(self.http(0), Ask::Get("/status")).await);
    }

    /// Two of three operators enrol these; waits until all nodes know.
    pub async fn enrol(&self, commitments: &[Commitment], patience: Duration) {
        let actions = commitments.iter().map(|c| Action::EnrolVehicle { commitment: *c }).collect();
        self.decide(actions, patience).await;
    }

    /// Where the ledger began.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Two of three operators decide for the first time; waits until all nodes know.
    pub async fn decide(&self, actions: Vec<Action>, patience: Duration) {
        let decision = RegistryTx::new(self.genesis.digest(), 0, actions);
        let decision = Transaction::Registry(decision.sign(&key(OPERATORS)).sign(&key(OPERATORS + 1)));
        let (code, body) = ask(self.http(0), Ask::Post("/tx", decision.encode().to_vec())).await;
        assert_eq!(code, 202, "{body}");
        for fog in 0..self.fogs.len() {
            let decided = self.until_answer(fog, "/chain/status", patience, |body| {
                let status: serde_json::Value = serde_json::from_str(body).unwrap();
                (status["nonce"] == 1).then(|| status["height"].as_u64().unwrap())
            });
            let height = decided.await;
            // The node's loop looks at its ledger now and then.
            self.until_status(fog, patience, |status| status.counter("ledger_height") >= height).await;
        }
    }

    pub async fn connect(&self, role: Role, id: &str, fog: usize, topics: &[&str]) -> (Client, ClientEvents) {
        let folder = self.pki.folder_of(&Identity::new(role, id).unwrap());
        let tls = Credentials::load(&folder).unwrap().client_config(Expected::role(Role::Fog), None).unwrap();
        let subscriptions = topics.iter().map(|topic| format!("v1/{id}/{topic}")).collect();
        let options = ClientOptions { subscriptions, ..ClientOptions::default() };
        let settings = ClientSettings { options, ..ClientSettings::default() };
        let address = self.nodes[fog].as_ref().expect("it runs").mqtt.to_string();
        Client::connect(&address, tls, settings).await.expect("the node lets its peers in")
    }
}

/// Archives what comes and says so.
async fn run_cloud(
    _server: Server,
    mut events: voltmesh_mqtt::ServerEvents,
    key: SigningKey,
    archive: watch::Sender<Vec<SealedBatch>>,
) {
    while let Some(event) = events.next().await {
        let ServerEvent::Publishes { session, items } = event else { continue };
        for item in items {
            session.accept(item.token);
            if !item.topic.ends_with("/envelope") {
                continue;
            }
            let envelope = Envelope::decode(&item.payload).expect("an envelope");
            let batch = SealedBatch::parse(envelope.batch).expect("a batch");
            batch.verify(&VerifyingKey::from_bytes(&envelope.opening.key).unwrap()).expect("a signed batch");
            let notice = ArchiveNotice {
                vehicle: batch.header().vehicle.clone(),
                batches: vec![ArchivedBatch::of(batch.header(), batch.id())],
                archived: Timestamp::from_millis(1),
            };
            archive.send_modify(|archive| archive.push(batch));
            let held = archive.borrow().len() as u64;
            let topic = format!("v1/fog/{}/notice", envelope.fog);
            session.publish(Outgoing::new(topic, notice.sign(&key).into(), 1)).expect("room for a notice");
            let topic = format!("v1/fog/{}/statement", envelope.fog);
            let statement = statement(held).sign(&key).into();
            session.publish(Outgoing::new(topic, statement, 2)).expect("room for a statement");
        }
    }
}

/// The archive's statement when it holds so many batches.
fn statement(held: u64) -> ArchiveStatement {
    let tree = |size| Tree { size, root: Digest::new([size as u8; 32]) };
    ArchiveStatement {
        cloud: "cloud".into(),
        sequence: held,
        time: Timestamp::from_millis(held),
        versions: [held; 3],
        records: held,
        batches: tree(held),
        quarantine: tree(0),
        audit: None,
    }
}

/// A request.
pub enum Ask {
    Get(&'static str),
    Post(&'static str, Vec<u8>),
}

/// One HTTP request; status and body.
pub async fn ask(address: SocketAddr, ask: Ask) -> (u16, String) {
    let (status, body) = ask_bytes(address, ask).await;
    (status, String::from_utf8(body).unwrap())
}

/// [`ask`] for an answer that is no text.
pub async fn ask_bytes(address: SocketAddr, ask: Ask) -> (u16, Vec<u8>) {
    let (method, path, body) = match ask {
        Ask::Get(path) => ("GET", path, Vec::new()),
        Ask::Post(path, body) => ("POST", path, body),
    };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), answer[end + 4..].to_vec())
}
