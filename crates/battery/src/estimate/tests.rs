use super::*;
use crate::{CellParams, CellState, Chemistry};

fn cell() -> Arc<Cell> {
    Arc::new(Cell::new(CellParams::generic(Chemistry::Nca, 2.9)).expect("a preset"))
}

/// An hour and a half on a road that a linear congruence makes up; the true SoC beside each sample.
fn drive(cell: &Cell, soc: f64, temp_c: f64) -> Vec<(Sample, f64)> {
    let health = cell.new_health();
    let mut state = CellState::rested(soc, temp_c);
    let mut noise = 7u64;
    let mut current_a = 0.0;
    (0..5_400)
        .map(|second| {
            if second % 9 == 0 {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                current_a = -3.5 * (noise >> 40) as f64 / (1u64 << 24) as f64 + 0.8;
            }
            cell.step(&health, &mut state, current_a, temp_c, 1.0);
            let voltage_v = cell.voltage_v(&health, &state, current_a);
            let sample = Sample {
                time_s: f64::from(second),
                voltage_v,
                current_a,
                cell_temp_c: Some(state.surface_temp_c),
                ambient_c: None,
            };
            (sample, state.soc)
        })
        .collect()
}

fn check(claimed: Option<f64>, bias_a: f64, most: f64) {
    let cell = cell();
    for temp_c in [-10.0, 25.0] {
        let mut estimator = Estimator::new(cell.clone(), cell.new_health(), claimed);
        let (mut worst, mut within, mut count) = (0.0f64, 0, 0);
        for (mut sample, truth) in drive(&cell, 0.95, temp_c) {
            sample.current_a += bias_a;
            let estimate = estimator.update(&sample).expect("a voltage was measured");
            if sample.time_s > 900.0 {
                worst = worst.max((estimate.soc - truth).abs());
                within += usize::from((estimate.soc - truth).abs() <= 2.0 * estimate.soc_sd);
                count += 1;
            }
        }
        assert!(worst <= most, "{temp_c} °C: {worst}");
        assert!(
            within * 10 > count * 9,
            "{temp_c} °C: the truth lies outside too often: {within} of {count}"
        );
    }
}

#[test]
fn a_right_start_stays_right() {
    check(Some(0.95), 0.0, 0.01);
}

#[test]
fn a_wrong_start_is_found_out_even_with_an_offset() {
    check(Some(0.6), 0.05, 0.03);
    check(Some(0.3), -0.05, 0.03);
}

#[test]
fn no_start_is_needed() {
    check(None, 0.0, 0.03);
}

#[test]
fn senseless_samples_change_nothing_and_panic_nowhere() {
    let cell = cell();
    let mut estimator = Estimator::new(cell.clone(), cell.new_health(), None);
    let good =
        Sample { time_s: 1.0, voltage_v: 3.8, current_a: 0.0, cell_temp_c: Some(25.0), ambient_c: None };
    assert_eq!(estimator.update(&Sample { voltage_v: f64::NAN, ..good }), None);
    let first = estimator.update(&good).expect("an estimate");
    for bad in [
        Sample { time_s: f64::NAN, ..good },
        Sample { time_s: 0.0, ..good },
        Sample { time_s: 2.0, current_a: f64::INFINITY, ..good },
    ] {
        assert_eq!(estimator.update(&bad).map(|estimate| estimate.soc), Some(first.soc));
    }
    let blind = estimator.update(&Sample { time_s: 3_601.0, voltage_v: f64::NAN, current_a: -1.45, ..good });
    let blind = blind.expect("charge is counted");
    assert!((blind.soc - first.soc + 0.5).abs() < 0.01 && blind.soc_sd >= first.soc_sd);
}
