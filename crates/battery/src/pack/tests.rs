use super::*;
use crate::{CellParams, Chemistry};
use proptest::prelude::*;

fn cell() -> Arc<Cell> {
    Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, 60.0)).expect("a preset"))
}

/// A course of current that goes through pulses and rests.
fn current_a(second: u32) -> f64 {
    match second % 90 {
        0..40 => -40.0,
        40..50 => 25.0,
        50..80 => -90.0,
        _ => 0.0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn parallel_cells_share_one_voltage_and_the_current(seed in 0u64..1_000, amps in -200.0..100.0f64) {
        let layout = Layout { series: 2, parallel: 4, resistance_sd: 0.2, soc_sd: 0.02, seed, ..Layout::default() };
        let mut pack = Pack::new(cell(), &layout, 0.6, 20.0);
        for _ in 0..5 {
            pack.step(amps, 20.0, 1.0);
        }
        pack.share(0, amps);
        let sum: f64 = pack.current_a[..4].iter().sum();
        prop_assert!((sum - amps).abs() < 1e-6, "{sum} of {amps}");
        let volts: Vec<f64> = (0..4)
            .map(|index| pack.cell.voltage_v(&pack.health(index), &pack.state(index), pack.current_a[index]))
            .collect();
        for pair in volts.windows(2) {
            prop_assert!((pair[0] - pair[1]).abs() < 1e-3, "{volts:?}");
        }
    }
}

#[test]
fn differences_are_found_by_both_paths() {
    let layout = Layout { series: 12, soc_sd: 0.01, ..Layout::default() };
    let mut pack = Pack::new(cell(), &layout, 0.8, 20.0);
    let sensors = Sensors::default();
    let health = cell().new_health();
    let mut estimator = PackEstimator::new(cell(), health, 12, 1).with_full(health, 1.0);
    let mut last = None;
    for second in 0..3_000u32 {
        let amps = current_a(second);
        pack.step(amps, 20.0, 1.0);
        last = estimator.update(&sensors.read(&pack, f64::from(second), amps));
    }
    let last = last.expect("voltages were measured");
    let cells = estimator.cells().expect("an estimate");
    for (group, (cell, truth)) in cells.iter().zip(pack.socs()).enumerate() {
        assert!((cell.soc - truth).abs() < 0.012, "{group}: {} is {truth}", cell.soc);
        assert!((cell.soc - truth).abs() < 4.0 * cell.soc_sd, "{group}: {cell:?} is {truth}");
        let full = cell.full.expect("it runs");
        assert!((full.soc - truth).abs() < 0.02, "{group}: full {} is {truth}", full.soc);
    }
    assert!(last.disagreement.expect("both run") < 0.02);
    // A kelvin more or less counts as resistance, too.
    for group in 0..12 {
        let mean: f64 = pack.resistance.iter().sum::<f64>() / 12.0;
        let truth = pack.resistance[group] / mean - 1.0;
        let found = estimator.deltas().cell(group).resistance;
        assert!((found - truth).abs() < 0.035, "{group}: {found} is {truth}");
    }
}

#[test]
fn a_small_cell_and_a_leaking_one_are_told_apart() {
    let layout = Layout { series: 12, ..Layout::default() };
    let mut pack = Pack::new(cell(), &layout, 0.95, 20.0);
    let faults = [
        Fault { kind: FaultKind::CapacityOutlier, group: 3, since_s: 0.0, severity: 1.0 },
        Fault { kind: FaultKind::SelfDischarge, group: 7, since_s: 0.0, severity: 1.0 },
    ];
    let mut estimator = PackEstimator::new(cell(), cell().new_health(), 12, 1);
    let sensors = Sensors::default();
    for second in 0..4_000u32 {
        // Rest at first: a leak shows while nothing moves.
        let amps = if second < 1_500 { 0.0 } else { current_a(second) };
        faults.iter().for_each(|fault| fault.act(&mut pack, f64::from(second)));
        pack.step(amps, 20.0, 1.0);
        estimator.update(&sensors.read(&pack, f64::from(second), amps));
    }
    let small = estimator.deltas().cell(3);
    assert!((small.capacity - 0.176).abs() < 0.05, "{small:?}");
    let leaking = estimator.deltas().cell(7);
    assert!((leaking.leak_c + 0.4 / 60.0).abs() < 0.002, "{leaking:?}");
    for group in (0..12).filter(|group| ![3, 7].contains(group)) {
        let sound = estimator.deltas().cell(group);
        assert!(sound.capacity.abs() < 0.03 && sound.leak_c.abs() < 0.002, "{group}: {sound:?}");
    }
}
