//! Mutated packets never break either side: no panic, no growth, and nothing after the end.
//!
//! `FUZZ_SECONDS=60 FUZZ_SEED=… cargo test -p voltmesh-mqtt --test fuzz_packets`; 2 seconds and a seed from the clock by
//! default. A failure prints the seed and the input.
#![allow(clippy::unwrap_used)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::*;
use voltmesh_mqtt::*;
use voltmesh_testing::{Random, setting};

/// Packets as both sides write them, and some that they do not.
fn corpus() -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = vec![
        b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01a".to_vec(),
        // MQTT 3.1.1, plain, and with a will, user name and password; MQTT 3.1.
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a".to_vec(),
        b"\x10\x24\x00\x04MQTT\x04\xc6\x00\x0a\x00\x01a\x00\x0bv1/car-1/wi\x00\x02hi\x00\x02me\x00\x04pass".to_vec(),
        b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x1e\x00\x01a".to_vec(),
        b"\x32\x0e\x00\x0av1/car-1/s\x00\x04".to_vec(),
        b"\x82\x0f\x00\x63\x00\x0av1/car-1/r\x01".to_vec(),
        // With a will, user name, password and properties.
        b"\x10\x3a\x00\x04MQTT\x05\xc6\x00\x0a\x10\x11\x00\x00\x00\x0a\x21\x00\x14\x27\x00\x00\x10\x00\x22\x00\x05\
          \x00\x01a\x05\x18\x00\x00\x00\x01\x00\x05v1/wi\x00\x02hi\x00\x04user\x00\x04pass"
            .to_vec(),
        b"\x32\x0f\x00\x0av1/car-1/s\x00\x01\x00".to_vec(),
        b"\x32\x15\x00\x0av1/car-1/s\x00\x02\x05\x02\x00\x00\x00\x09x".to_vec(),
        b"\x34\x0f\x00\x0av1/car-1/s\x00\x03\x00".to_vec(),
        b"\x30\x08\x00\x00\x03\x23\x00\x01hi".to_vec(),
        b"\x40\x02\x00\x01".to_vec(),
        b"\x40\x0b\x00\x01\x10\x07\x1f\x00\x04none".to_vec(),
        b"\x50\x02\x00\x01".to_vec(),
        b"\x62\x02\x00\x01".to_vec(),
        b"\x70\x02\x00\x01".to_vec(),
        b"\x82\x10\x00\x63\x00\x00\x0av1/car-1/r\x01".to_vec(),
        b"\xa2\x0f\x00\x64\x00\x00\x0av1/car-1/r".to_vec(),
        b"\xc0\x00".to_vec(),
        b"\xd0\x00".to_vec(),
        b"\xe0\x00".to_vec(),
        b"\xe0\x07\x04\x05\x11\x00\x00\x00\x00".to_vec(),
        b"\xf0\x09\x18\x07\x15\x00\x01a\x16\x00\x00".to_vec(),
        b"\x20\x13\x00\x00\x10\x24\x01\x25\x00\x2a\x00\x29\x00\x27\x00\x00\x03\xe8\x21\x00\x14".to_vec(),
        b"\x20\x06\x00\x00\x03\x21\x00\x00".to_vec(),
        b"\x90\x04\x00\x01\x00\x01".to_vec(),
        b"\xb0\x04\x00\x01\x00\x00".to_vec(),
    ];
    let mut pair = pair(Limits::default(), ClientOptions::default());
    pair.publish(1);
    packets.push(pair.client.take_bytes().to_vec());
    packets
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.below(4) {
        let place = random.below(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[place] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[place] = random.next_u64() as u8,
            2 => bytes.insert(place, random.next_u64() as u8),
            3 if !bytes.is_empty() => drop(bytes.remove(place)),
            4 => bytes.truncate(place),
            5 if !bytes.is_empty() => bytes[place] = [0, 0x7f, 0x80, 0xff][random.below(4)],
            // Only the length that the packet claims.
            _ if bytes.len() > 1 => bytes[1] = bytes[1].wrapping_add(random.below(5) as u8).wrapping_sub(2),
            _ => {}
        }
    }
}

