//! What each trouble does to a pack, and that what is asked of it helps.

use super::*;
use crate::Chemistry;

/// A run to its end, asked by a rule that sees each second.
fn run(trouble: Trouble, mut ask: impl FnMut(&Second) -> Asked) -> Toll {
    let mut run = Run::new(trouble.into(), 7).expect("a preset");
    let mut asked = Asked::default();
    while let Some(second) = run.step(&asked) {
        asked = ask(&second);
    }
    run.toll()
}

fn alone(trouble: Trouble) -> Toll {
    run(trouble, |_| Asked::default())
}

fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

#[test]
fn every_trouble_leaves_the_safe_area_and_none_does_not() {
    let tolls = Trouble::ALL.map(|trouble| (trouble, alone(trouble)));
    let wrong: Vec<_> = tolls
        .iter()
        .filter(|(trouble, toll)| match trouble {
            Trouble::None => toll.outside_s > 0.0 || toll.plating_ah > 0.3 || toll.charge_min.is_none(),
            _ => toll.outside_s < 20.0 || toll.ageing_pct <= 0.0,
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?} of {tolls:#?}");
}

#[test]
fn what_is_asked_keeps_the_pack_safe() {
    let (empty_v, full_v) = Chemistry::Nmc.voltage_window_v();
    let mut tolls = Vec::new();
    for trouble in [Trouble::Overcharge, Trouble::Imbalance, Trouble::WeakCell, Trouble::SensorFreeze] {
        let mut full = false;
        let toll = run(trouble, |second| {
            full |= highest(&second.sample.cells_v) > full_v - 0.005;
            Asked { stop_charging: full, ..Asked::default() }
        });
        tolls.push((trouble, toll));
    }
    let cooled = run(Trouble::CoolingFailure, |_| Asked { target_c: Some(25.0), ..Asked::default() });
    tolls.push((Trouble::CoolingFailure, cooled));
    let warmed = run(Trouble::ColdCharge, |second| {
        let cold = lowest(&second.sample.temps_c) < 4.0;
        Asked { charge_a: cold.then_some(0.0), target_c: Some(15.0), ..Asked::default() }
    });
    tolls.push((Trouble::ColdCharge, warmed));
    let mut parked = false;
    let parked = run(Trouble::DeepDischarge, |second| {
        parked |= lowest(&second.sample.cells_v) < empty_v + 0.3;
        Asked { discharge_a: parked.then_some(0.0), ..Asked::default() }
    });
    tolls.push((Trouble::DeepDischarge, parked));
    // The first second is over before anything can be asked.
    assert!(tolls.iter().all(|(_, toll)| toll.outside_s <= 1.0), "{tolls:#?}");
    assert!(cooled.charge_min.is_some() && warmed.charge_min.is_some(), "{tolls:#?}");
}

#[test]
fn a_run_depends_on_script_and_seed_alone() {
    let samples = |seed: u64| {
        let mut run = Run::new(Trouble::WeakCell.into(), seed).expect("a preset");
        (0..60).filter_map(|_| run.step(&Asked::default())).collect::<Vec<Second>>()
    };
    assert_eq!(samples(1), samples(1));
    assert_ne!(samples(1), samples(2));
}

#[test]
fn troubles_are_known_by_their_names() {
    for trouble in Trouble::ALL {
        assert_eq!(trouble.name().parse(), Ok(trouble));
        assert_eq!(Script::from(trouble).trouble, trouble);
    }
    let error = "flood".parse::<Trouble>().expect_err("no scenario");
    assert!(error.contains("cooling-failure"), "{error}");
}
