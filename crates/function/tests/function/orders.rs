//! Orders: carried out once and in order, or refused with the reason.

use super::support::*;
use serde_json::json;
use voltmesh_control::{FunctionReport, InstanceState, Order, Work};
use voltmesh_function::{FailurePolicy, Input, Output};
use voltmesh_telemetry::Digest;

fn one_digest() -> Digest {
    Digest::of(ONE)
}

/// An order that is refused for this reason and changes nothing.
fn refused(change: impl FnOnce(&mut voltmesh_control::Lease), reason: &str) {
    let mut node = Node::with_releases(&[one()]);
    let mut lease = lease(&vehicle("bus-7"), (1, 0), at(600_000));
    change(&mut lease);
    let out = node.run_with("bus-7", one_digest(), json!({}), signed(&lease), None);
    let reasons = refusals(&out);
    assert!(matches!(&reasons[..], [only] if only.contains(reason)), "{reasons:?}");
    assert!(node.manager.running().is_empty());
}

#[test]
fn leases_are_checked() {
    refused(|lease| lease.vehicle = vehicle("bus-8"), "its lease is for counter of bus-8");
    refused(|lease| lease.function = "other".into(), "its lease is for other of bus-7");
    refused(|lease| lease.fog = "fog-2".into(), "its lease is for fog node fog-2");
    refused(|lease| lease.fog_key = [7; 32], "with another key");
    refused(|lease| lease.until = at(0), "its lease is over");
    refused(|lease| lease.epoch.term = 2, "of a later term than the order");
}

#[test]
fn a_lease_by_no_controller_is_refused() {
    let mut node = Node::with_releases(&[one()]);
    let lease = hex::encode(lease(&vehicle("bus-7"), (1, 0), at(600_000)).sign("controller-1", &key(9)));
    let out = node.run_with("bus-7", one_digest(), json!({}), lease, None);
    assert!(refusals(&out)[0].contains("no controller that is trusted here"), "{:?}", refusals(&out));
}

#[test]
fn an_older_lease_is_refused_and_an_ended_one_does_not_come_back() {
    let mut node = Node::with_releases(&[one()]);
    node.run("bus-7", one_digest(), json!({}), (1, 5));
    let out = node.run("bus-7", one_digest(), json!({}), (1, 4));
    assert!(refusals(&out)[0].contains("older than 1.5"), "{:?}", refusals(&out));
    node.end("bus-7", false);
    let out = node.run("bus-7", one_digest(), json!({}), (1, 5));
    assert!(refusals(&out)[0].contains("which has ended here"), "{:?}", refusals(&out));
    // Not after a restart either.
    node.restart(&[one()]);
    let out = node.run("bus-7", one_digest(), json!({}), (1, 5));
    assert!(refusals(&out)[0].contains("which has ended here"), "{:?}", refusals(&out));
    assert!(refusals(&node.run("bus-7", one_digest(), json!({}), (1, 6))).is_empty());
}

#[test]
fn an_order_of_a_lower_term_is_refused_and_the_same_one_is_done_once() {
    let mut node = Node::with_releases(&[one()]);
    node.number = 6;
    let work = |count| Work::Run {
        vehicle: vehicle("bus-7"),
        function: FUNCTION.into(),
        release: one_digest(),
        configuration: json!({ "event_every": 1 }),
        lease: signed(&lease(&vehicle("bus-7"), (2, count), at(600_000))),
        state: None,
        fleet: FLEET,
    };
    assert!(refusals(&node.order(2, work(0))).is_empty());
    let again = Order { number: 7, term: 2, work: work(0) };
    assert_eq!(node.input(Input::Order(again)), []);
    let late = Order { number: 3, term: 2, work: work(1) };
    assert_eq!(node.input(Input::Order(late)), []);
    let lower = Order { number: 99, term: 1, work: work(1) };
    assert!(refusals(&node.input(Input::Order(lower)))[0].contains("of term 1"));
    // A new term counts from anywhere.
    let higher = Order { number: 1, term: 3, work: work(1) };
    assert!(refusals(&node.input(Input::Order(higher))).is_empty());
    assert_eq!(node.manager.running()[0].epoch, (2, 1));
}