fn input(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(6) {
        let mut packet = corpus[random.below(corpus.len())].clone();
        mutate(random, &mut packet);
        bytes.extend(packet);
    }
    bytes
}

fn feed_server(random: &mut Random, bytes: &[u8], open: bool) {
    let limits = Limits { max_packet: 4096, receive_maximum: 4, max_subscriptions: 2, ..Limits::default() };
    let mut server = machine(limits);
    let mut now = Moment::from_millis(0);
    let mut ended = false;
    let five: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01a";
    let three: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a";
    let old = open && random.below(2) == 0;
    let connect = if old {
        three
    } else if open {
        five
    } else {
        b""
    };
    let mut rest = &[connect, bytes].concat()[..];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + random.below(rest.len()));
        rest = after;
        now = now.after(Duration::from_millis(random.below(3) as u64));
        let outputs = server.handle(now, ServerInput::Received(piece));
        assert!(!ended || outputs.is_empty(), "after the end: {outputs:?}");
        for output in outputs {
            assert!(!ended, "after the end: {output:?}");
            match output {
                ServerOutput::Publishes(items) => {
                    for item in items {
                        assert!(item.topic.starts_with("v1/car-1/") && is_topic(&item.topic));
                        let _ = server.handle(now, ServerInput::Accept(item.token));
                    }
                }
                ServerOutput::Subscribed(filter) => assert!(filter.starts_with("v1/car-1/")),
                ServerOutput::Ended(_) => ended = true,
                _ => {}
            }
        }
        // MQTT 3.1.1 has no window: what one input brings is its bound.
        assert!(server.undecided().0 <= if server.is_full() || !open { bytes.len() } else { 4 });
        assert!(server.take_bytes().len() < 64 << 10);
    }
    server.handle(now, ServerInput::Publish(Outgoing::new("v1/car-1/r", "x".into(), 1)));
    server.handle(now.after(Duration::from_secs(100)), ServerInput::Tick);
}

fn feed_client(random: &mut Random, bytes: &[u8], open: bool) {
    let now = Moment::from_millis(0);
    let mut client = ClientConnection::new(now, ClientOptions::default()).unwrap();
    if open {
        client.handle(now, ClientInput::Received(b"\x20\x03\x00\x00\x00"));
        client.handle(now, ClientInput::Publish(Outgoing::new("v1/car-1/s", "x".into(), 1)));
        client.handle(now, ClientInput::Subscribe(vec!["v1/car-1/r".into()]));
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + random.below(rest.len()));
        rest = after;
        for output in client.handle(now, ClientInput::Received(piece)) {
            if let ClientOutput::Messages(items) = output {
                for item in items {
                    client.handle(now, ClientInput::Reject(item.token, Reason::UNSPECIFIED));
                }
            }
        }
        assert!(client.take_bytes().len() < 64 << 10);
    }
    client.handle(now.after(Duration::from_secs(100)), ClientInput::Tick);
}

#[test]
fn mutated_packets() {
    let seconds = setting("FUZZ_SECONDS", 2);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = setting("FUZZ_SEED", clock);
    let corpus = corpus();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut cases = 0u64;
    while Instant::now() < until {
        let case = seed.wrapping_add(cases);
        let mut random = Random::new(case);
        let bytes = input(&mut random, &corpus);
        let open = random.below(4) > 0;
        let run = catch_unwind(AssertUnwindSafe(|| {
            feed_server(&mut random, &bytes, open);
            feed_client(&mut random, &bytes, open);
        }));
        assert!(run.is_ok(), "replay: FUZZ_SEED={case} FUZZ_SECONDS=1; input {bytes:02x?}");
        cases += 1;
    }
    println!("{cases} cases, first seed {seed}");
    assert!(cases > 0);
}
