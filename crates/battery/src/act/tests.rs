use super::*;
use crate::{
    Cell, CellParams, Chemistry,
    ageing::{Loss, Rest, Use},
    watch::{Kind, Stage},
};
use proptest::prelude::*;

fn chemistry() -> impl Strategy<Value = Chemistry> {
    prop_oneof![Just(Chemistry::Nca), Just(Chemistry::Nmc), Just(Chemistry::Lfp)]
}

proptest! {
    #[test]
    fn nothing_is_charged_below_zero_nor_when_unknown(
        chemistry in chemistry(), soc in -0.1..1.1f64, temp_c in -60.0..0.0f64, resistance in 0.5..4.0f64,
    ) {
        prop_assert_eq!(current_limits(chemistry, soc, temp_c, resistance).charge_c, 0.0);
        prop_assert_eq!(current_limits(chemistry, f64::NAN, 25.0, resistance).discharge_c, 0.0);
        prop_assert_eq!(current_limits(chemistry, 0.5, f64::NAN, resistance).charge_c, 0.0);
    }

    #[test]
    fn limits_are_never_negative_and_fall_with_age(
        chemistry in chemistry(), soc in 0.0..1.0f64, temp_c in -60.0..90.0f64, resistance in 1.0..4.0f64,
    ) {
        let (new, old) = (current_limits(chemistry, soc, temp_c, 1.0), current_limits(chemistry, soc, temp_c, resistance));
        prop_assert!(old.charge_c >= 0.0 && old.discharge_c >= 0.0);
        prop_assert!(old.charge_c <= new.charge_c && old.discharge_c <= new.discharge_c);
    }
}

fn request() -> ChargeRequest {
    ChargeRequest {
        soc: (0.1, 0.8),
        temp_c: 25.0,
        ambient_c: 20.0,
        power_w: 1_000.0,
        hottest_c: 50.0,
        loss: f64::INFINITY,
    }
}

#[test]
fn a_charge_keeps_its_limits_and_a_bound_on_ageing_slows_it() {
    let cell = Cell::new(CellParams::generic(Chemistry::Nmc, 60.0)).expect("a preset");
    let health = cell.new_health();
    let fast = plan(&cell, &health, &request());
    let seconds = fast.seconds.expect("it gets there");
    for step in &fast.steps {
        let limits = current_limits(Chemistry::Nmc, step.soc, step.temp_c, 1.0);
        assert!(
            step.current_a <= limits.charge_c * 60.0 * 1.0001 && step.voltage_v <= 4.2 + 1e-6,
            "{step:?}"
        );
        assert!(step.temp_c <= 50.5, "{step:?}");
    }
    let gentle = plan(&cell, &health, &ChargeRequest { loss: fast.loss * 0.85, ..request() });
    assert!(gentle.loss <= fast.loss * 0.86 && gentle.seconds.expect("it gets there") > seconds);
    let cold = plan(&cell, &health, &ChargeRequest { temp_c: -10.0, ambient_c: -10.0, ..request() });
    assert_eq!(cold.seconds, None, "nothing is charged below 0 °C");
    let weak = plan(&cell, &health, &ChargeRequest { power_w: 30.0, ..request() });
    assert!(weak.seconds.expect("it gets there") > seconds);
}

#[test]
fn heating_is_asked_for_as_far_as_needed() {
    let enough = warm_enough_c(Chemistry::Nmc, 0.8).expect("there is such a temperature");
    assert!((enough - 15.0).abs() < 1e-9);
    assert_eq!(warm_enough_c(Chemistry::Nmc, 9.0), None);
}

#[test]
fn a_schedule_begins_with_what_is_dangerous_and_ends_with_the_end() {
    let outlook = Outlook {
        chemistry: Chemistry::Nmc,
        loss: Loss { calendar: 0.04, cycle: 0.03, resistance: 0.1, outside: 0.0 },
        capacity: Some((0.92, 0.01)),
        rest: Rest { temp_c: 20.0, soc: 0.6, voltage_v: 3.8 },
        cycle: Use { depth: 0.4, full_cycles: 0.4, soc: 0.6, voltage_v: 3.8, temp_c: 25.0, c_rate: 0.5 },
        full_cycles_per_day: 0.3,
        active: vec![(Kind::CapacityOutlier, Stage::Information), (Kind::Insulation, Stage::Protect)],
        balance_s: 0.0,
    };
    let items = schedule(&outlook);
    assert!(items[0].what.contains("insulation") && items[0].due_days == 0.0, "{items:?}");
    let end = items.iter().find(|item| item.what.contains("second life")).expect("there is an end");
    assert!((365.0..20.0 * 365.0 + 8.0).contains(&end.due_days), "{end:?}");
    assert!(items.iter().all(|item| !item.why.is_empty()));
}
