//! Server and client over TCP and TLS on a free port.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use voltmesh_identity::{Credentials, Expected, Pki, Reason as Why, Target, server_name};
use voltmesh_mqtt::*;

fn sample(tag: Tag) -> Outgoing {
    Outgoing::new("v1/car-1/sample", format!("{{\"n\":{tag}}}").into(), tag)
}

fn named(client_id: &str) -> ClientSettings {
    let mut settings = ClientSettings::default();
    settings.options.client_id = client_id.to_owned();
    settings
}

fn quick() -> ServerSettings {
    ServerSettings { revocation_poll: Duration::from_millis(20), ..ServerSettings::default() }
}

/// TLS as a vehicle, without an MQTT client.
async fn raw(world: &World) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let tls = world.credentials("edge:car-1").client_config(Expected::role(Role::Fog), None).unwrap();
    let stream = tokio::net::TcpStream::connect(world.server.address()).await.unwrap();
    TlsConnector::from(tls).connect(server_name(), stream).await.unwrap()
}

async fn wait_for(world: &World, counter: &str) {
    wait_until(world, counter, 1).await;
}

async fn wait_until(world: &World, counter: &str, least: u64) {
    let look = async {
        while world.server.counters().snapshot().get(counter).is_none_or(|count| *count < least) {
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(20), look).await;
    assert!(done.is_ok(), "{counter} stays below {least}: {:?}", world.server.counters().snapshot());
}

#[tokio::test]
async fn publishes_and_acknowledgements() {
    let mut world = world(ServerSettings::default()).await;
    let (client, mut events) = world.connect("edge:car-1").await.unwrap();
    assert_eq!(client.server().identity, name("fog:fog-1"));
    assert!(client.round_trip() > Duration::ZERO && client.window() == Limits::default().receive_maximum);
    client.publish_all((0..100).map(sample)).unwrap();
    let mut tokens = Vec::new();
    while tokens.len() < 100 {
        let (session, items) = world.publishes().await;
        assert_eq!(session.peer().identity, name("edge:car-1"));
        for item in items {
            assert_eq!(item.payload, format!("{{\"n\":{}}}", tokens.len()));
            tokens.push((session.clone(), item.token));
        }
    }
    assert!(events.try_next().is_none(), "no PUBACK before a decision");
    tokens[99].0.reject(tokens[99].1, Reason::PAYLOAD_FORMAT_INVALID);
    tokens[0].0.accept_all(tokens[..99].iter().rev().map(|(_, token)| *token));
    let mut done = Vec::new();
    while done.len() < 100 {
        let ClientEvent::Completed(more) = next(&mut events).await else { panic!() };
        done.extend(more);
    }
    assert_eq!(done[0], (99, Reason::PAYLOAD_FORMAT_INVALID));
    let expected: Vec<_> = (0..99).rev().map(|tag| (tag, Reason::SUCCESS)).collect();
    assert_eq!(done[1..], expected);
    assert_eq!(client.queued(), 0);

    client.disconnect(Reason::SUCCESS);
    assert_eq!(client_end(&mut events).await, End::Here(Reason::SUCCESS));
    assert_eq!(world.ended().await, End::Peer(Reason::SUCCESS));
    assert!(matches!(client.publish(sample(0)), Err(Error::Closed)));
    client.ready().await;
    assert!(world.server.sessions().is_empty());
}

#[tokio::test]
async fn a_transient_failure_then_redelivery() {
    let mut world = world(ServerSettings::default()).await;
    let (client, mut events) = world.connect("edge:car-1").await.unwrap();
    client.publish(sample(1)).unwrap();
    let (session, items) = world.publishes().await;
    assert!(!items[0].duplicate);
    session.disconnect(Reason::QUOTA_EXCEEDED);
    // Too late to matter.
    session.accept(items[0].token);
    assert_eq!(next(&mut events).await, ClientEvent::Ended(End::Peer(Reason::QUOTA_EXCEEDED)));

    let (client, mut events) = world.connect("edge:car-1").await.unwrap();
    client.publish(Outgoing { duplicate: true, ..sample(1) }).unwrap();
    let (session, items) = world.publishes().await;
    assert!(items[0].duplicate);
    session.accept(items[0].token);
    assert_eq!(next(&mut events).await, ClientEvent::Completed(vec![(1, Reason::SUCCESS)]));
}

#[tokio::test]
async fn messages_down() {
    let mut world = world(ServerSettings::default()).await;
    let mut settings = ClientSettings::default();
    settings.options.subscriptions = vec!["v1/car-1/receipt".to_owned(), "v1/car-2/receipt".to_owned()];
    let (client, mut events) = world.connect_with("edge:car-1", settings).await.unwrap();
    let answers =
        vec![("v1/car-1/receipt".into(), Reason(1)), ("v1/car-2/receipt".into(), Reason::NOT_AUTHORIZED)];
    assert_eq!(next(&mut events).await, ClientEvent::Subscribed(answers));
    let session = loop {
        match world.next().await {
            ServerEvent::Subscribed { session, filter } => {
                assert_eq!(filter, "v1/car-1/receipt");
                break session;
            }
            ServerEvent::Connected { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(world.server.sessions_of(&name("edge:car-1")).len(), 1);
    assert!(world.server.sessions_of(&name("edge:car")).is_empty());
    session.publish(Outgoing::new("v1/car-1/receipt", "signed".into(), 5)).unwrap();
    let ClientEvent::Messages(items) = next(&mut events).await else { panic!() };
    assert_eq!((&*items[0].topic, &items[0].payload[..]), ("v1/car-1/receipt", &b"signed"[..]));
    client.accept(items[0].token);
    let ServerEvent::Completed { done, .. } = world.next().await else { panic!() };
    assert_eq!(done, [(5, Reason::SUCCESS)]);
    client.ping();
    assert!(matches!(next(&mut events).await, ClientEvent::RoundTrip(time) if time > Duration::ZERO));
}

#[tokio::test]
async fn takeover_is_by_identity_and_client_id() {
    let mut world = world(ServerSettings::default()).await;
    let (_first, mut first_events) = world.connect_with("edge:car-1", named("a")).await.unwrap();
    let (_second, mut second_events) = world.connect_with("edge:car-1", named("b")).await.unwrap();
    // Another vehicle with the same client id is another session.
    let (_other, mut other_events) = world.connect_with("edge:car-2", named("a")).await.unwrap();
    let (_third, _third_events) = world.connect_with("edge:car-1", named("a")).await.unwrap();
    assert_eq!(client_end(&mut first_events).await, End::Peer(Reason::SESSION_TAKEN_OVER));
    assert_eq!(world.ended().await, End::Here(Reason::SESSION_TAKEN_OVER));
    assert!(second_events.try_next().is_none() && other_events.try_next().is_none());
    assert_eq!(world.server.sessions().len(), 3);
}

#[tokio::test]
async fn revoked_while_connected() {
    let mut world = world(quick()).await;
    let (_client, mut events) = world.connect("edge:car-1").await.unwrap();
    let (_other, mut other_events) = world.connect("edge:car-2").await.unwrap();
    world.pki.revoke(&Target::Identity(name("edge:car-1")), Why::KeyCompromise).unwrap();
    assert_eq!(client_end(&mut events).await, End::Peer(Reason::ADMINISTRATIVE_ACTION));
    assert_eq!(world.ended().await, End::Here(Reason::ADMINISTRATIVE_ACTION));
    let again = world.connect("edge:car-1").await;
    assert!(matches!(again, Err(Error::Tls { .. })), "it may not come back");
    assert!(other_events.try_next().is_none());
    let counts = world.server.counters().snapshot();
    assert_eq!((counts["sessions_revoked"], counts["tls_revoked"]), (1, 1));
}

#[tokio::test]
async fn a_client_leaves_a_server_that_is_revoked() {
    let world = world(ServerSettings::default()).await;
    let settings = ClientSettings {
        revoked: Some(world.revoked.clone()),
        revocation_poll: Duration::from_millis(20),
        ..ClientSettings::default()
    };
    let (_client, mut events) = world.connect_with("edge:car-1", settings).await.unwrap();
    let (_other, mut other_events) = world.connect("edge:car-2").await.unwrap();
    world.pki.revoke(&Target::Identity(name("fog:fog-1")), Why::KeyCompromise).unwrap();
    assert_eq!(client_end(&mut events).await, End::Here(Reason::ADMINISTRATIVE_ACTION));
    assert!(other_events.try_next().is_none(), "one without a list cannot know");
}

#[tokio::test]
async fn those_who_do_not_get_in() {
    let world = world(ServerSettings::default()).await;
    let address = world.server.address().to_string();

    // A vehicle of another CA does not even trust the server.
    let folder = tempfile::tempdir().unwrap();
    let other = Pki::init(&folder.path().join("pki")).unwrap();
    let stranger = Credentials::load(&other.issue(&name("edge:car-1"), &[], 30).unwrap().folder).unwrap();
    let tls = stranger.client_config(Expected::role(Role::Fog), None).unwrap();
    let refused = Client::connect(&address, tls, ClientSettings::default()).await;
    assert!(matches!(refused, Err(Error::Tls { .. })));
    wait_for(&world, "tls_other").await;

    // One that trusts it, but shows a certificate of another CA: the client's error is the server's alert.
    std::fs::copy(world.pki.ca_path(), stranger.folder().join("ca.crt")).unwrap();
    let forged = Credentials::load(stranger.folder()).unwrap();
    let tls = forged.client_config(Expected::role(Role::Fog), None).unwrap();
    let refused = Client::connect(&address, tls, ClientSettings::default()).await;
    assert!(matches!(refused, Err(Error::Tls { .. })));
    wait_for(&world, "tls_unknown_issuer").await;

    // No certificate at all.
    let mut roots = rustls::RootCertStore::empty();
    roots.add(world.credentials("edge:car-1").ca).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let refused = Client::connect(&address, Arc::new(tls), ClientSettings::default()).await;
    assert!(matches!(refused, Err(Error::Tls { .. })));
    wait_for(&world, "tls_no_certificate").await;

    // A client that looks for the cloud.
    let tls = world.credentials("edge:car-1").client_config(Expected::role(Role::Cloud), None).unwrap();
    let refused = Client::connect(&address, tls, ClientSettings::default()).await;
    let Err(Error::Tls { source, .. }) = refused else { panic!() };
    assert!(format!("{source:?}").contains("fog-1"), "{source:?}");

    // Nobody listens there.
    let tls = world.credentials("edge:car-1").client_config(Expected::role(Role::Fog), None).unwrap();
    let refused = Client::connect("127.0.0.1:1", tls, ClientSettings::default()).await;
    assert!(matches!(refused, Err(Error::Unreachable { .. })));
    assert!(world.server.sessions().is_empty());
}

#[tokio::test]
async fn an_expired_certificate() {
    let world = world(ServerSettings::default()).await;
    let car = world.credentials("edge:car-1");
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let ca_key = rcgen::KeyPair::from_pem(&read(&world.pki.ca_path().with_file_name("ca.key"))).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read(&world.pki.ca_path()), ca_key).unwrap();
    let key = rcgen::KeyPair::from_pem(&read(&car.folder().join("tls.key"))).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::URI("urn:voltmesh:edge:car-1".try_into().unwrap())];
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    std::fs::write(car.folder().join("tls.crt"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    assert!(matches!(world.connect("edge:car-1").await, Err(Error::Tls { .. })));
    wait_for(&world, "tls_expired").await;
}

#[tokio::test]
async fn garbage_and_oversized_packets() {
    let mut world = world(ServerSettings::default()).await;
    let connect: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01a";
    for (bytes, reason) in [
        (&b"\x32\xff\xff\xff\x7f"[..], Reason::PACKET_TOO_LARGE),
        (b"\x30\x01\xff", Reason::MALFORMED_PACKET),
    ] {
        let mut stream = raw(&world).await;
        stream.write_all(connect).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert_eq!(world.ended().await, End::Here(reason));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let told = |part: &[u8]| part[0] == 0xe0 && part[2] == reason.0;
        assert!(answer.windows(3).any(told), "{answer:02x?}");
    }
    let mut stream = raw(&world).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0, "closed without a word");
    let counts = world.server.counters().snapshot();
    assert_eq!((counts["ended_packet_too_large"], counts["ended_malformed_packet"]), (1, 1));
}

#[tokio::test]
async fn a_full_server() {
    let world = world(ServerSettings { bounds: Bounds::of_sessions(1), ..ServerSettings::default() }).await;
    let (_client, _events) = world.connect("edge:car-1").await.unwrap();
    let refused = world.connect("edge:car-2").await;
    assert!(matches!(refused, Err(Error::Refused { end: End::Peer(Reason::SERVER_BUSY), .. })));
    assert_eq!(world.server.counters().snapshot()["sessions_refused"], 1);
}

#[tokio::test]
async fn an_honest_client_gets_in_beside_silent_connections() {
    let bounds = Bounds { max_silent: 32, ..Bounds::default() };
    let world = world(ServerSettings { bounds, ..ServerSettings::default() }).await;
    // 300 that say nothing, and none of them is ever closed by its client.
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(tokio::net::TcpStream::connect(world.server.address()).await.unwrap());
    }
    let start = std::time::Instant::now();
    let (_client, _events) = world.connect("edge:car-1").await.unwrap();
    assert!(start.elapsed() < Limits::default().connect_timeout, "it waited for silent ones to time out");
    let counts = world.server.counters().snapshot();
    assert!(counts["open_silent"] <= 32 && counts["connections_ended_for_room"] >= 300 - 32, "{counts:?}");
    // Those that were ended see it.
    let mut first = silent.swap_remove(0);
    assert_eq!(first.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

/// A ClientHello in parts costs as much as a handshake: there are as few of them, however many silent ones there may be.
#[tokio::test]
async fn an_honest_client_gets_in_beside_those_that_say_half_of_it() {
    let bounds = Bounds { max_speaking: 32, speaking_per_source: 32, ..Bounds::default() };
    let world = world(ServerSettings { bounds, ..ServerSettings::default() }).await;
    let mut speaking = Vec::new();
    for _ in 0..300 {
        let mut stream = tokio::net::TcpStream::connect(world.server.address()).await.unwrap();
        // A record of 256 bytes, of which three come.
        stream.write_all(b"\x16\x03\x01\x01\x00\x01\x00\x00").await.unwrap();
        speaking.push(stream);
    }
    wait_until(&world, "connections_ended_for_room", 300 - 32).await;
    let (_client, _events) = world.connect("edge:car-1").await.unwrap();
    let counts = world.server.counters().snapshot();
    assert_eq!((counts["open_speaking"], counts["open_silent"]), (32, 0), "{counts:?}");
}

/// CONNECT is kept until it is whole: it may not be as large as a batch.
#[tokio::test]
async fn a_connect_that_is_announced_too_large_is_not_waited_for() {
    let mut world = world(ServerSettings::default()).await;
    let mut stream = raw(&world).await;
    // 1,000,000 bytes are to come.
    stream.write_all(b"\x10\xc0\x84\x3d\x00\x04MQTT\x05").await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0, "closed without a word");
    let counts = world.server.counters().snapshot();
    assert_eq!(counts["open_connections"], 0, "{counts:?}");
    // What a will of the largest size needs is let in.
    let will = vec![b'x'; 64 << 10];
    let body =
        [&b"\x00\x04MQTT\x05\x06\x00\x0a\x00\x00\x01a\x00\x00\x0dv1/car-1/will\xff\xff"[..], &will[1..]]
            .concat();
    let mut stream = raw(&world).await;
    stream.write_all(&[&b"\x10\x9f\x80\x04"[..], &body].concat()).await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..1], [0x20], "{answer:02x?}");
    drop(world.events.next().await);
}

#[tokio::test]
async fn an_honest_client_gets_in_beside_handshakes_that_stand_still() {
    let bounds = Bounds { max_handshakes: 8, handshakes_per_source: 8, ..Bounds::default() };
    let world = world(ServerSettings { bounds, ..ServerSettings::default() }).await;
    // TLS is done; CONNECT never comes.
    let mut still = Vec::new();
    for _ in 0..40 {
        still.push(raw(&world).await);
    }
    let (_client, _events) = world.connect("edge:car-2").await.unwrap();
    let counts = world.server.counters().snapshot();
    assert!(counts["open_handshakes"] <= 8 && counts["connections_ended_for_room"] >= 32, "{counts:?}");
}

#[tokio::test]
async fn one_certificate_and_many_sessions_leave_room_for_others() {
    let world = world(ServerSettings::default()).await;
    let mut held = Vec::new();
    for number in 0..8 {
        held.push(world.connect_with("client:mallory", named(&format!("id-{number}"))).await.unwrap());
    }
    for number in 8..40 {
        let refused = world.connect_with("client:mallory", named(&format!("id-{number}"))).await;
        assert!(matches!(refused, Err(Error::Refused { end: End::Peer(Reason::QUOTA_EXCEEDED), .. })));
    }
    let (_client, _events) = world.connect("edge:car-1").await.unwrap();
    // Its own client id again takes the session over.
    let _again = world.connect_with("client:mallory", named("id-0")).await.unwrap();
    assert_eq!(client_end(&mut held[0].1).await, End::Peer(Reason::SESSION_TAKEN_OVER));
    let counts = world.server.counters().snapshot();
    assert_eq!((counts["sessions_refused_identity"], counts["open_sessions"]), (32, 9));
}

/// Who was turned away, and why, is in the audit log: an entry for the first time, one for the count of the others.
#[tokio::test]
async fn refusals_are_entered_by_identity_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let audit = voltmesh_audit::Recorder::open(folder.path()).unwrap();
    let world = world(ServerSettings { audit: audit.clone(), ..quick() }).await;
    let mut held = Vec::new();
    for number in 0..20 {
        held.push(world.connect_with("client:mallory", named(&format!("id-{number}"))).await);
    }
    let (_client, mut events) = world.connect("edge:car-1").await.unwrap();
    world.pki.revoke(&Target::Identity(name("edge:car-1")), Why::KeyCompromise).unwrap();
    client_end(&mut events).await;
    assert!(world.connect("edge:car-1").await.is_err());
    wait_for(&world, "tls_revoked").await;
    audit.close();
    let mut entries = Vec::new();
    let report = voltmesh_audit::read(folder.path(), |entry| entries.push(entry.clone())).unwrap();
    assert_eq!(report.problem_count, 0);
    let count = |who: &str, what: &str| {
        let of = entries.iter().filter(|entry| entry.who == who && entry.what.contains(what));
        (of.clone().count(), of.map(|entry| entry.count).sum::<u64>())
    };
    assert_eq!(
        count("urn:voltmesh:client:mallory", "the identity has all of its own"),
        (2, 12),
        "{entries:?}"
    );
    assert_eq!(count("urn:voltmesh:edge:car-1", "session ended"), (1, 1), "{entries:?}");
    assert_eq!(count("127.0.0.1", "TLS handshake"), (1, 1), "{entries:?}");
    assert_eq!(count("the CA", "revocation list of 1 certificates"), (1, 1), "{entries:?}");
}

