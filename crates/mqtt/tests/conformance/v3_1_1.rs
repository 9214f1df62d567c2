//! Cases of MQTT 3.1.1.

use tokio::io::AsyncWriteExt;
use voltmesh_mqtt::Version;

use crate::script::*;
use crate::world;

/// Those that need more than one connection: the tests below.
pub const CONVERSATIONS: usize = 5;

fn connect_raw(flags: u8, keep_alive: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04".to_vec();
    body.push(flags);
    body.extend(keep_alive.to_be_bytes());
    body.extend(payload);
    packet(0x10, body)
}

fn connect() -> Vec<u8> {
    connect_raw(2, 10, &field("a"))
}

/// With more flags than Clean Session, and what follows the client id.
fn connect_with(flags: u8, rest: &[u8]) -> Vec<u8> {
    connect_raw(2 | flags, 10, &[&field("a")[..], rest].concat())
}

fn will(topic: &[u8], payload: &str) -> Vec<u8> {
    [field(topic), field(payload)].concat()
}

fn publish_raw(flags: u8, topic: &[u8], id: Option<u16>, payload: &str) -> Vec<u8> {
    let mut body = field(topic);
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.extend(payload.as_bytes());
    packet(0x30 | flags, body)
}

fn publish(id: u16, payload: &str) -> Vec<u8> {
    publish_raw(2, b"s", Some(id), payload)
}

fn subscribe(id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        body.extend(field(filter));
        body.push(*qos);
    }
    packet(0x82, body)
}

fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    filters.iter().for_each(|filter| body.extend(field(filter)));
    packet(0xa2, body)
}

fn on(ids: &'static str, what: &'static str, bytes: impl AsRef<[u8]>, answers: &'static str) -> Case {
    case(ids, what).send(connect(), "CONNACK 00").send(bytes, answers)
}

/// A CONNECT, or what follows one, that the server closes for without a word.
fn closed(ids: &'static str, what: &'static str, bytes: Vec<u8>) -> Case {
    case(ids, what).send(bytes, "").closed()
}

fn breaks(ids: &'static str, what: &'static str, bytes: impl AsRef<[u8]>) -> Case {
    on(ids, what, bytes, "").closed()
}

pub fn cases() -> Vec<Case> {
    [connects(), publishes(), subscriptions()].into_iter().flatten().collect()
}

fn connects() -> Vec<Case> {
    let level = |level: u8| {
        let mut bytes = connect();
        bytes[8] = level;
        bytes
    };
    let mut stranger = connect();
    stranger[7] = b'X';
    let mqtt_3_1 = packet(0x10, [&field("MQIsdp")[..], &[3, 2, 0, 30], &field("a")].concat());
    let refused_then_publish = [connect_raw(0, 10, &field("")), publish(1, "after a refusal")].concat();
    vec![
        case("3.1.4-3 3.1.4-4 3.2.0-1 3.2.2-1 3.1.2-6 7.0.0-2 7.1.1-1", "a plain CONNECT")
            .send(connect(), "CONNACK 00"),
        closed("3.1.0-1", "PUBLISH before CONNECT", publish(1, "x")),
        breaks("3.1.0-2 4.8.0-1", "CONNECT twice", connect()),
        closed("3.1.2-1", "another protocol's name", stranger),
        case("3.1.2-2 3.2.2-4 3.2.2-5", "level 6").send(level(6), "CONNACK 01").closed(),
        case("3.1.2-2", "MQTT 3.1").send(mqtt_3_1, "CONNACK 01").closed(),
        case("3.1.2-2", "a bridge").send(level(0x84), "CONNACK 01").closed(),
        closed("3.1.2-3 3.1.4-1 3.2.2-6", "the reserved flag", connect_with(1, &[])),
        case("3.2.2-3", "Clean Session 0 without a session")
            .send(connect_raw(0, 10, &field("a")), "CONNACK 00"),
        closed("3.1.2-9", "a will's flag without a will", connect_with(4, &[])),
        closed("3.1.2-11 3.1.2-13", "Will QoS without a will", connect_with(8, &[])),
        closed("3.1.2-14", "Will QoS 3", connect_with(0x1c, &will(b"s", "x"))),
        case("3.1.2-14", "Will QoS 2").send(connect_with(0x14, &will(b"s", "x")), "CONNACK 00"),
        closed("3.1.2-15", "Will Retain without a will", connect_with(0x20, &[])),
        closed("3.1.2-18", "a user name without its flag", connect_with(0, &field("me"))),
        closed("3.1.2-19", "a user name's flag without it", connect_with(0x80, &[])),
        closed(
            "3.1.2-20",
            "a password without its flag",
            connect_with(0x80, &[field("me"), field("secret")].concat()),
        ),
        closed("3.1.2-21", "a password's flag without it", connect_with(0xc0, &field("me"))),
        closed("3.1.2-22", "a password without a user name", connect_with(0x40, &field("secret"))),
        case("3.1.2-19 3.1.2-21", "user name and password")
            .send(connect_with(0xc0, &[field("me"), field("secret")].concat()), "CONNACK 00"),
        case("3.1.2-24", "silence for one and a half times the keep-alive")
            .send(connect_raw(2, 1, &field("a")), "CONNACK 00")
            .closed(),
        closed("3.1.3-1 3.1.3-3", "no client id", connect_raw(2, 10, &[])),
        closed("3.1.3-4 1.5.3-1", "a client id that is not UTF-8", connect_raw(2, 10, &field(b"\xff"))),
        closed("1.5.3-2", "U+0000 in a client id", connect_raw(2, 10, &field("a\0"))),
        case("3.1.3-5", "a client id of 23 letters and digits")
            .send(connect_raw(2, 10, &field("0123456789abcdefGHIJKLM")), "CONNACK 00"),
        case("3.1.3-6 3.1.3-7", "no name of its own").send(connect_raw(2, 10, &field("")), "CONNACK 00"),
        case("3.1.3-8 3.1.3-9", "no name of its own, and a session to keep")
            .send(connect_raw(0, 10, &field("")), "CONNACK 02")
            .closed(),
        case("3.1.4-5", "PUBLISH after a refused CONNECT").send(refused_then_publish, "CONNACK 02").closed(),
        closed("3.1.3-10", "a will's topic that is not UTF-8", connect_with(4, &will(b"\xff", "x"))),
        closed("3.1.3-11", "a user name that is not UTF-8", connect_with(0x80, &field(b"\xff"))),
        case("3.2.2-5", "a will that the peer may not leave")
            .send(connect_with(4, &will(b"forbidden", "x")), "CONNACK 05")
            .closed(),
    ]
}

