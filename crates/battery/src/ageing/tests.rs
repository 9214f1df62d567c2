use super::*;
use crate::{Cell, CellParams};
use proptest::prelude::*;

fn chemistry() -> impl Strategy<Value = Chemistry> {
    prop_oneof![Just(Chemistry::Nca), Just(Chemistry::Nmc), Just(Chemistry::Lfp)]
}

fn cell(chemistry: Chemistry) -> Cell {
    Cell::new(CellParams::generic(chemistry, 60.0)).expect("a preset")
}

proptest! {
    #[test]
    fn ageing_does_not_depend_on_the_step(
        chemistry in chemistry(), temp_c in -20.0..50.0f64, soc in 0.0..1.0f64, pieces in 1usize..400,
    ) {
        let cell = cell(chemistry);
        let rest = Rest { temp_c, soc, voltage_v: cell.ocv_v(soc, temp_c) };
        let (mut once, mut often) = (Ageing::new(chemistry), Ageing::new(chemistry));
        once.rest(&rest, 1_000.0);
        for _ in 0..pieces {
            often.rest(&rest, 1_000.0 / pieces as f64);
        }
        prop_assert!((once.loss().calendar - often.loss().calendar).abs() < 1e-9);
        prop_assert!((once.loss().resistance - often.loss().resistance).abs() < 1e-9);
    }

    #[test]
    fn sampling_does_not_matter(chemistry in chemistry(), every_s in 1u32..120) {
        // A week of one deep cycle a day with the same course, sampled differently.
        let cell = cell(chemistry);
        let lost = |every_s: u32| {
            let mut tracker = Tracker::new(chemistry, 60.0);
            let mut time_s = 0;
            while time_s < 7 * 86_400 {
                let of_day = f64::from(time_s % 86_400) / 86_400.0;
                let soc = 0.9 - 0.7 * (1.0 - (2.0 * of_day - 1.0).abs());
                let current_a = 0.7 * 2.0 * 60.0 / 24.0 * if of_day < 0.5 { -1.0 } else { 1.0 };
                tracker.push(&cell, soc, 25.0, current_a, f64::from(every_s));
                time_s += every_s;
            }
            tracker.finish(&cell);
            tracker.loss()
        };
        let (fine, coarse) = (lost(10), lost(every_s));
        prop_assert!((fine.cycle - coarse.cycle).abs() < 0.02 * fine.cycle, "{fine:?} {coarse:?}");
        prop_assert!((fine.calendar - coarse.calendar).abs() < 0.02 * fine.calendar);
    }

    #[test]
    fn nothing_is_ever_regained_and_nothing_blows_up(
        chemistry in chemistry(), temp_c in -80.0..90.0f64, soc in -0.2..1.2f64, depth in 0.0..1.2f64, c_rate in 0.0..20.0f64,
    ) {
        let cell = cell(chemistry);
        let mut ageing = Ageing::new(chemistry);
        let mut before = ageing.loss();
        for _ in 0..50 {
            ageing.rest(&Rest { temp_c, soc, voltage_v: cell.ocv_v(soc, temp_c) }, 1.0);
            ageing.cycle(&Use { depth, full_cycles: depth, soc, voltage_v: cell.ocv_v(soc, temp_c), temp_c, c_rate });
            let now = ageing.loss();
            prop_assert!(now.calendar >= before.calendar && now.cycle >= before.cycle && now.resistance >= before.resistance);
            prop_assert!(now.calendar.is_finite() && now.cycle < 2.0 && now.calendar < 2.0, "{now:?}");
            before = now;
        }
    }
}

#[test]
fn published_points_are_met() {
    // Schmalstieg 2014, eq. 13: 3.7 V, 25 °C, a year.
    let mut layered = Ageing::new(Chemistry::Nmc);
    layered.rest(&Rest { temp_c: 25.0, soc: 0.5, voltage_v: 3.7 }, 365.0);
    let expected = (7.543 * 3.7 - 23.75) * 1e6 * (-6_976.0 / 298.15f64).exp() * 365f64.powf(0.75);
    assert!((layered.loss().calendar - expected).abs() < 1e-9);
    // Naumann 2018: half charge, 25 °C, a year of seconds.
    let mut phosphate = Ageing::new(Chemistry::Lfp);
    phosphate.rest(&Rest { temp_c: 25.0, soc: 0.5, voltage_v: 3.3 }, 365.0);
    let expected = 1.2571e-5 * 0.602_25 * (365.0 * 86_400.0f64).sqrt();
    assert!((phosphate.loss().calendar - expected).abs() < 1e-9);
}

#[test]
fn micro_cycles_are_not_over_penalised() {
    for chemistry in [Chemistry::Nmc, Chemistry::Lfp] {
        let lost = |depth: f64| {
            let mut ageing = Ageing::new(chemistry);
            let cycles = (100.0 / depth) as usize;
            for _ in 0..cycles {
                let voltage_v = if chemistry == Chemistry::Lfp { 3.3 } else { 3.7 };
                ageing.cycle(&Use {
                    depth,
                    full_cycles: depth,
                    soc: 0.5,
                    voltage_v,
                    temp_c: 25.0,
                    c_rate: 0.5,
                });
            }
            ageing.loss().cycle
        };
        // As much charge in hundredths costs less than in whole cycles.
        assert!(lost(0.01) < 0.6 * lost(1.0), "{chemistry:?}: {} against {}", lost(0.01), lost(1.0));
    }
}

#[test]
fn what_is_outside_the_laws_is_said() {
    let mut ageing = Ageing::new(Chemistry::Nmc);
    ageing.rest(&Rest { temp_c: 25.0, soc: 0.5, voltage_v: 3.7 }, 100.0);
    assert_eq!(ageing.loss().outside, 0.0);
    let voltage_v = 3.7;
    ageing.cycle(&Use { depth: 0.5, full_cycles: 0.5, soc: 0.5, voltage_v, temp_c: -10.0, c_rate: 0.5 });
    assert!(ageing.loss().outside > 0.0);
}
