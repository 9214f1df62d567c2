use proptest::prelude::*;
use voltmesh_guest::Runner;
use voltmesh_guest::testing::{Bench, assert_defaults, hold_against_rubbish, sample};
use voltmesh_guest::types::{Action, Feedback, Input};

use super::{DownSampling, Settings};

fn condition(bench: &mut Bench<DownSampling>, now_ms: u64, active: bool) {
    let condition = Feedback::Condition(("imbalance".to_owned(), active));
    bench.give(now_ms, &[Input::Feedback(condition)]);
}

/// Gives samples of that current once a second from one second to another.
fn run(bench: &mut Bench<DownSampling>, seconds: std::ops::Range<u64>, current_a: f64) {
    seconds.for_each(|s| bench.sample(sample(s * 1_000, current_a, 3.7, 20.0)));
}

#[test]
fn a_battery_at_rest_is_sampled_less_and_a_driven_one_as_it_was() {
    let mut bench = Bench::<DownSampling>::new("{}");
    run(&mut bench, 1_000..1_700, 0.0);
    run(&mut bench, 1_700..1_900, -40.0);
    assert_eq!(bench.kinds(), ["sampling-lowered", "sampling-own"]);
    let commands = bench.commands();
    assert!(commands.iter().all(|(at, action)| **action == Action::SamplingRateHz(0.1) && *at < 1_730_000));
    // Renewed each minute; 100 s at rest after the 600 and 20 s until it may change again.
    assert_eq!(
        commands.iter().map(|(at, _)| at / 1_000).collect::<Vec<_>>(),
        [1_600, 1_660, 1_720][..commands.len()]
    );
}

#[test]
fn a_condition_raises_the_rate_at_once_and_for_a_while_after() {
    let mut bench = Bench::<DownSampling>::new("{}");
    run(&mut bench, 1_000..1_010, -40.0);
    condition(&mut bench, 1_010_000, true);
    assert_eq!(bench.commands(), [(1_010_000, &Action::SamplingRateHz(10.0))]);
    run(&mut bench, 1_011..1_300, -40.0);
    condition(&mut bench, 1_300_000, false);
    run(&mut bench, 1_301..1_500, -40.0);
    assert_eq!(bench.kinds(), ["sampling-raised", "sampling-own"]);
    assert!(bench.commands().last().is_some_and(|(at, _)| *at < 1_360_000));
}

#[test]
fn what_is_unknown_is_not_at_rest() {
    let mut bench = Bench::<DownSampling>::new("{}");
    for s in 0..2_000 {
        let mut sample = sample(s * 1_000, 0.0, 3.7, 20.0);
        sample.pack_current_a = None;
        bench.sample(sample);
    }
    assert!(bench.said.is_empty(), "{:?}", bench.said.first());
}

#[test]
fn a_refused_rate_is_asked_for_again_after_a_wait() {
    let mut bench = Bench::<DownSampling>::new("{}");
    condition(&mut bench, 1_000_000, true);
    bench.refuse(1_000_100, 7);
    (1_001..1_040).for_each(|s| bench.give(s * 1_000, &[Input::Tick]));
    assert_eq!(bench.commands().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1_000_000, 1_031_000]);
    assert_eq!(bench.kinds(), ["sampling-raised", "command-refused"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for json in [r#"{"slow_hz": 20}"#, r#"{"fast_hz": 0}"#, r#"{"quiet_s": -1}"#, r#"{"other": 1}"#, "7", ""]
    {
        let mut runner = Runner::<DownSampling>::default();
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
        hold_against_rubbish::<DownSampling>("{}", seed);
    }
}
