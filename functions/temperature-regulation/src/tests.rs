use proptest::prelude::*;
use voltmesh_guest::Runner;
use voltmesh_guest::testing::{Bench, assert_defaults, hold_against_rubbish, sample, unknown};
use voltmesh_guest::types::{Action, Sample};

use super::{Settings, TemperatureRegulation};

fn plugged(time_ms: u64, temp_c: f64) -> Sample {
    Sample { plugged: Some(true), ..sample(time_ms, 10.0, 3.7, temp_c) }
}

/// Gives temperatures once a second.
fn run(bench: &mut Bench<TemperatureRegulation>, seconds: std::ops::Range<u64>, temp_c: impl Fn(u64) -> f64) {
    seconds.for_each(|s| bench.sample(plugged(s * 1_000, temp_c(s))));
}

fn derates(bench: &Bench<TemperatureRegulation>) -> Vec<(u64, f64)> {
    let share = |(at, action): (u64, &Action)| {
        if let Action::Derate(share) = action { Some((at / 1_000, *share)) } else { None }
    };
    bench.commands().into_iter().filter_map(share).collect()
}

#[test]
fn a_cold_battery_that_is_charged_is_heated_with_hysteresis() {
    let mut bench = Bench::<TemperatureRegulation>::new("{}");
    run(&mut bench, 0..600, |s| -5.0 + s as f64 / 20.0);
    assert_eq!(bench.kinds(), ["heating-started", "heating-ended"]);
    assert!(bench.commands().iter().all(|(_, action)| **action == Action::TargetTemperatureC(15.0)));
    // Ended at 15 °C, 400 s after −5 °C.
    let last = bench.commands().last().map_or(0, |(at, _)| *at);
    assert!((370_000..405_000).contains(&last), "{last}");
}

#[test]
fn without_a_plug_nothing_is_heated() {
    let mut bench = Bench::<TemperatureRegulation>::new("{}");
    (0..100)
        .for_each(|s| bench.sample(Sample { plugged: Some(false), ..sample(s * 1_000, -10.0, 3.7, -10.0) }));
    assert!(bench.commands().is_empty());
    let mut bench = Bench::<TemperatureRegulation>::new(r#"{"heat_unplugged": true}"#);
    (0..100)
        .for_each(|s| bench.sample(Sample { plugged: Some(false), ..sample(s * 1_000, -10.0, 3.7, -10.0) }));
    assert_eq!(bench.kinds(), ["heating-started"]);
}

#[test]
fn cooling_begins_before_the_limit_where_the_temperature_rises() {
    let mut bench = Bench::<TemperatureRegulation>::new("{}");
    // 1.2 K/min: 5.5 K in the next five minutes by the model.
    run(&mut bench, 0..600, |s| 28.0 + s as f64 / 50.0);
    assert_eq!(bench.kinds().first(), Some(&"cooling-started"));
    let (at, action) = bench.commands()[0];
    assert_eq!(*action, Action::TargetTemperatureC(30.0));
    assert!((200_000..320_000).contains(&at), "{at}: between 32 and 34.4 °C");
}

#[test]
fn current_is_derated_more_the_nearer_the_limit_and_comes_back_in_steps() {
    let mut bench = Bench::<TemperatureRegulation>::new("{}");
    run(&mut bench, 0..900, |s| (40.0 + s as f64 / 60.0).min(53.0));
    run(&mut bench, 900..2_400, |s| (53.0 - (s - 900) as f64 / 30.0).max(30.0));
    let derates = derates(&bench);
    assert!(derates.len() > 4, "{derates:?}");
    let least = derates.iter().map(|(_, share)| *share).fold(1.0, f64::min);
    assert!((0.1..0.3).contains(&least), "{derates:?}");
    assert!(derates.windows(2).all(|pair| pair[1].1 - pair[0].1 <= 0.1 + 1e-9), "{derates:?}");
    let kinds = bench.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "derating-started").count(), 1, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "derating-ended").count(), 1, "{kinds:?}");
}

#[test]
fn a_rapid_rise_derates_at_once_and_a_single_outlier_does_not() {
    let mut bench = Bench::<TemperatureRegulation>::new("{}");
    run(&mut bench, 0..60, |_| 25.0);
    run(&mut bench, 60..120, |s| 25.0 + (s - 60) as f64 / 10.0);
    assert_eq!(derates(&bench).first().map(|(_, share)| *share), Some(0.1));
    let mut bench = Bench::<TemperatureRegulation>::new("{}");
    run(&mut bench, 0..300, |s| if s % 50 == 10 { 90.0 } else { 25.0 });
    assert!(bench.commands().is_empty(), "{:?}", bench.commands());
}

#[test]
fn quantised_sensors_do_not_rise() {
    let mut bench = Bench::<TemperatureRegulation>::new("{}");
    run(&mut bench, 0..3_000, |s| 36.0 + f64::from(u32::from(s % 120 > 60)));
    assert!(bench.commands().is_empty(), "{:?}", bench.commands());
}

#[test]
fn of_what_is_not_known_nothing_is_asked() {
    let mut bench = Bench::<TemperatureRegulation>::new("{}");
    run(&mut bench, 0..30, |_| 45.0);
    let before = bench.commands().len();
    (30..200).for_each(|s| bench.sample(unknown(s * 1_000)));
    let late = bench.commands().into_iter().filter(|(at, _)| *at > 90_000).count();
    assert!(before > 0 && late == 0);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for json in [
        r#"{"heat_to_c": 40}"#,
        r#"{"limit_c": 20}"#,
        r#"{"least_share": 0}"#,
        r#"{"cool": 1}"#,
        r#"{"limit_c": 200}"#,
    ] {
        let mut runner = Runner::<TemperatureRegulation>::default();
        assert!(runner.configure(json).is_err(), "{json}");
    }
}

#[test]
fn defaults_are_those_of_the_manifest() {
    assert_defaults::<Settings>(include_str!("../manifest.toml"), r#"{}"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rubbish_does_no_harm(seed: u64) {
        hold_against_rubbish::<TemperatureRegulation>("{}", seed);
    }
}
