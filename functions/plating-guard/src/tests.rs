use proptest::prelude::*;
use voltmesh_guest::Runner;
use voltmesh_guest::testing::{Bench, assert_defaults, hold_against_rubbish, report, sample};
use voltmesh_guest::types::{Action, Input, Sample};

use super::{PlatingGuard, Settings};

const SIXTY: &str = r#"{"capacity_ah": 60}"#;

fn plugged(time_ms: u64, current_a: f64, temp_c: f64) -> Sample {
    Sample { plugged: Some(true), soc: Some(0.45), ..sample(time_ms, current_a, 3.7, temp_c) }
}

fn limits(bench: &Bench<PlatingGuard>) -> Vec<(u64, f64)> {
    let limit = |(at, action): (u64, &Action)| {
        if let Action::ChargeLimitA(limit) = action { Some((at / 1_000, *limit)) } else { None }
    };
    bench.commands().into_iter().filter_map(limit).collect()
}

#[test]
fn the_limit_falls_in_the_cold_with_charge_and_with_age() {
    let settings = Settings { capacity_ah: 60.0, ..Settings::default() };
    let limit_c =
        |temp_c: f64, soc: f64, aged: f64| settings.limit_a(&settings.curve(), temp_c, soc, aged) / 60.0;
    assert!((limit_c(25.0, 0.5, 1.0) - 0.105 / 0.08).abs() < 1e-9);
    for pair in [-10.0, 0.0, 5.0, 10.0, 25.0, 40.0].windows(2) {
        assert!(limit_c(pair[0], 0.5, 1.0) < limit_c(pair[1], 0.5, 1.0));
    }
    for pair in [0.0, 0.2, 0.5, 0.8, 1.0].windows(2) {
        assert!(limit_c(25.0, pair[0], 1.0) > limit_c(25.0, pair[1], 1.0));
    }
    assert!((limit_c(10.0, 0.5, 2.0) * 2.0 - limit_c(10.0, 0.5, 1.0)).abs() < 1e-9);
    assert_eq!(limit_c(-0.1, 0.5, 1.0), 0.0);
}

#[test]
fn a_cold_charge_is_limited_and_a_warm_one_is_not() {
    let mut bench = Bench::<PlatingGuard>::new(SIXTY);
    (0..100).for_each(|s| bench.sample(plugged(s * 1_000, 50.0, 5.0)));
    assert_eq!(bench.kinds(), ["charge-limited", "plating-risk-began"]);
    let limits = limits(&bench);
    assert!(limits.iter().all(|(_, limit)| (8.0..25.0).contains(limit)), "{limits:?}");
    assert_eq!(limits.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 15, 30, 45, 60, 75, 90]);
    let risk = bench.metric("plating_risk_ah").unwrap_or_default();
    assert!((0.6..1.2).contains(&risk), "about 35 A too many for 90 s: {risk}");
    let mut bench = Bench::<PlatingGuard>::new(SIXTY);
    (0..100).for_each(|s| bench.sample(plugged(s * 1_000, 50.0, 30.0)));
    assert!(bench.commands().is_empty() && bench.kinds().is_empty());
    assert_eq!(bench.metric("plating_risk_ah"), Some(0.0));
}

#[test]
fn below_freezing_nothing_is_charged() {
    let mut bench = Bench::<PlatingGuard>::new(SIXTY);
    (0..10).for_each(|s| bench.sample(plugged(s * 1_000, 2.0, -5.0)));
    assert_eq!(limits(&bench), [(0, 0.0)]);
}

#[test]
fn braking_is_counted_and_not_limited() {
    let mut bench = Bench::<PlatingGuard>::new(SIXTY);
    for s in 0..300 {
        let current = if s % 30 < 10 { 80.0 } else { -60.0 };
        bench.sample(Sample { plugged: None, soc: Some(0.6), ..sample(s * 1_000, current, 3.7, -5.0) });
    }
    assert!(bench.commands().is_empty() && bench.kinds().is_empty());
    assert!(bench.metric("plating_risk_ah").is_some_and(|risk| risk > 1.0));
}

#[test]
fn the_twin_counts_before_the_battery_itself_and_its_interval_counts() {
    let limit = |sd: f64| {
        let mut bench = Bench::<PlatingGuard>::new(SIXTY);
        bench.give(500, &[Input::Report(report(500, 0.3, sd))]);
        bench.sample(plugged(1_000, 60.0, 8.0));
        limits(&bench)[0].1
    };
    assert!(limit(0.1) < limit(0.01));
}

#[test]
fn what_is_not_known_counts_as_bad() {
    let mut bench = Bench::<PlatingGuard>::new(SIXTY);
    for s in 0..10 {
        let sample = Sample { soc: None, temperatures_c: vec![f64::NAN], ..plugged(s * 1_000, 50.0, 0.0) };
        bench.sample(sample);
    }
    // A full cell at 0 °C.
    assert!(limits(&bench).iter().all(|(_, limit)| *limit < 8.0 && *limit > 5.0), "{:?}", limits(&bench));
}

#[test]
fn a_limit_that_is_not_needed_any_more_ends() {
    let mut bench = Bench::<PlatingGuard>::new(SIXTY);
    (0..20).for_each(|s| bench.sample(plugged(s * 1_000, 50.0, 5.0)));
    (20..200).for_each(|s| bench.sample(plugged(s * 1_000, 5.0, 25.0)));
    assert_eq!(
        bench.kinds(),
        ["charge-limited", "plating-risk-began", "plating-risk-ended", "charge-limit-ended"]
    );
    assert!(bench.commands().iter().all(|(at, _)| *at < 80_000));
}

#[test]
fn a_refused_limit_is_not_repeated_at_once() {
    let mut bench = Bench::<PlatingGuard>::new(SIXTY);
    bench.sample(plugged(1_000, 50.0, 5.0));
    bench.refuse(1_500, 3);
    (2..30).for_each(|s| bench.sample(plugged(s * 1_000, 50.0, 5.0)));
    assert_eq!(bench.commands().len(), 1);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for json in [
        "{}",
        r#"{"capacity_ah": 0}"#,
        r#"{"capacity_ah": 60, "margin_v": -1}"#,
        r#"{"capacity_ah": 60, "negative_v": [[0, 1]]}"#,
    ] {
        let mut runner = Runner::<PlatingGuard>::default();
        assert!(runner.configure(json).is_err(), "{json}");
    }
}

#[test]
fn defaults_are_those_of_the_manifest() {
    assert_defaults::<Settings>(include_str!("../manifest.toml"), r#"{"capacity_ah": 60}"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rubbish_does_no_harm(seed: u64) {
        hold_against_rubbish::<PlatingGuard>(SIXTY, seed);
    }
}
