//! Life of a function: configured, upgraded, rolled back, handed over, restored.

use super::support::*;
use serde_json::json;
use voltmesh_control::{
    Action, ActionKind, Allowed, CommandAnswer, FleetShare, InstanceState, Lease, Outcome, Work,
};
use voltmesh_function::{Estimate, Input, Output, Report};
use voltmesh_telemetry::Digest;

fn counting() -> Node {
    let mut node = Node::with_releases(&[one(), two(), faulty()]);
    node.run("bus-7", Digest::of(ONE), json!({ "event_every": 1 }), (1, 0));
    node
}

#[test]
fn events_come_before_the_commands_of_their_call() {
    let mut node = Node::with_releases(&[one()]);
    let all = json!({ "event_every": 1, "command_every": 1, "valid_ms": 5000, "metric": 1 });
    node.run("bus-7", Digest::of(ONE), all, (1, 0));
    let out = node.sample("bus-7");
    assert_eq!(kinds(&out), ["seen"]);
    let (after, command) = commands(&out).remove(0);
    assert_eq!(after, Some(1));
    assert_eq!((command.number, command.action), (0, Action::ChargeLimit(100_500)));
    assert_eq!((command.issued, command.expires), (at(0), at(5_000)));
    assert!(out.iter().any(|output| matches!(output, Output::Metrics { values, .. } if values[0].1 == 1.0)));
    assert!((figure(&node.events[0], "cells") - 96.0 * 3.7).abs() < 1e-9);
    // What is durable is not waited for.
    node.input(Input::Kept { through: 1 });
    node.run("bus-7", Digest::of(ONE), json!({ "command_every": 1, "valid_ms": 5000 }), (1, 0));
    assert_eq!(commands(&node.sample("bus-7"))[0].0, None);
}

#[test]
fn a_command_ends_with_its_lease_and_so_does_the_function() {
    let mut node = Node::with_releases(&[one()]);
    let lease = signed(&lease(&vehicle("bus-7"), (1, 0), at(2_000)));
    let configuration = json!({ "command_every": 1, "valid_ms": 60000 });
    node.run_with("bus-7", Digest::of(ONE), configuration.clone(), lease, None);
    assert_eq!(commands(&node.sample("bus-7"))[0].1.expires, at(2_000));
    node.now = 2_000;
    let out = node.sample("bus-7");
    assert!(commands(&out).is_empty() && kinds(&out).is_empty());
    assert!(out.iter().any(|output| matches!(output, Output::Warn(text) if text.contains("paused"))));
    // Renewed, it goes on; the events of a new lease are numbered from 0.
    node.run("bus-7", Digest::of(ONE), configuration, (1, 1));
    assert_eq!(commands(&node.sample("bus-7")).len(), 1);
}

/// What its lease does not allow, too often or beyond the node's share, is not sent; the function hears why.
#[test]
fn a_command_beyond_its_bounds_is_not_sent_and_the_function_hears_why() {
    let limits = |range| Allowed { ranges: [(ActionKind::ChargeLimit, range)].into(), commands_per_min: 2 };
    let few = FleetShare { per_min: 1, burst: 1 };
    for (allowed, fleet, sent, why) in [
        (Allowed::default(), FLEET, 0, "allows this function no charge-limit"),
        (limits((0, 100_499)), FLEET, 0, "100500 is outside 0..100499"),
        (limits((0, 100_500)), FLEET, 2, "2 commands a minute"),
        (limits((0, 100_500)), few, 1, "share of the fleet's commands is 1 a minute"),
        (limits((0, 100_500)), FleetShare::default(), 0, "is 0 a minute"),
    ] {
        let mut node = Node::with_releases(&[one()]);
        let lease = Lease { allowed, ..lease(&vehicle("bus-7"), (1, 0), at(600_000)) };
        let configuration = json!({ "command_every": 1, "valid_ms": 5000 });
        let work = Work::Run {
            vehicle: vehicle("bus-7"),
            function: FUNCTION.into(),
            release: Digest::of(ONE),
            configuration,
            lease: signed(&lease),
            state: None,
            fleet,
        };
        assert!(refusals(&node.order(1, work)).is_empty());
        let given: usize = (0..4).map(|_| commands(&node.sample("bus-7")).len()).sum();
        assert_eq!(given, sent, "{why}");
        assert_eq!(node.manager.counters().refused_commands, 4 - sent as u64);
        let heard = node.events.iter().filter(|event| event.kind == "applied").collect::<Vec<_>>();
        assert!(heard.iter().any(|event| event.text.contains(why)), "{why}: {heard:?}");
    }
}

