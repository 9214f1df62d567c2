//! What holds whatever happens in whatever order: [`super::support::Node`] checks each output, this makes the inputs.

use super::support::*;
use proptest::prelude::*;
use serde_json::json;
use voltmesh_control::InstanceState;
use voltmesh_function::Input;
use voltmesh_telemetry::Digest;

#[derive(Clone, Debug)]
enum Act {
    Sample(u8),
    Poison(u8, u16),
    Run { vehicle: u8, release: u8, every: u8, newer: bool },
    End(u8, bool),
    Condition(u8, bool),
    Kept(u64),
    Time(u64),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0u8..2).prop_map(Act::Sample),
        2 => (0u8..2, 1_001u16..=1_013).prop_map(|(vehicle, what)| Act::Poison(vehicle, what)),
        4 => (0u8..2, 0u8..3, 0u8..3, any::<bool>())
            .prop_map(|(vehicle, release, every, newer)| Act::Run { vehicle, release, every, newer }),
        1 => (0u8..2, any::<bool>()).prop_map(|(vehicle, hand_over)| Act::End(vehicle, hand_over)),
        1 => (0u8..2, any::<bool>()).prop_map(|(vehicle, active)| Act::Condition(vehicle, active)),
        2 => (0u64..50).prop_map(Act::Kept),
        6 => prop_oneof![Just(10u64), Just(100), Just(1_000), Just(30_000)].prop_map(Act::Time),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Numbers without gaps, no event twice, no command before its event or without a lease, nothing after an end; and no
    /// outside input ends the process.
    #[test]
    fn any_order_of_anything(acts in prop::collection::vec(act(), 1..40)) {
        let releases = [one(), two(), faulty()];
        let digests = [Digest::of(ONE), Digest::of(TWO), Digest::of(FAULTY)];
        let mut node = Node::with_releases(&releases);
        let mut counts = [0u32; 2];
        let mut last_due = None;
        for act in acts {
            let name = |vehicle: u8| format!("bus-{vehicle}");
            match act {
                Act::Sample(vehicle) => {
                    let state = node.state(&name(vehicle));
                    let out = node.sample(&name(vehicle));
                    if state.is_none() || state == Some(InstanceState::Failed) {
                        let mine = |kind: &String| kind == "seen";
                        prop_assert!(!kinds(&out).iter().any(mine), "nothing after an end");
                    }
                }
                Act::Poison(vehicle, what) => {
                    let sample = poison(node.now, what);
                    node.samples(&name(vehicle), vec![sample]);
                }
                Act::Run { vehicle, release, every, newer } => {
                    let count = &mut counts[usize::from(vehicle)];
                    *count += u32::from(newer);
                    let configuration = json!({ "event_every": every, "command_every": every, "valid_ms": 700 });
                    let epoch = (1, *count);
                    node.run(&name(vehicle), digests[usize::from(release)], configuration, epoch);
                }
                Act::End(vehicle, hand_over) => {
                    let ran = node.state(&name(vehicle)).is_some();
                    let out = node.end(&name(vehicle), hand_over);
                    prop_assert_eq!(handed(&out).is_some(), ran && hand_over);
                    prop_assert_eq!(node.state(&name(vehicle)), None);
                }
                Act::Condition(vehicle, active) => {
                    node.order(1, voltmesh_control::Work::Condition {
                        vehicle: vehicle_of(vehicle),
                        function: FUNCTION.into(),
                        condition: "imbalance".into(),
                        active,
                    });
                }
                Act::Kept(through) => {
                    node.input(Input::Kept { through });
                }
                Act::Time(ms) => {
                    node.now += ms;
                    node.input(Input::Tick);
                }
                Act::Restart => {
                    node.restart(&releases);
                }
            }
            // What is due was done: the next deadline is later.
            let due = node.manager.deadline();
            prop_assert!(due.is_none_or(|due| due > at(node.now)), "{due:?} {last_due:?}");
            last_due = due;
        }
    }
}

fn vehicle_of(number: u8) -> voltmesh_telemetry::VehicleId {
    vehicle(&format!("bus-{number}"))
}
