//! Laws of the log of decisions, and how a decision reads.

use super::*;
use crate::Condition;
use proptest::prelude::*;
use voltmesh_battery::watch::Stage;
use voltmesh_telemetry::{Timestamp, VehicleId};

fn car(n: u8) -> VehicleId {
    format!("car-{n}").parse().expect("an id")
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_780_300_000_000)
}

fn draft(vehicle: u8, chosen: Choice) -> Draft {
    Draft {
        vehicle: Some(car(vehicle)),
        inputs: Inputs {
            condition: Some(Condition::OverTemperature),
            stage: Some(Stage::Warning),
            over: false,
            values: vec![Value {
                name: "temperature-highest".to_owned(),
                value: 52.0,
                low: 51.0,
                high: 53.0,
                limit: Some(50.0),
                unit: "°C".to_owned(),
            }],
        },
        rule: "too hot".to_owned(),
        alternatives: vec![Alternative {
            what: Choice::Run { function: "f".to_owned(), node: "fog-2".to_owned() },
            cost: Some(9_000),
            why_not: "its round trip is longer".to_owned(),
        }],
        chosen,
        cost: Some(4_000),
        expected: Effect { condition_ends: Some(true), after_s: Some(300.0), ..Effect::default() },
        may_undo: vec![Who::Operator],
    }
}

fn run(function: &str) -> Choice {
    Choice::Run { function: function.to_owned(), node: "fog-1".to_owned() }
}

fn undo(log: &mut Log, number: u64) -> Result<Choice, UndoError> {
    log.undo(now(), number, Who::Operator, "anna", "not needed")
}

#[test]
fn a_decision_reads_as_sentences() {
    let mut log = Log::new();
    log.record(now(), draft(1, run("temperature-regulation")));
    let effect = Effect { condition_ends: Some(true), after_s: Some(240.0), ..Effect::default() };
    assert!(log.feedback(1, &effect));
    assert!(!log.feedback(2, &effect));
    assert_eq!(
        log.get(1).expect("decision 1").explain(),
        "Decision 1: run temperature-regulation on fog-1 for car-1.\n  \
         Why: too hot; over-temperature is the case (stage warning); temperature-highest 52.0000 °C (95 %: 51.0000 to \
         53.0000) against 50 °C.\n  \
         Instead: run f on fog-2, cost 9000 and not 4000: its round trip is longer.\n  \
         Expected: the condition ends after 300 s.\n  \
         Came of it: the condition ends after 240 s.\n  \
         May be undone by: operator.\n"
    );
}

#[test]
fn undoing_brings_back_what_was_once_and_the_later_first() {
    let mut log = Log::new();
    let moved = Choice::Move { function: "f".to_owned(), from: "fog-1".to_owned(), to: "fog-2".to_owned() };
    log.record(now(), draft(1, run("f")));
    log.record(now(), draft(1, moved.clone()));
    log.record(now(), draft(2, run("f")));
    log.record(now(), draft(1, Choice::Nothing));
    assert_eq!(undo(&mut log, 1), Err(UndoError::LaterStands { number: 1, later: 2 }));
    assert_eq!(log.undo(now(), 2, Who::Controller, "c", ""), Err(UndoError::NotAllowed(2, Who::Controller)));
    assert_eq!(undo(&mut log, 2), Ok(moved.reversed().expect("a way back")));
    assert_eq!(undo(&mut log, 2), Err(UndoError::Undone(2, "anna".to_owned())));
    assert_eq!(undo(&mut log, 1), Ok(Choice::End { function: "f".to_owned() }));
    assert_eq!(undo(&mut log, 4), Err(UndoError::Nothing(4)));
    assert_eq!(undo(&mut log, 5), Err(UndoError::Unknown(5)));
    assert_eq!(undo(&mut log, 0), Err(UndoError::Unknown(0)));
    assert!(log.get(1).expect("decision 1").explain().contains("Undone by anna: not needed."));
}

#[test]
fn what_is_forgotten_says_so() {
    let mut log = Log::new();
    for _ in 0..=MAX_DECISIONS {
        log.record(now(), draft(1, Choice::Nothing));
    }
    assert_eq!((log.len(), log.last_number()), (MAX_DECISIONS, MAX_DECISIONS as u64 + 1));
    assert_eq!(undo(&mut log, 1), Err(UndoError::Forgotten(1, 2)));
}

#[test]
fn a_decision_waits_for_what_comes_of_it() {
    let mut log = Log::new();
    log.record(now(), draft(1, run("f")));
    log.record(now(), draft(1, run("g")));
    assert_eq!(log.waiting(&car(1), "f"), Some(1));
    log.feedback(1, &Effect { condition_ends: Some(false), ..Effect::default() });
    assert_eq!((log.waiting(&car(1), "f"), log.waiting(&car(1), "g")), (None, Some(2)));
    log.feedback(1, &Effect { condition_ends: Some(true), after_s: Some(1.0), ..Effect::default() });
    let actual = log.get(1).and_then(|decision| decision.actual.clone()).expect("an effect");
    assert_eq!((actual.condition_ends, actual.after_s), (Some(false), Some(1.0)), "the first word counts");
}

fn choice() -> impl Strategy<Value = Choice> {
    let name = || prop::sample::select(vec!["f".to_owned(), "g".to_owned()]);
    prop_oneof![
        (name(), name()).prop_map(|(function, node)| Choice::Run { function, node }),
        (name(), name()).prop_map(|(function, by)| Choice::Replace { function, by }),
        (name(), -3..3, -3..3).prop_map(|(function, from, to)| {
            let values = vec![("key".to_owned(), f64::from(from), f64::from(to))];
            Choice::Tune { function, from, to, values }
        }),
        (name(), name(), name()).prop_map(|(function, from, to)| Choice::Move { function, from, to }),
    ]
}

proptest! {
    /// Undoing from the newest on always works, and undoing twice over gives the choice again.
    #[test]
    fn all_is_undone_from_the_end(choices in proptest::collection::vec((1_u8..4, choice()), 1..20)) {
        let mut log = Log::new();
        for (vehicle, chosen) in &choices {
            log.record(now(), draft(*vehicle, chosen.clone()));
        }
        for (at, (_, chosen)) in choices.iter().enumerate().rev() {
            let back = undo(&mut log, at as u64 + 1).expect("the newest that stands");
            // Where an ended function ran is not kept: placement says where it runs again.
            let there = match (back.reversed().expect("a way there"), chosen) {
                (Choice::Run { function, .. }, Choice::Run { node, .. }) => {
                    Choice::Run { function, node: node.clone() }
                }
                (other, _) => other,
            };
            prop_assert_eq!(&there, chosen);
        }
    }

    /// A log that is written down and read goes on as it was.
    #[test]
    fn a_log_survives_json(choices in proptest::collection::vec((1_u8..4, choice()), 0..20), undone: u64) {
        let mut log = Log::new();
        for (vehicle, chosen) in choices {
            log.record(now(), draft(vehicle, chosen));
        }
        let _ = undo(&mut log, undone % 20);
        let lines: Vec<String> =
            log.newest(None).map(|decision| serde_json::to_string(decision).expect("JSON")).collect();
        let read = lines.iter().map(|line| serde_json::from_str(line).expect("a decision"));
        prop_assert_eq!(Log::restore(read), log);
    }
}
