//! Cases of MQTT 5.

mod conversations;

use crate::script::*;

/// Those that need more than one connection, or look at bytes: the tests of [`conversations`].
pub const CONVERSATIONS: usize = 5;

fn connect_raw(flags: u8, keep_alive: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05".to_vec();
    body.push(flags);
    body.extend(keep_alive.to_be_bytes());
    body.push(properties.len() as u8);
    body.extend(properties);
    body.extend(payload);
    packet(0x10, body)
}

fn connect(properties: &[u8]) -> Vec<u8> {
    connect_raw(0x02, 10, properties, &field("a"))
}

/// With more flags than Clean Start, and what follows the client id.
fn connect_with(flags: u8, rest: &[u8]) -> Vec<u8> {
    connect_raw(0x02 | flags, 10, &[], &[&field("a")[..], rest].concat())
}

/// A will without properties.
fn will(topic: &[u8], payload: &str) -> Vec<u8> {
    [&[0][..], &field(topic), &field(payload)].concat()
}

fn publish_raw(flags: u8, topic: &[u8], id: Option<u16>, properties: &[u8], payload: &str) -> Vec<u8> {
    let mut body = field(topic);
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.push(properties.len() as u8);
    body.extend(properties);
    body.extend(payload.as_bytes());
    packet(0x30 | flags, body)
}

/// With QoS 1 to the topic "s".
fn publish(id: u16, payload: &str) -> Vec<u8> {
    publish_raw(2, b"s", Some(id), &[], payload)
}

fn with_property(properties: &[u8]) -> Vec<u8> {
    publish_raw(2, b"s", Some(1), properties, "x")
}

fn subscribe(id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.push(0);
    for (filter, options) in filters {
        body.extend(field(filter));
        body.push(*options);
    }
    packet(0x82, body)
}

fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.push(0);
    filters.iter().for_each(|filter| body.extend(field(filter)));
    packet(0xa2, body)
}

/// A case that begins with an accepted CONNECT.
fn on(ids: &'static str, what: &'static str, bytes: impl AsRef<[u8]>, answers: &'static str) -> Case {
    case(ids, what).send(connect(&[]), "CONNACK 00").send(bytes, answers)
}

/// A CONNECT that is refused.
fn refused(ids: &'static str, what: &'static str, bytes: Vec<u8>, answer: &'static str) -> Case {
    case(ids, what).send(bytes, answer).closed()
}

const SMALL: &[u8] = b"\x27\x00\x00\x00\x1e";
const AUTHENTICATION: &[u8] = b"\x15\x00\x0dSCRAM-SHA-256";
const BAD: &str = "CONNACK 81 why";

pub fn cases() -> Vec<Case> {
    [connects(), publishes(), deliveries(), subscriptions(), endings()].into_iter().flatten().collect()
}

