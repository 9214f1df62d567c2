//! The rules of a session, without clock or socket.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use proptest::prelude::*;
use voltmesh_mqtt::*;

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

/// CONNECT of MQTT 5 with client id "a", keep-alive 10 s.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01a";

/// A PUBLISH with QoS 1 to v1/car-1/s.
fn publish(id: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x0av1/car-1/s".to_vec();
    body.extend(id.to_be_bytes());
    body.push(0);
    body.extend(payload);
    let mut packet = vec![0x30 | flags, body.len() as u8];
    assert!(body.len() < 128);
    packet.append(&mut body);
    packet
}

/// A server that has accepted CONNECT.
fn open(limits: Limits) -> ServerConnection {
    let mut server = machine(limits);
    let outputs = server.handle(at(0), ServerInput::Received(CONNECT));
    assert!(
        matches!(&outputs[..], [ServerOutput::Connected { client_id, .. }] if client_id == "a"),
        "{outputs:?}"
    );
    server.take_bytes();
    server
}

/// Feeds raw bytes to an open server; how it ended, and what it wrote.
fn broken_by(limits: Limits, bytes: &[u8]) -> (Option<End>, Vec<u8>) {
    let mut server = open(limits);
    let outputs = server.handle(at(1), ServerInput::Received(bytes));
    (server_end(&outputs), server.take_bytes().to_vec())
}

#[test]
fn golden_connack() {
    let mut server = machine(Limits { receive_maximum: 20, max_packet: 1000, ..Limits::default() });
    server.handle(at(0), ServerInput::Received(CONNECT));
    let expected = b"\x20\x13\x00\x00\x10\x24\x01\x25\x00\x2a\x00\x29\x00\x27\x00\x00\x03\xe8\x21\x00\x14";
    assert_eq!(&server.take_bytes()[..], expected);
}

#[test]
fn golden_puback() {
    let mut server = open(Limits::default());
    let outputs =
        server.handle(at(0), ServerInput::Received(&[publish(7, 2, b"x"), publish(8, 2, b"y")].concat()));
    let items = publishes(&outputs);
    server.handle(at(0), ServerInput::Reject(items[1].token, Reason::PAYLOAD_FORMAT_INVALID.into()));
    server.handle(at(0), ServerInput::Accept(items[0].token));
    assert_eq!(&server.take_bytes()[..], b"\x40\x03\x00\x08\x99\x40\x02\x00\x07");
    // With a text, for a client that wants it.
    let outputs = server.handle(at(0), ServerInput::Received(&publish(9, 2, b"z")));
    let refusal = Refusal::new(Reason::PAYLOAD_FORMAT_INVALID, "no time");
    server.handle(at(0), ServerInput::Reject(publishes(&outputs)[0].token, refusal));
    assert_eq!(&server.take_bytes()[..], b"\x40\x0e\x00\x09\x99\x0a\x1f\x00\x07no time");
}

#[test]
fn withheld_until_accepted() {
    let mut pair = pair(Limits::default(), ClientOptions::default());
    for tag in 0..5 {
        pair.publish(tag);
    }
    let (heard, told) = pair.exchange();
    let items = publishes(&heard);
    assert_eq!((items.len(), told.len()), (5, 0), "no acknowledgement without a decision");
    assert_eq!(pair.server.undecided(), (5, 35));
    // Any order; twice is once.
    for place in [3, 1, 1] {
        pair.server.handle(pair.now, ServerInput::Accept(items[place].token));
    }
    pair.server.handle(pair.now, ServerInput::Reject(items[0].token, Reason::PAYLOAD_FORMAT_INVALID.into()));
    let (_, told) = pair.exchange();
    let expected = [(3, Reason::SUCCESS), (1, Reason::SUCCESS), (0, Reason::PAYLOAD_FORMAT_INVALID)];
    assert_eq!(completed(&told), expected);
    // A transient failure: no PUBACK, DISCONNECT 0x97.
    pair.server.handle(pair.now, ServerInput::Disconnect(Reason::QUOTA_EXCEEDED.into()));
    let (_, told) = pair.exchange();
    assert_eq!(told, [ClientOutput::Ended(End::Peer(Reason::QUOTA_EXCEEDED))]);
    pair.server.handle(pair.now, ServerInput::Accept(items[2].token));
    assert!(pair.server.take_bytes().is_empty(), "too late");
}

