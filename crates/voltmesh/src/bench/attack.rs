//! The attackers of `voltmesh bench hostile`, each in a process of its own: it goes on until it is killed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use voltmesh_identity::{Credentials, Expected, Role};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, ClientSettings, Descriptors, Outgoing};

use crate::args::{AttackArgs, AttackKind};

/// A silent connection that was ended comes again after so long.
const AGAIN: Duration = Duration::from_millis(50);

/// Between two volleys of ClientHellos.
const VOLLEY: Duration = Duration::from_millis(5);

/// Longest wait for what a flooded server answers; then the connection is closed.
const ANSWER: Duration = Duration::from_secs(1);

/// Publishes under way of the one that sends rubbish.
const WINDOW: u64 = 64;

/// Bytes of one rubbish publish.
const RUBBISH_BYTES: usize = 1_000;

/// Runs one attacker.
pub fn run(options: &AttackArgs) -> Result<crate::Outcome> {
    // As many connections as this user may have.
    Descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(attack(options))?;
    Ok(crate::Outcome::Done)
}

async fn attack(options: &AttackArgs) -> Result<()> {
    let address = options.address;
    match options.kind {
        AttackKind::Silent => (0..options.amount).for_each(|_| drop(tokio::spawn(silent(address)))),
        AttackKind::TlsFlood => return flood(options).await,
        AttackKind::Hoarder => {
            let mut held = Vec::new();
            for number in 0..options.amount {
                held.extend(connect(options, &format!("id-{number}")).await.ok());
            }
            std::future::pending::<()>().await;
        }
        AttackKind::Rubbish => loop {
            // Its session ends when it has used its share of the quarantine; it comes again at once.
            if let Ok(session) = connect(options, "rubbish").await {
                rubbish(options, session).await.ok();
            }
            tokio::time::sleep(AGAIN).await;
        },
    }
    std::future::pending().await
}

/// Says nothing, and comes again when it is ended.
async fn silent(address: SocketAddr) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            // Nothing comes: it ends, sooner or later.
            let _ = stream.read(&mut [0; 8]).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn connect(options: &AttackArgs, client_id: &str) -> Result<(Client, ClientEvents)> {
    let tls = Credentials::load(&options.credentials)?.client_config(Expected::role(Role::Fog), None)?;
    let mut settings = ClientSettings::default();
    settings.options.client_id = client_id.to_owned();
    Ok(Client::connect(&options.address.to_string(), tls, settings).await?)
}

/// One ClientHello, sent over and over: it costs the attacker nothing.
async fn flood(options: &AttackArgs) -> Result<()> {
    let hello: Arc<[u8]> = client_hello(options).await?.into();
    let volleys = 1_000 / u64::try_from(VOLLEY.as_millis()).unwrap_or(1);
    let mut ticks = tokio::time::interval(VOLLEY);
    let address = options.address;
    loop {
        ticks.tick().await;
        for _ in 0..options.amount.div_ceil(volleys) {
            let hello = hello.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    stream.write_all(&hello).await.ok();
                    let _ = tokio::time::timeout(ANSWER, stream.read(&mut [0; 8192])).await;
                }
            });
        }
    }
}

/// What our own client says first, as a listener of ours hears it.
async fn client_hello(options: &AttackArgs) -> Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let here = AttackArgs { address: listener.local_addr()?, ..options.clone() };
    let client = tokio::spawn(async move { connect(&here, "hello").await.map(drop) });
    let (mut stream, _) = listener.accept().await?;
    // RFC 8446 5.1: type, version, and the length of what follows.
    let mut hello = vec![0; 5];
    stream.read_exact(&mut hello).await.context("our client says nothing")?;
    let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
    hello.resize(5 + length, 0);
    stream.read_exact(&mut hello[5..]).await?;
    client.abort();
    Ok(hello)
}

/// Publishes what is no sample, as fast as it is refused.
async fn rubbish(options: &AttackArgs, (client, mut events): (Client, ClientEvents)) -> Result<()> {
    let name = options.credentials.file_name().unwrap_or_default().to_string_lossy();
    let id = name.strip_prefix("client-").context("the attacker wants a client's certificate")?;
    let topic: Arc<str> = format!("v1/{id}/sample").into();
    let (mut next, mut under_way) = (1, 0);
    loop {
        while under_way < WINDOW {
            let mut text = format!("rubbish {next} ").into_bytes();
            text.resize(RUBBISH_BYTES, b'x');
            client.publish(Outgoing::new(topic.clone(), text.into(), next))?;
            (next, under_way) = (next + 1, under_way + 1);
        }
        match events.next().await {
            Some(ClientEvent::Completed(done)) => under_way -= done.len() as u64,
            Some(ClientEvent::Ended(_)) | None => return Ok(()),
            Some(_) => {}
        }
    }
}
