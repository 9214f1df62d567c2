//! The server against the normative statements of MQTT 5 and MQTT 3.1.1, over TLS: each statement (`[MQTT-x.y.z-n]`) has a
//! case, or a reason why it has none. `docs/mqtt.md` states the counts, which this test prints and compares.
//!
//! `cargo test -p voltmesh-mqtt --test conformance -- --nocapture`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod script;
mod statements;
mod v3_1_1;
mod v5;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::name;
use script::{Case, Line, render};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;
use voltmesh_identity::{Credentials, Expected, Pki, RevocationWatch, server_name};
use voltmesh_mqtt::*;

/// All topics but those with "forbidden" in them.
struct Rules;

impl Policy for Rules {
    fn may_publish(&self, _: &Identity, topic: &str) -> Result<(), Reason> {
        if topic.contains("forbidden") { Err(Reason::NOT_AUTHORIZED) } else { Ok(()) }
    }

    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason> {
        self.may_publish(peer, filter)
    }
}

/// A server with an application that does what payloads say: `hold` decides never, `no` rejects, `later` ends the session,
/// `down QOS TOPIC PAYLOAD` publishes to the same client; all else is accepted.
struct World {
    _folder: tempfile::TempDir,
    pki: Pki,
    server: Server,
    /// Payloads that the application was given, wills in brackets.
    heard: Arc<Mutex<Vec<String>>>,
}

/// More than a case waits on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let fog = Credentials::load(&pki.issue(&name("fog:fog-1"), &[], 30).unwrap().folder).unwrap();
    pki.issue(&name("client:meter-7"), &[], 30).unwrap();
    let revoked = RevocationWatch::open(&pki.crl_path(), &fog.ca).unwrap();
    let tls = fog.server_config(&revoked).unwrap();
    let limits = Limits { receive_maximum: 3, max_packet: 4096, max_will: 1000, ..Limits::default() };
    let bounds = Bounds { handshakes_per_source_s: 10_000, ..Bounds::default() };
    let settings = ServerSettings { limits, bounds, ..ServerSettings::default() };
    let listen = "127.0.0.1:0".parse().unwrap();
    let (server, mut events) = Server::bind(listen, tls, revoked, Arc::new(Rules), settings).await.unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = heard.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let ServerEvent::Publishes { session, items } = event {
                for item in items {
                    let payload = String::from_utf8_lossy(&item.payload).into_owned();
                    told.lock().unwrap().push(if item.will {
                        format!("[{payload}]")
                    } else {
                        payload.clone()
                    });
                    apply(&session, &item, &payload);
                }
            }
        }
    });
    World { _folder: folder, pki, server, heard }
}

fn apply(session: &Session, item: &Incoming, payload: &str) {
    let mut words = payload.splitn(4, ' ');
    match words.next() {
        Some("hold") => {}
        Some("no") => {
            let refusal =
                Refusal::new(Reason::PAYLOAD_FORMAT_INVALID, "the sample has no time: add \"timestamp\"");
            session.reject(item.token, refusal);
        }
        Some("later") => {
            session
                .disconnect(Refusal::new(Reason::QUOTA_EXCEEDED, "the disk is full: try another fog node"));
        }
        Some("down") => {
            let mut next = || words.next().unwrap_or_default().to_owned();
            let (qos, topic, payload) = (next(), next(), next());
            let qos = if qos == "0" { Qos::AtMostOnce } else { Qos::AtLeastOnce };
            let item_down = Outgoing { qos, ..Outgoing::new(topic, payload.into(), 1) };
            session.publish(item_down).unwrap();
            session.accept(item.token);
        }
        _ => session.accept(item.token),
    }
}

impl World {
    async fn line(&self) -> Line {
        let folder = self.pki.folder_of(&name("client:meter-7"));
        let tls = Credentials::load(&folder).unwrap().client_config(Expected::role(Role::Fog), None).unwrap();
        let stream = tokio::net::TcpStream::connect(self.server.address()).await.unwrap();
        Line::new(TlsConnector::from(tls).connect(server_name(), stream).await.unwrap())
    }

    /// Waits until the application was given this payload.
    async fn hears(&self, payload: &str) {
        let look = async {
            while !self.heard.lock().unwrap().iter().any(|heard| heard == payload) {
                tokio::task::yield_now().await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, look).await;
        assert!(done.is_ok(), "{payload} was not heard: {:?}", self.heard.lock().unwrap());
    }

    /// Runs a case; what was wrong with it.
    async fn run(&self, version: Version, case: &Case) -> Result<(), String> {
        let mut line = self.line().await;
        for (bytes, expected) in &case.steps {
            let expected: Vec<_> = expected.split("; ").filter(|part| !part.is_empty()).collect();
            // The server may have closed it already, which the answers show.
            let _ = line.stream.write_all(bytes).await;
            let mut answers = Vec::new();
            while answers.len() < expected.len() {
                match line.packet().await {
                    Some(packet) => answers.push(render(version, &packet)),
                    None => break,
                }
            }
            if answers != expected {
                return Err(format!("sent {bytes:02x?}: found {answers:?}, want {expected:?}"));
            }
        }
        if case.open {
            let _ = line.stream.write_all(&[0xc0, 0]).await;
        }
        let last = line.packet().await.map(|packet| render(version, &packet));
        let expected = case.open.then(|| "PINGRESP".to_owned());
        if last == expected { Ok(()) } else { Err(format!("in the end: found {last:?}, want {expected:?}")) }
    }

    async fn all(&self, version: Version, cases: Vec<Case>) -> BTreeSet<String> {
        let mut shown = BTreeSet::new();
        let mut wrong = Vec::new();
        for case in &cases {
            if let Err(problem) = self.run(version, case).await {
                wrong.push(format!("[{}] {}: {problem}", case.ids, case.what));
            }
            shown.extend(case.ids.split(' ').map(str::to_owned));
        }
        println!("{version}: {} cases, {} failed", cases.len(), wrong.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        shown
    }
}

#[tokio::test]
async fn mqtt_5() {
    let world = world().await;
    let cases = v5::cases();
    let count = cases.len();
    let shown = world.all(Version::V5, cases).await;
    statements::account("MQTT 5", statements::V5, statements::EXCLUDED_V5, &shown, count + v5::CONVERSATIONS);
}

#[tokio::test]
async fn mqtt_3_1_1() {
    let world = world().await;
    let cases = v3_1_1::cases();
    let count = cases.len();
    let shown = world.all(Version::V3_1_1, cases).await;
    let (all, excluded) = (statements::V3_1_1, statements::EXCLUDED_V3_1_1);
    statements::account("MQTT 3.1.1", all, excluded, &shown, count + v3_1_1::CONVERSATIONS);
}