#[test]
fn the_window_holds() {
    let limits = Limits { receive_maximum: 3, ..Limits::default() };
    let mut pair = pair(limits, ClientOptions::default());
    for tag in 0..10 {
        pair.publish(tag);
    }
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let (heard, _) = pair.exchange();
        let items = publishes(&heard);
        assert!((1..=3).contains(&items.len()) && pair.server.undecided().0 <= 3);
        for item in items {
            pair.server.handle(pair.now, ServerInput::Accept(item.token));
            seen.push(item.payload);
        }
    }
    let expected: Vec<_> = (0..10).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_sender_that_ignores_the_window() {
    let limits = Limits { receive_maximum: 2, ..Limits::default() };
    let bytes: Vec<u8> = (1..=3).flat_map(|id| publish(id, 2, b"x")).collect();
    let (end, wrote) = broken_by(limits, &bytes);
    assert_eq!(end, Some(End::Here(Reason::RECEIVE_MAXIMUM_EXCEEDED)));
    assert!(matches!(wrote[..], [0xe0, _, 0x93, ..]), "{wrote:02x?}");
}

#[test]
fn oversized() {
    let limits = Limits { max_packet: 100, ..Limits::default() };
    // The length alone is enough: none of the body has come, none is waited for.
    let (end, wrote) = broken_by(limits, b"\x32\xff\xff\x7f");
    assert_eq!(end, Some(End::Here(Reason::PACKET_TOO_LARGE)));
    assert!(matches!(wrote[..], [0xe0, _, 0x95, ..]), "{wrote:02x?}");
    let mut server = machine(Limits { max_packet: 10, ..Limits::default() });
    let outputs = server.handle(at(0), ServerInput::Received(CONNECT));
    assert_eq!(server_end(&outputs), Some(End::Here(Reason::PACKET_TOO_LARGE)));
}

#[test]
fn broken_packets() {
    for (what, bytes, reason) in [
        ("malformed length", b"\x32\xff\xff\xff\xff".to_vec(), Reason::MALFORMED_PACKET),
        ("QoS 3", publish(1, 6, b""), Reason::MALFORMED_PACKET),
        ("QoS 2", publish(1, 4, b""), Reason::QOS_NOT_SUPPORTED),
        ("retained", publish(1, 3, b""), Reason::RETAIN_NOT_SUPPORTED),
        ("packet id 0", publish(0, 2, b""), Reason::MALFORMED_PACKET),
        ("an id in use", [publish(1, 2, b"x"), publish(1, 2, b"y")].concat(), Reason::PROTOCOL_ERROR),
        ("a topic with a wildcard", b"\x30\x04\x00\x01#\x00".to_vec(), Reason::TOPIC_NAME_INVALID),
        ("no topic", b"\x30\x03\x00\x00\x00".to_vec(), Reason::TOPIC_ALIAS_INVALID),
        ("a topic that is not UTF-8", b"\x30\x04\x00\x01\xff\x00".to_vec(), Reason::MALFORMED_PACKET),
        ("CONNECT again", CONNECT.to_vec(), Reason::PROTOCOL_ERROR),
        ("PUBACK for nothing", b"\x40\x02\x00\x09".to_vec(), Reason::PROTOCOL_ERROR),
        ("a server's packet", b"\xd0\x00".to_vec(), Reason::PROTOCOL_ERROR),
        ("AUTH", b"\xf0\x00".to_vec(), Reason::PROTOCOL_ERROR),
    ] {
        let (end, wrote) = broken_by(Limits::default(), &bytes);
        assert_eq!(end, Some(End::Here(reason)), "{what}");
        let told = matches!(&wrote[..], [0xe0, _, code, ..] if *code == reason.0);
        assert!(what == "malformed length" || told, "{what}: the peer is told: {wrote:02x?}");
    }
}

#[test]
fn before_connect() {
    for bytes in [publish(1, 2, b"x"), publish(0, 0, b"x"), b"\xc0\x00".to_vec(), b"\xe0\x00".to_vec()] {
        let mut server = machine(Limits::default());
        let outputs = server.handle(at(0), ServerInput::Received(&bytes));
        assert!(matches!(outputs[..], [ServerOutput::Ended(_)]), "{outputs:?}");
        assert!(server.take_bytes().is_empty());
    }
}

