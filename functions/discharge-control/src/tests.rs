use proptest::prelude::*;
use voltmesh_guest::Runner;
use voltmesh_guest::testing::{Bench, assert_defaults, hold_against_rubbish, sample};
use voltmesh_guest::types::{Action, Sample};

use super::{DischargeControl, Settings};

const SIXTY: &str = r#"{"capacity_ah": 60}"#;

fn limits(bench: &Bench<DischargeControl>) -> Vec<f64> {
    let limit = |(_, action): (u64, &Action)| {
        if let Action::DischargeLimitA(limit) = action { Some(*limit) } else { None }
    };
    bench.commands().into_iter().filter_map(limit).collect()
}

/// A cell of 2 mΩ at that voltage at rest, that obeys what is asked, under a demand.
fn drive(
    bench: &mut Bench<DischargeControl>,
    seconds: std::ops::Range<u64>,
    rest_v: impl Fn(u64) -> f64,
) -> f64 {
    let mut lowest_v = f64::INFINITY;
    for s in seconds {
        let wanted: f64 = if s % 10 < 5 { 150.0 } else { 10.0 };
        let out_a = limits(bench).last().map_or(wanted, |limit| wanted.min(*limit));
        let volts = rest_v(s) - 0.002 * out_a;
        lowest_v = lowest_v.min(volts);
        bench.sample(Sample { plugged: Some(false), ..sample(s * 1_000, -out_a, volts, 25.0) });
    }
    lowest_v
}

#[test]
fn a_battery_that_holds_its_voltage_is_left_alone() {
    let mut bench = Bench::<DischargeControl>::new(SIXTY);
    drive(&mut bench, 0..600, |_| 3.6);
    assert!(bench.commands().is_empty() && bench.kinds().is_empty(), "{:?}", bench.said);
}

#[test]
fn a_battery_that_empties_keeps_its_lowest_cell_above_the_floor() {
    let mut bench = Bench::<DischargeControl>::new(SIXTY);
    let lowest_v = drive(&mut bench, 0..1_200, |s| 3.6 - 0.0008 * s as f64);
    assert!(lowest_v > 2.5, "{lowest_v}");
    assert_eq!(bench.kinds()[0], "discharge-limited");
    assert_eq!(limits(&bench).last(), Some(&0.0), "an empty one gives nothing");
    let fell = limits(&bench).windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(fell > 5, "step by step: {:?}", limits(&bench));
}

/// In the cold the resistance that is assumed would leave nothing; the cell itself shows that it is full.
#[test]
fn a_cold_cell_that_holds_its_voltage_is_left_alone() {
    let mut bench = Bench::<DischargeControl>::new(SIXTY);
    for s in 0..600 {
        let out_a = if s % 10 < 5 { 180.0 } else { 10.0 };
        bench
            .sample(Sample { plugged: Some(false), ..sample(s * 1_000, -out_a, 3.5 - 0.001 * out_a, -10.0) });
    }
    assert!(bench.commands().is_empty() && bench.kinds().is_empty(), "{:?}", bench.said);
}

#[test]
fn a_reading_that_is_wrong_once_does_nothing() {
    let mut bench = Bench::<DischargeControl>::new(SIXTY);
    for s in 0..60 {
        let volts = if s == 30 { 2.0 } else { 3.6 };
        bench.sample(Sample { plugged: Some(false), ..sample(s * 1_000, -100.0, volts, 25.0) });
    }
    assert!(bench.commands().is_empty(), "{:?}", bench.commands());
}

#[test]
fn cold_and_age_leave_less() {
    let settings = Settings { capacity_ah: 60.0, ..Settings::default() };
    let warm = settings.resistance_ohm(25.0, 1.0);
    assert_eq!(warm, settings.resistance_ohm(45.0, 1.0));
    assert!(
        settings.resistance_ohm(-10.0, 1.0) > 3.0 * warm && settings.resistance_ohm(25.0, 2.0) == 2.0 * warm
    );
}

#[test]
fn nothing_is_asked_while_it_charges_or_is_silent() {
    let mut bench = Bench::<DischargeControl>::new(SIXTY);
    (0..100).for_each(|s| bench.sample(Sample { plugged: Some(true), ..sample(s * 1_000, 30.0, 2.4, 25.0) }));
    assert!(bench.commands().is_empty());
    (100..110).for_each(|s| {
        bench.sample(Sample { plugged: Some(false), ..sample(s * 1_000, -100.0, 2.4, 25.0) });
    });
    let before = limits(&bench).len();
    assert!(before > 0);
    (240..400).for_each(|s| bench.give(s * 1_000, &[voltmesh_guest::types::Input::Tick]));
    assert_eq!(limits(&bench).len(), before);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for json in ["{}", r#"{"capacity_ah": 60, "floor_v": 4.0}"#, r#"{"capacity_ah": 60, "reserve": 0.5}"#] {
        let mut runner = Runner::<DischargeControl>::default();
        assert!(runner.configure(json).is_err(), "{json}");
    }
}

#[test]
fn defaults_are_those_of_the_manifest() {
    assert_defaults::<Settings>(include_str!("../manifest.toml"), SIXTY);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rubbish_does_no_harm(seed: u64) {
        hold_against_rubbish::<DischargeControl>(SIXTY, seed);
    }
}