fn publishes() -> Vec<Case> {
    let many: Vec<u8> = (1..=9).flat_map(|id| publish(id, "x")).collect();
    vec![
        on(
            "3.3.4-1 2.3.1-6 4.3.2-2",
            "QoS 1 and QoS 0",
            [publish(7, "x"), publish_raw(0, b"s", None, "y")].concat(),
            "PUBACK 7",
        ),
        on("3.3.4-1", "a publish that the application rejects and keeps", publish(7, "no"), "PUBACK 7"),
        breaks("3.3.5-2", "a publish that the policy refuses", publish_raw(2, b"forbidden", Some(7), "x")),
        on("4.3.2-2", "no answer before a decision", publish(7, "hold"), ""),
        breaks("4.8.0-2", "a failure that will pass", publish(7, "later")),
        on(
            "4.3.2-2",
            "more than the server takes at once",
            many,
            "PUBACK 1; PUBACK 2; PUBACK 3; PUBACK 4; PUBACK 5; PUBACK 6; PUBACK 7; PUBACK 8; PUBACK 9",
        ),
        breaks("3.3.1-2", "DUP with QoS 0", publish_raw(8, b"s", None, "x")),
        on(
            "3.3.1-1",
            "DUP with QoS 1 while the first is undecided",
            [publish(1, "hold"), publish_raw(0x0a, b"s", Some(1), "hold")].concat(),
            "",
        ),
        breaks(
            "2.3.1-2",
            "an identifier in use without DUP",
            [publish(1, "hold"), publish(1, "hold")].concat(),
        ),
        breaks("3.3.1-4", "QoS 3", publish_raw(6, b"s", Some(1), "x")),
        breaks("4.8.0-1", "QoS 2, which is not offered", publish_raw(4, b"s", Some(1), "x")),
        on(
            "3.3.4-1",
            "RETAIN: taken, though nothing is retained",
            publish_raw(3, b"s", Some(1), "x"),
            "PUBACK 1",
        ),
        breaks("4.8.0-1", "a packet that is too large", packet(0x32, vec![0; 5000])),
        breaks("3.3.2-1", "a topic that is not UTF-8", publish_raw(2, b"\xff", Some(1), "x")),
        breaks("3.3.2-2 4.7.1-1", "a topic with a wildcard", publish_raw(2, b"a/+", Some(1), "x")),
        breaks("4.7.3-1", "a topic of no characters", publish_raw(2, b"", Some(1), "x")),
        breaks("4.7.3-2 1.5.3-2", "a topic with U+0000", publish_raw(2, b"a\0", Some(1), "x")),
        breaks("2.3.1-1", "packet identifier 0", publish(0, "x")),
        on("4.3.2-2", "the identifier again after PUBACK", publish(1, "x"), "PUBACK 1")
            .send(publish_raw(0x0a, b"s", Some(1), "x"), "PUBACK 1"),
        on(
            "3.3.2-3 3.3.5-1 3.3.1-9 4.1.0-1 4.1.0-2 4.3.2-1 2.3.1-4",
            "two subscriptions match, the higher QoS counts",
            subscribe(1, &[("r", 0), ("+", 1)]),
            "SUBACK 1 00 01",
        )
        .send(publish(2, "down 1 r x"), "PUBLISH r q1#1 x; PUBACK 2")
        .send(publish(3, "down 1 r y"), "PUBLISH r q1#2 y; PUBACK 3")
        .send(packet(0x40, [0, 1]), ""),
        on("3.8.4-6 4.3.1-1 2.3.1-5", "QoS 0 was granted", subscribe(1, &[("r", 0)]), "SUBACK 1 00")
            .send(publish(2, "down 1 r x"), "PUBLISH r q0 x; PUBACK 2"),
        on(
            "1.5.3-3 4.7.3-4",
            "U+FEFF is a character as any other",
            subscribe(1, &[("\u{feff}r", 1)]),
            "SUBACK 1 01",
        )
        .send(publish(2, "down 1 r x"), "PUBACK 2"),
        on("4.7.2-1", "# does not match $SYS", subscribe(1, &[("#", 1)]), "SUBACK 1 01")
            .send(publish(2, "down 1 $SYS/x y"), "PUBACK 2"),
    ]
}

