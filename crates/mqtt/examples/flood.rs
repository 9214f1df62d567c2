//! Measures the small QoS 1 publishes per second that one server takes over mutual TLS, with the generator in a process of
//! its own on the same machine. Every publish is acknowledged at once, so this is the transport alone.
//!
//! `cargo run --release -p voltmesh-mqtt --example flood -- [connections=4] [seconds=5] [bytes=1000] [window=1000]`
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use voltmesh_identity::{Credentials, Expected, Pki, RevocationWatch};
use voltmesh_mqtt::*;

struct Own;

impl Policy for Own {
    fn may_publish(&self, peer: &Identity, topic: &str) -> Result<(), Reason> {
        if topic.split('/').nth(1) == Some(peer.id()) { Ok(()) } else { Err(Reason::NOT_AUTHORIZED) }
    }

    fn may_subscribe(&self, _: &Identity, _: &str) -> Result<(), Reason> {
        Err(Reason::NOT_AUTHORIZED)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number =
        |place: usize, default: usize| arguments.get(place).map_or(default, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if arguments.get(1).is_some_and(|first| first == "generate") {
        let folder = Path::new(&arguments[2]);
        runtime.block_on(generate(
            folder,
            &arguments[3],
            number(4, 4),
            number(5, 5),
            number(6, 1000),
            number(7, 1000),
        ));
    } else {
        runtime.block_on(serve(number(1, 4), number(2, 5), number(3, 1000), number(4, 1000)));
    }
}

async fn serve(connections: usize, seconds: usize, bytes: usize, window: usize) {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let fog = pki.issue(&"urn:voltmesh:fog:fog-1".parse().unwrap(), &[], 1).unwrap();
    let car = pki.issue(&"urn:voltmesh:edge:car-1".parse().unwrap(), &[], 1).unwrap();
    let credentials = Credentials::load(&fog.folder).unwrap();
    let revoked = RevocationWatch::open(&pki.crl_path(), &credentials.ca).unwrap();
    let tls = credentials.server_config(&revoked).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    // One vehicle floods: what is measured is the transport, not the bounds of an identity.
    let mut settings = ServerSettings::default();
    settings.bounds.publishes_per_identity_s = u32::MAX;
    settings.bounds.undecided_per_identity = usize::MAX;
    settings.bounds.sessions_per_identity = connections;
    let (server, mut events) = Server::bind(listen, tls, revoked, Arc::new(Own), settings).await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["generate", car.folder.to_str().unwrap(), &server.address().to_string()])
        .args([connections, seconds, bytes, window].map(|number| number.to_string()))
        .stdout(Stdio::inherit())
        .spawn()
        .unwrap();
    let (mut open, mut count, mut reads) = (0, 0u64, 0u64);
    let cpu = cpu_seconds();
    while let Some(event) = events.next().await {
        match event {
            ServerEvent::Connected { .. } => open += 1,
            ServerEvent::Publishes { session, items } => {
                count += items.len() as u64;
                reads += 1;
                session.accept_all(items.iter().map(|item| item.token));
            }
            ServerEvent::Ended { .. } => {
                open -= 1;
                if open == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    child.wait().unwrap();
    println!(
        "server: {count} publishes in {reads} events, {:.1} us of CPU each",
        (cpu_seconds() - cpu) * 1e6 / count as f64
    );
}

async fn generate(
    folder: &Path,
    address: &str,
    connections: usize,
    seconds: usize,
    bytes: usize,
    window: usize,
) {
    let credentials = Credentials::load(folder).unwrap();
    let tls = credentials.client_config(Expected::role(Role::Fog), None).unwrap();
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds as u64);
    let tasks: Vec<_> = (0..connections)
        .map(|n| {
            let mut settings = ClientSettings { max_queue: 100_000, ..ClientSettings::default() };
            settings.options.client_id = format!("flood-{n}");
            tokio::spawn(connection(address.to_owned(), tls.clone(), settings, start, until, bytes, window))
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    latencies.sort_unstable();
    let seconds = start.elapsed().as_secs_f64();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    println!(
        "{} publishes of {bytes} bytes in {seconds:.1} s over {connections} connections: {:.0}/s, \
         PUBACK p50 {:.2} ms, p99 {:.2} ms; generator {:.1} us of CPU each",
        latencies.len(),
        latencies.len() as f64 / seconds,
        at(0.5),
        at(0.99),
        cpu_seconds() * 1e6 / latencies.len() as f64
    );
}

async fn connection(
    address: String,
    tls: Arc<rustls::ClientConfig>,
    settings: ClientSettings,
    start: Instant,
    until: Instant,
    bytes: usize,
    window: usize,
) -> Vec<u32> {
    let (client, mut events) = Client::connect(&address, tls, settings).await.unwrap();
    let topic: Arc<str> = "v1/car-1/sample".into();
    let payload = bytes::Bytes::from(vec![b'x'; bytes]);
    let item = || Outgoing::new(topic.clone(), payload.clone(), start.elapsed().as_micros() as u64);
    client.publish_all((0..window).map(|_| item())).unwrap();
    let mut latencies = Vec::new();
    let mut on_their_way = window;
    while on_their_way > 0 {
        let Some(ClientEvent::Completed(done)) = events.next().await else { panic!("the connection broke") };
        let now = start.elapsed().as_micros() as u64;
        latencies.extend(done.iter().map(|(sent, _)| (now - sent) as u32));
        on_their_way -= done.len();
        if Instant::now() < until {
            on_their_way += done.len();
            client.publish_all(done.iter().map(|_| item())).unwrap();
        }
    }
    client.disconnect(Reason::SUCCESS);
    while events.next().await.is_some() {}
    latencies
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // Fields 14 and 15 of proc(5), in ticks of 10 ms; the state letter before them did not parse.
    if fields.len() > 11 { (fields[10] + fields[11]) / 100.0 } else { 0.0 }
}
