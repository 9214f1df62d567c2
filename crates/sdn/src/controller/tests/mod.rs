//! The controller among fog nodes that do as they are told, or do not.

mod copying;
mod laws;
mod operators;
mod rebalance;
mod succession;
mod world;

use super::*;
use voltmesh_control::{FunctionEvent, FunctionReport, FunctionState, Severity};
use voltmesh_telemetry::Digest;
use world::{World, car, fog, release, summary};

/// A second of a pack, for tests elsewhere.
pub(crate) fn summary_for_tests(time_s: f64) -> voltmesh_battery::summary::Summary {
    summary(time_s, 26.0)
}

const GUARD: &str = "plating-guard";

fn running(fogs: usize) -> World {
    let mut world = World::new(fogs, 1);
    world.live(5);
    assert_eq!(world.place(&car(1), GUARD), Some(fog(1)));
    world
}

fn runs(world: &World, at: Timestamp) -> Vec<(String, Planned)> {
    let all = world.sent_since(at).filter(|(.., order)| matches!(order.work, PlannedWork::Run { .. }));
    all.map(|(_, fog, order)| (fog.clone(), order.clone())).collect()
}

#[test]
fn a_vehicle_has_what_the_policy_says_where_its_session_is() {
    let world = running(3);
    let view = world.controller.vehicle(&car(1)).expect("seen");
    let functions: Vec<(&str, &str)> =
        view.functions.iter().map(|at| (at.function.as_str(), at.fog.as_str())).collect();
    let expected = ["charging-control", "discharge-control", GUARD, "soc-soh-estimation"];
    let expected = expected.map(|function| (function, "fog-1"));
    assert_eq!(functions, expected);
    assert!(view.unplaced.is_empty(), "{:?}", view.unplaced);
}

/// With the policy that is shipped, which knows no battery.
#[test]
fn a_function_whose_numbers_are_not_known_says_so() {
    let world = running(1);
    let settings = Settings::default();
    let mut controller =
        Controller::new(world.now, settings, world.disk.clone(), Rules::default(), Policy::default());
    controller.handle(world.now, Input::Term(Some(9)));
    controller.handle(world.now, Input::FogUp { fog: fog(1) });
    let summaries = Box::new(world.summaries(&fog(1)));
    controller.handle(world.now, Input::Summaries { fog: fog(1), summaries });
    let view = controller.vehicle(&car(1)).expect("seen");
    assert!(view.unplaced[GUARD].contains("capacity_ah"), "{:?}", view.unplaced);
}

#[test]
fn a_condition_brings_its_function_and_is_told_to_those_that_run() {
    let mut world = running(2);
    let at = world.now;
    world.hot.insert(car(1));
    world.live(15);
    assert_eq!(world.place(&car(1), "temperature-regulation"), Some(fog(1)));
    let told = world.sent_since(at).filter_map(|(.., order)| match &order.work {
        PlannedWork::Condition { key, condition, active } => Some((key.1.as_str(), *condition, *active)),
        _ => None,
    });
    let told: BTreeSet<_> = told.collect();
    assert!(told.contains(&(GUARD, "over-temperature", true)), "{told:?}");
    assert!(told.contains(&("temperature-regulation", "over-temperature", true)), "{told:?}");
    let car = car(1);
    let decision = world
        .controller
        .decisions(Some(&car))
        .find(|decision| decision.chosen.function() == Some("temperature-regulation"));
    let decision = decision.expect("it was decided");
    assert_eq!(decision.inputs.condition, Some(crate::Condition::OverTemperature));
    assert!(decision.inputs.values.iter().any(|value| value.value > 55.0), "{decision:?}");
    assert!(decision.explain().contains("over-temperature"), "{}", decision.explain());
}

#[test]
fn functions_of_a_dead_fog_node_run_elsewhere_within_a_second() {
    let mut world = running(3);
    world.disconnect(&fog(1));
    let died = world.now;
    world.pass(1_000);
    let elsewhere = runs(&world, died);
    let functions: BTreeSet<String> = elsewhere.iter().map(|(_, order)| order.work.key().1).collect();
    assert_eq!(functions.len(), 4, "{elsewhere:?}");
    assert!(elsewhere.iter().all(|(node, _)| *node != fog(1)));
    assert_eq!(world.controller.counters().rescued, 4);
    // It comes back with what it ran: that ends.
    world.connect(&fog(1));
    world.at.insert(car(1), Some(fog(2)));
    world.live(5);
    assert!(world.fogs[&fog(1)].running.is_empty());
}