#[test]
fn answers_and_expiry_reach_the_function() {
    let mut node = Node::with_releases(&[one()]);
    let configuration = json!({ "command_every": 1, "valid_ms": 5000 });
    node.run("bus-7", Digest::of(ONE), configuration, (1, 0));
    node.sample("bus-7");
    let mut answer = |epoch, number, outcome| {
        let answer = CommandAnswer { function: FUNCTION.into(), epoch, number, at_ms: START, outcome };
        node.input(Input::Answer { vehicle: vehicle("bus-7"), answer })
    };
    let applied = || Outcome::Applied { value: Some(80_250), why_less: None };
    assert!(kinds(&answer((1, 1), 0, applied())).is_empty(), "another lease");
    assert!(kinds(&answer((1, 0), 9, applied())).is_empty(), "a command that was never given");
    assert_eq!(kinds(&answer((1, 0), 0, applied())), ["applied"]);
    assert!(kinds(&answer((1, 0), 0, applied())).is_empty(), "said twice");
    assert_eq!(figure(node.events.last().unwrap(), "value"), 80.25);
    node.now = 5_000;
    assert_eq!(kinds(&node.input(Input::Tick)), ["expired"]);
}

#[test]
fn reports_and_conditions_reach_the_function() {
    let mut node = counting();
    let estimate = Estimate { value: 0.5, sd: 0.01 };
    let report = Report {
        time_ms: START,
        soc: estimate,
        soc_lowest: 0.4,
        soc_highest: 0.6,
        soh_capacity: estimate,
        soh_resistance: estimate,
        charge_limit_a: 100.0,
        discharge_limit_a: 200.0,
    };
    assert_eq!(kinds(&node.input(Input::Report { vehicle: vehicle("bus-7"), report })), ["report"]);
    let mut condition = |active| {
        node.order(
            1,
            Work::Condition {
                vehicle: vehicle("bus-7"),
                function: FUNCTION.into(),
                condition: "imbalance".into(),
                active,
            },
        )
    };
    assert_eq!(kinds(&condition(true)), ["condition"]);
    assert!(kinds(&condition(true)).is_empty(), "it knows");
    assert_eq!(kinds(&condition(false)), ["condition"]);
}

#[test]
fn another_configuration_keeps_the_state() {
    let mut node = counting();
    node.sample("bus-7");
    node.run("bus-7", Digest::of(ONE), json!({ "event_every": 2 }), (1, 0));
    assert_eq!(kinds(&node.sample("bus-7")), ["seen"]);
    assert!(kinds(&node.sample("bus-7")).is_empty());
    // One that it refuses, or traps at, leaves the one before in force.
    for wrong in [json!({ "refuse": 1 }), json!({ "trap": 1 })] {
        assert_eq!(refusals(&node.run("bus-7", Digest::of(ONE), wrong, (1, 0))).len(), 1);
        assert_eq!(node.state("bus-7"), Some(InstanceState::Running));
    }
    assert_eq!(kinds(&node.sample("bus-7")), ["seen"]);
    assert_eq!(node.seen(), [1, 2, 4]);
}

#[test]
fn an_upgrade_takes_the_state_over_and_loses_nothing() {
    let mut node = counting();
    for count in 0..60 {
        node.now += 100;
        node.sample("bus-7");
        if count == 29 {
            assert!(
                refusals(&node.run("bus-7", Digest::of(TWO), json!({ "event_every": 1 }), (1, 0))).is_empty()
            );
        }
    }
    assert_eq!(node.seen(), (1..=60).collect::<Vec<_>>());
    let releases: Vec<f64> = node.events.iter().map(|event| figure(event, "release")).collect();
    assert_eq!(releases, [vec![1.0; 30], vec![2.0; 30]].concat());
    let digests: Vec<Digest> = node.events.iter().map(|event| event.release).collect();
    assert_eq!(digests, [vec![Digest::of(ONE); 30], vec![Digest::of(TWO); 30]].concat());
}

#[test]
fn a_faulty_upgrade_rolls_back_by_itself_and_loses_nothing() {
    let mut node = counting();
    for count in 0..20 {
        node.now += 100;
        let out = node.sample("bus-7");
        if count == 9 {
            node.run("bus-7", Digest::of(FAULTY), json!({ "event_every": 1 }), (1, 0));
        }
        if count == 12 {
            assert_eq!(
                kinds(&out),
                ["host-rolled-back", "seen"],
                "the failing call's answer is the release's before"
            );
        }
    }
    assert_eq!(node.seen(), (1..=20).collect::<Vec<_>>());
    assert_eq!(node.manager.counters().rolled_back, 1);
    assert_eq!(node.manager.running()[0].release, Digest::of(ONE));
    assert_eq!(node.manager.running()[0].traps, 1);
}

