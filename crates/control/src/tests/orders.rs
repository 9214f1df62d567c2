//! What fog nodes and the controller tell each other: read as it was written, refused where it is something else.

use crate::*;
use proptest::prelude::*;
use voltmesh_telemetry::{Digest, VehicleId};

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9.-]{0,20}"
}

fn vehicle() -> impl Strategy<Value = VehicleId> {
    name().prop_map(|name| name.parse().expect("a name"))
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from)
}

fn state() -> impl Strategy<Value = FunctionState> {
    (vehicle(), name(), any::<u32>(), "([0-9a-f]{2}){0,40}", any::<(u32, u32)>()).prop_map(
        |(vehicle, function, version, state, epoch)| FunctionState {
            vehicle,
            function,
            version,
            state,
            epoch,
        },
    )
}

fn work() -> impl Strategy<Value = Work> {
    let run = (vehicle(), name(), digest(), any::<i64>(), "[0-9a-f]{2,9}", proptest::option::of(state()));
    let run = run.prop_map(|(vehicle, function, release, value, lease, state)| Work::Run {
        vehicle,
        function,
        release,
        configuration: serde_json::json!({ "value": value, "name": "a", "list": [1, 2.5, null] }),
        lease,
        state,
        fleet: FleetShare { per_min: 60, burst: 9 },
    });
    let end = (vehicle(), name(), any::<bool>());
    let end = end.prop_map(|(vehicle, function, hand_over)| Work::End { vehicle, function, hand_over });
    let condition =
        (vehicle(), name(), name(), any::<bool>()).prop_map(|(vehicle, function, condition, active)| {
            Work::Condition { vehicle, function, condition, active }
        });
    prop_oneof![run, end, condition]
}

fn report() -> impl Strategy<Value = FunctionReport> {
    let instance = (vehicle(), name(), digest(), any::<(u32, u32)>(), any::<(u64, u64)>());
    let instance = instance.prop_map(|(vehicle, function, release, epoch, (calls, traps))| Instance {
        vehicle,
        function,
        release,
        epoch,
        state: InstanceState::BackingOff,
        calls,
        traps,
    });
    let event = (vehicle(), name(), digest(), any::<(u32, u32)>(), any::<u32>());
    let event = event.prop_map(|(vehicle, function, release, epoch, n)| {
        FunctionReport::Event(FunctionEvent {
            vehicle,
            function,
            release,
            epoch,
            number: u64::from(n),
            at_ms: u64::from(n),
            kind: "balancing-started".to_owned(),
            severity: Severity::Protect,
            text: "ä".to_owned(),
            figures: vec![("spread_mv".to_owned(), f64::from(n) / 8.0)],
        })
    });
    let answer = (vehicle(), name(), any::<(u32, u32)>(), any::<u64>(), proptest::option::of(any::<i64>()));
    let answer = answer.prop_map(|(vehicle, function, epoch, number, value)| FunctionReport::Answer {
        vehicle,
        answer: CommandAnswer {
            function,
            epoch,
            number,
            at_ms: number,
            outcome: Outcome::Applied { value, why_less: None },
        },
    });
    prop_oneof![
        ("[0-9a-f]{64}", any::<u32>()).prop_map(|(key, term)| FunctionReport::Ready { key, term }),
        proptest::collection::vec(instance, 0..4).prop_map(|instances| FunctionReport::Running { instances }),
        event,
        answer,
        (any::<u64>(), name()).prop_map(|(order, reason)| FunctionReport::Refused { order, reason }),
        digest().prop_map(|release| FunctionReport::Wanted { release }),
        state().prop_map(FunctionReport::State),
    ]
}

proptest! {
    #[test]
    fn orders_are_read_as_they_were_written(number: u64, term: u32, work in work()) {
        let order = Order { number, term, work };
        prop_assert_eq!(Order::decode(&order.encode().expect("small")).expect("an order"), order);
    }

    #[test]
    fn reports_are_read_as_they_were_written(report in report()) {
        let bytes = report.encode().expect("small");
        prop_assert_eq!(FunctionReport::decode(&bytes).expect("a report"), report);
    }

    #[test]
    fn summaries_are_read_as_they_were_written(at_ms: u64, vehicles in proptest::collection::vec(vehicle(), 0..5), connected: bool) {
        let vehicles = vehicles.into_iter().map(|vehicle| VehicleSummary {
            vehicle,
            connected,
            round_trip_us: connected.then_some(at_ms),
            chemistry: Some("nmc".to_owned()),
            summary: Some(vec![1.5_f64]),
        });
        let room = Room { instances: 1, most_instances: 9, load: 0.25, capabilities: vec!["gpu".to_owned()] };
        let summaries = Summaries { at_ms, room, vehicles: vehicles.collect() };
        prop_assert_eq!(Summaries::decode(&summaries.encode().expect("small")).expect("summaries"), summaries);
    }
}

#[test]
fn what_is_something_else_or_too_large_is_refused() {
    let order =
        r#"{"number":1,"term":2,"order":"end","vehicle":"car-1","function":"guard","hand_over":true}"#;
    assert!(Order::decode(order.as_bytes()).is_ok());
    for (text, names) in [
        (order.replace("\"term\":2,", ""), "term"),
        (order.replace("car-1", "car/1"), "vehicle"),
        (order.replace("end", "fly"), "fly"),
        (order.replace(":1", ":-1"), "order"),
        (String::new(), "order"),
        (format!("{order}{order}"), "trailing"),
        (" ".repeat(MAX_CONTROLLER_MESSAGE_BYTES + 1), "over the limit"),
    ] {
        let error = Order::decode(text.as_bytes()).expect_err("refused").to_string();
        assert!(error.contains(names), "{}: {error}", text.trim());
    }
    let large = FunctionReport::Refused { order: 1, reason: "a".repeat(MAX_CONTROLLER_MESSAGE_BYTES) };
    assert!(large.encode().is_err());
}
