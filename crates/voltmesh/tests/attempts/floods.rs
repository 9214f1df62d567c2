//! What never ends, from one certificate or one address: an honest client is served beside it, and memory is bounded.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use voltmesh_identity::Role;

use super::World;
use super::wire::{Answer, PATIENCE, connect_5, packet, publish, sample, session, subscribe, tls};

/// Most that a fog node may grow by, in MB: buffers of what was tried, and what the allocator keeps of them.
const GROWTH: u64 = 160;

/// Reason code of an answer that asks to try again (MQTT 5, 3.4.2.1: quota exceeded).
const TRY_AGAIN: u8 = 0x97;

/// Honest publishes while a flood lasts.
const HONEST: usize = 5;

pub async fn all(world: &mut World) {
    let ping = packet(0xc0, []).repeat(20_000);
    let filters = ["v1/edge-1/notice"; 20];
    let puback: Vec<u8> = (1..5_000u16).flat_map(|id| packet(0x40, id.to_be_bytes())).collect();
    let rubbish = packet(0x30, [&[0, 17][..], b"v1/mallory/sample", &[0], b"rubbish"].concat());
    for (name, who, bytes) in [
        ("flood: PINGREQ, answers not read", "client:mallory", ping),
        ("flood: SUBSCRIBE, answers not read", "client:mallory", subscribe(5, &filters).repeat(200)),
        ("flood: PUBACK of what was never sent", "client:mallory", puback),
        ("flood: rubbish of QoS 0", "client:mallory", rubbish.repeat(2_000)),
        (
            "flood: samples, answers not read",
            "client:mallory",
            numbered("v1/mallory/sample", sample().as_bytes()),
        ),
        ("flood: hellos that are none", "edge:stray", numbered("v1/stray/hello", &[0x84, 0x01, 0x82])),
    ] {
        let through = beside(world, who, bytes).await;
        world.note(name, through);
    }
    let through = of_hellos(world).await;
    world.note("flood: 2,000 ClientHellos of 16 kB that never end", through);
    let through = of_connects(world).await;
    world.note("flood: 200 CONNECTs that never end", through);
}

/// A window of publishes with ids of their own.
fn numbered(topic: &str, payload: &[u8]) -> Vec<u8> {
    let one = |id: u16| {
        let mut bytes = publish(topic, payload, &[]);
        let at = bytes.len() - payload.len() - 3;
        bytes[at..at + 2].copy_from_slice(&id.to_be_bytes());
        bytes
    };
    (1..1_000).flat_map(one).collect()
}

fn resident_mb(world: &World) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", world.site.fogs[0].id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// What an honest client does not get, and memory that is not bounded.
async fn honest(world: &World, before_mb: u64) -> Vec<String> {
    let mut through = Vec::new();
    for _ in 0..HONEST {
        // Told to try again, as on a machine that is busy otherwise, it does.
        let served = async {
            loop {
                let (Some(mut line), _) =
                    session(world, "client:meter", (world.fog(), Role::Fog), connect_5("h")).await
                else {
                    return Answer::Closed;
                };
                let answer = line.ask(publish("v1/meter/sample", sample(), &[])).await;
                if answer.reasons() != [TRY_AGAIN] {
                    return answer;
                }
            }
        };
        let answer = timeout(3 * PATIENCE, served).await.unwrap_or(Answer::Nothing);
        through.extend((answer.reasons() != [0]).then(|| format!("an honest client: {answer:?}")));
    }
    let after = resident_mb(world);
    through.extend((after > before_mb + GROWTH).then(|| format!("{before_mb} MB before, {after} MB after")));
    through
}

/// Three connections that send the same over and over, and come again when they are ended.
async fn beside(world: &World, who: &'static str, bytes: Vec<u8>) -> Vec<String> {
    let before = resident_mb(world);
    let own = voltmesh_identity::Credentials::load(&world.site.deployment.pki.folder_of(&super::named(who)))
        .unwrap();
    let config = own.client_config(voltmesh_identity::Expected::role(Role::Fog), None).unwrap();
    let mut floods = JoinSet::new();
    for n in 0..3 {
        let (config, bytes, at) = (config.clone(), bytes.clone(), world.fog());
        floods.spawn(async move {
            loop {
                let flood = async {
                    let stream = TcpStream::connect(at).await?;
                    let connector = tokio_rustls::TlsConnector::from(config.clone());
                    let mut stream = connector.connect(voltmesh_identity::server_name(), stream).await?;
                    stream.write_all(&connect_5(&format!("flood-{n}"))).await?;
                    loop {
                        stream.write_all(&bytes).await?;
                    }
                };
                let _: std::io::Result<()> = flood.await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    let through = honest(world, before).await;
    floods.shutdown().await;
    through
}

/// Without any certificate: the first 16 kB of a ClientHello of 60 kB.
async fn of_hellos(world: &World) -> Vec<String> {
    let before = resident_mb(world);
    let mut hello = vec![0x01, 0x00, 0xea, 0x60];
    hello.resize(16_380, 0);
    let record = [&[0x16, 0x03, 0x01][..], &(hello.len() as u16).to_be_bytes(), &hello].concat();
    let mut open = Vec::new();
    for _ in 0..2_000 {
        let mut stream = TcpStream::connect(world.fog()).await.unwrap();
        stream.write_all(&record).await.ok();
        open.push(stream);
    }
    honest(world, before).await
}

/// With a certificate: 100 kB of a CONNECT of 128 kB.
async fn of_connects(world: &World) -> Vec<String> {
    let before = resident_mb(world);
    let part = [&[0x10, 0xf0, 0xff, 0x07][..], &[0, 4], b"MQTT", &[5, 2, 0, 60], &[0; 100_000]].concat();
    let mut open = Vec::new();
    for _ in 0..200 {
        let Some(mut stream) = tls(world, "client:mallory", world.fog(), Role::Fog).await else { continue };
        stream.write_all(&part).await.ok();
        open.push(stream);
    }
    honest(world, before).await
}
