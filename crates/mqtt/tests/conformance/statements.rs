//! All numbered normative statements of both standards (their appendix B), and those that have no case, with the reason.

use std::collections::BTreeSet;

/// MQTT 5, without `MQTT-`: each section with its numbers.
pub const V5: &str = "1.5.4-1..3 1.5.5-1..1 1.5.7-1..1 2.1.3-1..1 2.2.1-2..6 2.2.2-1..1 3.1.0-1..2 3.1.2-1..33 3.1.3-1..10 \
    3.1.4-1..6 3.2.0-1..2 3.2.2-1..22 3.3.1-1..13 3.3.2-1..20 3.3.4-1..10 3.4.2-1..3 3.5.2-1..3 3.6.1-1..1 3.6.2-1..3 \
    3.7.2-1..3 3.8.1-1..1 3.8.3-1..5 3.8.4-1..8 3.9.2-1..2 3.9.3-1..2 3.10.1-1..1 3.10.3-1..2 3.10.4-1..6 3.11.2-1..2 \
    3.11.3-1..2 3.12.4-1..1 3.14.0-1..1 3.14.1-1..1 3.14.2-1..4 3.14.4-1..3 3.15.1-1..1 3.15.2-1..2 4.1.0-1..2 \
    4.3.1-1..1 4.3.2-1..5 4.3.3-1..13 4.4.0-1..2 4.5.0-1..2 4.6.0-1..6 4.7.0-1..1 4.7.1-1..2 4.7.2-1..1 4.7.3-1..4 \
    4.8.2-1..6 4.9.0-1..3 4.12.0-1..7 4.12.1-1..2 4.13.1-1..1 4.13.2-1..1 6.0.0-1..4 7.0.0-1..2 7.1.1-1..1 7.1.2-1..1";

/// MQTT 3.1.1 (3-8.3-4 is spelled so in the standard).
pub const V3_1_1: &str = "1.5.3-1..3 2.2.2-1..2 2.3.1-1..7 3.1.0-1..2 3.1.2-1..24 3.1.3-1..11 3.1.4-1..5 3.2.0-1..1 \
    3.2.2-1..6 3.3.1-1..12 3.3.2-1..3 3.3.4-1..1 3.3.5-1..2 3.6.1-1..1 3.8.1-1..1 3.8.3-1..3 3-8.3-4..4 3.8.4-1..6 \
    3.9.3-1..2 3.10.1-1..1 3.10.3-1..2 3.10.4-1..6 3.12.4-1..1 3.14.1-1..1 3.14.4-1..3 4.1.0-1..2 4.3.1-1..1 4.3.2-1..2 \
    4.3.3-1..2 4.4.0-1..1 4.5.0-1..2 4.6.0-1..6 4.7.1-1..3 4.7.2-1..1 4.7.3-1..4 4.8.0-1..2 6.0.0-1..4 7.0.0-1..2 \
    7.1.1-1..1 7.1.2-1..1";

const CLIENT: &str = "a client's duty that a server cannot see";
const RETAIN: &str = "nothing is retained: MQTT 5 is told so (Retain Available 0), MQTT 3.1.1 cannot be";
const QOS_2: &str =
    "QoS 2 is not offered: MQTT 5 is told so (Maximum QoS 1), an MQTT 3.1.1 connection is closed";
const SESSION: &str =
    "sessions end with their connection: CONNACK says so (Session Expiry Interval 0, Session Present 0)";
const FORWARD: &str = "messages are not forwarded between clients";
const ALIAS: &str = "no topic aliases are offered or used";
const SUBSCRIPTION_ID: &str = "subscription identifiers are not offered (CONNACK says so)";
const SHARED: &str = "shared subscriptions are not offered (CONNACK says so)";
const AUTH: &str = "no authentication method is offered, AUTH is never sent";
const NOT_SENT: &str = "the server never sends this property";
const WEBSOCKET: &str = "WebSocket is not offered";
const IMPOSSIBLE: &str = "two bytes of length cannot say more than 65,535";
const CONVERSATION: &str = "";