fn subscriptions() -> Vec<Case> {
    let flags = |mut bytes: Vec<u8>| {
        bytes[0] &= 0xf0;
        bytes
    };
    let raw =
        |first: u8, filter: &[u8], rest: &[u8]| packet(first, [&[0, 1][..], &field(filter), rest].concat());
    vec![
        breaks("3.8.1-1 2.2.2-1 2.2.2-2", "flags of SUBSCRIBE", flags(subscribe(1, &[("r", 1)]))),
        breaks("3.8.3-1", "a filter that is not UTF-8", raw(0x82, b"\xff", &[1])),
        on("3.8.3-2", "wildcards", subscribe(1, &[("a/#", 1), ("+/b", 1)]), "SUBACK 1 01 01"),
        breaks("3.8.3-3", "no filter", subscribe(1, &[])),
        breaks("3-8.3-4", "reserved bits", subscribe(1, &[("r", 5)])),
        breaks("3-8.3-4", "QoS 3", subscribe(1, &[("r", 3)])),
        breaks("2.3.1-1", "packet identifier 0", subscribe(0, &[("r", 1)])),
        breaks("4.7.3-2", "a filter with U+0000", subscribe(1, &[("r\0", 1)])),
        on(
            "3.8.4-1 3.8.4-2 2.3.1-7",
            "the identifier comes back",
            subscribe(0x1234, &[("r", 2)]),
            "SUBACK 4660 01",
        ),
        on("3.8.4-3", "the same filter again", subscribe(1, &[("r", 1)]), "SUBACK 1 01")
            .send(subscribe(2, &[("r", 0)]), "SUBACK 2 00")
            .send(publish(3, "down 1 r x"), "PUBLISH r q0 x; PUBACK 3"),
        on(
            "3.8.4-4 3.8.4-5 3.9.3-1 3.9.3-2",
            "several filters",
            subscribe(1, &[("r", 1), ("forbidden", 1), ("q", 0)]),
            "SUBACK 1 01 80 00",
        ),
        on("4.7.1-2", "# not in the last level", subscribe(1, &[("a/#/b", 1)]), "SUBACK 1 80"),
        on("4.7.1-3", "+ beside other characters", subscribe(1, &[("a+", 1)]), "SUBACK 1 80"),
        on("4.7.3-1", "a filter of no characters", subscribe(1, &[("", 1)]), "SUBACK 1 80"),
        breaks("3.10.1-1", "flags of UNSUBSCRIBE", flags(unsubscribe(1, &["r"]))),
        breaks("3.10.3-1", "a filter that is not UTF-8", raw(0xa2, b"\xff", &[])),
        breaks("3.10.3-2", "no filter", unsubscribe(1, &[])),
        on(
            "3.10.4-1 3.10.4-2 3.10.4-4 2.3.1-7",
            "nothing is sent after it",
            subscribe(1, &[("r", 1)]),
            "SUBACK 1 01",
        )
        .send(unsubscribe(0x1234, &["r"]), "UNSUBACK 4660")
        .send(publish(3, "down 1 r x"), "PUBACK 3"),
        on("3.10.4-5 3.10.4-6", "several filters, none known", unsubscribe(2, &["q", "r"]), "UNSUBACK 2"),
        on(
            "3.10.4-3",
            "a message on its way while it unsubscribes",
            subscribe(1, &[("r", 1)]),
            "SUBACK 1 01",
        )
        .send(publish(2, "down 1 r x"), "PUBLISH r q1#1 x; PUBACK 2")
        .send(unsubscribe(3, &["r"]), "UNSUBACK 3")
        .send(packet(0x40, [0, 1]), ""),
        on("3.12.4-1", "PINGREQ", [0xc0, 0], "PINGRESP"),
        breaks("3.6.1-1 2.2.2-2", "flags of PUBREL", [0x60, 2, 0, 1]),
        breaks("3.14.1-1 2.2.2-2", "flags of DISCONNECT", [0xe1, 0]),
        breaks("4.8.0-1", "a packet of MQTT 5", [0xf0, 0]),
    ]
}

