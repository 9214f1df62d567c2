//! Measures the time that an honest client waits for its session while others attack, all on this machine and from one
//! address: nobody, silent connections that come again when they are ended, handshakes that are begun and left, and one
//! certificate that opens ever more sessions. The attackers run in a process of their own.
//!
//! `cargo run --release -p voltmesh-mqtt --example hostile -- [seconds=5] [silent=10000] [handshakes_per_second=2000]`
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use voltmesh_identity::{Credentials, Expected, Pki, RevocationWatch, server_name};
use voltmesh_mqtt::*;

struct Nothing;

impl Policy for Nothing {
    fn may_publish(&self, _: &Identity, _: &str) -> Result<(), Reason> {
        Err(Reason::NOT_AUTHORIZED)
    }

    fn may_subscribe(&self, _: &Identity, _: &str) -> Result<(), Reason> {
        Err(Reason::NOT_AUTHORIZED)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number =
        |place: usize, default: u64| arguments.get(place).map_or(default, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    Descriptors::raise();
    if arguments.get(1).is_some_and(|first| first == "attack") {
        let address = arguments[3].parse().unwrap();
        runtime.block_on(attack(&arguments[2], address, Path::new(&arguments[4]), number(5, 0)));
    } else {
        runtime.block_on(measure(number(1, 5), number(2, 10_000), number(3, 2_000)));
    }
}

async fn measure(seconds: u64, silent: u64, handshakes: u64) {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let issue =
        |name: &str| pki.issue(&format!("urn:voltmesh:{name}").parse().unwrap(), &[], 1).unwrap().folder;
    let (fog, car, mallory) = (issue("fog:fog-1"), issue("edge:car-1"), issue("client:mallory"));
    let credentials = Credentials::load(&fog).unwrap();
    let revoked = RevocationWatch::open(&pki.crl_path(), &credentials.ca).unwrap();
    let tls = credentials.server_config(&revoked).unwrap();
    let bounds = Descriptors::raise().share(Bounds::default(), 2_048).unwrap();
    let settings = ServerSettings { bounds, ..ServerSettings::default() };
    let (server, mut events) =
        Server::bind(([127, 0, 0, 1], 0).into(), tls, revoked, Arc::new(Nothing), settings).await.unwrap();
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let address = server.address();
    for (kind, amount) in [("idle", 0), ("silent", silent), ("tls_flood", handshakes), ("hoarder", 10_000)] {
        let before = server.counters().snapshot();
        let attacker = (kind != "idle").then(|| start(kind, address, &mallory, amount));
        // The attack is under way when something of it has been counted.
        while attacker.is_some() && server.counters().snapshot()["connections"] < before["connections"] + 300
        {
            tokio::task::yield_now().await;
        }
        let (mut waited, mut failed) = (Vec::new(), 0);
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            let tls =
                Credentials::load(&car).unwrap().client_config(Expected::role(Role::Fog), None).unwrap();
            let begin = Instant::now();
            // As vehicles do: at once again if it was turned away.
            loop {
                match Client::connect(&address.to_string(), tls.clone(), ClientSettings::default()).await {
                    Ok((client, _)) => {
                        client.disconnect(Reason::SUCCESS);
                        break;
                    }
                    Err(_) => failed += 1,
                }
            }
            waited.push(begin.elapsed());
        }
        let after = server.counters().snapshot();
        if let Some(mut attacker) = attacker {
            attacker.kill().unwrap();
            attacker.wait().unwrap();
        }
        waited.sort();
        let at = |share: f64| waited[((waited.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        println!(
            "{kind}: {} sessions, p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; turned away {failed} times",
            waited.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
        for (name, value) in after {
            let more = value.saturating_sub(before.get(&name).copied().unwrap_or(0));
            if more > 0 && !Counters::is_gauge(&name) {
                println!("  {name} {more}");
            }
        }
    }
}

fn start(kind: &str, address: SocketAddr, folder: &Path, amount: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["attack", kind, &address.to_string(), folder.to_str().unwrap(), &amount.to_string()])
        .spawn()
        .unwrap()
}

async fn attack(kind: &str, address: SocketAddr, folder: &Path, amount: u64) {
    let credentials = Credentials::load(folder).unwrap();
    let tls = credentials.client_config(Expected::role(Role::Fog), None).unwrap();
    match kind {
        "silent" => {
            for _ in 0..amount {
                tokio::spawn(async move {
                    loop {
                        if let Ok(mut stream) = TcpStream::connect(address).await {
                            let _ = stream.read(&mut [0; 8]).await;
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                });
            }
        }
        "tls_flood" => {
            // One ClientHello, sent over and over: it costs the attacker nothing.
            let mut client = rustls::ClientConnection::new(tls, server_name()).unwrap();
            let mut hello = Vec::new();
            client.write_tls(&mut hello).unwrap();
            let hello: Arc<[u8]> = hello.into();
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            loop {
                ticks.tick().await;
                for _ in 0..amount / 200 {
                    let hello = hello.clone();
                    tokio::spawn(async move {
                        if let Ok(mut stream) = TcpStream::connect(address).await {
                            let _ = stream.write_all(&hello).await;
                            let _ = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0; 8192]))
                                .await;
                        }
                    });
                }
            }
        }
        _ => {
            let mut held = Vec::new();
            for number in 0..amount {
                let mut settings = ClientSettings::default();
                settings.options.client_id = format!("id-{number}");
                held.extend(Client::connect(&address.to_string(), tls.clone(), settings).await.ok());
            }
        }
    }
    std::future::pending::<()>().await;
}