/// Legal, and once a panic of the protocol library.
#[test]
fn no_topic_aliases_wanted() {
    let mut server = machine(Limits::default());
    let connect = b"\x10\x14\x00\x04MQTT\x05\x02\x00\x0a\x06\x21\x00\x14\x22\x00\x00\x00\x01a";
    let outputs = server.handle(at(0), ServerInput::Received(connect));
    assert!(matches!(outputs[..], [ServerOutput::Connected { .. }]), "{outputs:?}");
}

#[test]
fn a_full_server_says_so() {
    let mut server = machine(Limits::default());
    server.ask_door(Box::new(|_| Err(Refusal::new(Reason::SERVER_BUSY, "all are in use"))));
    let outputs = server.handle(at(0), ServerInput::Received(CONNECT));
    assert_eq!(outputs, [ServerOutput::Ended(End::Here(Reason::SERVER_BUSY))]);
    let mut client = ClientConnection::new(at(0), ClientOptions::default()).unwrap();
    let told = client.handle(at(0), ClientInput::Received(&server.take_bytes()));
    assert_eq!(told, [ClientOutput::Ended(End::Peer(Reason::SERVER_BUSY))]);
}

#[test]
fn silence() {
    let mut server = machine(Limits::default());
    assert_eq!(server.deadline(), Some(at(5000)));
    assert!(server.handle(at(4999), ServerInput::Tick).is_empty());
    assert!(matches!(server.handle(at(5000), ServerInput::Tick)[..], [ServerOutput::Ended(End::Lost(_))]));

    // Keep-alive 10 s: gone after 15 s, counted from the last packet.
    let mut server = open(Limits::default());
    server.handle(at(9000), ServerInput::Received(b"\xc0\x00"));
    assert_eq!(&server.take_bytes()[..], b"\xd0\x00");
    assert_eq!(server.deadline(), Some(at(24_000)));
    assert!(server.handle(at(23_999), ServerInput::Tick).is_empty());
    let outputs = server.handle(at(24_000), ServerInput::Tick);
    assert_eq!(outputs, [ServerOutput::Ended(End::Here(Reason::KEEP_ALIVE_TIMEOUT))]);
    assert!(matches!(server.take_bytes()[..], [0xe0, _, 0x8d, ..]));
    assert_eq!(server.deadline(), None);
}

#[test]
fn a_client_that_wants_no_keep_alive_gets_one() {
    let limits = Limits { max_keep_alive: Duration::from_secs(20), ..Limits::default() };
    let options = ClientOptions { keep_alive: Duration::ZERO, ..ClientOptions::default() };
    let pair = pair(limits, options);
    assert_eq!(pair.server.deadline(), Some(at(30_000)));
}

#[test]
fn a_server_that_does_not_answer() {
    let options = ClientOptions {
        ping_every: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(500),
        ..ClientOptions::default()
    };
    let mut waiting = ClientConnection::new(at(0), options.clone()).unwrap();
    assert_eq!(waiting.deadline(), Some(at(5000)));
    assert!(matches!(waiting.handle(at(5000), ClientInput::Tick)[..], [ClientOutput::Ended(End::Lost(_))]));

    let mut pair = pair(Limits::default(), options);
    assert_eq!(pair.client.deadline(), Some(at(300)));
    assert!(pair.client.handle(at(300), ClientInput::Tick).is_empty());
    pair.now = at(340);
    let (_, told) = pair.exchange();
    assert_eq!(told, [ClientOutput::RoundTrip(Duration::from_millis(40))]);
    // The next one is lost: noticed 0.8 s after the last sign of life.
    assert_eq!(pair.client.deadline(), Some(at(600)));
    pair.client.handle(at(600), ClientInput::Tick);
    // Nothing more is sent meanwhile, or the timeout would be put off.
    let mut end = Vec::new();
    while let Some(due) = pair.client.deadline() {
        assert!(due <= at(1100), "{due:?}");
        pair.client.take_bytes();
        end = pair.client.handle(due, ClientInput::Tick);
    }
    assert_eq!(end, [ClientOutput::Ended(End::Here(Reason::KEEP_ALIVE_TIMEOUT))]);
}

