//! Statements of MQTT 5 that need more than one connection, or a look at bytes.

use tokio::io::AsyncWriteExt;
use voltmesh_mqtt::Version;

use super::*;
use crate::world;

/// MQTT-3.2.2-9 and MQTT-2.2.2-1: properties of CONNACK; a property length where there are none.
#[tokio::test]
async fn bytes_of_answers() {
    let world = world().await;
    let mut line = world.line().await;
    line.stream.write_all(&connect(&[])).await.unwrap();
    let connack = line.packet().await.unwrap();
    assert_eq!(connack[..7], [0x20, 0x13, 0, 0, 0x10, 0x24, 1]);
    line.stream.write_all(&subscribe(1, &[("r", 1)])).await.unwrap();
    assert_eq!(line.packet().await.unwrap(), [0x90, 4, 0, 1, 0, 1]);
    line.stream.write_all(&unsubscribe(2, &["r"])).await.unwrap();
    assert_eq!(line.packet().await.unwrap(), [0xb0, 4, 0, 2, 0, 0]);
}

/// MQTT-3.1.3-2 and MQTT-3.1.4-3: the same client id takes the session over.
#[tokio::test]
async fn a_session_is_taken_over() {
    let world = world().await;
    let (mut first, mut second) = (world.line().await, world.line().await);
    first.stream.write_all(&connect(&[])).await.unwrap();
    assert_eq!(render(Version::V5, &first.packet().await.unwrap()), "CONNACK 00");
    second.stream.write_all(&connect(&[])).await.unwrap();
    assert_eq!(render(Version::V5, &second.packet().await.unwrap()), "CONNACK 00");
    assert_eq!(render(Version::V5, &first.packet().await.unwrap()), "DISCONNECT 8e why");
    assert_eq!(first.packet().await, None);
}

/// MQTT-3.2.2-16: two clients of one certificate without names are two sessions with different ids.
#[tokio::test]
async fn two_unnamed_clients_are_two_sessions() {
    let world = world().await;
    let (mut first, mut second) = (world.line().await, world.line().await);
    let mut assigned = Vec::new();
    for line in [&mut first, &mut second] {
        line.stream.write_all(&connect_raw(2, 10, &[], &field(""))).await.unwrap();
        let connack = line.packet().await.unwrap();
        let place = connack.iter().position(|byte| *byte == 0x12).unwrap();
        assigned.push(connack[place + 3..].to_vec());
    }
    assert_ne!(assigned[0], assigned[1]);
    for line in [&mut first, &mut second] {
        line.stream.write_all(&publish(1, "x")).await.unwrap();
        assert_eq!(render(Version::V5, &line.packet().await.unwrap()), "PUBACK 1 00");
    }
    assert_eq!(world.server.sessions().len(), 2);
}

/// MQTT-3.1.2-7, -8, -10, -16: a will is published once, when the connection is lost or ends with any code but 0.
#[tokio::test]
async fn a_will_is_published() {
    let world = world().await;
    for (payload, last) in [("lost", &b""[..]), ("with will", b"\xe0\x01\x04"), ("broken", b"\x36\x00")] {
        let mut line = world.line().await;
        line.stream.write_all(&connect_with(0x0c, &will(b"s", payload))).await.unwrap();
        line.packet().await.unwrap();
        line.stream.write_all(last).await.unwrap();
        line.stream.flush().await.unwrap();
        drop(line);
        world.hears(&format!("[{payload}]")).await;
    }
    assert_eq!(world.heard.lock().unwrap().len(), 3);
    assert_eq!(world.server.counters().snapshot()["publishes_of_wills"], 3);
}

/// MQTT-3.1.2-10, MQTT-3.1.2-12, MQTT-3.14.4-3: DISCONNECT with code 0 removes the will; without one there is none.
#[tokio::test]
async fn a_will_is_taken_back() {
    let world = world().await;
    for bytes in [connect_with(0x0c, &will(b"s", "gone")), connect(&[])] {
        let mut line = world.line().await;
        line.stream.write_all(&bytes).await.unwrap();
        line.packet().await.unwrap();
        line.stream.write_all(&[0xe0, 0]).await.unwrap();
        assert_eq!(line.packet().await, None);
    }
    let mut line = world.line().await;
    line.stream.write_all(&[connect(&[]), publish(1, "the last")].concat()).await.unwrap();
    world.hears("the last").await;
    assert_eq!(*world.heard.lock().unwrap(), ["the last"]);
}
