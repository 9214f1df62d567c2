//! At a fog node's MQTT door: MQTT 5, MQTT 3.1.1, and what is neither.

use std::net::SocketAddr;

use tokio::time::timeout;
use voltmesh_identity::Role;

use super::wire::{
    Answer, Line, PATIENCE, SILENCE, connect, connect_3, connect_5, field, plain, publish, publish_3, sample,
    session, subscribe, tls,
};
use super::{EACH_ROLE, World};

pub async fn all(world: &mut World) {
    of_3_1_1(world).await;
    of_5(world).await;
    of_topics(world).await;
    of_other_protocols(world).await;
}

fn at(world: &World) -> (SocketAddr, Role) {
    (world.fog(), Role::Fog)
}

async fn of_3_1_1(world: &mut World) {
    let door = at(world);
    let before = (world.counter("received_records").await, world.counter("rejected_topic").await);
    let (line, _) = session(world, "client:mallory", door, connect_3("a")).await;
    let answer = line.unwrap().ask(publish_3("v1/meter/sample", sample())).await;
    // MQTT 3.1.1 has no word for it: the client is told nothing, or its connection ends; the node counts it.
    let rejected = async {
        while answer != Answer::Closed && world.counter("rejected_topic").await == before.1 {
            tokio::task::yield_now().await;
        }
    };
    let told = timeout(PATIENCE, rejected).await.is_ok();
    let held = told && world.counter("received_records").await == before.0;
    world.note("3.1.1: a sample on another client's topic", (!held).then(|| format!("{answer:?}")));

    for (name, topic, payload) in [
        ("3.1.1: a will on another client's topic", "v1/meter/sample", sample()),
        ("3.1.1: a will that is no sample", "v1/mallory/sample", "{\"x\":1}".to_owned()),
        ("3.1.1: a will on a topic for commands", "v1/edge-1/command", sample()),
    ] {
        let will = [field(topic), field(payload)].concat();
        let (_, answer) = session(world, "client:mallory", door, connect(4, 6, &[], "a", &will)).await;
        let refused = answer == Answer::Closed || answer.reasons() == [5];
        world.note(name, (!refused).then(|| format!("{answer:?}")));
    }

    let mut held = Vec::new();
    for n in 0..20 {
        let (line, answer) = session(world, "client:mallory", door, connect_3(&format!("id-{n}"))).await;
        held.extend(line.filter(|_| answer.reasons() == [0]));
    }
    world.note("3.1.1: twenty sessions of one certificate", (held.len() > 8).then(|| held.len().to_string()));
    drop(held);

    let filters = [
        "#",
        "+/+/+",
        "$SYS/#",
        "v1/edge-1/notice",
        "v1/edge-1/command",
        "v1/meter/sample",
        "$share/g/v1/mallory/notice",
    ];
    let (line, _) = session(world, "client:mallory", door, connect_3("b")).await;
    let answer = line.unwrap().ask(subscribe(4, &filters)).await;
    let refused = match &answer {
        Answer::Packet(0x90, body) => {
            body.len() == 2 + filters.len() && body[2..].iter().all(|code| *code == 0x80)
        }
        other => *other == Answer::Closed,
    };
    world.note(
        "3.1.1: others' topics, wildcards, shared subscriptions",
        (!refused).then(|| format!("{answer:?}")),
    );

    let (theirs, _) = session(world, "client:meter", door, connect_3("same")).await;
    let (_mine, _) = session(world, "client:mallory", door, connect_3("same")).await;
    let ended = theirs.unwrap().next(SILENCE).await;
    world.note(
        "3.1.1: the session of another under its client id",
        (ended != Answer::Nothing).then(|| format!("{ended:?}")),
    );

    let (_, answer) = session(world, "client:mallory", door, connect(4, 0, &[], "lasting", &[])).await;
    let promised = matches!(&answer, Answer::Packet(0x20, body) if body[0] & 1 == 1);
    world.note("3.1.1: a session that lasts", promised.then(|| format!("{answer:?}")));
}