fn connects() -> Vec<Case> {
    let level = |level: u8| {
        let mut bytes = connect(&[]);
        bytes[8] = level;
        bytes
    };
    let mut stranger = connect(&[]);
    stranger[7] = b'X';
    let twice = [connect(&[]), connect(&[])].concat();
    let refused_then_publish = [connect(AUTHENTICATION), publish(1, "after a refusal")].concat();
    vec![
        case("3.1.2-4 3.1.4-4 3.1.4-5 3.2.0-1 3.2.2-1 3.2.2-2 7.0.0-2 7.1.1-1", "a plain CONNECT")
            .send(connect(&[]), "CONNACK 00"),
        refused("3.1.0-1 3.14.0-1", "PUBLISH before CONNECT", publish(1, "x"), ""),
        case("3.1.0-2 3.2.0-2 4.13.1-1", "CONNECT twice")
            .send(twice, "CONNACK 00; DISCONNECT 82 why")
            .closed(),
        refused("3.1.2-1", "another protocol's name", stranger, ""),
        refused("3.1.2-2", "a version to come", level(6), "CONNACK 01"),
        refused(
            "3.1.2-3 3.1.4-1 3.2.2-6 3.2.2-7 3.2.2-8 4.13.2-1",
            "the reserved flag",
            connect_with(1, &[]),
            BAD,
        ),
        case("3.1.2-6 3.2.2-3", "Clean Start 0 without a session")
            .send(connect_raw(0, 10, &[], &field("a")), "CONNACK 00"),
        refused("3.1.2-9", "a will's flag without a will", connect_with(4, &[]), BAD),
        refused("3.1.2-11 3.1.2-13", "Will QoS without a will", connect_with(8, &[]), BAD),
        refused("3.1.2-14", "Will QoS 3", connect_with(0x1c, &will(b"s", "x")), BAD),
        case("3.1.2-14", "Will QoS 1").send(connect_with(0x0c, &will(b"s", "x")), "CONNACK 00"),
        refused("3.1.2-15", "Will Retain without a will", connect_with(0x20, &[]), BAD),
        refused("3.1.2-18", "a user name without its flag", connect_with(0, &field("me")), BAD),
        refused("3.1.2-19", "a user name's flag without it", connect_with(0x80, &[]), BAD),
        refused(
            "3.1.2-20",
            "a password without its flag",
            connect_with(0x80, &[field("me"), field("secret")].concat()),
            BAD,
        ),
        refused("3.1.2-21", "a password's flag without it", connect_with(0x40, &[]), BAD),
        case("3.1.2-20 3.1.2-21", "a password without a user name")
            .send(connect_with(0x40, &field("secret")), "CONNACK 00"),
        case("3.1.2-24 3.2.2-22", "silence for one and a half times the keep-alive")
            .send(connect_raw(2, 1, &[], &field("a")), "CONNACK 00; DISCONNECT 8d why")
            .closed(),
        case("3.1.2-31 4.12.0-6", "no response information, no authentication")
            .send(connect(b"\x19\x00"), "CONNACK 00"),
        refused("3.1.3-1 3.1.3-3", "no client id", connect_raw(2, 10, &[], &[]), BAD),
        refused(
            "3.1.3-4 1.5.4-1",
            "a client id that is not UTF-8",
            connect_raw(2, 10, &[], &field(b"\xff")),
            BAD,
        ),
        refused(
            "1.5.4-1",
            "a surrogate in a client id",
            connect_raw(2, 10, &[], &field(b"\xed\xa0\x80")),
            BAD,
        ),
        refused("1.5.4-2", "U+0000 in a client id", connect_raw(2, 10, &[], &field("a\0")), BAD),
        refused("1.5.7-1", "U+0000 in a user property", connect(b"\x26\x00\x01a\x00\x01\x00"), BAD),
        case("3.1.3-5", "a client id of 23 letters and digits")
            .send(connect_raw(2, 10, &[], &field("0123456789abcdefGHIJKLM")), "CONNACK 00"),
        case("3.1.3-6 3.1.3-7 3.2.2-16", "no name of its own")
            .send(connect_raw(2, 10, &[], &field("")), "CONNACK 00 assigned"),
        refused("3.1.3-9", "a will's topic that is not UTF-8", connect_with(4, &will(b"\xff", "x")), BAD),
        refused("3.1.3-10", "a user name that is not UTF-8", connect_with(0x80, &field(b"\xff")), BAD),
        refused(
            "3.1.4-2",
            "a will that the peer may not leave",
            connect_with(4, &will(b"forbidden", "x")),
            "CONNACK 87 why",
        ),
        refused(
            "3.1.4-1",
            "a will's topic with a wildcard",
            connect_with(4, &will(b"a/#", "x")),
            "CONNACK 90 why",
        ),
        refused("3.1.4-1", "a property twice", connect(b"\x21\x00\x01\x21\x00\x01"), "CONNACK 82 why"),
        refused("3.1.4-1", "Receive Maximum 0", connect(b"\x21\x00\x00"), "CONNACK 82 why"),
        refused("3.1.4-1", "a property of PUBLISH", connect(b"\x23\x00\x01"), "CONNACK 82 why"),
        refused("3.1.4-6", "PUBLISH after a refused CONNECT", refused_then_publish, "CONNACK 8c why"),
        refused("3.2.2-12", "Will QoS 2", connect_with(0x14, &will(b"s", "x")), "CONNACK 9b why"),
        refused("3.2.2-13", "Will Retain", connect_with(0x24, &will(b"s", "x")), "CONNACK 9a why"),
        refused(
            "3.1.4-2",
            "a will larger than the server keeps",
            connect_with(4, &will(b"s", &"x".repeat(2000))),
            "CONNACK 95 why",
        ),
        refused("4.12.0-1", "an authentication method", connect(AUTHENTICATION), "CONNACK 8c why"),
        refused(
            "3.2.2-19",
            "a reason that the client has no room for",
            connect(&[AUTHENTICATION, b"\x27\x00\x00\x00\x0a"].concat()),
            "CONNACK 8c",
        ),
        refused(
            "4.12.0-1",
            "authentication data without a method",
            connect(b"\x16\x00\x01x"),
            "CONNACK 82 why",
        ),
    ]
}

