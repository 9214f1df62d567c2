//! From a new revocation list to the end of what a certificate has opened: at each door, in each protocol.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use voltmesh_control::Status;
use voltmesh_identity::{Credentials, Expected, Identity, Reason as Why, Role, Target, server_name};
use voltmesh_mqtt::ClientEvent;

use super::report::Revocation;
use super::{Bench, FOGS, LOOK, PATIENCE, RATE};
use crate::deploy::process::Process;
use crate::deploy::{CONTROLLER, EdgePlan, Pace, Recording, ReservedPort, Tuning, edge_name, fog_name};

/// Certificates that are revoked at each door, one after the other: the looks at the list come at any time between.
const EACH: usize = 7;

/// Samples of the vehicle whose fog node is revoked: more than it sends until then.
const SAMPLES: u64 = 1_000_000;

/// Between two requests on a connection that is kept alive.
const ASK: Duration = Duration::from_millis(10);

/// Longest answer to such a request.
const MAX_ANSWER: usize = 1 << 20;

impl Bench {
    /// Revokes certificates in mid-session, and servers under their clients; nothing that is revoked may come back.
    pub(super) async fn revocations(&self) -> Result<Revocation> {
        let mut doors = BTreeMap::new();
        let fog = self.address();
        doors.insert("client_at_fog", self.sessions_end(&fog, Role::Fog, Role::Client).await?);
        let cloud = listener(&self.site.deployment.node_dir("cloud")?.join("cloud.toml"), "mqtt")?;
        doors.insert("fog_at_cloud", self.sessions_end(&cloud.to_string(), Role::Cloud, Role::Fog).await?);
        let ports = (ReservedPort::reserve()?, ReservedPort::reserve()?);
        let (mqtt, http) = (ports.0.address(), ports.1.address());
        let config = self.site.deployment.write_controller(CONTROLLER, mqtt, http)?;
        let text = std::fs::read_to_string(&config)?.replace("token_file = \"token\"", "tls = true");
        std::fs::write(&config, text)?;
        let mut controller = self.site.process(CONTROLLER, "controller", &config, http);
        controller.start()?;
        doors.insert("operator_at_https", self.https_ends(&controller).await?);
        let at = mqtt.to_string();
        doors.insert("fog_at_controller", self.sessions_end(&at, Role::Controller, Role::Fog).await?);
        controller.kill().await?;
        doors.insert("vehicle_leaves_fog", vec![self.vehicle_leaves_fog().await?]);
        doors.insert("fogs_leave_cloud", vec![self.fogs_leave_cloud().await?]);
        Ok(Revocation::of(doors))
    }

    fn revoke(&self, identity: &Identity) -> Result<Instant> {
        self.site.deployment.pki.revoke(&Target::Identity(identity.clone()), Why::KeyCompromise)?;
        Ok(Instant::now())
    }

    /// Of MQTT sessions, as their clients see it.
    async fn sessions_end(&self, address: &str, server: Role, role: Role) -> Result<Vec<f64>> {
        let mut waits = Vec::new();
        for n in 0..EACH {
            let identity = Identity::new(role, &format!("revoked-at-{server}-{n}"))?;
            self.site.deployment.pki.issue(&identity, &[], 30)?;
            let (client, mut events) = self.connect_to(address, server, &identity).await?;
            let begun = self.revoke(&identity)?;
            let ended = async { while !matches!(events.next().await, Some(ClientEvent::Ended(_)) | None) {} };
            let ended = tokio::time::timeout(PATIENCE, ended).await;
            ensure!(ended.is_ok(), "{identity} is revoked, and its session goes on after {PATIENCE:?}");
            waits.push(begun.elapsed().as_secs_f64() * 1000.0);
            drop(client);
            let again = self.connect_to(address, server, &identity).await;
            ensure!(again.is_err(), "{identity} is revoked, and came back");
        }
        Ok(waits)
    }