#[tokio::test]
async fn places_are_kept_for_a_client_that_was_here() {
    let bounds = Bounds { reserved_sessions: 1, ..Bounds::of_sessions(2) };
    let mut world = world(ServerSettings { bounds, ..ServerSettings::default() }).await;
    let (client, _events) = world.connect("edge:car-1").await.unwrap();
    client.disconnect(Reason::SUCCESS);
    world.ended().await;
    let (_first, _first_events) = world.connect("edge:car-2").await.unwrap();
    let refused = world.connect("edge:car-3").await;
    assert!(matches!(refused, Err(Error::Refused { end: End::Peer(Reason::SERVER_BUSY), .. })));
    assert_eq!(world.server.counters().snapshot()["sessions_refused_reserved"], 1);
    world.connect("edge:car-1").await.unwrap();
}

#[tokio::test]
async fn handshakes_past_the_rate_of_an_address_are_refused() {
    let bounds = Bounds { handshakes_per_source_s: 1, ..Bounds::default() };
    let world = world(ServerSettings { bounds, ..ServerSettings::default() }).await;
    let mut refused = false;
    for _ in 0..100 {
        refused |= matches!(world.connect("edge:car-1").await, Err(Error::Tls { .. }));
        if refused {
            break;
        }
    }
    assert!(refused, "100 handshakes took more than 100 s, or none was refused");
    assert_eq!(world.server.counters().snapshot()["handshakes_refused_rate"], 1);
}