fn publishes() -> Vec<Case> {
    let four: Vec<u8> = (1..=4).flat_map(|id| publish(id, "hold")).collect();
    vec![
        on(
            "3.3.4-1 2.2.1-5 3.4.2-1 4.3.2-4",
            "QoS 1 and QoS 0",
            [publish(7, "x"), publish_raw(0, b"s", None, &[], "y")].concat(),
            "PUBACK 7 00",
        ),
        on("3.3.4-1", "a publish that the application rejects", publish(7, "no"), "PUBACK 7 99 why"),
        on(
            "3.3.4-1",
            "a publish that the policy refuses",
            publish_raw(2, b"forbidden", Some(7), &[], "x"),
            "PUBACK 7 87 why",
        ),
        on("3.3.4-1 4.3.2-4", "no answer before a decision", publish(7, "hold"), ""),
        case("3.1.2-32", "a client that wants no reasons")
            .send(connect(b"\x17\x00"), "CONNACK 00")
            .send(publish(7, "no"), "PUBACK 7 99")
            .send(subscribe(8, &[("forbidden", 1)]), "SUBACK 8 87"),
        case("3.1.2-27 3.4.2-2", "a reason that the client has no room for")
            .send(connect(SMALL), "CONNACK 00")
            .send(publish(7, "no"), "PUBACK 7 99"),
        on("3.3.1-2", "DUP with QoS 0", publish_raw(8, b"s", None, &[], "x"), "DISCONNECT 81 why").closed(),
        on(
            "3.3.1-1",
            "DUP with QoS 1 while the first is undecided",
            [publish(1, "hold"), publish_raw(0x0a, b"s", Some(1), &[], "hold")].concat(),
            "",
        ),
        on(
            "2.2.1-3",
            "an identifier in use without DUP",
            [publish(1, "hold"), publish(1, "hold")].concat(),
            "DISCONNECT 82 why",
        )
        .closed(),
        on("3.3.1-4", "QoS 3", publish_raw(6, b"s", Some(1), &[], "x"), "DISCONNECT 81 why").closed(),
        on(
            "3.2.2-11",
            "QoS 2 though Maximum QoS is 1",
            publish_raw(4, b"s", Some(1), &[], "x"),
            "DISCONNECT 9b why",
        )
        .closed(),
        on(
            "3.2.2-14",
            "RETAIN though it is not available",
            publish_raw(3, b"s", Some(1), &[], "x"),
            "DISCONNECT 9a why",
        )
        .closed(),
        on("3.2.2-15", "larger than Maximum Packet Size", packet(0x32, vec![0; 5000]), "DISCONNECT 95 why")
            .closed(),
        on(
            "3.3.2-1",
            "a topic that is not UTF-8",
            publish_raw(2, b"\xff", Some(1), &[], "x"),
            "DISCONNECT 81 why",
        )
        .closed(),
        on(
            "3.3.2-2 4.7.0-1",
            "a topic with a wildcard",
            publish_raw(2, b"a/+", Some(1), &[], "x"),
            "DISCONNECT 90 why",
        )
        .closed(),
        on(
            "4.7.3-1",
            "a topic of no characters",
            publish_raw(2, b"", Some(1), &[], "x"),
            "DISCONNECT 94 why",
        )
        .closed(),
        on("4.7.3-2", "a topic with U+0000", publish_raw(2, b"a\0", Some(1), &[], "x"), "DISCONNECT 81 why")
            .closed(),
        on("3.3.2-8", "topic alias 0", with_property(b"\x23\x00\x00"), "DISCONNECT 82 why").closed(),
        on("3.3.2-9 3.2.2-17 3.2.2-18", "a topic alias", with_property(b"\x23\x00\x01"), "DISCONNECT 94 why")
            .closed(),
        on(
            "3.3.2-13",
            "a response topic that is not UTF-8",
            with_property(b"\x08\x00\x01\xff"),
            "DISCONNECT 81 why",
        )
        .closed(),
        on(
            "3.3.2-14",
            "a response topic with a wildcard",
            with_property(b"\x08\x00\x01#"),
            "DISCONNECT 90 why",
        )
        .closed(),
        on(
            "3.3.2-19",
            "a content type that is not UTF-8",
            with_property(b"\x03\x00\x01\xff"),
            "DISCONNECT 81 why",
        )
        .closed(),
        on(
            "1.5.7-1 1.5.4-2",
            "a user property with U+0000",
            with_property(b"\x26\x00\x01a\x00\x01\x00"),
            "DISCONNECT 81 why",
        )
        .closed(),
        on("3.3.4-6", "a subscription identifier", with_property(b"\x0b\x01"), "DISCONNECT 82 why").closed(),
        on("3.3.4-7", "more than Receive Maximum", four, "DISCONNECT 93 why").closed(),
        on("2.2.1-3", "packet identifier 0", publish(0, "x"), "DISCONNECT 81 why").closed(),
        on("4.3.2-5", "the identifier again after PUBACK", publish(1, "x"), "PUBACK 1 00")
            .send(publish_raw(0x0a, b"s", Some(1), &[], "x"), "PUBACK 1 00"),
    ]
}