    /// Of HTTPS connections that are kept alive and in use.
    async fn https_ends(&self, controller: &Process) -> Result<Vec<f64>> {
        let mut waits = Vec::new();
        for n in 0..EACH {
            let identity = Identity::new(Role::Operator, &format!("revoked-{n}"))?;
            self.site.deployment.pki.issue(&identity, &[], 30)?;
            let begun = Instant::now();
            let mut stream = loop {
                match self.https(controller.http, &identity).await {
                    Ok(stream) => break stream,
                    Err(error) => {
                        ensure!(begun.elapsed() < PATIENCE, "{error:#}; {}", controller.last_words())
                    }
                }
                tokio::time::sleep(LOOK).await;
            };
            let begun = self.revoke(&identity)?;
            while ask(&mut stream).await.is_ok() {
                ensure!(
                    begun.elapsed() < PATIENCE,
                    "{identity} is revoked, and is answered after {PATIENCE:?}"
                );
                tokio::time::sleep(ASK).await;
            }
            waits.push(begun.elapsed().as_secs_f64() * 1000.0);
            ensure!(
                self.https(controller.http, &identity).await.is_err(),
                "{identity} is revoked, and came back"
            );
        }
        Ok(waits)
    }

    /// A connection that has had an answer.
    async fn https(&self, address: SocketAddr, identity: &Identity) -> Result<TlsStream<TcpStream>> {
        let own = Credentials::load(&self.site.deployment.pki.folder_of(identity))?;
        let mut tls = (*own.client_config(Expected::role(Role::Controller), None)?).clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let socket = TcpStream::connect(address).await?;
        let mut stream = TlsConnector::from(Arc::new(tls)).connect(server_name(), socket).await?;
        ask(&mut stream).await?;
        Ok(stream)
    }

    /// Revokes the last fog node in the middle of a vehicle's session. The node itself goes on; its vehicle must not.
    async fn vehicle_leaves_fog(&self) -> Result<f64> {
        let fog = self.site.fogs.last().context("there are fog nodes")?;
        let port = ReservedPort::reserve()?;
        let http = port.address();
        let recording = Recording {
            file: None,
            seed: 1,
            series: None,
            pace: Pace::Rate { hz: RATE },
            samples: Some(SAMPLES),
        };
        let fogs = self.site.fog_mqtt.last().copied().into_iter().collect();
        let config = self.site.deployment.write_edge(&EdgePlan {
            n: 1,
            http,
            fogs,
            recording,
            tuning: Tuning::DEMO,
        })?;
        let mut vehicle = self.site.process(&edge_name(1), "edge", &config, http);
        vehicle.start()?;
        self.until(fog, "its vehicle is connected", |status| status.counter("mqtt_open_sessions") > 0)
            .await?;
        self.revoke(&Identity::new(Role::Fog, &fog_name(FOGS))?)?;
        let wait = self
            .until(fog, "the vehicle has left the revoked fog node", |status| {
                status.counter("mqtt_open_sessions") == 0
            })
            .await;
        vehicle.kill().await?;
        wait
    }

    /// Revokes the cloud while fog nodes are connected to it.
    async fn fogs_leave_cloud(&self) -> Result<f64> {
        let cloud = self.site.cloud.as_ref().context("there is a cloud")?;
        self.until(cloud, "fog nodes are connected", |status| status.counter("mqtt_open_sessions") > 0)
            .await?;
        self.revoke(&Identity::new(Role::Cloud, "cloud")?)?;
        self.until(cloud, "fog nodes have left the revoked cloud", |status| {
            status.counter("mqtt_open_sessions") == 0
        })
        .await
    }

    /// Asks a process until its status says so; returns the milliseconds that it took.
    async fn until(&self, process: &Process, what: &str, holds: impl Fn(&Status) -> bool) -> Result<f64> {
        let begun = Instant::now();
        while !process.status(&self.site.http).await.is_some_and(|status| holds(&status)) {
            ensure!(begun.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}; {}", process.last_words());
            tokio::time::sleep(LOOK).await;
        }
        Ok(begun.elapsed().as_secs_f64() * 1000.0)
    }
}

/// One request and its whole answer.
async fn ask(stream: &mut TlsStream<TcpStream>) -> Result<()> {
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    loop {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the connection has ended");
        ensure!(answer.len() <= MAX_ANSWER, "an answer of more than {MAX_ANSWER} bytes");
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("an answer without a length")?.parse()?;
        if body.len() >= length {
            return Ok(());
        }
    }
}

/// Where a role listens, by its configuration.
fn listener(config: &std::path::Path, table: &str) -> Result<SocketAddr> {
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(config)?)?;
    let listen = config.get(table).and_then(|table| table.get("listen")).and_then(toml::Value::as_str);
    Ok(listen.context("the configuration says where it listens")?.parse()?)
}