#[tokio::test]
async fn an_identity_with_much_undecided_is_not_read_from_and_others_are() {
    let settings = ServerSettings { max_undecided_bytes: 1 << 20, ..ServerSettings::default() };
    let mut world = world(settings).await;
    let big = |car: &str, tag| Outgoing::new(format!("v1/{car}/sample"), vec![b'x'; 100_000].into(), tag);
    let mut hoarders = Vec::new();
    for name in ["a", "b", "c"] {
        let (client, events) = world.connect_with("edge:car-1", named(name)).await.unwrap();
        client.publish_all((0..20).map(|tag| big("car-1", tag))).unwrap();
        hoarders.push((client, events));
    }
    let mut bytes = 0;
    // Nothing is decided: what comes stops at about half of the budget, each session one read past it at most.
    while world.server.counters().snapshot()["publishes_held_identity"] < 10 {
        if let Some(ServerEvent::Publishes { items, .. }) = world.events.try_next() {
            bytes += items.iter().map(|item| item.payload.len()).sum::<usize>();
        }
        tokio::task::yield_now().await;
    }
    assert!(bytes < 1 << 20, "{bytes} of 6,000,000");
    let (other, mut other_events) = world.connect("edge:car-2").await.unwrap();
    other.publish(big("car-2", 7)).unwrap();
    loop {
        let (session, items) = world.publishes().await;
        if session.peer().identity == name("edge:car-2") {
            session.accept_all(items.iter().map(|item| item.token));
            break;
        }
    }
    assert_eq!(next(&mut other_events).await, ClientEvent::Completed(vec![(7, Reason::SUCCESS)]));
}

