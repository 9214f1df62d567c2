//! A trap, a loop, too much memory, a flood, an answer out of bounds: one failure of one instance, and nothing else.

use super::support::*;
use serde_json::json;
use voltmesh_control::{FleetShare, InstanceState, Work};
use voltmesh_function::{FailurePolicy, Input, Output};
use voltmesh_telemetry::Digest;

fn pair() -> Node {
    let mut node = Node::with_releases(&[one()]);
    for name in ["bus-7", "bus-8"] {
        node.run(name, Digest::of(ONE), json!({ "event_every": 1 }), (1, 0));
        node.sample(name);
    }
    node
}

/// The function that gets this sample fails for this reason; its neighbour does not notice, and it starts again.
fn fails(what: u16, reason: &str) {
    let mut node = pair();
    let before = node.manager.counters();
    let out = node.samples("bus-7", vec![poison(node.now, what)]);
    assert!(kinds(&out).is_empty(), "nothing of the call is used: {out:?}");
    let warned = out.iter().any(|output| matches!(output, Output::Warn(text) if text.contains(reason)));
    assert!(warned, "{reason}: {out:?}");
    assert_eq!(node.state("bus-7"), Some(InstanceState::BackingOff));
    assert_eq!(node.manager.counters().failures, before.failures + 1);
    assert_eq!(kinds(&node.sample("bus-8")), ["seen"]);
    // It goes on from its last state, with the next number.
    node.now += 100;
    node.input(Input::Tick);
    assert_eq!(node.state("bus-7"), Some(InstanceState::Running));
    let out = node.sample("bus-7");
    assert_eq!(kinds(&out), ["seen"]);
    assert_eq!(figure(node.events.last().unwrap(), "count"), 2.0);
}

#[test]
fn a_trap() {
    fails(1_001, "trapped");
}

#[test]
fn an_endless_loop() {
    fails(1_002, "fuel");
}

#[test]
fn a_memory_blow_up() {
    fails(1_003, "memory");
}

#[test]
fn a_flood_of_events() {
    fails(1_004, "");
}

#[test]
fn an_endless_recursion() {
    fails(1_007, "");
}

#[test]
fn answers_out_of_bounds() {
    fails(1_005, "not finite");
    fails(1_006, "text has 100000 bytes");
    fails(1_008, "charge limit");
    fails(1_009, "an event's kind");
    fails(1_010, "derating");
    fails(1_011, "valid for 0 ms");
    fails(1_012, "metric is not finite");
    fails(1_013, "are the host's");
}

#[test]
fn a_flood_over_time_is_a_failure() {
    let mut node = pair();
    let mut calls = 0;
    while node.state("bus-7") == Some(InstanceState::Running) {
        node.sample("bus-7");
        calls += 1;
        assert!(calls < 100, "64 events at once, ten a second");
    }
    assert!(calls > 60, "{calls}");
}

/// Fails until it is off, waiting longer each time.
fn until_off(policy: FailurePolicy) -> (Node, Vec<Output>) {
    until_off_with(policy, FLEET)
}

fn until_off_with(policy: FailurePolicy, fleet: FleetShare) -> (Node, Vec<Output>) {
    let mut manifest = manifest(1);
    manifest.failure = policy;
    let mut node = Node::with_releases(&[sign(&manifest, ONE)]);
    let work = Work::Run {
        vehicle: vehicle("bus-7"),
        function: FUNCTION.into(),
        release: Digest::of(ONE),
        configuration: json!({ "command_every": 1, "valid_ms": 600000 }),
        lease: signed(&lease(&vehicle("bus-7"), (1, 0), at(600_000))),
        state: None,
        fleet,
    };
    node.order(1, work);
    node.sample("bus-7");
    let mut waits = Vec::new();
    loop {
        let out = node.samples("bus-7", vec![poison(node.now, 1_001)]);
        if node.state("bus-7") == Some(InstanceState::Failed) {
            assert_eq!(waits, [100, 200, 400, 800, 1_600]);
            return (node, out);
        }
        let failed = node.now;
        while node.state("bus-7") == Some(InstanceState::BackingOff) {
            node.now += 100;
            node.input(Input::Tick);
        }
        waits.push(node.now - failed);
    }
}

#[test]
fn after_too_many_failures_the_last_commands_hold() {
    let (mut node, out) = until_off(FailurePolicy::Hold);
    assert_eq!(kinds(&out), ["host-off"]);
    assert!(commands(&out).is_empty());
    // It stays off over a renewed lease and a restart, until another release or configuration is ordered.
    node.run("bus-7", Digest::of(ONE), json!({ "command_every": 1, "valid_ms": 600000 }), (1, 1));
    assert_eq!(node.state("bus-7"), Some(InstanceState::Failed));
    node.restart(&[one()]);
    assert_eq!(node.state("bus-7"), Some(InstanceState::Failed));
    node.run("bus-7", Digest::of(ONE), json!({ "event_every": 1 }), (1, 1));
    assert_eq!(node.state("bus-7"), Some(InstanceState::Running));
}

#[test]
fn after_too_many_failures_the_last_commands_are_withdrawn() {
    let (node, out) = until_off(FailurePolicy::Withdraw);
    assert_eq!(kinds(&out), ["host-off"]);
    let withdrawn = commands(&out);
    assert_eq!(withdrawn.len(), 1);
    assert_eq!(withdrawn[0].1.expires, at(node.now + 3_000));
    assert!(withdrawn[0].0.is_some(), "it waits for the event");
}

/// Also when neither the function nor its node may command any more: what is in force would stay.
#[test]
fn commands_are_withdrawn_whatever_the_rates() {
    let (node, out) = until_off_with(FailurePolicy::Withdraw, FleetShare { per_min: 1, burst: 1 });
    assert_eq!(commands(&out).len(), 1);
    assert_eq!(node.manager.counters().refused_commands, 0);
}

#[test]
fn without_a_disk_no_function_acts() {
    let mut node = Node::with_releases(&[one()]);
    for name in ["bus-7", "bus-8"] {
        node.run(name, Digest::of(ONE), json!({ "event_every": 1 }), (1, 0));
    }
    // 16 events a call, ten a second: no event becomes durable.
    let mut calls = 0u64;
    loop {
        node.now += 1_600;
        let samples = (0..16).map(|ms| sample(node.now + ms)).collect();
        if kinds(&node.samples("bus-7", samples)).is_empty() {
            break;
        }
        calls += 1;
        assert!(node.now < 590_000 || calls < 400);
        if node.now > 500_000 {
            break;
        }
    }
    assert!(node.manager.counters().events <= 8_192 + 16);
}