/// MQTT-3.1.4-2 and MQTT-3.1.3-2: the same client id takes the session over.
#[tokio::test]
async fn a_session_is_taken_over() {
    let world = world().await;
    let (mut first, mut second) = (world.line().await, world.line().await);
    for line in [&mut first, &mut second] {
        line.stream.write_all(&connect()).await.unwrap();
        assert_eq!(render(Version::V3_1_1, &line.packet().await.unwrap()), "CONNACK 00");
    }
    assert_eq!(first.packet().await, None);
}

/// MQTT-3.1.3-6: two clients of one certificate without names are two sessions.
#[tokio::test]
async fn two_unnamed_clients_are_two_sessions() {
    let world = world().await;
    let (mut first, mut second) = (world.line().await, world.line().await);
    for line in [&mut first, &mut second] {
        line.stream.write_all(&connect_raw(2, 10, &field(""))).await.unwrap();
        assert_eq!(render(Version::V3_1_1, &line.packet().await.unwrap()), "CONNACK 00");
    }
    for line in [&mut first, &mut second] {
        line.stream.write_all(&publish(1, "x")).await.unwrap();
        assert_eq!(render(Version::V3_1_1, &line.packet().await.unwrap()), "PUBACK 1");
    }
    let counts = world.server.counters().snapshot();
    assert_eq!((counts["open_sessions"], counts["sessions_mqtt_3_1_1"]), (2, 2));
}

/// MQTT-3.1.2-8, -10, -16: a will is published once, when the connection is lost or broken.
#[tokio::test]
async fn a_will_is_published() {
    let world = world().await;
    for (payload, last) in [("lost", &b""[..]), ("broken", b"\x36\x00")] {
        let mut line = world.line().await;
        line.stream.write_all(&connect_with(0x0c, &will(b"s", payload))).await.unwrap();
        line.packet().await.unwrap();
        line.stream.write_all(last).await.unwrap();
        line.stream.flush().await.unwrap();
        drop(line);
        world.hears(&format!("[{payload}]")).await;
    }
    assert_eq!(world.heard.lock().unwrap().len(), 2);
}

/// MQTT-3.1.2-10, MQTT-3.1.2-12, MQTT-3.14.4-3: DISCONNECT removes the will.
#[tokio::test]
async fn a_will_is_taken_back() {
    let world = world().await;
    for bytes in [connect_with(0x0c, &will(b"s", "gone")), connect()] {
        let mut line = world.line().await;
        line.stream.write_all(&bytes).await.unwrap();
        line.packet().await.unwrap();
        line.stream.write_all(&[0xe0, 0]).await.unwrap();
        assert_eq!(line.packet().await, None);
    }
    let mut line = world.line().await;
    line.stream.write_all(&[connect(), publish(1, "the last")].concat()).await.unwrap();
    world.hears("the last").await;
    assert_eq!(*world.heard.lock().unwrap(), ["the last"]);
}

/// What is rejected is acknowledged, since there is no other word, and counted as such.
#[tokio::test]
async fn a_rejection_that_cannot_be_told_is_counted() {
    let world = world().await;
    let mut line = world.line().await;
    line.stream.write_all(&[connect(), publish(1, "no")].concat()).await.unwrap();
    line.packet().await.unwrap();
    assert_eq!(render(Version::V3_1_1, &line.packet().await.unwrap()), "PUBACK 1");
    let counts = world.server.counters().snapshot();
    assert_eq!((counts["publishes_rejected"], counts["publishes_rejected_untold"]), (1, 1));
}