#[tokio::test]
async fn an_application_that_does_not_decide_stops_the_flow() {
    let limits = Limits { max_undecided_bytes: 10_000, ..Limits::default() };
    let mut world = world(ServerSettings { limits, ..ServerSettings::default() }).await;
    let (client, mut events) = world.connect("edge:car-1").await.unwrap();
    let big = |tag| Outgoing::new("v1/car-1/sample", vec![b'x'; 300_000].into(), tag);
    client.publish_all((0..10).map(big)).unwrap();
    let (session, items) = world.publishes().await;
    // Over its budget, the session is not read from: far fewer than ten have come.
    assert!(items.len() <= 3, "{}", items.len());
    let (mut seen, mut tokens) = (items.len(), items);
    while seen < 10 {
        session.accept_all(tokens.iter().map(|item| item.token));
        let (_, items) = world.publishes().await;
        seen += items.len();
        tokens = items;
    }
    session.accept_all(tokens.iter().map(|item| item.token));
    let mut done = 0;
    while done < 10 {
        let ClientEvent::Completed(more) = next(&mut events).await else { panic!() };
        done += more.len();
    }
}

#[tokio::test]
async fn shutdown_tells_everyone() {
    let world = world(ServerSettings::default()).await;
    let (_client, mut events) = world.connect("edge:car-1").await.unwrap();
    world.server.shutdown();
    assert_eq!(client_end(&mut events).await, End::Peer(Reason::SERVER_SHUTTING_DOWN));
}

