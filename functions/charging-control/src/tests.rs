use proptest::prelude::*;
use voltmesh_guest::Runner;
use voltmesh_guest::testing::{Bench, assert_defaults, hold_against_rubbish, report, sample};
use voltmesh_guest::types::{Action, Input, Sample};

use super::{ChargingControl, Settings, Window};

const SIXTY: &str = r#"{"capacity_ah": 60}"#;

fn plugged(time_ms: u64, cell_v: f64, temp_c: f64) -> Sample {
    Sample { plugged: Some(true), soc: Some(0.5), ..sample(time_ms, 40.0, cell_v, temp_c) }
}

fn limits(bench: &Bench<ChargingControl>) -> Vec<(u64, f64)> {
    let limit = |(at, action): (u64, &Action)| {
        if let Action::ChargeLimitA(limit) = action { Some((at / 1_000, *limit)) } else { None }
    };
    bench.commands().into_iter().filter_map(limit).collect()
}

fn stops(bench: &Bench<ChargingControl>) -> usize {
    bench.commands().iter().filter(|(_, action)| **action == Action::StopCharging).count()
}

/// First limit at a temperature, as a share of 60 A; 1 where there is none.
fn share(temp_c: f64) -> f64 {
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    bench.sample(plugged(1_000, 3.7, temp_c));
    limits(&bench).first().map_or(1.0, |(_, limit)| limit / 60.0)
}

#[test]
fn the_limit_follows_the_temperature() {
    for (temp_c, expected) in
        [(-5.0, 0.0), (0.0, 0.0), (10.0, 0.5), (25.0, 1.0), (50.0, 0.5), (60.0, 0.0), (70.0, 0.0)]
    {
        assert!((share(temp_c) - expected).abs() < 1e-9, "{temp_c}: {}", share(temp_c));
    }
}

#[test]
fn the_limit_rises_only_when_it_is_surely_warmer() {
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    (0..600).for_each(|s| bench.sample(plugged(s * 1_000, 3.7, 8.0 + f64::from(u32::from(s / 10 % 2 == 0)))));
    let values: Vec<f64> = limits(&bench).iter().map(|(_, limit)| *limit).collect();
    assert!(values.windows(2).all(|pair| pair[1] <= pair[0]), "{values:?}");
    assert_eq!(bench.kinds(), ["charge-limited"]);
}

#[test]
fn a_warm_charge_at_a_sound_voltage_is_left_alone() {
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    (0..300).for_each(|s| bench.sample(plugged(s * 1_000, 3.9, 25.0)));
    assert!(bench.commands().is_empty() && bench.kinds().is_empty());
}

#[test]
fn a_cell_at_its_highest_voltage_takes_the_current_back_and_one_beyond_ends_charging() {
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    // The cell's voltage follows the current: 3.99 V and 5 mΩ.
    let mut limit = 60.0;
    for s in 0..600 {
        bench.sample(plugged(s * 1_000, 3.99 + 0.005 * limit, 25.0));
        if let Some((_, last)) = limits(&bench).last() {
            limit = *last;
        }
    }
    assert!((36.0..44.0).contains(&limit), "{limit}: 4.2 V are 42 A");
    assert_eq!(
        bench.kinds()[..2],
        ["charge-limited", "charging-stopped"],
        "60 A are 4.29 V for three seconds"
    );
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    (0..10).for_each(|s| bench.sample(plugged(s * 1_000, if s == 5 { 4.3 } else { 4.0 }, 25.0)));
    assert_eq!(stops(&bench), 0, "one sample is not enough");
}

#[test]
fn above_forty_five_degrees_cells_get_less_voltage() {
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    (0..10).for_each(|s| bench.sample(plugged(s * 1_000, 4.12, 46.0)));
    assert!(stops(&bench) > 0);
}

