//! Laws of the assessor: when conditions begin and end, and when not.

use super::*;
use crate::Condition;
use crate::rules::DEFAULTS;
use proptest::prelude::*;
use voltmesh_battery::estimate::power::Uncertain;
use voltmesh_battery::summary::{Estimates, Quality, Range, TRENDS_S, Trend};
use voltmesh_battery::twin::Limits;
use voltmesh_battery::watch::Stage;

const NMC: Option<Chemistry> = Some(Chemistry::Nmc);

fn car() -> VehicleId {
    "car-1".parse().expect("an id")
}

/// A quiet second of a pack at 25 °C and half charge.
fn quiet(time_s: f64) -> Summary {
    Summary {
        time_s,
        current_a: Some(0.0),
        voltage_v: Some(360.0),
        cells_v: Some(Range { lowest: 3.74, highest: 3.76 }),
        temps_c: Some(Range { lowest: 24.0, highest: 26.0 }),
        insulation_ohm: Some(1e6),
        estimates: Some(Estimates {
            soc: Uncertain { value: 0.5, sd: 0.01 },
            soc_range: (0.49, 0.51),
            soh_capacity: Uncertain { value: 0.95, sd: 0.02 },
            limits: Limits { charge_a: 90.0, discharge_a: 240.0 },
            disagreement: Some(0.01),
        }),
        found: Vec::new(),
        trends: TRENDS_S.map(|window_s| Trend { window_s, hottest: None, cell_v: None }),
        quality: Quality { samples: 10, ..Quality::default() },
    }
}

fn hot(time_s: f64, highest: f64) -> Summary {
    Summary { temps_c: Some(Range { lowest: 24.0, highest }), ..quiet(time_s) }
}

fn at(time_s: f64) -> Timestamp {
    Timestamp::from_millis((time_s * 1_000.0) as u64)
}

/// What an assessor with the shipped rules says of summaries.
fn changes(summaries: impl IntoIterator<Item = Summary>) -> Vec<Change> {
    let mut assessor = Assessor::new(Rules::default());
    let see = |summary: Summary| assessor.summary(at(summary.time_s), &car(), NMC, &summary).expect("taken");
    summaries.into_iter().flat_map(see).collect()
}

#[test]
fn n_of_m_begin_a_condition_and_hysteresis_ends_it() {
    let temperature = |second: u32| match second {
        0..10 => 40.0,
        10..30 => 55.0,
        30..60 => 50.0, // between the limit and where it clears
        _ => 46.0,
    };
    let found = changes((0..100).map(|second| hot(f64::from(second), temperature(second))));
    let [begins, ends] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (begins.condition, begins.over, begins.since_s, begins.at_s),
        (Condition::OverTemperature, false, 10.0, 14.0)
    );
    assert_eq!((ends.over, ends.since_s, ends.at_s), (true, 10.0, 64.0));
    assert_eq!((begins.limit, ends.limit), (Some(52.0), Some(48.0)));
}

#[test]
fn each_condition_is_found_and_none_on_a_quiet_vehicle() {
    assert_eq!(changes((0..3_600).map(|second| quiet(f64::from(second)))), []);
    type Spoil = fn(&mut Summary);
    let spoilt: [(Condition, Spoil); 9] = [
        (Condition::Overcharge, |s| s.cells_v = Some(Range { lowest: 3.7, highest: 4.25 })),
        (Condition::DeepDischarge, |s| s.cells_v = Some(Range { lowest: 2.4, highest: 3.7 })),
        (Condition::UnderTemperature, |s| s.temps_c = Some(Range { lowest: -25.0, highest: 0.0 })),
        (Condition::Insulation, |s| s.insulation_ohm = Some(3e4)),
        (Condition::OverCurrent, |s| s.current_a = Some(130.0)),
        (Condition::TwinDisagreement, |s| {
            if let Some(estimates) = &mut s.estimates {
                estimates.disagreement = Some(0.2);
            }
        }),
        (Condition::Imbalance, |s| {
            if let Some(estimates) = &mut s.estimates {
                estimates.soc_range = (0.4, 0.5);
            }
        }),
        (Condition::ColdCharge, |s| {
            s.current_a = Some(20.0);
            s.temps_c = Some(Range { lowest: -5.0, highest: 1.0 });
        }),
        (Condition::SensorFault, |s| {
            s.found.push((voltmesh_battery::FaultKind::SensorFreeze, Stage::Information))
        }),
    ];
    for (condition, spoil) in spoilt {
        let found = changes((0..120).map(|second| {
            let mut summary = quiet(f64::from(second));
            spoil(&mut summary);
            summary
        }));
        assert!(found.iter().any(|change| change.condition == condition), "{condition}: {found:?}");
        assert!(
            found.iter().all(|change| !change.over && change.condition == condition),
            "{condition}: {found:?}"
        );
    }
}

#[test]
fn silence_is_a_condition_only_of_a_vehicle_that_was_charging() {
    for (amps, lost) in [(20.0, 1), (0.0, 0), (-20.0, 0)] {
        let mut assessor = Assessor::new(Rules::default());
        let charged = |time_s| Summary { current_a: Some(amps), ..quiet(time_s) };
        assert_eq!(assessor.summary(at(100.0), &car(), NMC, &charged(0.0)), Ok(vec![]));
        assert_eq!(assessor.tick(at(104.0)), []);
        assert_eq!(assessor.tick(at(106.0)).len(), lost, "{amps} A");
        assert_eq!(assessor.tick(at(107.0)), [], "said once");
        assert_eq!(assessor.active(&car()).len(), lost);
        let over = assessor.summary(at(108.0), &car(), NMC, &charged(8.0)).expect("taken");
        assert_eq!(over.iter().filter(|change| change.over).count(), lost);
        assert_eq!(assessor.active(&car()), []);
    }
}

