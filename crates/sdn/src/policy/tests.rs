//! Policy files: the shipped one, and what is wrong with others; and whom functions are selected for.

use super::*;
use crate::Condition;
use crate::assess::Active;
use proptest::prelude::*;
use std::collections::BTreeSet;
use voltmesh_battery::Chemistry;
use voltmesh_battery::watch::Stage;
use voltmesh_control::Action;
use voltmesh_telemetry::Timestamp;

/// A policy of two functions, of which one text is replaced, and what follows it.
fn file(from: &str, to: &str, more: &str) -> String {
    let text = "version = 1\n[fleet]\ncommands_per_s = 10\nburst = 20\n[[function]]\nname = \"guard\"\npriority = 80\n\
        latency = \"immediate\"\nload_ppm = 100\nmemory_mib = 2\nminimum_stay_s = 60\ncommands_per_min = 6\n\
        bounds = { charge-limit-a = [0.0, 100.0], stop-charging = true }\nconfiguration = { limit_c = 45.0 }\n\
        instead = [\"other\"]\n\
        tune = [{ key = \"limit_c\", least = 35.0, most = 50.0, step = 2.0, stronger = \"lower\", evidence = 4 }]\n\
        [[function]]\nname = \"other\"\npriority = 20\nlatency = \"minute\"\nload_ppm = 100\nmemory_mib = 2\n\
        minimum_stay_s = 0\ncommands_per_min = 0\napart_from = [\"guard\"]\n\
        [[entry]]\nname = \"hot\"\ncondition = \"over-temperature\"\nleast = \"warning\"\nfunctions = [\"guard\"]\n\
        configuration = { guard = { limit_c = 40.0 } }\n";
    assert!(text.contains(from), "{from}");
    format!("{}{more}", text.replacen(from, to, 1))
}

fn entry(text: &str) -> String {
    format!("[[entry]]\n{text}\n")
}

#[test]
fn the_shipped_policy_is_right() {
    let policy = Policy::parse(DEFAULTS).expect("the shipped policy");
    assert_eq!(policy, Policy::default());
    for function in policy.functions() {
        let named = policy.entries().any(|entry| entry.functions.contains(&function.name));
        assert!(named, "nobody gets {}", function.name);
    }
    Policy::parse(&file("version", "version", "")).expect("the tests' policy");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let hot = "name = \"also hot\"\ncondition = \"over-temperature\"\nleast = \"warning\"\nfunctions = [\"guard\"]\n";
    let cases: [(&str, &str, String, usize, &str); 22] = [
        ("version = 1", "version = 2", String::new(), 1, "version 1"),
        ("commands_per_s = 10", "commands_per_s = 0", String::new(), 2, "commands_per_s is more than 0"),
        ("burst = 20", "burst = 0", String::new(), 2, "burst is 1"),
        ("\"guard\"", "\"two words\"", String::new(), 6, "function's name"),
        ("priority = 80", "priority = 101", String::new(), 7, "priority is 0 to 100"),
        ("\"immediate\"", "\"soon\"", String::new(), 8, "unknown variant"),
        ("load_ppm = 100", "load_ppm = 0", String::new(), 9, "load_ppm is 1"),
        ("memory_mib = 2", "memory_mib = 9999", String::new(), 10, "memory_mib is 1"),
        ("minimum_stay_s = 60", "minimum_stay_s = 99999", String::new(), 11, "a day"),
        ("[0.0, 100.0]", "[100.0, 0.0]", String::new(), 13, "charge-limit-a is [least, most]"),
        ("[0.0, 100.0]", "[0.0, nan]", String::new(), 13, "charge-limit-a is [least, most]"),
        ("[\"other\"]", "[\"nobody\"]", String::new(), 15, "`nobody`, which is no function"),
        ("[\"other\"]", "[\"guard\"]", String::new(), 15, "itself"),
        ("key = \"limit_c\"", "key = \"limit\"", String::new(), 16, "no number `limit`"),
        ("least = 35.0", "least = 55.0", String::new(), 16, "below most"),
        ("most = 50.0", "most = 44.0", String::new(), 16, "outside its bounds"),
        ("step = 2.0", "step = 0.0", String::new(), 16, "step is more than 0"),
        ("evidence = 4", "evidence = 0", String::new(), 16, "evidence is 1"),
        ("functions = [\"guard\"]", "functions = [\"guard\", \"nobody\"]", String::new(), 30, "`nobody`"),
        ("limit_c = 40.0", "limit_c = 60.0", String::new(), 27, "within 35..50"),
        ("version", "version", entry(hot), 33, "configure `guard` differently"),
        (
            "version",
            "version",
            entry("name = \"x\"\nleast = \"warning\"\nfunctions = [\"guard\"]"),
            34,
            "goes with",
        ),
    ];
    for (from, to, more, line, reason) in cases {
        let text = file(from, to, &more);
        let error = Policy::parse(&text).expect_err(&text).to_string();
        assert!(error.starts_with(&format!("line {line}:")) && error.contains(reason), "{text}\n{error}");
    }
    assert_eq!(Policy::parse(&" ".repeat(MAX_POLICY_BYTES + 1)), Err(Error::TooLarge(MAX_POLICY_BYTES + 1)));
}