#[tokio::test]
async fn a_full_client_queue() {
    let world = world(ServerSettings::default()).await;
    let settings = ClientSettings { max_queue: 10, ..ClientSettings::default() };
    let (client, _events) = world.connect_with("edge:car-1", settings).await.unwrap();
    client.publish_all((0..10).map(sample)).unwrap();
    assert!(matches!(client.publish(sample(10)), Err(Error::Full)));
    client.ready().await;
    client.publish(sample(10)).unwrap();
}

/// CONNECT of MQTT 3.1.1 with a client id of one letter.
fn connect_3_1_1(client_id: u8) -> Vec<u8> {
    [&b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01"[..], &[client_id]].concat()
}

#[tokio::test]
async fn an_identity_has_as_many_mqtt_3_1_1_sessions_as_others() {
    let world = world(ServerSettings::default()).await;
    let mut held = Vec::new();
    for number in 0..9 {
        let mut stream = raw(&world).await;
        stream.write_all(&connect_3_1_1(b'a' + number)).await.unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).await.unwrap();
        assert_eq!(connack, [0x20, 2, 0, if number < 8 { 0 } else { 3 }]);
        held.push(stream);
    }
    assert_eq!(world.server.counters().snapshot()["sessions_refused_identity"], 1);
}

#[tokio::test]
async fn an_mqtt_3_1_1_client_is_not_read_from_past_what_others_are_told() {
    let limits = Limits { receive_maximum: 4, ..Limits::default() };
    let mut world = world(ServerSettings { limits, ..ServerSettings::default() }).await;
    let (mut input, mut output) = tokio::io::split(raw(&world).await);
    tokio::spawn(async move {
        output.write_all(&connect_3_1_1(b'a')).await.unwrap();
        for id in 1..=4000u16 {
            let packet = [b"\x32\x8e\x08\x00\x0av1/car-1/s", &id.to_be_bytes()[..], &[b'x'; 1024]].concat();
            output.write_all(&packet).await.unwrap();
        }
    });
    // One read of 256 KiB may come when there are three.
    let most = 3 + 256;
    let (mut seen, mut undecided) = (0, Vec::new());
    while seen < 4000 {
        let (session, items) = world.publishes().await;
        assert_eq!(session.version(), Version::V3_1_1);
        seen += items.len();
        undecided.extend(items);
        assert!(undecided.len() <= most, "{} publishes without a decision", undecided.len());
        if undecided.len() >= 4 {
            session.accept_all(undecided.drain(..).map(|item| item.token));
        }
    }
    let mut answers = vec![0; 4 + 4 * 4000];
    input.read_exact(&mut answers).await.unwrap();
    assert!(answers[4..].chunks(4).all(|puback| puback[..2] == [0x40, 2]));
}