fn deliveries() -> Vec<Case> {
    vec![
        on(
            "3.3.2-3 3.3.4-2 3.3.1-12 4.1.0-1 4.3.2-1 4.3.2-2 2.2.1-4",
            "two subscriptions match, the higher QoS counts",
            subscribe(1, &[("r", 0), ("+", 1)]),
            "SUBACK 1 00 01",
        )
        .send(publish(2, "down 1 r x"), "PUBLISH r q1#1 x; PUBACK 2 00")
        .send(publish(3, "down 1 r y"), "PUBLISH r q1#2 y; PUBACK 3 00"),
        on("3.8.4-8 4.3.1-1 2.2.1-2", "QoS 0 was granted", subscribe(1, &[("r", 0)]), "SUBACK 1 00")
            .send(publish(2, "down 1 r x"), "PUBLISH r q0 x; PUBACK 2 00"),
        on("3.8.4-8", "QoS 1 was granted, and QoS 0 is sent", subscribe(1, &[("r", 1)]), "SUBACK 1 01")
            .send(publish(2, "down 0 r x"), "PUBLISH r q0 x; PUBACK 2 00"),
        case("3.3.4-9 3.3.4-10 4.9.0-1 4.9.0-2 4.9.0-3 4.3.2-3", "the client's Receive Maximum")
            .send(connect(b"\x21\x00\x01"), "CONNACK 00")
            .send(subscribe(1, &[("r", 1)]), "SUBACK 1 01")
            .send(publish(2, "down 1 r x"), "PUBLISH r q1#1 x; PUBACK 2 00")
            .send(publish(3, "down 1 r y"), "PUBACK 3 00")
            .send(packet(0x40, [0, 1]), "PUBLISH r q1#1 y"),
        case("3.1.2-27 3.1.2-28", "a message that the client has no room for")
            .send(connect(SMALL), "CONNACK 00")
            .send(subscribe(1, &[("r", 1)]), "SUBACK 1 01")
            .send(publish(2, "down 1 r 0123456789012345678901234567890123456789"), "PUBACK 2 00")
            .send(publish(3, "down 1 r x"), "PUBLISH r q1#1 x; PUBACK 3 00"),
        on(
            "1.5.4-3 4.7.3-4",
            "U+FEFF is a character as any other",
            subscribe(1, &[("\u{feff}r", 1)]),
            "SUBACK 1 01",
        )
        .send(publish(2, "down 1 r x"), "PUBACK 2 00")
        .send(publish(3, "down 1 \u{feff}r x"), "PUBLISH \u{feff}r q1#1 x; PUBACK 3 00"),
        on("4.7.2-1", "# does not match $SYS", subscribe(1, &[("#", 1)]), "SUBACK 1 01")
            .send(publish(2, "down 1 $SYS/x y"), "PUBACK 2 00"),
        on("4.4.0-2", "the client rejects a message", subscribe(1, &[("r", 1)]), "SUBACK 1 01")
            .send(publish(2, "down 1 r x"), "PUBLISH r q1#1 x; PUBACK 2 00")
            .send(packet(0x40, [0, 1, 0x97]), ""),
        on(
            "3.10.4-3",
            "a message on its way while it unsubscribes",
            subscribe(1, &[("r", 1)]),
            "SUBACK 1 01",
        )
        .send(publish(2, "down 1 r x"), "PUBLISH r q1#1 x; PUBACK 2 00")
        .send(unsubscribe(3, &["r"]), "UNSUBACK 3 00")
        .send(packet(0x40, [0, 1]), ""),
    ]
}

