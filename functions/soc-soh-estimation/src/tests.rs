use proptest::prelude::*;
use voltmesh_guest::Runner;
use voltmesh_guest::curve::Chemistry;
use voltmesh_guest::testing::{Bench, assert_defaults, hold_against_rubbish, report, sample};
use voltmesh_guest::types::{Input, Report, Sample};

use super::{Estimation, Settings};

const SIXTY: &str = r#"{"capacity_ah": 60}"#;

/// A cell of the model, with a state of charge and a capacity of its own.
struct Cell {
    soc: f64,
    slow_v: f64,
    capacity_ah: f64,
    resistance: f64,
}

impl Cell {
    const fn new(soc: f64) -> Self {
        Self { soc, slow_v: 0.0, capacity_ah: 60.0, resistance: 1.0 }
    }

    fn step(&mut self, time_ms: u64, current_a: f64) -> Sample {
        let settings = Settings { capacity_ah: 60.0, ..Settings::default() };
        self.soc += current_a / 3_600.0 / self.capacity_ah;
        let decay = (-1.0 / settings.time_constant_s).exp();
        self.slow_v = self.slow_v * decay + settings.r1_ohm() * self.resistance * current_a * (1.0 - decay);
        let volts = Chemistry::Nmc.open_circuit().at(self.soc)
            + self.slow_v
            + settings.r0_ohm() * self.resistance * current_a;
        sample(time_ms, current_a, volts, 25.0)
    }
}

/// A drive: pulses of both signs.
fn drive_a(s: u64) -> f64 {
    [-60.0, -20.0, 30.0, -90.0, 0.0, -40.0][(s / 20 % 6) as usize]
}

fn give(bench: &mut Bench<Estimation>, sample: Sample, said: Report) {
    bench.give(sample.time_ms, &[Input::Samples(vec![sample]), Input::Report(said)]);
}

#[test]
fn charge_is_found_from_any_beginning_within_its_interval() {
    for start in [0.9, 0.6, 0.35] {
        let (mut bench, mut cell) = (Bench::<Estimation>::new(SIXTY), Cell::new(start));
        (0..1_800).for_each(|s| bench.sample(cell.step(s * 1_000, drive_a(s))));
        let (soc, sd) = (bench.metric("soc").unwrap_or_default(), bench.metric("soc_sd").unwrap_or_default());
        assert!((soc - cell.soc).abs() < 2.0 * sd, "{start}: {soc} ± {sd}, {}", cell.soc);
        assert!(sd < 0.06, "{start}: {sd}");
    }
}

#[test]
fn a_twin_that_is_right_is_not_contradicted_and_one_that_is_wrong_is() {
    let disagreements = |off: f64| {
        let (mut bench, mut cell) = (Bench::<Estimation>::new(SIXTY), Cell::new(0.7));
        for s in 0..1_800 {
            let sample = cell.step(s * 1_000, drive_a(s));
            give(&mut bench, sample, report(s * 1_000, cell.soc + off, 0.01));
        }
        bench.kinds().iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>()
    };
    assert!(disagreements(0.0).is_empty());
    assert!(disagreements(0.04).is_empty(), "within what is not known of the curve");
    assert_eq!(disagreements(0.2), ["soc-disagreement-began"]);
    assert_eq!(disagreements(-0.2), ["soc-disagreement-began"]);
}

#[test]
fn a_disagreement_ends() {
    let (mut bench, mut cell) = (Bench::<Estimation>::new(SIXTY), Cell::new(0.7));
    for s in 0..2_400 {
        let sample = cell.step(s * 1_000, drive_a(s));
        let off = if (800..1_600).contains(&s) { 0.25 } else { 0.0 };
        give(&mut bench, sample, report(s * 1_000, cell.soc + off, 0.01));
    }
    assert_eq!(bench.kinds(), ["soc-disagreement-began", "soc-disagreement-ended"]);
    assert!(bench.commands().is_empty());
}

#[test]
fn an_aged_resistance_is_found() {
    let mut bench = Bench::<Estimation>::new(r#"{"capacity_ah": 60, "resistance_mohm": 1.16667}"#);
    let mut cell = Cell { resistance: 1.8, ..Cell::new(0.7) };
    for s in 0..2_400 {
        let sample = cell.step(s * 1_000, drive_a(s));
        let soc = cell.soc;
        give(&mut bench, sample, report(s * 1_000, soc, 0.01));
    }
    let resistance = bench.metric("soh_resistance").unwrap_or_default();
    assert!((1.5..2.0).contains(&resistance), "{resistance}");
    assert_eq!(bench.kinds(), ["soh-resistance-disagreement-began"]);
}

#[test]
fn capacity_follows_from_two_rests() {
    let mut bench = Bench::<Estimation>::new(r#"{"capacity_ah": 60, "curve_sd_soc": 0.005}"#);
    let mut cell = Cell { capacity_ah: 48.0, ..Cell::new(0.9) };
    for s in 0..4_200 {
        let current = if (1_200..2_640).contains(&s) { -60.0 } else { 0.0 };
        let sample = cell.step(s * 1_000, current);
        let soc = cell.soc;
        give(&mut bench, sample, report(s * 1_000, soc, 0.01));
    }
    let capacity = bench.metric("soh_capacity").unwrap_or_default();
    assert!((capacity - 0.8).abs() < 0.03, "{capacity}");
    assert!(bench.kinds().contains(&"soh-capacity-disagreement-began"), "{:?}", bench.kinds());
}

#[test]
fn without_a_current_there_is_no_estimate() {
    let mut bench = Bench::<Estimation>::new(SIXTY);
    for s in 0..600 {
        let sample = Sample { pack_current_a: None, ..sample(s * 1_000, 0.0, 3.7, 25.0) };
        give(&mut bench, sample, report(s * 1_000, 0.1, 0.01));
    }
    assert!(bench.said.is_empty());
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let wrong = [
        "{}",
        r#"{"capacity_ah": -1}"#,
        r#"{"capacity_ah": 60, "open_circuit": [[0.2, 3], [1, 4]]}"#,
        r#"{"capacity_ah": 60, "sure": 0}"#,
        r#"{"capacity_ah": 60, "voltage_sd_v": 0}"#,
    ];
    for json in wrong {
        let mut runner = Runner::<Estimation>::default();
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
        hold_against_rubbish::<Estimation>(SIXTY, seed);
    }
}