#[test]
fn controllers_and_their_term_may_change() {
    let mut node = Node::with_releases(&[one()]);
    node.run("bus-7", one_digest(), json!({}), (1, 0));
    let other = || hex::encode(lease(&vehicle("bus-7"), (4, 0), at(600_000)).sign("controller-2", &key(9)));
    let work = |lease| Work::Run {
        vehicle: vehicle("bus-7"),
        function: FUNCTION.into(),
        release: one_digest(),
        configuration: json!({}),
        lease,
        state: None,
        fleet: FLEET,
    };
    assert!(refusals(&node.order(4, work(other())))[0].contains("no controller that is trusted here"));
    node.input(Input::Controllers { keys: vec![key(9).verifying_key()], term: 4 });
    // Before the new one has ordered anything.
    let mut fresh = Node::with_releases(&[one()]);
    fresh.input(Input::Controllers { keys: vec![key(2).verifying_key()], term: 4 });
    assert!(refusals(&fresh.run("bus-7", one_digest(), json!({}), (1, 1)))[0].contains("of term 1"));
    assert!(refusals(&node.order(4, work(other()))).is_empty());
    assert_eq!(node.manager.running()[0].epoch, (4, 0));
    let before = signed(&lease(&vehicle("bus-7"), (4, 1), at(600_000)));
    assert!(refusals(&node.order(4, work(before)))[0].contains("no controller that is trusted here"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut node = Node::with_releases(&[one()]);
    let out = node.run("bus-7", one_digest(), json!({ "event_every": "often" }), (1, 0));
    assert!(refusals(&out)[0].contains("`/event_every`"), "{:?}", refusals(&out));
    let out = node.run("bus-7", one_digest(), json!({ "refuse": 1 }), (1, 0));
    assert!(refusals(&out)[0].contains("told to refuse"), "{:?}", refusals(&out));
    let out = node.run("bus-7", one_digest(), json!({ "trap": 1 }), (1, 0));
    assert!(refusals(&out)[0].contains("trapped"), "{:?}", refusals(&out));
    let out = node.run("bus-7", one_digest(), json!({ "long": "x".repeat(70_000) }), (1, 0));
    assert!(refusals(&out)[0].contains("configuration has"), "{:?}", refusals(&out));
    let out = node.end("bus-7", true);
    assert!(refusals(&out)[0].contains("does not run here"), "{:?}", refusals(&out));
    assert!(node.manager.running().is_empty());
}

#[test]
fn capabilities_and_room_are_checked() {
    let mut manifest = manifest(1);
    manifest.capabilities = vec!["fpga".into()];
    let mut node = Node::with_releases(&[sign(&manifest, ONE)]);
    let out = node.run("bus-7", one_digest(), json!({}), (1, 0));
    assert!(refusals(&out)[0].contains("`fpga`"), "{:?}", refusals(&out));

    let mut node = Node::with_releases(&[one()]);
    for bus in 0..8 {
        assert!(refusals(&node.run(&format!("bus-{bus}"), one_digest(), json!({}), (1, 0))).is_empty());
    }
    assert_eq!((node.manager.room().instances, node.manager.room().most_instances), (8, 8));
    let out = node.run("bus-8", one_digest(), json!({}), (1, 0));
    assert!(refusals(&out)[0].contains("no room"), "{:?}", refusals(&out));
}

#[test]
fn a_missing_release_is_asked_for_and_the_order_waits() {
    let mut node = Node::new();
    let out = node.run("bus-7", one_digest(), json!({ "event_every": 1 }), (1, 0));
    assert!(out.contains(&Output::Tell(FunctionReport::Wanted { release: one_digest() })));
    let condition = Work::Condition {
        vehicle: vehicle("bus-7"),
        function: FUNCTION.into(),
        condition: "imbalance".into(),
        active: true,
    };
    assert!(refusals(&node.order(1, condition)).is_empty());
    node.now += 5_000;
    assert_eq!(node.manager.deadline(), Some(at(node.now)));
    assert!(
        node.input(Input::Tick).contains(&Output::Tell(FunctionReport::Wanted { release: one_digest() }))
    );
    let out = node.input(Input::Release(one()));
    assert_eq!(kinds(&out), ["condition"]);
    assert_eq!(node.state("bus-7"), Some(InstanceState::Running));
}

#[test]
fn what_waits_is_refused_when_it_cannot_be_done() {
    // A later order takes its place; then its release is refused.
    let mut node = Node::new();
    node.run("bus-7", one_digest(), json!({}), (1, 0));
    let out = node.run("bus-7", one_digest(), json!({}), (1, 1));
    assert!(refusals(&out)[0].contains("a later order"), "{:?}", refusals(&out));
    let foreign = voltmesh_function::Package::sign(&manifest(1), ONE, "tests", &key(9)).unwrap();
    let out = node.input(Input::Release(foreign.into()));
    assert!(refusals(&out)[0].contains("unsigned"), "{:?}", refusals(&out));
    // Its lease is over before its release comes.
    node.run("bus-7", one_digest(), json!({}), (1, 2));
    node.now += 700_000;
    let out = node.input(Input::Tick);
    assert!(refusals(&out)[0].contains("before its lease was over"), "{:?}", refusals(&out));
    assert_eq!(node.manager.deadline(), None);
}

#[test]
fn a_withdrawn_release_is_off_at_once() {
    let mut manifest = manifest(1);
    manifest.failure = FailurePolicy::Withdraw;
    let mut node = Node::with_releases(&[sign(&manifest, ONE)]);
    node.run("bus-7", one_digest(), json!({ "command_every": 1, "valid_ms": 60000 }), (1, 0));
    assert_eq!(commands(&node.sample("bus-7")).len(), 1);
    let out = node.input(Input::Withdrawn([one_digest()].into()));
    assert_eq!(kinds(&out), ["host-off"]);
    let withdrawn = &commands(&out)[0].1;
    assert_eq!(withdrawn.expires, at(node.now + 3_000), "the same action, soon over");
    assert_eq!(node.state("bus-7"), Some(InstanceState::Failed));
    assert!(kinds(&node.sample("bus-7")).is_empty());
    let out = node.run("bus-8", one_digest(), json!({}), (1, 0));
    assert!(refusals(&out)[0].contains("withdrawn"), "{:?}", refusals(&out));
}

/// Compiled beside, a release does what it does when the manager compiles it; one that was withdrawn meanwhile does not run.
#[test]
fn a_release_that_was_compiled_beside_runs_unless_it_was_withdrawn_meanwhile() {
    for withdrawn in [false, true] {
        let mut node = Node::new();
        let out = node.run("bus-7", one_digest(), json!({ "event_every": 1 }), (1, 0));
        assert!(out.contains(&Output::Tell(FunctionReport::Wanted { release: one_digest() })));
        let compiled = node.manager.compiler().compile(&one());
        assert!(!compiled.is_refused());
        if withdrawn {
            node.input(Input::Withdrawn([one_digest()].into()));
        }
        node.input(Input::Compiled(compiled));
        assert_eq!(node.manager.running().len(), usize::from(!withdrawn));
        assert_eq!(node.manager.counters().refused_releases, u64::from(withdrawn));
    }
    let mut forged = one().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let node = Node::new();
    assert!(node.manager.compiler().compile(&forged.into()).is_refused());
}
