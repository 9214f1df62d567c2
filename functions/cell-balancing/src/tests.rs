use proptest::prelude::*;
use voltmesh_guest::Runner;
use voltmesh_guest::curve::Chemistry;
use voltmesh_guest::testing::{Bench, assert_defaults, hold_against_rubbish, sample};
use voltmesh_guest::types::{Action, Sample};

use super::{CellBalancing, Settings};

/// A pack of groups with these states of charge.
fn pack(time_ms: u64, current_a: f64, chemistry: Chemistry, socs: &[f64]) -> Sample {
    let curve = chemistry.open_circuit();
    Sample {
        cells_v: socs.iter().map(|soc| curve.at(*soc)).collect(),
        ..sample(time_ms, current_a, 3.7, 25.0)
    }
}

fn run(bench: &mut Bench<CellBalancing>, seconds: std::ops::Range<u64>, current_a: f64, socs: &[f64]) {
    seconds.for_each(|s| bench.sample(pack(s * 1_000, current_a, Chemistry::Nmc, socs)));
}

#[test]
fn groups_above_the_lowest_are_bled_until_they_are_not() {
    let mut bench = Bench::<CellBalancing>::new("{}");
    // 0.1 A of 60 Ah would take hours: here the groups lose a percent each ten minutes.
    for s in 0..3_600_u64 {
        let bleeds = |group: u16| {
            bench.commands().last().is_some_and(|(_, action)| **action == Action::Balance(vec![group]))
        };
        let high = 0.53 - if bleeds(2) { (s as f64 - 150.0) / 60_000.0 } else { 0.0 };
        bench.sample(pack(s * 1_000, 0.0, Chemistry::Nmc, &[0.50, 0.501, high.max(0.5), 0.503]));
    }
    assert_eq!(bench.kinds(), ["balancing-started", "balancing-ended"]);
    assert_eq!(bench.commands()[0].1, &Action::Balance(vec![2]));
    // Nothing before it has settled for two minutes and is averaged over half a one.
    assert!(bench.commands()[0].0 >= 149_000, "{:?}", bench.commands()[0]);
    let last = bench.events()[1];
    let figure = |name: &str| {
        last.figures.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, value)| *value)
    };
    assert!(figure("imbalance_mv") < 0.4 * figure("imbalance_before_mv"), "{:?}", last.figures);
}

#[test]
fn under_load_nothing_is_judged_and_what_is_in_force_expires() {
    let mut bench = Bench::<CellBalancing>::new("{}");
    run(&mut bench, 0..200, -40.0, &[0.5, 0.6]);
    assert!(bench.said.is_empty());
    run(&mut bench, 200..400, 0.5, &[0.5, 0.6]);
    run(&mut bench, 400..600, -40.0, &[0.5, 0.6]);
    assert_eq!(bench.kinds(), ["balancing-started"]);
    assert!(bench.commands().iter().all(|(at, _)| (348_000..401_000).contains(at)), "{:?}", bench.commands());
}

#[test]
fn small_differences_and_flat_curves_are_left_alone() {
    let mut bench = Bench::<CellBalancing>::new("{}");
    run(&mut bench, 0..400, 0.0, &[0.5, 0.508, 0.504]);
    assert!(bench.kinds().is_empty() && bench.commands().is_empty());
    // Two percent on the plateau of iron phosphate are less than its sensors tell.
    let mut bench = Bench::<CellBalancing>::new(r#"{"chemistry": "lfp"}"#);
    (0..400).for_each(|s| bench.sample(pack(s * 1_000, 0.0, Chemistry::Lfp, &[0.50, 0.52])));
    assert!(bench.kinds().is_empty() && bench.commands().is_empty());
}

#[test]
fn one_low_reading_does_not_empty_the_pack() {
    let mut bench = Bench::<CellBalancing>::new("{}");
    run(&mut bench, 0..400, 0.0, &[0.8, 0.8, 0.8, 0.2]);
    assert_eq!((bench.kinds(), bench.commands().len()), (vec!["lowest-not-believed"], 0));
    // Nor does one that is no number or out of any cell's range.
    let mut bench = Bench::<CellBalancing>::new("{}");
    for s in 0..400 {
        let mut sample = pack(s * 1_000, 0.0, Chemistry::Nmc, &[0.5, 0.501, 0.5]);
        sample.cells_v.extend([f64::NAN, 0.0, 65.535]);
        bench.sample(sample);
    }
    assert!(bench.kinds().is_empty() && bench.commands().is_empty());
}

#[test]
fn a_frozen_reading_is_not_balanced_to() {
    let mut bench = Bench::<CellBalancing>::new("{}");
    for s in 0..800_u64 {
        let charged = 0.4 + 0.2 * s.min(400) as f64 / 400.0;
        let current = if s < 400 { 30.0 } else { 0.0 };
        bench.sample(pack(s * 1_000, current, Chemistry::Nmc, &[charged, charged + 0.001, charged, 0.5]));
    }
    assert!(bench.commands().is_empty(), "{:?}", bench.commands());
}

#[test]
fn a_hot_or_empty_pack_is_not_bled() {
    for (soc, temp_c) in [(0.5, 55.0), (0.05, 25.0)] {
        let mut bench = Bench::<CellBalancing>::new("{}");
        for s in 0..400 {
            let pack = pack(s * 1_000, 0.0, Chemistry::Nmc, &[soc, soc + 0.05]);
            bench.sample(Sample { temperatures_c: vec![temp_c], ..pack });
        }
        assert!(bench.commands().is_empty(), "{soc} {temp_c}");
    }
}

#[test]
fn a_refused_mask_is_not_repeated_at_once() {
    let mut bench = Bench::<CellBalancing>::new("{}");
    run(&mut bench, 0..160, 0.0, &[0.5, 0.6]);
    bench.refuse(160_000, 0);
    run(&mut bench, 161..189, 0.0, &[0.5, 0.6]);
    assert_eq!(bench.commands().len(), 1);
    assert_eq!(bench.kinds(), ["balancing-started", "command-refused"]);
    run(&mut bench, 189..200, 0.0, &[0.5, 0.6]);
    assert_eq!(bench.commands().len(), 2);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let wrong = [
        r#"{"dead_band_soc": 0.02}"#,
        r#"{"start_soc": 0.4}"#,
        r#"{"average_s": 0}"#,
        r#"{"open_circuit": [[0, 3], [1, 2]]}"#,
        r#"{"chemistry": "lead"}"#,
    ];
    for json in wrong {
        let mut runner = Runner::<CellBalancing>::default();
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
        hold_against_rubbish::<CellBalancing>(r#"{"settle_s": 0, "average_s": 1}"#, seed);
    }
}