/// An empty reason: shown by a test with several connections, beside the cases of its version.
pub const EXCLUDED_V5: &[(&str, &str)] = &[
    (CONVERSATION, "3.1.2-7 3.1.2-8 3.1.2-10 3.1.2-12 3.1.2-16 3.14.4-3 3.1.3-2 3.1.4-3 3.2.2-9 2.2.2-1"),
    ("a longer length than necessary has one meaning, and is read", "1.5.5-1"),
    ("every client id is taken", "3.1.3-8"),
    (
        CLIENT,
        "3.1.2-22 3.1.2-23 3.1.2-33 3.2.2-4 3.2.2-5 3.2.2-21 3.3.2-10 3.3.4-8 4.5.0-2 4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 \
         4.12.0-3 4.12.1-1 6.0.0-3 7.1.2-1",
    ),
    (RETAIN, "3.1.2-17 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-9 3.3.1-10 3.3.1-11 3.3.1-13 3.8.4-4"),
    (
        QOS_2,
        "3.5.2-1 3.5.2-2 3.5.2-3 3.6.2-1 3.6.2-2 3.6.2-3 3.7.2-1 3.7.2-2 3.7.2-3 4.3.3-1 4.3.3-2 4.3.3-3 4.3.3-4 \
         4.3.3-5 4.3.3-6 4.3.3-7 4.3.3-8 4.3.3-9 4.3.3-10 4.3.3-11 4.3.3-12 4.3.3-13",
    ),
    (SESSION, "3.1.2-5 3.1.2-25 3.1.2-26 4.1.0-2 4.4.0-1"),
    (
        FORWARD,
        "3.3.1-3 3.3.2-4 3.3.2-5 3.3.2-6 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20 3.8.3-3 4.5.0-1 4.6.0-5 4.6.0-6",
    ),
    (ALIAS, "3.1.2-29 3.1.2-30 3.3.2-7 3.3.2-11 3.3.2-12"),
    (SUBSCRIPTION_ID, "3.3.4-3 3.3.4-4 3.3.4-5"),
    (SHARED, "4.8.2-1 4.8.2-2 4.8.2-3 4.8.2-4 4.8.2-5 4.8.2-6"),
    (AUTH, "3.15.2-1 3.15.2-2 4.12.0-2 4.12.0-4 4.12.0-5 4.12.1-2"),
    (NOT_SENT, "3.2.2-20 3.4.2-3 3.9.2-2 3.11.2-1 3.11.2-2 3.14.2-4"),
    (IMPOSSIBLE, "4.7.3-3"),
    (WEBSOCKET, "6.0.0-1 6.0.0-2 6.0.0-4"),
    ("the server connects to no other server", "7.0.0-1"),
];

pub const EXCLUDED_V3_1_1: &[(&str, &str)] = &[
    (CONVERSATION, "3.1.2-8 3.1.2-10 3.1.2-12 3.1.2-16 3.14.4-3 3.1.3-2 3.1.4-2"),
    (CLIENT, "2.3.1-3 3.1.2-23 3.14.4-1 3.14.4-2 4.5.0-2 4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 6.0.0-3 7.1.2-1"),
    (RETAIN, "3.1.2-7 3.1.2-17 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-10 3.3.1-11 3.3.1-12"),
    (QOS_2, "4.3.3-1 4.3.3-2"),
    (SESSION, "3.1.2-4 3.1.2-5 3.2.2-2 4.4.0-1"),
    (FORWARD, "3.3.1-3 4.5.0-1 4.6.0-5 4.6.0-6"),
    (IMPOSSIBLE, "4.7.3-3"),
    (WEBSOCKET, "6.0.0-1 6.0.0-2 6.0.0-4"),
    ("the server connects to no other server", "7.0.0-1"),
];

fn expand(statements: &str) -> BTreeSet<String> {
    let each = statements.split_whitespace().flat_map(|part| {
        let (before, last) = part.split_once("..").expect("a range");
        let (section, first) = before.rsplit_once('-').expect("a number");
        let (first, last): (u32, u32) = (first.parse().unwrap(), last.parse().unwrap());
        (first..=last).map(move |number| format!("{section}-{number}"))
    });
    each.collect()
}

/// Checks that each statement has a case or a reason, and that the document states the counts.
pub fn account(version: &str, all: &str, excluded: &[(&str, &str)], cases: &BTreeSet<String>, run: usize) {
    let all = expand(all);
    let mut shown = cases.clone();
    let mut without = BTreeSet::new();
    for (reason, ids) in excluded {
        for id in ids.split_whitespace() {
            let new =
                if reason.is_empty() { shown.insert(id.to_owned()) } else { without.insert(id.to_owned()) };
            assert!(new, "{version}: {id} is accounted for twice");
        }
    }
    let both: Vec<_> = shown.intersection(&without).collect();
    assert!(both.is_empty(), "{version}: a case and a reason for having none: {both:?}");
    let accounted: BTreeSet<_> = shown.union(&without).cloned().collect();
    let missing: Vec<_> = all.difference(&accounted).collect();
    let unknown: Vec<_> = accounted.difference(&all).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "{version}: missing {missing:?}, unknown {unknown:?}");
    let row = format!("| {version} | {} | {} | {} | {run} |", all.len(), shown.len(), without.len());
    println!("{row}");
    let document = include_str!("../../../../docs/mqtt.md");
    assert!(document.contains(&row), "docs/mqtt.md does not have the row {row}");
    for (reason, _) in excluded {
        assert!(document.contains(reason), "docs/mqtt.md does not give the reason {reason:?}");
    }
}
