//! Laws of learning.

use super::*;
use crate::policy::{Battery, VehicleFacts, select};
use proptest::prelude::*;
use std::collections::BTreeSet;
use voltmesh_telemetry::Timestamp;

/// `guard` has two tuned numbers: 45 → 35 in steps of 4 (stronger: lower), 1 → 2 in steps of 0.5 (stronger: higher).
const POLICY: &str = r#"
version = 1
[fleet]
commands_per_s = 10
burst = 10
[[function]]
name = "guard"
priority = 80
latency = "immediate"
load_ppm = 100
memory_mib = 2
minimum_stay_s = 0
commands_per_min = 6
configuration = { limit_c = 45.0, rate = 1.0 }
instead = ["second", "third"]
tune = [
    { key = "limit_c", least = 35.0, most = 50.0, step = 4.0, stronger = "lower", evidence = 2 },
    { key = "rate", least = 0.5, most = 2.0, step = 0.5, stronger = "higher", evidence = 3 },
]
[[function]]
name = "second"
priority = 20
latency = "minute"
load_ppm = 100
memory_mib = 2
minimum_stay_s = 0
commands_per_min = 0
withdraw = true
[[function]]
name = "third"
priority = 20
latency = "minute"
load_ppm = 100
memory_mib = 2
minimum_stay_s = 0
commands_per_min = 0
[[entry]]
name = "all"
functions = ["guard"]
"#;

/// Outcomes that `guard` is looked at after.
const EACH: usize = 3;

fn policy() -> Policy {
    Policy::parse(POLICY).expect("a policy")
}

fn car() -> VehicleId {
    "car-1".parse().expect("an id")
}

fn outcome(function: &str, helped: bool, charge_min: f64) -> Outcome {
    Outcome {
        vehicle: car(),
        function: function.to_owned(),
        condition: Condition::OverTemperature,
        ended_after_s: helped.then_some(60.0),
        charge_min,
        energy_kwh: 0.1,
    }
}

/// What is wanted for the vehicle after what was learned.
fn wanted(learning: &Learning) -> Vec<Wanted> {
    let facts = VehicleFacts {
        vehicle: car(),
        chemistry: None,
        groups: BTreeSet::new(),
        battery: Battery::default(),
    };
    let wanted = select(&policy(), Timestamp::from_millis(0), &facts, &[], &[]);
    learning.apply(&policy(), wanted)
}

/// The configuration of `guard`, where it is wanted.
fn numbers(learning: &Learning) -> Option<(f64, f64)> {
    let all = wanted(learning);
    let one = all.iter().find(|one| one.function == "guard")?;
    Some((one.configuration["limit_c"].as_f64()?, one.configuration["rate"].as_f64()?))
}

/// Learns from outcomes of `guard`; returns the steps.
fn learn(learning: &mut Learning, outcomes: &[(bool, f64)]) -> Vec<Step> {
    let outcomes = outcomes.iter().map(|(helped, charge_min)| outcome("guard", *helped, *charge_min));
    outcomes.filter_map(|outcome| learning.outcome(&policy(), &outcome)).collect()
}

#[test]
fn failures_make_it_stronger_until_another_takes_its_place() {
    let mut learning = Learning::new();
    let mut seen = vec![numbers(&learning)];
    for _ in 0..5 {
        learn(&mut learning, &[(false, 0.0); EACH]);
        seen.push(numbers(&learning));
    }
    let expected = [(45.0, 1.0), (41.0, 1.0), (37.0, 1.0), (35.0, 1.0), (35.0, 1.5), (35.0, 2.0)];
    assert_eq!(seen, expected.map(Some));
    let steps = learn(&mut learning, &[(false, 0.0); EACH]);
    assert_eq!(steps[0].adaptation, Adaptation::Replaced { by: "second".to_owned() });
    assert_eq!(wanted(&learning)[0].function, "second");
    // The second has no numbers; it fails and gives way to nobody.
    let failing = outcome("second", false, 0.0);
    let last = (0..WINDOW).filter_map(|_| learning.outcome(&policy(), &failing)).last().expect("a step");
    assert_eq!(last.adaptation, Adaptation::Withdrawn);
    assert!(wanted(&learning).is_empty());
    // The way back, from the end.
    assert_eq!(learning.undo(&steps[0]), Ok(()));
    assert_eq!(numbers(&learning), Some((35.0, 2.0)));
    assert_eq!(learning.undo(&steps[0]), Err(NotUndone::LaterStands));
    assert_eq!(learning.undo(&last), Ok(()));
    assert_eq!(learning.standing(&car(), "second"), &Standing::Runs);
}

#[test]
fn what_helps_and_costs_much_becomes_gentler_and_what_costs_little_stays() {
    let mut learning = Learning::new();
    assert!(learn(&mut learning, &[(true, COSTLY_MIN); 2 * EACH]).is_empty());
    assert_eq!(numbers(&learning), Some((45.0, 1.0)));
    let steps = learn(&mut learning, &[(true, COSTLY_MIN + 1.0); 5 * EACH]);
    assert_eq!(numbers(&learning), Some((50.0, 0.5)), "both at their gentle ends");
    assert_eq!(steps.len(), 3, "45 → 49 → 50, then 1 → 0.5");
}