/// On a path with a round trip of a second, pings have more than the configured time: else no session would last there.
#[test]
fn a_slow_path_has_more_time_for_pings() {
    let options = ClientOptions {
        ping_every: Duration::from_secs(5),
        ping_timeout: Duration::from_millis(500),
        ..ClientOptions::default()
    };
    let client = ClientConnection::new(at(0), options).unwrap();
    let mut pair = Pair { now: at(1_000), server: machine(Limits::default()), client };
    let (_, told) = pair.exchange();
    assert!(matches!(told[..], [ClientOutput::Connected { .. }, ..]), "{told:?}");
    let mut asked = None;
    let ended = loop {
        let due = pair.client.deadline().unwrap();
        let told = pair.client.handle(due, ClientInput::Tick);
        // The ping, which nobody answers.
        if !pair.client.take_bytes().is_empty() {
            asked.get_or_insert(due);
        }
        if let [ClientOutput::Ended(end)] = &told[..] {
            assert_eq!(end, &End::Here(Reason::KEEP_ALIVE_TIMEOUT));
            break due;
        }
    };
    assert_eq!(ended.since(asked.unwrap()), Duration::from_secs(4));
}

#[test]
fn another_vehicles_topic() {
    let mut pair = pair(Limits::default(), ClientOptions::default());
    let topics = ["v1/car-2/sample", "v1/car-1/sample", "v1/car-10/sample", "other", "v1/car-1/sample"];
    for (tag, topic) in topics.into_iter().enumerate() {
        let item = Outgoing::new(topic, "x".into(), tag as u64);
        pair.client.handle(pair.now, ClientInput::Publish(item));
    }
    let (heard, told) = pair.exchange();
    assert_eq!(publishes(&heard).len(), 2);
    assert!(heard.contains(&ServerOutput::Refused(3)));
    assert_eq!(completed(&told), [0, 2, 3].map(|tag| (tag, Reason::NOT_AUTHORIZED)));
}

#[test]
fn subscriptions_and_messages_down() {
    let filters =
        ["v1/car-1/receipt", "v1/car-2/receipt", "v1/+/receipt", "$share/g/v1/car-1/receipt", "v1/car-1/a#"];
    let options = ClientOptions { receive_maximum: 2, ..ClientOptions::default() };
    let mut pair = pair(Limits { max_outbound: 3, ..Limits::default() }, options);
    let down = |tag| Outgoing::new("v1/car-1/receipt", "r".into(), tag);
    let unheard = pair.server.handle(pair.now, ServerInput::Publish(down(9)));
    assert_eq!(unheard, [ServerOutput::Completed(vec![(9, Reason::NO_MATCHING_SUBSCRIBERS)])]);

    let mut answers = Vec::new();
    for filter in filters {
        pair.client.handle(pair.now, ClientInput::Subscribe(vec![filter.to_owned()]));
        let (_, told) = pair.exchange();
        let [ClientOutput::Subscribed(answer)] = &told[..] else { panic!("{filter}: {told:?}") };
        answers.push(answer[0].1);
    }
    let expected = [
        Reason(1),
        Reason::NOT_AUTHORIZED,
        Reason::NOT_AUTHORIZED,
        Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
        Reason::TOPIC_FILTER_INVALID,
    ];
    assert_eq!(answers, expected);

    // Two in the client's window, three in the queue, the sixth is too many.
    let outputs: Vec<_> =
        (1..=6).flat_map(|tag| pair.server.handle(pair.now, ServerInput::Publish(down(tag)))).collect();
    assert_eq!(outputs, [ServerOutput::Completed(vec![(6, Reason::QUOTA_EXCEEDED)])]);
    assert_eq!(pair.server.outbound().0, 3);
    let mut done = Vec::new();
    while done.len() < 5 {
        let (_, told) = pair.exchange();
        let [ClientOutput::Messages(items)] = &told[..] else { panic!("{told:?}") };
        for item in items {
            pair.client.handle(pair.now, ClientInput::Accept(item.token));
        }
        let up = pair.client.take_bytes();
        for output in pair.server.handle(pair.now, ServerInput::Received(&up)) {
            let ServerOutput::Completed(more) = output else { panic!("{output:?}") };
            done.extend(more);
        }
    }
    assert_eq!(done, [1, 2, 3, 4, 5].map(|tag| (tag, Reason::SUCCESS)));
}