#[test]
fn an_upgrade_that_cannot_take_over_changes_nothing() {
    let mut node = Node::with_releases(&[one()]);
    let mut proud = manifest(2);
    proud.imports_state = vec![];
    node.input(Input::Release(sign(&proud, TWO)));
    node.run("bus-7", Digest::of(ONE), json!({ "event_every": 1 }), (1, 0));
    node.sample("bus-7");
    let out = node.run("bus-7", Digest::of(TWO), json!({ "event_every": 1 }), (1, 0));
    assert!(refusals(&out)[0].contains("imports state of version"), "{:?}", refusals(&out));
    let out = node.run("bus-7", Digest::of(TWO), json!({ "trap": 1 }), (1, 0));
    assert_eq!(refusals(&out).len(), 1);
    node.sample("bus-7");
    assert_eq!(node.seen(), [1, 2]);
}

#[test]
fn an_ordered_roll_back_goes_on_from_the_older_releases_state() {
    let mut node = counting();
    node.sample("bus-7");
    node.run("bus-7", Digest::of(TWO), json!({ "event_every": 1 }), (1, 0));
    node.sample("bus-7");
    let out = node.run("bus-7", Digest::of(ONE), json!({ "event_every": 1 }), (1, 0));
    assert!(refusals(&out).is_empty(), "{:?}", refusals(&out));
    node.sample("bus-7");
    // The older release cannot read the newer state: it counts on from the upgrade.
    assert_eq!(node.seen(), [1, 2, 2]);
    assert_eq!(node.manager.running()[0].release, Digest::of(ONE));
}

#[test]
fn a_hand_over_carries_the_state_and_ends_all_acts() {
    let mut node = counting();
    node.sample("bus-7");
    node.sample("bus-7");
    let state = handed(&node.end("bus-7", true)).unwrap();
    assert_eq!((state.version, state.epoch), (1, (1, 0)));
    assert!(node.sample("bus-7").is_empty());
    assert!(node.snapshots.values().all(|snapshot| snapshot.ended()));

    let mut next = Node::with_releases(&[one()]);
    let lease = signed(&lease(&vehicle("bus-7"), (1, 1), at(600_000)));
    let out = next.run_with("bus-7", Digest::of(ONE), json!({ "event_every": 1 }), lease, Some(state));
    assert!(refusals(&out).is_empty(), "{:?}", refusals(&out));
    next.sample("bus-7");
    assert_eq!(next.seen(), [3]);
}

#[test]
fn a_state_of_something_else_is_refused() {
    let mut node = counting();
    let state = handed(&node.end("bus-7", true)).unwrap();
    let mut refused = |change: &dyn Fn(&mut voltmesh_control::FunctionState), reason: &str| {
        let mut state = state.clone();
        change(&mut state);
        let lease = signed(&lease(&vehicle("bus-7"), (1, 1), at(600_000)));
        let out = node.run_with("bus-7", Digest::of(ONE), json!({}), lease, Some(state));
        assert!(refusals(&out)[0].contains(reason), "{:?}", refusals(&out));
    };
    refused(&|state| state.vehicle = vehicle("bus-8"), "its state is of counter of bus-8");
    refused(&|state| state.version = 2, "does not import state of version 2");
    refused(&|state| state.epoch = (1, 2), "newer than its lease");
    refused(&|state| state.state = "zz".into(), "no hexadecimal");
    refused(&|state| state.state.push_str("00"), "no state of a format that is known");
}

#[test]
fn a_restart_goes_on_with_the_next_numbers() {
    let mut node = Node::with_releases(&[one()]);
    let configuration = json!({ "event_every": 1, "command_every": 1, "valid_ms": 60000 });
    node.run("bus-7", Digest::of(ONE), configuration, (1, 0));
    for _ in 0..3 {
        node.now += 300;
        node.sample("bus-7");
    }
    let before = node.events.len();
    node.restart(&[one()]);
    assert_eq!(node.state("bus-7"), Some(InstanceState::Running));
    node.now += 1_000;
    node.sample("bus-7");
    assert_eq!(node.events.len(), before + 1);
    assert_eq!(node.events.last().unwrap().number, 3);
}

#[test]
fn a_restart_waits_for_its_release() {
    let mut node = counting();
    node.sample("bus-7");
    let out = node.restart(&[]);
    assert!(
        out.iter()
            .any(|output| matches!(output, Output::Tell(voltmesh_control::FunctionReport::Wanted { .. })))
    );
    node.input(Input::Release(one()));
    assert_eq!(node.state("bus-7"), Some(InstanceState::Running));
    // Handed over before its release came back, its state is the persisted one.
    node.restart(&[]);
    assert!(handed(&node.end("bus-7", true)).is_some());
}

#[test]
fn a_snapshot_is_not_made_more_often_than_once_a_second() {
    let mut node = counting();
    node.second();
    let mut snapshots = 0;
    for _ in 0..100 {
        node.now += 100;
        let out = node.sample("bus-7");
        snapshots += out.iter().filter(|output| matches!(output, Output::Persist(_))).count();
    }
    assert!((9..=11).contains(&snapshots), "{snapshots} in 10 s");
}
