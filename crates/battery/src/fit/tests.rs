use super::*;
use crate::{Cell, CellState, Chemistry, Sample};

/// A run of a known cell.
fn run(cell: &Cell, role: Role, temp_c: f64, seed: u64) -> LoggedRun {
    let health = cell.new_health();
    let mut state = CellState::rested(1.0, temp_c);
    let (mut samples, mut counter_ah) = (Vec::new(), Vec::new());
    let mut noise = seed;
    let mut current_a = 0.0;
    let mut time_s = 0.0;
    let step_s = if role == Role::Slow { 60.0 } else { 1.0 };
    while state.soc > 0.04 {
        if role == Role::Slow {
            current_a = -cell.params().capacity_ah / 20.0;
        } else if time_s % 7.0 == 0.0 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            current_a = -6.0 * (noise >> 40) as f64 / (1u64 << 24) as f64 + 1.5;
        }
        cell.step(&health, &mut state, current_a, temp_c, step_s);
        time_s += step_s;
        // What the fit is to find is that of a constant temperature.
        (state.core_temp_c, state.surface_temp_c) = (temp_c, temp_c);
        samples.push(Sample {
            time_s,
            voltage_v: cell.voltage_v(&health, &state, current_a),
            current_a,
            cell_temp_c: Some(temp_c),
            ambient_c: None,
        });
        counter_ah.push((state.soc - 1.0) * cell.params().capacity_ah);
    }
    LoggedRun { name: format!("{role:?} at {temp_c}"), role, samples, counter_ah }
}

#[test]
fn a_known_cell_is_found_again() {
    let cell = Cell::new(CellParams::generic(Chemistry::Nca, 2.9)).expect("a preset");
    let mut runs = vec![run(&cell, Role::Slow, 25.0, 1)];
    for (seed, temp_c) in [(2, 25.0), (3, 25.0), (4, 0.0), (5, 0.0)] {
        runs.push(run(&cell, Role::Drive, temp_c, seed));
    }
    let request = Request { name: "known".into(), chemistry: Chemistry::Nca, capacity_ah: 2.9, runs };
    let mut steps = 0;
    let (params, report) = fit(&request, |_| steps += 1).expect("a fit");
    assert!(steps > 0, "progress is told");
    for error in &report.held_out {
        assert!(error.rmse_mv < 4.0, "{} {} mV", error.name, error.rmse_mv);
    }
    let found = Cell::new(params).expect("valid");
    for soc in [0.2, 0.5, 0.9] {
        let apart = found.ocv_v(soc, 25.0) - cell.ocv_v(soc, 25.0);
        assert!(apart.abs() < 0.006, "{apart} V at {soc}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let cell = Cell::new(CellParams::generic(Chemistry::Nca, 2.9)).expect("a preset");
    let slow = run(&cell, Role::Slow, 25.0, 1);
    let check = |runs: Vec<LoggedRun>, what: &str| {
        let request = Request { name: "x".into(), chemistry: Chemistry::Nca, capacity_ah: 2.9, runs };
        let error = fit(&request, |_| {}).expect_err("an error").to_string();
        assert!(error.contains(what), "{error}");
    };
    check(vec![], "no slow discharge");
    check(vec![slow.clone()], "no drive cycle");
    let mut spoilt = slow.clone();
    spoilt.samples[30].voltage_v = 3_700.0;
    check(vec![spoilt], "sample 30 has 3700 V");
    let mut back = slow.clone();
    back.samples[30].time_s = 0.0;
    check(vec![back], "time goes back after sample 29");
    let mut short = slow;
    short.samples.truncate(3);
    check(vec![short], "3 samples");
}