#[test]
fn redelivery_is_marked() {
    let mut first = pair(Limits::default(), ClientOptions::default());
    first.publish(1);
    let (heard, _) = first.exchange();
    assert!(!publishes(&heard)[0].duplicate);
    assert_eq!(first.client.handle(at(1), ClientInput::Closed("reset")).len(), 1);

    let mut second = pair(Limits::default(), ClientOptions::default());
    let again = Outgoing { duplicate: true, ..Outgoing::new("v1/car-1/sample", "{\"n\":1}".into(), 1) };
    second.client.handle(second.now, ClientInput::Publish(again));
    let (heard, _) = second.exchange();
    assert!(publishes(&heard)[0].duplicate);
    second.server.handle(second.now, ServerInput::Accept(publishes(&heard)[0].token));
    assert_eq!(completed(&second.exchange().1), [(1, Reason::SUCCESS)]);

    // Within one connection, a repetition of an undecided publish is the same publish.
    let mut server = open(Limits::default());
    let bytes = [publish(1, 2, b"x"), publish(1, 2 | 8, b"x")].concat();
    assert_eq!(publishes(&server.handle(at(0), ServerInput::Received(&bytes))).len(), 1);
}

/// A client's whole life, as bytes.
fn script() -> Vec<u8> {
    let mut bytes = CONNECT.to_vec();
    bytes.extend(b"\x82\x10\x00\x63\x00\x00\x0av1/car-1/r\x01");
    for id in 1..=20u16 {
        bytes.extend(publish(id, if id % 3 == 0 { 0x0a } else { 2 }, &vec![b'p'; usize::from(id) * 4]));
        bytes.extend(b"\xc0\x00");
    }
    bytes.extend(b"\x30\x10\x00\x0av1/car-2/s\x00zzz");
    bytes.extend(b"\xe0\x00");
    bytes
}

/// What a server does with the script in given pieces: publishes, other outputs and bytes written.
fn run(pieces: &[&[u8]]) -> (Vec<Incoming>, Vec<ServerOutput>, Vec<u8>) {
    let mut server = machine(Limits::default());
    let (mut items, mut others, mut wrote) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        for output in server.handle(at(1), ServerInput::Received(piece)) {
            match output {
                ServerOutput::Publishes(more) => items.extend(more),
                // Counted per input.
                ServerOutput::Refused(_) => {}
                other => others.push(other),
            }
        }
        wrote.extend(server.take_bytes());
    }
    (items, others, wrote)
}

proptest! {
    #[test]
    fn any_split_is_the_same(cuts in prop::collection::vec(0..2000usize, 0..40)) {
        let script = script();
        let whole = run(&[&script]);
        prop_assert_eq!(whole.0.len(), 20);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % script.len()).chain([0, script.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|pair| &script[pair[0]..pair[1]]).collect();
        prop_assert_eq!(run(&pieces), whole);
    }

    /// Whatever the order of decisions and the cuts of the transport, each publish is completed once, by its decision.
    #[test]
    fn each_decision_arrives_once(
        window in 1..20u16,
        count in 1..60u64,
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..200),
    ) {
        let mut pair = pair(Limits { receive_maximum: window, ..Limits::default() }, ClientOptions::default());
        for tag in 0..count {
            pair.publish(tag);
        }
        let (mut undecided, mut decided, mut done) = (Vec::new(), Vec::new(), Vec::new());
        let mut picks = picks.into_iter();
        loop {
            let (heard, told) = pair.exchange();
            undecided.extend(publishes(&heard));
            done.extend(completed(&told));
            if undecided.is_empty() {
                break;
            }
            let (place, accept) = picks.next().map_or((0, true), |(index, accept)| (index.index(undecided.len()), accept));
            let item: Incoming = undecided.swap_remove(place);
            let tag: u64 = std::str::from_utf8(&item.payload[5..item.payload.len() - 1]).unwrap().parse().unwrap();
            let reason = if accept { Reason::SUCCESS } else { Reason::PAYLOAD_FORMAT_INVALID };
            let input = if accept { ServerInput::Accept(item.token) } else { ServerInput::Reject(item.token, reason.into()) };
            pair.server.handle(pair.now, input);
            decided.push((tag, reason));
        }
        prop_assert_eq!(done.len() as u64, count);
        prop_assert_eq!(done, decided);
    }
}
