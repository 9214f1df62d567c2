//! At the MQTT doors of cloud and controller: other roles, other fog nodes' names, and what cannot be read.

use std::net::SocketAddr;

use voltmesh_identity::Role;

use super::wire::{connect_5, publish, session, subscribe};
use super::{EACH_ROLE, World};

/// What only a fog node may publish, and only under its own name.
const UP: [&str; 6] = ["summary", "function", "ledger", "envelope", "trust", "anchored"];

/// What only cloud and controller send.
const DOWN: [&str; 5] = ["order", "release", "policy", "notice", "statement"];

pub async fn all(world: &mut World) {
    let doors = [(world.cloud, Role::Cloud), (world.controller, Role::Controller)];
    let names = [
        [
            "cloud: other roles as a fog node",
            "cloud: a fog node in another's name, and what is sent down",
            "cloud: messages that cannot be read",
        ],
        [
            "controller: other roles as a fog node",
            "controller: a fog node in another's name, and what is sent down",
            "controller: messages that cannot be read",
        ],
    ];
    for (door, [roles, others, unreadable]) in doors.into_iter().zip(names) {
        let mut through = Vec::new();
        for (_, who) in EACH_ROLE.into_iter().filter(|(role, _)| *role != Role::Fog) {
            through.extend(tried(world, door, who, "fog-1").await);
        }
        world.note(roles, through);
        let through = tried(world, door, "fog:stray", "fog-1").await;
        world.note(others, through);
        let through = cannot_be_read(world, door).await;
        world.note(unreadable, through);
    }
}

/// What is taken of a fog node's messages and subscriptions under its name.
async fn tried(world: &World, door: (SocketAddr, Role), who: &str, fog: &str) -> Vec<String> {
    let mut taken = Vec::new();
    for kind in UP.iter().chain(&DOWN) {
        let (Some(mut line), _) = session(world, who, door, connect_5("a")).await else { continue };
        let answer = line.ask(publish(&format!("v1/fog/{fog}/{kind}"), [0x80], &[])).await;
        taken.extend((!answer.refuses()).then(|| format!("{who} publishes {kind}: {answer:?}")));
    }
    let down = DOWN.map(|kind| format!("v1/fog/{fog}/{kind}"));
    let mut filters: Vec<&str> = down.iter().map(String::as_str).collect();
    filters.extend(["#", "v1/fog/+/notice", "v1/fog/+/order", "$share/g/v1/fog/fog-1/order"]);
    if let (Some(mut line), _) = session(world, who, door, connect_5("a")).await {
        let answer = line.ask(subscribe(5, &filters)).await;
        taken.extend((!answer.refuses()).then(|| format!("{who} subscribes: {answer:?}")));
    }
    taken
}

/// What is taken under the sender's own name though it is no message: nothing, and the role goes on.
async fn cannot_be_read(world: &World, door: (SocketAddr, Role)) -> Vec<String> {
    let rubbish: [Vec<u8>; 8] = [
        vec![],
        vec![0xff; 100],
        // CBOR: a million lists in each other, a map of 2^64, lists without end, a long string that is not there.
        vec![0x81; 1_000_000],
        [vec![0xbb], vec![0xff; 8]].concat(),
        vec![0x9f; 1_000],
        vec![0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        [vec![0x83, 0x01, 0x00, 0x9a, 0x00, 0x98, 0x96, 0x80], vec![0x00; 60_000]].concat(),
        vec![0xd9; 3_000],
    ];
    let mut taken = Vec::new();
    for kind in UP {
        for bytes in &rubbish {
            let (Some(mut line), _) = session(world, "fog:stray", door, connect_5("a")).await else {
                continue;
            };
            let answer = line.ask(publish(&format!("v1/fog/stray/{kind}"), bytes, &[])).await;
            let begin = &bytes[..bytes.len().min(8)];
            taken.extend((!answer.refuses()).then(|| format!("{kind} {begin:02x?}: {answer:?}")));
        }
    }
    taken
}
