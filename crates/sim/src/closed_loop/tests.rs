//! The loop helps where it is meant to, and does nothing where nothing is wrong.

use super::scenario;
use crate::SeedReport as _;
use voltmesh_battery::trouble::Trouble;

/// What of its goals a scenario misses, with all that it says.
fn missed(trouble: Trouble) -> Option<String> {
    let outcome = scenario::run(trouble).expect("it runs");
    let said = serde_json::to_string(&outcome).expect("JSON");
    println!("{said}");
    let missed = outcome.missed();
    (!missed.is_empty()).then(|| format!("{trouble}: {missed:?}\n{said}"))
}

fn check(trouble: Trouble) {
    assert_eq!(missed(trouble), None);
}

#[test]
fn a_sound_pack_is_left_alone() {
    check(Trouble::None);
}

#[test]
fn a_pack_is_kept_from_deep_discharge() {
    check(Trouble::DeepDischarge);
}

/// The others, which last longer; `.ci/run` runs all of them by the command, in release.
#[test]
#[ignore = "minutes in a debug build"]
fn every_scenario_meets_its_goals_slow() {
    let missed: Vec<String> = Trouble::ALL.into_iter().filter_map(missed).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

mod breaking {
    //! Rules broken on purpose: the checker says so.

    use super::super::build::{START_MS, controller_key, fog_key};
    use super::super::checker::Checker;
    use super::super::vehicle::Taken;
    use serde_json::json;
    use std::collections::BTreeMap;
    use voltmesh_control::{Action, ActionKind, Allowed, Command, Epoch, FunctionEvent, Lease, Severity};
    use voltmesh_edge::commands::{CommandRules, Commands, Memory, Nameplate, Setpoints};
    use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(START_MS + ms)
    }

    fn car() -> VehicleId {
        "car-1".parse().expect("a name")
    }

    fn taken(count: u32, number: u64) -> Taken {
        let lease = Lease {
            vehicle: car(),
            function: "guard".to_owned(),
            fog: "fog-1".to_owned(),
            fog_key: fog_key(1).verifying_key().to_bytes(),
            epoch: Epoch { term: 1, count },
            until: at(60_000),
            allowed: Allowed::everything(),
        };
        let command = Command {
            vehicle: car(),
            number,
            issued: at(0),
            expires: at(30_000),
            action: Action::ChargeLimit(5_000),
            reason: String::new(),
        };
        Taken { command, lease }
    }

    /// A vehicle that obeys a command, and its checker.
    fn obeying() -> (Commands, Checker) {
        let rules = CommandRules {
            vehicle: car(),
            controllers: vec![controller_key().verifying_key()],
            max_per_minute: 60,
            nameplate: Nameplate::of_capacity(60.0, 96),
            obeys: ActionKind::ALL.into_iter().collect(),
        };
        let mut commands = Commands::new(rules, Ok(Memory::default()), at(0));
        let (one, mut checker) = (taken(3, 0), Checker::default());
        let lease = one.lease.sign("controller-1", &controller_key());
        commands.take(at(1), &one.command.sign("fog-1", &lease, &fog_key(1)));
        commands.saved(at(2), None);
        checker.command(one);
        checker.vehicle(at(3), &car(), &commands);
        assert!(checker.problems.is_empty() && !commands.setpoints().is_idle(), "{:?}", checker.problems);
        (commands, checker)
    }

    fn found(checker: &Checker, what: &str) {
        assert!(
            checker.problems.iter().any(|problem| problem.contains(what)),
            "{what}: {:?}",
            checker.problems
        );
    }

    #[test]
    fn a_command_that_outlives_its_end_is_found() {
        let (commands, mut checker) = obeying();
        // Nobody has woken the vehicle.
        checker.vehicle(at(30_000), &car(), &commands);
        found(&checker, "past its end");
    }

    #[test]
    fn an_older_lease_that_acts_beside_a_newer_is_found() {
        let (commands, mut checker) = obeying();
        checker.command(taken(4, 0));
        checker.vehicle(at(4), &car(), &commands);
        found(&checker, "obeys guard under lease 1.3, after 1.4");
    }

    #[test]
    fn two_masters_and_what_nobody_asked_for_are_found() {
        let mut checker = Checker::default();
        checker.command(taken(3, 0));
        checker.command(taken(4, 0));
        let held = |epoch: &str| json!({ "function": "guard", "epoch": epoch, "number": 0 });
        let view = json!({ "commands": [held("1.3"), held("1.4")] });
        checker.in_force(at(1), &car(), &view, &Setpoints::default());
        found(&checker, "two masters");
        let mut checker = Checker::default();
        let stopped = Setpoints { stop_charging: true, ..Setpoints::default() };
        checker.in_force(at(1), &car(), &json!({ "commands": [] }), &stopped);
        found(&checker, "no command in force asks for");
    }

    fn event(number: u64, text: &str) -> FunctionEvent {
        FunctionEvent {
            vehicle: car(),
            function: "guard".to_owned(),
            release: Digest::of(b"a release"),
            epoch: (1, 3),
            number,
            at_ms: START_MS,
            kind: "seen".to_owned(),
            severity: Severity::Information,
            text: text.to_owned(),
            figures: Vec::new(),
        }
    }

    #[test]
    fn events_that_are_lost_doubled_or_altered_are_found() {
        let mut checker = Checker::default();
        checker.acknowledged(at(0), event(0, "a"));
        checker.acknowledged(at(0), event(0, "a"));
        assert_eq!((checker.again, checker.problems.len()), (1, 0));
        checker.acknowledged(at(0), event(0, "b"));
        found(&checker, "another content");
        checker.acknowledged(at(0), event(2, "c"));
        let durable = BTreeMap::from([(1, event(0, "a")), (2, event(0, "a")), (3, event(5, "e"))]);
        let lost = checker.kept(at(1), durable.into_iter().map(|(at, event)| ("fog-1", at, Box::new(event))));
        assert_eq!(lost, 2, "one that was not acknowledged, and number 1");
        found(&checker, "kept twice");
        found(&checker, "not what was acknowledged");
        found(&checker, "are missing");
    }
}

/// Faults of all kinds, and then what is wanted runs; `.ci/run` runs three hundred by the command, `.ci/nightly` a thousand.
#[test]
fn seeds_of_faults_leave_one_master_and_every_event_once() {
    let shared = super::seed::Shared::new().expect("functions run");
    for seed in 0..6 {
        let report = super::seed::run(seed, 0.7, &shared);
        assert!(report.passed(), "{:#?}\n{}", report.problems, report.replay());
        assert!(report.events > 0 && report.commands > 0, "{report:?}");
    }
    let again = |shared: &super::seed::Shared| super::seed::run(3, 0.5, shared);
    assert_eq!(format!("{:?}", again(&shared)), format!("{:?}", again(&shared)), "a seed is a seed");
}