#[test]
fn a_session_that_begins_again_at_once_moves_nothing() {
    let mut world = running(2);
    world.disconnect(&fog(1));
    let at = world.now;
    world.pass(GRACE_MS - 100);
    world.connect(&fog(1));
    world.live(3);
    assert_eq!(runs(&world, at), []);
}

#[test]
fn a_fog_node_that_falls_silent_with_its_session_is_dead() {
    let mut world = running(2);
    let at = world.now;
    world.pass(SILENT_MS + 1_000);
    let elsewhere = runs(&world, at);
    // The second node is as silent: nobody can take anything.
    assert_eq!(elsewhere, []);
    world.at.insert(car(1), Some(fog(2)));
    world.fogs.get_mut(&fog(1)).expect("there").up = false;
    world.live(2);
    assert_eq!(world.place(&car(1), GUARD), Some(fog(2)));
}

#[test]
fn a_function_follows_its_vehicle_with_its_state_under_a_higher_epoch() {
    let mut world = running(2);
    let before = world.controller.kept().assignment(&car(1), GUARD).cloned().expect("it runs");
    world.at.insert(car(1), Some(fog(2)));
    let at = world.now;
    world.live(3);
    let orders: Vec<_> = world.sent_since(at).filter(|(.., order)| order.work.key().1 == GUARD).collect();
    assert!(
        matches!(&orders[0].2.work, PlannedWork::End { hand_over: true, .. }) && orders[0].1 == fog(1),
        "{orders:?}"
    );
    let PlannedWork::Run { lease, state, .. } = &orders[1].2.work else { panic!("{orders:?}") };
    assert_eq!(orders[1].1, fog(2));
    assert!((lease.epoch.term, lease.epoch.count) > before.epoch);
    assert_eq!(state.as_ref().map(|state| state.state.clone()), Some(hex::encode(fog(1))));
    assert_eq!(world.controller.counters().handed_over, 4);
}

#[test]
fn a_holder_that_does_not_answer_is_waited_for_a_second() {
    let mut world = running(2);
    world.fogs.get_mut(&fog(1)).expect("there").deaf = true;
    world.at.insert(car(1), Some(fog(2)));
    world.live(4);
    assert_eq!(world.place(&car(1), GUARD), Some(fog(2)));
    assert_eq!(world.controller.counters().handed_over_without_state, 4);
}

#[test]
fn leases_are_renewed_before_they_end() {
    let mut world = running(1);
    let epoch = |world: &World| world.fogs[&fog(1)].running[&(car(1), GUARD.to_owned())].0;
    let first = epoch(&world);
    world.live(1_900);
    let second = epoch(&world);
    assert!(second > first);
    let until = world.controller.kept().assignment(&car(1), GUARD).expect("it runs").until_ms;
    assert!(until > world.now.as_millis() + 1_000_000);
}

#[test]
fn a_controller_that_has_lost_its_disk_takes_over_what_runs() {
    let mut world = running(1);
    let before = world.fogs[&fog(1)].running.clone();
    let term = world.disk.term;
    let releases = world.disk.releases.clone();
    world.disk = Kept { releases, term, ..Kept::default() };
    world.restart();
    world.live(40);
    let after = &world.fogs[&fog(1)].running;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(after.iter().all(|(key, (epoch, _))| *epoch > before[key].0), "{after:?}");
    assert_eq!(world.controller.counters().unconfirmed, 0);
}

#[test]
fn a_fog_node_that_refuses_is_asked_again_after_a_while() {
    let mut world = World::new(1, 1);
    world.fogs.get_mut(&fog(1)).expect("there").refuses = 5;
    world.live(2);
    let failed = world.controller.instances().filter(|at| matches!(at.phase, Phase::Failed { .. })).count();
    assert!(failed > 0);
    world.live(30);
    assert_eq!(world.fogs[&fog(1)].running.len(), 4);
}