fn subscriptions() -> Vec<Case> {
    let flags = |mut bytes: Vec<u8>| {
        bytes[0] &= 0xf0;
        bytes
    };
    let raw = |first: u8, filter: &[u8], rest: &[u8]| {
        packet(first, [&[0, 1, 0][..], &field(filter), rest].concat())
    };
    vec![
        on("3.8.1-1 2.1.3-1", "flags of SUBSCRIBE", flags(subscribe(1, &[("r", 1)])), "DISCONNECT 81 why")
            .closed(),
        on("3.8.3-1", "a filter that is not UTF-8", raw(0x82, b"\xff", &[1]), "DISCONNECT 81 why").closed(),
        on("3.8.3-2", "no filter", subscribe(1, &[]), "DISCONNECT 82 why").closed(),
        on(
            "3.8.3-4",
            "No Local on a shared subscription",
            subscribe(1, &[("$share/g/r", 5)]),
            "DISCONNECT 82 why",
        )
        .closed(),
        on("3.8.3-5", "reserved bits", subscribe(1, &[("r", 0x41)]), "DISCONNECT 81 why").closed(),
        on("2.2.1-3", "packet identifier 0", subscribe(0, &[("r", 1)]), "DISCONNECT 81 why").closed(),
        on("4.7.3-2", "a filter with U+0000", subscribe(1, &[("r\0", 1)]), "DISCONNECT 81 why").closed(),
        on(
            "3.8.4-1 3.8.4-2 2.2.1-6",
            "the identifier comes back",
            subscribe(0x1234, &[("r", 1)]),
            "SUBACK 4660 01",
        ),
        on("3.2.2-10", "QoS 2 is asked for", subscribe(1, &[("r", 2)]), "SUBACK 1 01"),
        on("3.8.4-3", "the same filter again", subscribe(1, &[("r", 1)]), "SUBACK 1 01")
            .send(subscribe(2, &[("r", 0)]), "SUBACK 2 00")
            .send(publish(3, "down 1 r x"), "PUBLISH r q0 x; PUBACK 3 00"),
        on(
            "3.8.4-5 3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2",
            "several filters",
            subscribe(1, &[("r", 1), ("forbidden", 1), ("q", 0)]),
            "SUBACK 1 01 87 00 why",
        ),
        on("4.7.1-1", "# not in the last level", subscribe(1, &[("a/#/b", 1)]), "SUBACK 1 8f why"),
        on("4.7.1-2", "+ beside other characters", subscribe(1, &[("a+", 1)]), "SUBACK 1 8f why"),
        on("4.7.3-1", "a filter of no characters", subscribe(1, &[("", 1)]), "SUBACK 1 8f why"),
        on("3.9.3-2", "a shared subscription", subscribe(1, &[("$share/g/r", 1)]), "SUBACK 1 9e why"),
        case("3.9.2-1", "a reason that the client has no room for")
            .send(connect(SMALL), "CONNACK 00")
            .send(subscribe(1, &[("forbidden", 1)]), "SUBACK 1 87"),
        on("3.10.1-1 2.1.3-1", "flags of UNSUBSCRIBE", flags(unsubscribe(1, &["r"])), "DISCONNECT 81 why")
            .closed(),
        on("3.10.3-1", "a filter that is not UTF-8", raw(0xa2, b"\xff", &[]), "DISCONNECT 81 why").closed(),
        on("3.10.3-2", "no filter", unsubscribe(1, &[]), "DISCONNECT 82 why").closed(),
        on("2.2.1-3", "packet identifier 0", unsubscribe(0, &["r"]), "DISCONNECT 81 why").closed(),
        on(
            "3.10.4-1 3.10.4-2 3.10.4-4 3.10.4-5",
            "nothing is sent after it",
            subscribe(1, &[("r", 1)]),
            "SUBACK 1 01",
        )
        .send(unsubscribe(0x1234, &["r"]), "UNSUBACK 4660 00")
        .send(publish(3, "down 1 r x"), "PUBACK 3 00"),
        on(
            "3.10.4-5 3.10.4-6 3.11.3-1 3.11.3-2",
            "several filters",
            subscribe(1, &[("r", 1)]),
            "SUBACK 1 01",
        )
        .send(unsubscribe(2, &["q", "r"]), "UNSUBACK 2 11 00"),
    ]
}

