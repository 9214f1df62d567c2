use super::*;
use crate::{
    CellParams, Chemistry,
    pack::{Layout, Pack, Sensors},
};

fn cell() -> Arc<Cell> {
    Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, 60.0)).expect("a preset"))
}

fn driven(seconds: u32) -> (Twin, Pack) {
    let mut pack = Pack::new(cell(), &Layout { series: 8, ..Layout::default() }, 0.8, 15.0);
    let mut twin = Twin::new(cell(), Setup { series: 8, ..Setup::default() }, None);
    for second in 0..seconds {
        let amps = if second % 60 < 40 { -60.0 } else { 20.0 };
        pack.step(amps, 15.0, 1.0);
        let update = twin.update(Sensors::default().read(&pack, f64::from(second), amps));
        assert!(update.verdict.failed.is_empty() && update.events.is_empty(), "{second}: {update:?}");
    }
    (twin, pack)
}

#[test]
fn state_passport_and_schedule_say_what_happened() {
    let (twin, pack) = driven(1_800);
    let state = twin.state().expect("a state");
    let truth = pack.socs().iter().sum::<f64>() / 8.0;
    assert!((state.soc.value - truth).abs() < 0.01, "{state:?} is {truth}");
    assert!(state.power.discharge_w[0].value > state.power.discharge_w[2].value * 0.99);
    assert!(state.limits.charge_a > 0.0 && state.limits.discharge_a > state.limits.charge_a);
    assert!(state.disagreement.expect("both paths run") < 0.02);
    let passport = twin.passport();
    assert!(
        (passport.capacity_throughput_ah - (60.0 * 1_200.0 + 20.0 * 600.0) / 3_600.0).abs() < 0.2,
        "{passport:?}"
    );
    assert!(twin.maintenance().iter().any(|item| item.what.contains("second life")));
    let json = serde_json::to_value((&state, &passport)).expect("JSON");
    assert!(json[1]["stateOfCertifiedEnergy"]["value"].as_f64().is_some_and(|energy| energy > 80.0));
}

#[test]
fn what_must_outlive_a_restart_does() {
    let (twin, _) = driven(600);
    let text = serde_json::to_string(&twin.memory()).expect("JSON");
    let memory: Memory = serde_json::from_str(&text).expect("what was written");
    let again = Twin::new(cell(), Setup::default(), Some(memory));
    assert_eq!(again.passport().capacity_throughput_ah, twin.passport().capacity_throughput_ah);
    let damaged = Memory { capacity_ah: f64::NAN, ..twin.memory() };
    assert_eq!(Twin::new(cell(), Setup::default(), Some(damaged)).passport().capacity_throughput_ah, 0.0);
}

/// As [`driven`], with what `spoil` does to samples; the first and the last 60 s are left as they are.
fn spoilt(seconds: u32, spoil: impl Fn(u32, &mut PackSample)) -> (Twin, Pack, Vec<Event>) {
    let mut pack = Pack::new(cell(), &Layout { series: 8, ..Layout::default() }, 0.8, 15.0);
    let mut twin = Twin::new(cell(), Setup { series: 8, ..Setup::default() }, None);
    let mut events = Vec::new();
    for second in 0..seconds {
        let amps = if second % 60 < 40 { -60.0 } else { 20.0 };
        pack.step(amps, 15.0, 1.0);
        let mut sample = Sensors::default().read(&pack, f64::from(second), amps);
        if (60..seconds - 60).contains(&second) {
            spoil(second, &mut sample);
        }
        events.extend(twin.update(sample).events);
    }
    (twin, pack, events)
}

/// What is unknown is left out: no alarm, no number in its place, and the passport says for how long.
#[test]
fn unknown_values_are_left_out() {
    let check = |name: &str, error: f64, unknown_h: f64, spoil: &dyn Fn(u32, &mut PackSample)| {
        let (twin, pack, events) = spoilt(1_800, spoil);
        assert_eq!(events, [], "{name}");
        let truth = pack.socs().iter().sum::<f64>() / 8.0;
        let state = twin.state().unwrap_or_else(|| panic!("{name}: no state"));
        assert!((state.soc.value - truth).abs() < error, "{name}: {:?} is {truth}", state.soc);
        let passport = twin.passport();
        assert!((passport.time_unknown_h - unknown_h).abs() < 0.002, "{name}: {}", passport.time_unknown_h);
        // What was measured and what was not make up all that flowed.
        let (seen, all) = (1_799.0 / 3_600.0 - unknown_h, 60.0 * 1_200.0 + 20.0 * 600.0);
        let share = passport.capacity_throughput_ah / (all / 3_600.0);
        assert!((share - seen / (1_799.0 / 3_600.0)).abs() < 0.02 || name == "a cell", "{name}: {share}");
    };
    check("a cell", 0.01, 0.0, &|_, sample| sample.cells_v[3] = f64::NAN);
    check("all cells", 0.02, 0.0, &|_, sample| sample.cells_v.fill(f64::NAN));
    check("pack voltage", 0.01, 0.0, &|_, sample| sample.voltage_v = f64::NAN);
    check("temperatures", 0.02, 0.0, &|_, sample| sample.temps_c.fill(f64::NAN));
    let minutes = |second: u32| (600..900).contains(&second);
    check("current, five minutes", 0.03, 300.0 / 3_600.0, &|second, sample| {
        sample.current_a = if minutes(second) { f64::NAN } else { sample.current_a };
    });
    check("current, now and then", 0.02, 168.0 / 3_600.0, &|second, sample| {
        sample.current_a = if second % 10 == 0 { f64::NAN } else { sample.current_a };
    });
}

#[test]
fn samples_of_another_chemistry_are_refused_and_nothing_panics() {
    let mut twin = Twin::new(
        Arc::new(Cell::new(CellParams::generic(Chemistry::Lfp, 60.0)).expect("a preset")),
        Setup::default(),
        None,
    );
    for second in 0..20u32 {
        let sample = PackSample {
            time_s: f64::from(second),
            voltage_v: 400.0,
            current_a: 0.0,
            cells_v: vec![4.15; 96],
            temps_c: vec![f64::NAN],
            insulation_ohm: None,
        };
        twin.update(sample);
    }
    assert!(twin.refuses() && twin.state().is_none());
    let mut twin = Twin::new(cell(), Setup::default(), None);
    for (second, volts) in [f64::NAN, 3.7, -1.0, f64::INFINITY, 3.7e3, 3.7].into_iter().enumerate() {
        for current_a in [f64::NAN, 1e9, -1.0] {
            twin.update(PackSample {
                time_s: second as f64,
                voltage_v: volts * 96.0,
                current_a,
                cells_v: if second % 2 == 0 { Vec::new() } else { vec![volts; second] },
                temps_c: Vec::new(),
                insulation_ohm: Some(volts),
            });
            let _ = twin.state();
            let _ = twin.passport();
            let _ = twin.maintenance();
        }
    }
}
