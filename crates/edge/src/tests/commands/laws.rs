//! Laws over random commands, leases, clocks, disks and restarts.

use super::{Asked, Car, START};
use proptest::prelude::*;
use std::collections::BTreeMap;
use voltmesh_control::{Action, Outcome};

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Ask(Asked),
    Sync,
    DiskFails(bool),
    Pass(i64),
    Own(u32, u32),
    Restart,
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0..2_000_000u32).prop_map(Action::ChargeLimit),
        (0..2_000_000u32).prop_map(Action::DischargeLimit),
        (-3_000..9_000i32).prop_map(Action::TargetTemperature),
        prop::collection::btree_set(0..120u16, 0..4)
            .prop_map(|set| Action::Balance(set.into_iter().collect())),
        (0..200_000u32).prop_map(Action::SamplingRate),
        (0..=1_000_000u32).prop_map(Action::Derate),
        Just(Action::StopCharging),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let functions = prop::sample::select(vec!["balance", "plating-guard", "charging-control"]);
    let ask = (
        functions,
        0..4u32,
        0..3u32,
        1..12u64,
        actions(),
        -400_000..400_000i64,
        1..120_000u64,
        0..200_000u64,
    )
        .prop_map(|(function, term, count, number, action, issued, valid, until)| {
            Step::Ask(Asked {
                function,
                epoch: (term, count),
                number,
                action,
                // Relative to the clock, which the law adds.
                issued: START.saturating_add_signed(issued),
                valid,
                until: START + until,
                ..Asked::new(1, Action::StopCharging)
            })
        });
    prop_oneof![
        8 => ask,
        6 => Just(Step::Sync),
        1 => any::<bool>().prop_map(Step::DiskFails),
        4 => (0..40_000i64).prop_map(Step::Pass),
        1 => (-90_000..0i64).prop_map(Step::Pass),
        2 => (0..300u32, 0..300u32).prop_map(|(charge, discharge)| Step::Own(charge, discharge)),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_command_outlives_its_time_no_older_lease_acts_and_no_limit_is_exceeded(
        steps in prop::collection::vec(steps(), 1..80),
    ) {
        let mut car = Car::new();
        // Real time, which the vehicle's clock may go back against; and for each command when it must be over by it.
        let mut real = 0u64;
        let mut valid: BTreeMap<(String, String, u64), (u64, u64)> = BTreeMap::new();
        // The newest lease of each function that was seen since the start, and that the disk knows.
        let mut seen: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        let mut durable: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        for step in steps {
            let answers = car.answers.len();
            match step {
                Step::Ask(mut asked) => {
                    // Relative to what the clock says now.
                    let passed = car.now as i64 - START as i64;
                    asked.issued = asked.issued.saturating_add_signed(passed);
                    asked.until = asked.until.saturating_add_signed(passed);
                    let name = (asked.function.to_owned(), format!("{}.{}", asked.epoch.0, asked.epoch.1), asked.number);
                    let expires = (asked.issued + asked.valid).min(asked.until);
                    let flooded = car.count("commands_flooded");
                    // Under one number several commands may come: the one that is taken is the first.
                    let last = valid.insert(name.clone(), (real + asked.valid, expires));
                    if let Some((end, expires)) = last {
                        let now = valid[&name];
                        valid.insert(name, (end.max(now.0), expires.max(now.1)));
                    }
                    car.deliver(&asked.bytes());
                    if car.count("commands_flooded") == flooded {
                        let newest = seen.entry(asked.function).or_default();
                        *newest = (*newest).max(asked.epoch);
                    }
                }
                Step::Sync => {
                    // What failed to be kept is kept with what comes next.
                    if car.works && !car.saves.is_empty() {
                        durable.clone_from(&seen);
                    }
                    car.sync();
                }
                Step::DiskFails(fails) => car.works = !fails,
                Step::Pass(ms) => {
                    real += u64::try_from(ms).unwrap_or(0);
                    car.pass(ms);
                    if ms < 0 {
                        // That the clock was set back is written down, or a restart would not know it.
                        car.works = true;
                        car.sync();
                        durable.clone_from(&seen);
                    }
                }
                Step::Own(charge, discharge) => car.own(f64::from(charge), f64::from(discharge)),
                Step::Restart => {
                    car.restart();
                    seen.clone_from(&durable);
                }
            }
            for answer in &car.answers[answers..] {
                if let Outcome::Applied { .. } = answer.outcome {
                    let newest = seen.get(answer.function.as_str()).copied().unwrap_or_default();
                    prop_assert!(answer.epoch >= newest, "{answer:?} acts after {newest:?}");
                }
            }
            let own = *car.commands.own();
            let in_force = car.commands.setpoints();
            prop_assert!(in_force.charge_ma.is_none_or(|ma| ma <= own.charge_ma && ma <= 90_000));
            prop_assert!(in_force.discharge_ma.is_none_or(|ma| ma <= own.discharge_ma && ma <= 240_000));
            let view = car.commands.view();
            for held in view["commands"].as_array().unwrap() {
                let text = |name: &str| held[name].as_str().unwrap().to_owned();
                let function = text("function");
                let newest = seen.get(function.as_str()).copied().unwrap_or_default();
                prop_assert_eq!(&text("epoch"), &format!("{}.{}", newest.0, newest.1), "an older lease acts");
                let (end, expires) = valid[&(function, text("epoch"), held["number"].as_u64().unwrap())];
                prop_assert!(car.now < expires, "{held} at {}", car.now);
                prop_assert!(real < end, "{held} after {real} ms of real time");
            }
        }
    }
}