fn endings() -> Vec<Case> {
    vec![
        on("3.12.4-1", "PINGREQ", [0xc0, 0], "PINGRESP"),
        on("2.1.3-1", "flags of PINGREQ", [0xc1, 0], "DISCONNECT 81 why").closed(),
        on("3.6.1-1", "flags of PUBREL", [0x60, 2, 0, 1], "DISCONNECT 81 why").closed(),
        on("3.14.1-1", "flags of DISCONNECT", [0xe1, 0], "DISCONNECT 81 why").closed(),
        on(
            "4.13.1-1",
            "a session expiry interval that CONNECT did not have",
            b"\xe0\x07\x00\x05\x11\x00\x00\x00\x01",
            "DISCONNECT 82 why",
        )
        .closed(),
        on(
            "3.14.2-1 3.14.2-2 3.14.4-1 3.14.4-2 4.13.2-1",
            "a failure that will pass",
            publish(1, "later"),
            "DISCONNECT 97 why",
        )
        .closed(),
        case("3.14.2-3", "a reason that the client has no room for")
            .send(connect(SMALL), "CONNACK 00")
            .send(publish(1, "later"), "DISCONNECT 97")
            .closed(),
        on("3.15.1-1", "flags of AUTH", [0xf1, 0], "DISCONNECT 81 why").closed(),
        on("4.12.0-7", "AUTH without a method in CONNECT", [0xf0, 0], "DISCONNECT 82 why").closed(),
    ]
}