#[test]
fn rules_are_for_their_chemistry() {
    let full = |time_s| Summary { cells_v: Some(Range { lowest: 3.6, highest: 3.75 }), ..quiet(time_s) };
    for (chemistry, found) in [(NMC, false), (Some(Chemistry::Lfp), true), (None, false)] {
        let mut assessor = Assessor::new(Rules::default());
        for second in 0..60 {
            assessor.summary(at(0.0), &car(), chemistry, &full(f64::from(second))).expect("taken");
        }
        assert_eq!(!assessor.active(&car()).is_empty(), found, "{chemistry:?}");
    }
}

#[test]
fn what_is_stale_or_absurd_changes_nothing_and_is_counted() {
    let mut assessor = Assessor::new(Rules::default());
    let mut see = |summary: &Summary| assessor.summary(at(0.0), &car(), NMC, summary);
    assert_eq!(see(&quiet(10.0)), Ok(vec![]));
    assert_eq!(see(&quiet(10.0)), Err(Refused::Stale));
    assert_eq!(see(&quiet(9.0)), Err(Refused::Stale));
    let absurd: [fn(&mut Summary); 6] = [
        |s| s.time_s = f64::NAN,
        |s| s.current_a = Some(f64::INFINITY),
        |s| s.cells_v = Some(Range { lowest: 4.0, highest: 3.0 }),
        |s| s.temps_c = Some(Range { lowest: f64::NAN, highest: 20.0 }),
        |s| s.insulation_ohm = Some(-1.0),
        |s| s.voltage_v = Some(-1e9),
    ];
    for spoil in absurd {
        let mut summary = quiet(11.0);
        spoil(&mut summary);
        assert_eq!(see(&summary), Err(Refused::Absurd), "{summary:?}");
    }
    assert_eq!(see(&quiet(11.0)), Ok(vec![]));
    assert_eq!(assessor.refused(), &BTreeMap::from([(Refused::Stale, 2), (Refused::Absurd, 6)]));
}

#[test]
fn rules_change_without_losing_what_was_seen() {
    let mut assessor = Assessor::new(Rules::default());
    for second in 0..4 {
        assert_eq!(assessor.summary(at(0.0), &car(), NMC, &hot(f64::from(second), 55.0)), Ok(vec![]));
    }
    // One more would begin it. Another limit of the same rule keeps the four looks before.
    let changed = DEFAULTS.replace("above = 52.0\nclear = 48.0", "above = 51.0\nclear = 48.0");
    assert_ne!(changed, DEFAULTS);
    assessor.set_rules(Rules::parse(&changed).expect("rules"));
    assert_eq!(assessor.summary(at(0.0), &car(), NMC, &hot(4.0, 55.0)).map(|changes| changes.len()), Ok(1));
    // A rule that is gone takes its condition with it; others stay.
    let gone = DEFAULTS.replace("name = \"cell hot\"", "name = \"cell hotter\"");
    assessor.set_rules(Rules::parse(&gone).expect("rules"));
    assert_eq!(assessor.active(&car()), []);
}

#[test]
fn looks_before_a_gap_do_not_count_with_those_after() {
    let mut seconds: Vec<f64> = (0..4).map(f64::from).collect();
    seconds.extend((100..104).map(f64::from));
    assert_eq!(changes(seconds.into_iter().map(|second| hot(second, 55.0))), []);
}

proptest! {
    /// A larger standard deviation never begins a condition earlier, and an unknown value begins none.
    #[test]
    fn uncertainty_begins_nothing_earlier(values in prop::collection::vec(0.35..0.65f64, 60..200), sd in 0.0..0.1f64) {
        let begins = |sd: f64| {
            let summaries = values.iter().enumerate().map(|(second, lowest)| {
                let mut summary = quiet(second as f64);
                if let Some(estimates) = &mut summary.estimates {
                    estimates.soc_range = (*lowest, 0.6);
                    estimates.soc.sd = sd;
                }
                summary
            });
            changes(summaries).iter().find(|change| !change.over).map_or(f64::INFINITY, |change| change.at_s)
        };
        prop_assert!(begins(sd) >= begins(0.0));
        prop_assert_eq!(begins(10.0), f64::INFINITY);
    }

    /// A condition begins and ends in turn, whatever values come, and no more often than values cross the band between the two
    /// limits.
    #[test]
    fn conditions_alternate(values in prop::collection::vec(prop::option::of(30.0..70.0f64), 0..300)) {
        let found = changes(values.iter().enumerate().map(|(second, value)| match value {
            Some(highest) => hot(second as f64, *highest),
            None => Summary { temps_c: None, ..quiet(second as f64) },
        }));
        for rule in ["cell hot", "cell very hot"] {
            let turns: Vec<bool> = found.iter().filter(|change| change.rule == rule).map(|change| change.over).collect();
            prop_assert!(turns.iter().enumerate().all(|(index, over)| *over == (index % 2 == 1)), "{turns:?}");
        }
    }
}