#[test]
fn charging_ends_at_the_charge_that_is_asked_for_and_goes_on_when_it_is_lower() {
    let mut bench = Bench::<ChargingControl>::new(r#"{"capacity_ah": 60, "stop_soc": 0.8}"#);
    for s in 0..400_u64 {
        let soc = if s < 200 { 0.7 + s as f64 / 1_000.0 } else { 0.9 - (s - 200) as f64 / 1_000.0 };
        let said = Input::Report(report(s * 1_000, soc, 0.01));
        bench.give(s * 1_000, &[Input::Samples(vec![plugged(s * 1_000, 3.8, 25.0)]), said]);
    }
    assert_eq!(bench.kinds(), ["charging-stopped", "charging-allowed"]);
    // The twin says more than 0.8 at 101 s and 0.75 at 350 s.
    let times: Vec<u64> = bench.commands().iter().map(|(at, _)| at / 1_000).collect();
    assert_eq!((times[0], times.last().is_some_and(|last| *last <= 350)), (101, true), "{times:?}");
}

#[test]
fn outside_its_windows_it_waits_unless_it_is_nearly_empty() {
    let json = r#"{"capacity_ah": 60, "windows": [{"from_min": 1320, "to_min": 360}], "utc_offset_min": 60}"#;
    let at = |hour: u64, soc: f64| {
        let mut bench = Bench::<ChargingControl>::new(json);
        let time_ms = (365 * 24 + hour) * 3_600_000 + 60_000;
        bench.sample(Sample { soc: Some(soc), ..plugged(time_ms, 3.7, 25.0) });
        limits(&bench).first().map(|(_, limit)| *limit)
    };
    // 22:00 to 06:00 an hour ahead of UTC.
    for (hour, expected) in
        [(20, Some(0.0)), (21, None), (0, None), (4, None), (5, Some(0.0)), (12, Some(0.0))]
    {
        assert_eq!(at(hour, 0.5), expected, "{hour} h");
    }
    assert_eq!(at(12, 0.1), None);
}

#[test]
fn nothing_is_asked_of_a_car_that_drives_or_is_silent() {
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    (0..100).for_each(|s| bench.sample(Sample { plugged: Some(false), ..plugged(s * 1_000, 3.7, -5.0) }));
    assert!(bench.said.is_empty(), "{:?}", bench.said);
    bench.sample(plugged(200_000, 3.7, -5.0));
    let before = bench.commands().len();
    (260..500).for_each(|s| bench.give(s * 1_000, &[Input::Tick]));
    assert!(bench.commands()[before..].iter().all(|(at, _)| *at <= 260_000), "{:?}", bench.commands());
}

#[test]
fn without_a_temperature_it_is_charged_slowly() {
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    bench.sample(Sample { temperatures_c: vec![], ..plugged(1_000, 3.7, 0.0) });
    assert_eq!(limits(&bench), [(1, 12.0)]);
}

#[test]
fn a_refused_stop_does_not_hold_back_the_limit() {
    let mut bench = Bench::<ChargingControl>::new(SIXTY);
    (0..5).for_each(|s| bench.sample(plugged(s * 1_000, 4.25, 25.0)));
    let before = (limits(&bench).len(), stops(&bench));
    assert!(before.0 > 1 && before.1 == 1, "{before:?}");
    // Numbers from 100 on in the order of the commands; the first one answered alone tells where they begin.
    let stop =
        bench.commands().iter().position(|(_, action)| **action == Action::StopCharging).unwrap_or_default();
    bench.refuse(4_500, 100 + stop as u64);
    let waits = bench.kinds().iter().filter(|kind| **kind == "command-refused").count();
    assert!(waits >= 1);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let wrong = [
        "{}",
        r#"{"capacity_ah": 60, "most_cell_v": 4.5}"#,
        r#"{"capacity_ah": 60, "stop_soc": 0.1}"#,
        r#"{"capacity_ah": 60, "windows": [{"from_min": 0, "to_min": 2000}]}"#,
        r#"{"capacity_ah": 60, "share_by_temperature": [[0, 0], [10, 2]]}"#,
        r#"{"capacity_ah": 60, "chemistry": "lfp", "most_cell_v": 4.2}"#,
    ];
    for json in wrong {
        let mut runner = Runner::<ChargingControl>::default();
        assert!(runner.configure(json).is_err(), "{json}");
    }
    let windows = vec![Window { from_min: 0, to_min: 1_440 }];
    assert!(Settings { windows, ..Settings::default() }.is_in_window(123_456_789));
}

#[test]
fn defaults_are_those_of_the_manifest() {
    assert_defaults::<Settings>(include_str!("../manifest.toml"), r#"{"capacity_ah": 60}"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rubbish_does_no_harm(seed: u64) {
        hold_against_rubbish::<ChargingControl>(SIXTY, seed);
    }
}
