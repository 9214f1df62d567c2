use super::*;
use crate::{
    Cell, CellParams, Chemistry,
    pack::{Fault, FaultKind, Layout, Pack, PackEstimator, PackSample, Sensors},
};
use std::sync::Arc;

fn cell() -> Arc<Cell> {
    Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, 60.0)).expect("a preset"))
}

/// A quarter of an hour of pulses and recuperation, ten minutes of rest, ten of charge, ten of rest.
fn current_a(second: u32) -> f64 {
    match (second % 2_700, second % 90) {
        (0..900, 0..40) => -40.0,
        (0..900, 40..50) => 25.0,
        (0..900, 50..80) => -90.0,
        (1_500..2_100, _) => 40.0,
        _ => 0.0,
    }
}

fn run(fault: Option<Fault>, seconds: u32, seed: u64) -> (Vec<Event>, Watch) {
    let layout = Layout { series: 24, seed, ..Layout::default() };
    let mut pack = Pack::new(cell(), &layout, 0.9, 20.0);
    let mut estimator = PackEstimator::new(cell(), cell().new_health(), 24, 1);
    let sensors = Sensors { seed, ..Sensors::default() };
    let mut watch = Watch::new(60.0);
    let (mut events, mut frozen) = (Vec::new(), None);
    for second in 0..seconds {
        let time_s = f64::from(second);
        if let Some(fault) = &fault {
            fault.act(&mut pack, time_s);
        }
        let amps = current_a(second);
        pack.step(amps, 20.0, 1.0);
        let mut sample = sensors.read(&pack, time_s, amps);
        if let Some(fault) = &fault {
            fault.distort(&mut sample, 60.0, &mut frozen);
        }
        watch.screen(&mut sample);
        estimator.update(&sample);
        events.extend(watch.update(&sample, &estimator));
    }
    (events, watch)
}

#[test]
fn each_injected_fault_is_found_in_its_cell() {
    for kind in FaultKind::ALL {
        let since_s = if kind == FaultKind::CapacityOutlier { 0.0 } else { 600.0 };
        // An offset shows only in where the charge goes: it takes long, or has to be large.
        let severity = if kind == FaultKind::SensorBias { 5.0 } else { 1.5 };
        let (events, watch) = run(Some(Fault { kind, group: 5, since_s, severity }), 8_100, 3);
        let found = events.iter().find(|event| event.kind == kind);
        let found = found.unwrap_or_else(|| panic!("{kind} is not found: {events:?} {:?}", watch.scores()));
        assert!(found.since_s >= since_s - 60.0 && found.at_s >= found.since_s, "{found:?}");
        if kind == FaultKind::SensorFreeze {
            let kinds: Vec<Kind> = events.iter().map(|event| event.kind).collect();
            assert!(
                kinds.iter().all(|kind| *kind == Kind::SensorFreeze),
                "a broken wire is no short: {kinds:?}"
            );
        }
        if !matches!(kind, FaultKind::SensorBias | FaultKind::Insulation) {
            assert_eq!(found.cells, [5], "{found:?}");
        }
    }
}

#[test]
fn a_sound_pack_raises_nothing() {
    for seed in 1..5 {
        let (events, watch) = run(None, 8_100, seed);
        assert_eq!(events, [], "{seed}: {:?}", watch.scores());
    }
}

fn sample(time_s: f64, volts: f64, current_a: f64) -> PackSample {
    PackSample {
        time_s,
        voltage_v: volts * 4.0,
        current_a,
        cells_v: vec![volts; 4],
        temps_c: vec![20.0],
        insulation_ohm: None,
    }
}

#[test]
fn what_cannot_be_believed_is_said_and_not_used() {
    let fresh = || Checker::new(Chemistry::Nmc, 60.0);
    let first = |bad: PackSample| {
        let mut bad = bad;
        fresh().check(&mut bad)
    };
    assert!(first(sample(0.0, 3.7, 0.0)).failed.is_empty());
    for (bad, check) in [
        (sample(f64::NAN, 3.7, 0.0), Check::Time),
        (sample(0.0, 3.7, f64::INFINITY), Check::Current),
        (sample(0.0, 3.7, 40_000.0), Check::CurrentRange),
        (sample(0.0, 3_700.0, 0.0), Check::VoltageUnit),
        (sample(0.0, 1.2, 0.0), Check::Chemistry),
    ] {
        let verdict = first(bad);
        assert_eq!(verdict.failed, [check]);
        assert!(!verdict.usable);
    }
    let mut checker = fresh();
    checker.check(&mut sample(10.0, 3.7, 0.0));
    assert_eq!(checker.check(&mut sample(9.0, 3.7, 0.0)).failed, [Check::Backwards]);
    assert_eq!(checker.check(&mut sample(86_400.0 * 3.0, 3.7, 0.0)).failed, [Check::Gap]);
    assert_eq!(checker.check(&mut sample(86_400.0 * 3.0 + 60.0, 3.7, 0.0)).failed, [Check::Sparse]);
}

#[test]
fn another_chemistry_or_sign_is_refused() {
    let mut checker = Checker::new(Chemistry::Lfp, 60.0);
    let refused = (0..20).any(|second| checker.check(&mut sample(f64::from(second), 4.15, 0.0)).refused);
    assert!(refused, "LFP has no 4.15 V");
    let mut checker = Checker::new(Chemistry::Nmc, 60.0);
    let verdicts: Vec<Verdict> = (0..60u32)
        .map(|second| {
            let amps = if second % 2 == 0 { 60.0 } else { -60.0 };
            // Voltage goes against the current.
            checker.check(&mut sample(f64::from(second), 3.7 - amps * 1e-3, amps))
        })
        .collect();
    assert!(
        verdicts
            .last()
            .is_some_and(|verdict| verdict.refused && verdict.failed.contains(&Check::CurrentSign))
    );
}

#[test]
fn a_small_cell_that_current_heats_in_the_cold_is_no_runaway() {
    let cell = Arc::new(Cell::new(CellParams::generic(Chemistry::Nca, 2.9)).expect("a preset"));
    let health = cell.new_health();
    let mut state = crate::CellState::rested(0.9, -20.0);
    let mut estimator = PackEstimator::new(cell.clone(), health, 1, 1);
    let mut watch = Watch::new(2.9);
    for second in 0..900u32 {
        let current_a = if second % 60 < 40 { -6.0 } else { 0.0 };
        cell.step(&health, &mut state, current_a, -20.0, 1.0);
        let volts = cell.voltage_v(&health, &state, current_a);
        let mut sample = PackSample {
            time_s: f64::from(second),
            voltage_v: volts,
            current_a,
            cells_v: vec![volts],
            temps_c: vec![state.surface_temp_c],
            insulation_ohm: None,
        };
        watch.screen(&mut sample);
        estimator.update(&sample);
        assert_eq!(watch.update(&sample, &estimator), [], "{second}: {} °C", state.surface_temp_c);
    }
    assert!(state.surface_temp_c > -10.0, "it does warm: {} °C", state.surface_temp_c);
}