/// Each is refused with its reason and counted, and changes nothing.
#[test]
fn what_a_fog_node_cannot_mean_is_refused() {
    let mut world = running(1);
    let good = world.summaries(&fog(1));
    let refused = |world: &mut World, input: Input| {
        let outputs = world.controller.handle(world.now, input);
        outputs.iter().find_map(|output| match output {
            Output::Refused { why, .. } => Some(why.name()),
            _ => None,
        })
    };
    let summaries =
        |change: &dyn Fn(&mut voltmesh_control::Summaries<voltmesh_battery::summary::Summary>)| {
            let mut summaries = good.clone();
            change(&mut summaries);
            Input::Summaries { fog: fog(1), summaries: Box::new(summaries) }
        };
    let now = good.at_ms;
    for (input, expected) in [
        (summaries(&|it| it.at_ms = now - 2_000), "stale"),
        (summaries(&|it| it.at_ms = now + 3_600_000), "clock"),
        (summaries(&|it| it.at_ms = 0), "clock"),
        (summaries(&|it| it.room.load = f64::NAN), "absurd"),
        (summaries(&|it| it.room.load = -1.0), "absurd"),
        (summaries(&|it| it.room.instances = 101), "absurd"),
        (summaries(&|it| it.room.capabilities = vec![String::new()]), "absurd"),
        (summaries(&|it| it.vehicles = vec![it.vehicles[0].clone(), it.vehicles[0].clone()]), "absurd"),
        (summaries(&|it| it.vehicles[0].summary = Some(summary(1e9, f64::INFINITY))), "absurd"),
    ] {
        let what = format!("{input:?}");
        assert_eq!(refused(&mut world, input), Some(expected), "{what}");
    }
    let state = |fog: &str| FunctionState {
        vehicle: car(1),
        function: GUARD.to_owned(),
        version: 1,
        state: hex::encode(fog),
        epoch: (9, 9),
    };
    let event = |epoch, value| {
        FunctionReport::Event(FunctionEvent {
            vehicle: car(1),
            function: GUARD.to_owned(),
            release: release(GUARD, 0).digest,
            epoch,
            number: 0,
            at_ms: now,
            kind: "began".to_owned(),
            severity: Severity::Warning,
            text: String::new(),
            figures: vec![("a".to_owned(), value)],
        })
    };
    let held = world.controller.kept().assignment(&car(1), GUARD).expect("it runs").epoch;
    let report = |report| Input::Report { fog: fog(1), report: Box::new(report) };
    for (input, expected) in [
        (report(event((9, 9), 1.0)), Some("foreign")),
        (report(event(held, f64::NAN)), Some("absurd")),
        (report(event(held, 1.0)), None),
        // It was not asked for.
        (report(FunctionReport::State(state("x"))), None),
        (report(FunctionReport::Ready { key: "zz".to_owned(), term: 0 }), Some("absurd")),
        (report(FunctionReport::Wanted { release: Digest::of(b"x") }), Some("absurd")),
        (report(FunctionReport::Refused { order: 1 << 40, reason: String::new() }), None),
    ] {
        let what = format!("{input:?}");
        assert_eq!(refused(&mut world, input), expected, "{what}");
    }
    let kept = world.controller.kept().assignment(&car(1), GUARD).expect("it runs");
    assert_eq!((kept.epoch, &kept.phase), (held, &Phase::Running));
    let counts: BTreeMap<String, u64> = world.controller.counts().into_iter().collect();
    assert_eq!((counts["refused_stale"], counts["refused_clock"], counts["refused_foreign"]), (1, 2, 1));
    assert_eq!(counts["events"], 1);
    assert!(counts["refused_absurd"] >= 6);
    world.handle(report(event(held, 1.0)));
    assert_eq!(world.controller.counts().into_iter().collect::<BTreeMap<_, _>>()["events_again"], 1);
}

#[test]
fn a_configured_key_is_the_only_one() {
    let mut settings = Settings::default();
    settings.fog_keys.insert(fog(1), [8; 32]);
    let now = Timestamp::from_millis(1_000_000);
    let mut controller = Controller::new(now, settings, Kept::default(), Rules::default(), Policy::default());
    controller.handle(now, Input::FogUp { fog: fog(1) });
    let ready = |byte: u8| Input::Report {
        fog: fog(1),
        report: Box::new(FunctionReport::Ready { key: hex::encode([byte; 32]), term: 0 }),
    };
    let outputs = controller.handle(now, ready(9));
    assert_eq!(outputs, [Output::Refused { fog: fog(1), why: Refusal::Key }]);
    assert_eq!(controller.handle(now, ready(8)), []);
    assert!(controller.counts().contains(&("refused_key".to_owned(), 1)));
    assert!(controller.fog_nodes(now)[0].key_known);
}

#[test]
fn a_vehicle_whose_clock_was_ahead_is_followed_again() {
    let mut world = World::new(1, 1);
    let ahead = |world: &World| {
        let mut summaries = world.summaries(&fog(1));
        summaries.vehicles[0].summary = Some(summary(1e12, 26.0));
        Input::Summaries { fog: fog(1), summaries: Box::new(summaries) }
    };
    world.deliver(9);
    let input = ahead(&world);
    world.handle(input);
    world.pass(1_000);
    world.hot.insert(car(1));
    world.live(45);
    assert!(world.controller.conditions().count() > 0, "it is hot, and that is seen again");
}