#[test]
fn a_step_that_is_undone_is_not_taken_again_until_it_is_released() {
    let mut learning = Learning::new();
    let steps = learn(&mut learning, &[(false, 0.0); EACH]);
    assert_eq!(learning.undo(&steps[0]), Ok(()));
    assert!(learn(&mut learning, &[(false, 0.0); 4 * EACH]).is_empty());
    assert_eq!(numbers(&learning), Some((45.0, 1.0)));
    assert!(learning.release(&car(), "guard") && !learning.release(&car(), "guard"));
    assert_eq!(learn(&mut learning, &[(false, 0.0); EACH]).len(), 1);
    let other = Step { function: "third".to_owned(), ..steps[0].clone() };
    assert_eq!(learning.undo(&other), Err(NotUndone::Unknown));
}

#[test]
fn the_one_that_has_worked_for_the_vehicle_comes_first() {
    let mut learning = Learning::new();
    for _ in 0..4 {
        assert_eq!(learning.outcome(&policy(), &outcome("third", true, 0.0)), None);
    }
    let steps = learn(&mut learning, &[(false, 0.0); 6 * EACH]);
    let last = steps.last().expect("a step");
    assert_eq!(last.adaptation, Adaptation::Replaced { by: "third".to_owned() });
    let worked = learning.worked(&car(), Condition::OverTemperature);
    assert_eq!((worked[0].0, worked[0].1.mean_s(), worked[1].0), ("third", Some(60.0), "guard"));
    assert!(learning.worked(&car(), Condition::Imbalance).is_empty());
}

#[test]
fn absurd_outcomes_teach_nothing() {
    let sound = outcome("guard", false, 0.0);
    let absurd = [
        Outcome { ended_after_s: Some(f64::NAN), ..sound.clone() },
        Outcome { ended_after_s: Some(-1.0), ..sound.clone() },
        Outcome { charge_min: f64::INFINITY, ..sound.clone() },
        Outcome { energy_kwh: -1.0, ..sound.clone() },
        Outcome { function: "nobody".to_owned(), ..sound },
    ];
    let mut learning = Learning::new();
    for outcome in absurd.iter().cycle().take(50) {
        assert_eq!(learning.outcome(&policy(), outcome), None);
    }
    assert_eq!(learning, Learning::new());
}

fn outcomes() -> impl Strategy<Value = Vec<(bool, f64)>> {
    proptest::collection::vec((any::<bool>(), 0.0..10.0_f64), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No tuned number ever leaves its bounds, whatever comes of the function.
    #[test]
    fn numbers_stay_within_their_bounds(outcomes in outcomes()) {
        let mut learning = Learning::new();
        for one in outcomes {
            learn(&mut learning, &[one]);
            if let Some((limit_c, rate)) = numbers(&learning) {
                prop_assert!((35.0..=50.0).contains(&limit_c) && (0.5..=2.0).contains(&rate));
            }
        }
    }

    /// Fewer outcomes than a window has change nothing.
    #[test]
    fn without_evidence_nothing_changes(outcomes in proptest::collection::vec((any::<bool>(), 0.0..10.0_f64), 0..EACH)) {
        let mut learning = Learning::new();
        prop_assert!(learn(&mut learning, &outcomes).is_empty());
        prop_assert_eq!(numbers(&learning), Some((45.0, 1.0)));
    }

    /// Turning one success into a failure never makes it act more gently afterwards.
    #[test]
    fn a_failure_more_is_never_answered_more_gently(outcomes in outcomes(), which: usize) {
        let mut worse = outcomes.clone();
        let successes: Vec<usize> = (0..outcomes.len()).filter(|n| outcomes[*n].0).collect();
        prop_assume!(!successes.is_empty());
        worse[successes[which % successes.len()]].0 = false;
        let strength = |outcomes: &[(bool, f64)]| {
            let mut learning = Learning::new();
            learn(&mut learning, outcomes);
            let given_up = *learning.standing(&car(), "guard") != Standing::Runs;
            if given_up { i32::MAX } else { learning.strength(&car(), "guard") }
        };
        prop_assert!(strength(&worse) >= strength(&outcomes));
    }

    /// Undoing all steps from the newest on restores the beginning.
    #[test]
    fn undoing_restores(outcomes in outcomes()) {
        let mut learning = Learning::new();
        let steps = learn(&mut learning, &outcomes);
        for step in steps.iter().rev() {
            prop_assert_eq!(learning.undo(step), Ok(()));
        }
        prop_assert_eq!(numbers(&learning), Some((45.0, 1.0)));
    }

    /// What is learned survives being written down.
    #[test]
    fn learning_survives_json(outcomes in outcomes()) {
        let mut learning = Learning::new();
        learn(&mut learning, &outcomes);
        let text = serde_json::to_string(&learning).expect("JSON");
        let read: Learning = serde_json::from_str(&text).expect("what was written");
        prop_assert_eq!(wanted(&read), wanted(&learning));
        prop_assert_eq!(read.strength(&car(), "guard"), learning.strength(&car(), "guard"));
    }
}