async fn of_5(world: &mut World) {
    let door = at(world);
    let filters = ["$share/g/v1/mallory/notice", "$share/g/#", "$share/g/v1/edge-1/command"];
    let (line, _) = session(world, "client:mallory", door, connect_5("a")).await;
    let answer = line.unwrap().ask(subscribe(5, &filters)).await;
    world.note(
        "5: shared subscriptions, of its own topic too",
        (!answer.refuses()).then(|| format!("{answer:?}")),
    );

    let method = [&[0x15][..], &field("SCRAM-SHA-1"), &[0x16], &field("n,,n=x")].concat();
    let (_, answer) = session(world, "client:mallory", door, connect(5, 2, &method, "a", &[])).await;
    world.note(
        "5: a method of authentication of its own",
        (answer.reasons() != [0x8c]).then(|| format!("{answer:?}")),
    );

    let not_utf_8 = [sample().as_bytes(), &[0xff]].concat();
    let wildcard = [&[0x08][..], &field("v1/+/command")].concat();
    let mut through = Vec::new();
    for (payload, properties) in [(not_utf_8, vec![0x01, 0x01]), (sample().into(), wildcard)] {
        let (line, _) = session(world, "client:mallory", door, connect_5("a")).await;
        let answer = line.unwrap().ask(publish("v1/mallory/sample", payload, &properties)).await;
        through.extend((!answer.refuses()).then(|| format!("{properties:02x?}: {answer:?}")));
    }
    world.note("5: properties that lie about a payload or an answer", through);

    let will =
        [&[5][..], &[0x18, 0xff, 0xff, 0xff, 0xff], &field("v1/stray/sample"), &field(sample())].concat();
    let (_, answer) = session(world, "edge:stray", door, connect(5, 6, &[], "a", &will)).await;
    world.note(
        "5: a will under a vehicle's certificate, to come in 136 years",
        (!answer.refuses()).then(|| format!("{answer:?}")),
    );

    let large = [&[0x10, 0xc0, 0x84, 0x3d][..], &field("MQTT"), &[5, 2]].concat();
    let (_, answer) = session(world, "client:mallory", door, large).await;
    world.note("5: a CONNECT of 1 MB", (answer != Answer::Closed).then(|| format!("{answer:?}")));
}

async fn of_topics(world: &mut World) {
    let door = at(world);
    let filters = [
        "v1/edge-1/command",
        "v1/edge-1/notice",
        "v1/edge-1/receipt",
        "v1/edge-1/trust",
        "v1/fog/fog-1/order",
        "v1/fog/fog-1/policy",
        "v1/fog/fog-1/release",
        "v1/stray/../edge-1/command",
        "/v1/stray/command",
    ];
    let mut through = Vec::new();
    for (_, who) in EACH_ROLE {
        let (line, _) = session(world, who, door, connect_5("s")).await;
        let Some(mut line) = line else { continue };
        let answer = line.ask(subscribe(5, &filters)).await;
        through.extend((!answer.refuses()).then(|| format!("{who}: {answer:?}")));
    }
    world.note("each role listens to others' commands, notices, orders and policies", through);

    let mut through = Vec::new();
    for (_, who) in EACH_ROLE {
        for kind in [
            "edge-1/command",
            "edge-1/notice",
            "edge-1/receipt",
            "edge-1/trust",
            "edge-1/sample",
            "edge-1/batch",
            "edge-1/answer",
            "fog/fog-1/order",
            "fog/fog-1/policy",
            "fog/fog-1/release",
            "fog/fog-1/summary",
        ] {
            let (line, _) = session(world, who, door, connect_5("p")).await;
            let Some(mut line) = line else { continue };
            let answer = line.ask(publish(&format!("v1/{kind}"), sample(), &[])).await;
            through.extend((!answer.refuses()).then(|| format!("{who} {kind}: {answer:?}")));
        }
    }
    world
        .note("each role publishes others' samples, batches, answers, commands, notices and orders", through);

    let (line, _) = session(world, "edge:stray", door, connect_5("a")).await;
    let answer = line.unwrap().ask(publish("v1/stray/answer", [0x80], &[])).await;
    world
        .note("an answer to no command, without a hello", (!answer.refuses()).then(|| format!("{answer:?}")));

    let (theirs, _) = session(world, "client:meter", door, connect_5("same")).await;
    let mut theirs = theirs.unwrap();
    let mut others = Vec::new();
    for (_, who) in EACH_ROLE {
        others.push(session(world, who, door, connect_5("same")).await);
    }
    let ended = theirs.next(SILENCE).await;
    world.note(
        "each role takes over a session by its client id",
        (ended != Answer::Nothing).then(|| format!("{ended:?}")),
    );
}

async fn of_other_protocols(world: &mut World) {
    const UPGRADE: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for (name, bytes) in [
        ("MQTT over WebSocket, within the TLS of MQTT", UPGRADE.as_bytes().to_vec()),
        ("HTTP/2, within the TLS of MQTT", PREFACE.as_bytes().to_vec()),
    ] {
        let stream = tls(world, "client:meter", world.fog(), Role::Fog).await.unwrap();
        let mut line = Line::new(stream);
        let answer = line.ask(bytes).await;
        world.note(name, (answer != Answer::Closed).then(|| format!("{answer:?}")));
    }
    let mut through = Vec::new();
    for bytes in [connect_5("a"), connect_3("a"), UPGRADE.into(), PREFACE.into(), vec![0; 64]] {
        let answer = plain(world.fog(), &bytes).await;
        // A TLS alert at most.
        let refused = answer.is_empty() || answer[0] == 0x15;
        through.extend((!refused).then(|| format!("{:02x?}", &answer[..answer.len().min(20)])));
    }
    world.note("MQTT and HTTP without TLS at the door of MQTT", through);
}