fn facts() -> VehicleFacts {
    let groups = BTreeSet::from(["buses".to_owned()]);
    VehicleFacts {
        vehicle: "car-1".parse().expect("an id"),
        chemistry: Some(Chemistry::Nmc),
        groups,
        battery: Battery { capacity_ah: Some(60.0), cells: Some(96) },
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn active(condition: Condition, stage: Stage) -> Active {
    Active { rule: format!("{condition} {stage:?}"), condition, stage, since_s: 0.0 }
}

/// Names of what is selected.
fn names(wanted: &[Wanted]) -> Vec<&str> {
    wanted.iter().map(|wanted| wanted.function.as_str()).collect()
}

#[test]
fn a_condition_brings_functions_from_its_stage_on_and_for_their_minimum_time() {
    let policy = Policy::parse(&file("version", "version", "")).expect("a policy");
    let hot = |stage| [active(Condition::OverTemperature, stage)];
    let select =
        |second, active: &[Active], before: &[Wanted]| select(&policy, at(second), &facts(), active, before);
    assert_eq!(names(&select(0, &[], &[])), [""; 0]);
    assert_eq!(names(&select(0, &hot(Stage::Information), &[])), [""; 0]);
    let first = select(10, &hot(Stage::Warning), &[]);
    assert_eq!(names(&first), ["guard"]);
    assert_eq!(first[0].configuration["limit_c"], 40.0);
    assert_eq!(first[0].reasons[0].condition, Some(Condition::OverTemperature));
    let later = select(30, &hot(Stage::Protect), &first);
    assert_eq!((later[0].since, later[0].reasons[0].stage), (at(10), Some(Stage::Protect)));
    let stays = select(69, &[], &later);
    assert!(names(&stays) == ["guard"] && stays[0].reasons[0].over, "{stays:?}");
    assert_eq!(names(&select(70, &[], &stays)), [""; 0]);
    let back = select(69, &hot(Stage::Warning), &stays);
    assert!(!back[0].reasons[0].over && back[0].since == at(10));
}

#[test]
fn entries_are_for_chemistries_and_groups() {
    let check = |filter: &str, selected: bool| {
        let more = entry(&format!("name = \"all\"\nfunctions = [\"other\"]\n{filter}"));
        let policy = Policy::parse(&file("version", "version", &more)).expect("a policy");
        assert_eq!(!select(&policy, at(0), &facts(), &[], &[]).is_empty(), selected, "{filter}");
        let unknown = VehicleFacts { chemistry: None, groups: BTreeSet::new(), ..facts() };
        assert_eq!(select(&policy, at(0), &unknown, &[], &[]).is_empty(), !filter.is_empty(), "{filter}");
    };
    check("", true);
    check("chemistries = [\"nmc\", \"nca\"]", true);
    check("chemistries = [\"lfp\"]", false);
    check("groups = [\"buses\", \"trucks\"]", true);
    check("groups = [\"trucks\"]", false);
}

/// What a function needs to know of the battery: the vehicle's own word first, then the policy's; without it, no function.
#[test]
fn configurations_take_the_battery_of_the_vehicle() {
    let needs = "commands_per_min = 6\nfrom_battery = [\"capacity_ah\", \"chemistry\", \"cells\"]";
    let check =
        |batteries: &str, facts: VehicleFacts, capacity_ah: Option<f64>, lacks: Option<BatteryKey>| {
            let more = format!("{batteries}{}", entry("name = \"all\"\nfunctions = [\"guard\"]"));
            let policy = Policy::parse(&file("commands_per_min = 6", needs, &more)).expect("a policy");
            let wanted = select(&policy, at(0), &facts, &[], &[]);
            let got = wanted.first().and_then(|wanted| wanted.configuration["capacity_ah"].as_f64());
            assert_eq!(got, capacity_ah, "{batteries} {facts:?}");
            let lacking = lacking(&policy, &facts);
            assert_eq!(lacking.first().map(|lacking| lacking.key), lacks);
            if let Some(one) = wanted.first() {
                assert_eq!(one.configuration["chemistry"], "nmc");
                assert_eq!(one.configuration.contains_key("cells"), facts.battery.cells.is_some());
            }
        };
    let silent = || VehicleFacts { battery: Battery::default(), ..facts() };
    check("", facts(), Some(60.0), None);
    check("", silent(), None, Some(BatteryKey::CapacityAh));
    check("[[battery]]\ncapacity_ah = 94.0\n", facts(), Some(60.0), None);
    check("[[battery]]\ncapacity_ah = 94.0\n", silent(), Some(94.0), None);
    check(
        "[[battery]]\ngroups = [\"trucks\"]\ncapacity_ah = 94.0\n",
        silent(),
        None,
        Some(BatteryKey::CapacityAh),
    );
    check("", VehicleFacts { chemistry: None, ..facts() }, None, Some(BatteryKey::Chemistry));
    for wrong in ["capacity_ah = 0.0", "capacity_ah = nan", "cells = 0", "groups = [\"a\"]"] {
        let error =
            Policy::parse(&file("version", "version", &format!("[[battery]]\n{wrong}\n"))).expect_err(wrong);
        assert!(error.to_string().starts_with("line 32:"), "{error}");
    }
}

#[test]
fn the_entry_with_the_highest_priority_decides() {
    let more = entry(
        "name = \"always\"\nfunctions = [\"guard\"]\npriority = 90\nconfiguration = { guard = { limit_c = 36.0 } }",
    );
    let policy = Policy::parse(&file("version", "version", &more)).expect("a policy");
    let hot = [active(Condition::OverTemperature, Stage::Protect)];
    let wanted = select(&policy, at(0), &facts(), &hot, &[]);
    assert_eq!((wanted.len(), wanted[0].priority), (1, 90));
    assert_eq!(wanted[0].configuration["limit_c"], 36.0);
    let entries: Vec<&str> = wanted[0].reasons.iter().map(|reason| reason.entry.as_str()).collect();
    assert_eq!(entries, ["always", "hot"]);
}

#[test]
fn bounds_admit_what_they_name_and_nothing_else() {
    let bounds = Bounds {
        charge_limit_a: Some([0.0, 100.0]),
        balance_groups: Some(2),
        derate: Some([0.2, 1.0]),
        ..Bounds::default()
    };
    let cases = [
        (Action::ChargeLimit(100_000), None),
        (Action::ChargeLimit(100_001), Some("outside")),
        (Action::DischargeLimit(1), Some("no discharge-limit")),
        (Action::TargetTemperature(2_000), Some("no target-temperature")),
        (Action::Balance(vec![1, 2]), None),
        (Action::Balance(vec![1, 2, 3]), Some("outside")),
        (Action::SamplingRate(1_000), Some("no sampling-rate")),
        (Action::Derate(200_000), None),
        (Action::Derate(199_999), Some("outside")),
        (Action::StopCharging, Some("no stop-charging")),
    ];
    for (action, reason) in cases {
        match (bounds.allowed(6).admit(&action), reason) {
            (Ok(()), None) => {}
            (Err(said), Some(reason)) => assert!(said.contains(reason), "{said}"),
            (said, _) => panic!("{action:?}: {said:?}"),
        }
    }
    assert!(Bounds { stop_charging: true, ..bounds }.allowed(6).admit(&Action::StopCharging).is_ok());
}

proptest! {
    /// Conditions in another order select the same; one more selects nothing less.
    #[test]
    fn selection_depends_on_the_conditions_alone(chosen in proptest::collection::vec(0_usize..39, 0..8)) {
        let policy = Policy::default();
        let all: Vec<Condition> = policy.entries().filter_map(|entry| entry.condition).collect();
        let stages = [Stage::Information, Stage::Warning, Stage::Protect];
        let mut conditions: Vec<Active> =
            chosen.iter().map(|n| active(all[n / 3 % all.len()], stages[n % 3])).collect();
        let wanted = select(&policy, at(0), &facts(), &conditions, &[]);
        conditions.reverse();
        prop_assert_eq!(&select(&policy, at(0), &facts(), &conditions, &[]), &wanted);
        conditions.pop();
        let fewer = select(&policy, at(0), &facts(), &conditions, &[]);
        prop_assert!(names(&fewer).iter().all(|name| names(&wanted).contains(name)));
    }

    /// A policy that is cut or spoilt anywhere is read or refused.
    #[test]
    fn no_spoilt_policy_panics(at in 0..DEFAULTS.len(), byte in 32_u8..127) {
        let mut bytes = DEFAULTS.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = Policy::parse(&String::from_utf8_lossy(&bytes));
        let _ = Policy::parse(&String::from_utf8_lossy(&bytes[..at]));
    }
}
