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
    let mut watch = Watch::new();
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

/// A cell that heats itself: 400 W in 60 Ah, its voltage half a volt lower within two minutes, its neighbours warmed by it.
#[test]
fn a_runaway_by_physics_is_found_as_such() {
    let fault = Fault { kind: FaultKind::ThermalRunaway, group: 5, since_s: 600.0, severity: 6.0 };
    let (events, watch) = run(Some(fault), 900, 3);
    let found =
        events.iter().find(|event| event.kind == Kind::ThermalRunaway && event.stage == Stage::Protect);
    let found = found.unwrap_or_else(|| panic!("{events:?} {:?}", watch.scores()));
    assert!(found.cells == [5] && found.at_s - 600.0 < 60.0, "{found:?}");
}

/// What a bad sensor does, alone or beside two others: nothing is to be protected from.
#[test]
fn no_sensor_alone_is_a_runaway() {
    let nan = f64::NAN;
    type Course = fn(f64) -> f64;
    let courses: [(&str, Course); 8] = [
        ("first reading of 0", |second| if second < 1.0 { 0.0 } else { 20.5 }),
        ("first minute of -40", |second| if second < 60.0 { -40.0 } else { 20.5 }),
        ("drop-out to 0 and back", |second| if (300.0..340.0).contains(&second) { 0.0 } else { 20.5 }),
        ("drop-out to silence", |second| if (300.0..340.0).contains(&second) { f64::NAN } else { 20.5 }),
        ("a step of 60 K", |second| if second < 300.0 { 20.5 } else { 80.5 }),
        ("a ramp of 1 K/s", |second| 20.5 + (second - 300.0).clamp(0.0, 60.0)),
        ("a slow ramp", |second| 20.5 + (second - 300.0).clamp(0.0, 300.0) * 0.2),
        ("spikes", |second| if second % 7.0 == 0.0 { 85.0 } else { 20.5 }),
    ];
    for (name, course) in courses {
        for others in [&[][..], &[20.5], &[20.5, 20.4], &[20.5, nan]] {
            let mut twin = crate::Twin::new(cell(), crate::twin::Setup::default(), None);
            for second in 0..900u32 {
                let time_s = f64::from(second);
                let temps_c: Vec<f64> = [course(time_s)].iter().chain(others).copied().collect();
                let update = twin.update(PackSample { temps_c, ..sample(time_s, 3.7, 0.0) });
                let alarm = update.events.iter().find(|event| event.stage == Stage::Protect);
                assert_eq!(alarm, None, "{name} beside {others:?}");
            }
        }
    }
}

/// The same offset for each cell is the same fault, however many are in parallel.
#[test]
fn an_offset_counts_by_the_cell() {
    let score = |parallel: usize| {
        let layout = Layout { series: 4, parallel, ..Layout::default() };
        let group_ah = 60.0 * parallel as f64;
        let mut pack = Pack::new(cell(), &layout, 0.9, 20.0);
        let mut estimator = PackEstimator::new(cell(), cell().new_health(), 4, parallel);
        let (sensors, mut watch, mut frozen) = (Sensors::default(), Watch::new(), None);
        let fault = Fault { kind: FaultKind::SensorBias, group: 0, since_s: 0.0, severity: 5.0 };
        for second in 0..5_400u32 {
            let (time_s, amps) = (f64::from(second), parallel as f64 * current_a(second));
            pack.step(amps, 20.0, 1.0);
            let mut sample = sensors.read(&pack, time_s, amps);
            fault.distort(&mut sample, group_ah, &mut frozen);
            estimator.update(&sample);
            watch.update(&sample, &estimator);
        }
        watch.scores()[&Kind::SensorBias].score
    };
    let (one, three) = (score(1), score(3));
    assert!(one > 1.0 && (three / one - 1.0).abs() < 0.3, "{one} {three}");
}

#[test]
fn a_clock_that_begins_anew_is_followed_and_a_bad_stamp_is_not() {
    let failed = |times: &[f64]| {
        let mut checker = Checker::new(Chemistry::Nmc, 60.0);
        let check = |time_s: &f64| checker.check(&mut sample(*time_s, 3.7, 0.0)).failed.first().copied();
        times.iter().map(check).collect::<Vec<_>>()
    };
    let (back, anew) = (Some(Check::Backwards), Some(Check::Restart));
    assert_eq!(failed(&[0.0, 1.0, 0.0, 1.0, 2.0, 3.0]), [None, None, back, anew, None, None]);
    assert_eq!(failed(&[0.0, 9.0, 5.0, 10.0, 6.0, 11.0]), [None, None, back, None, back, None]);
    assert_eq!(failed(&[0.0, 1.0, 1.0, 1.0, 2.0]), [None, None, back, back, None]);
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
    let mut watch = Watch::new();
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
