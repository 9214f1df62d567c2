//! Commands: what each comes to, and one case for each bad one.

mod laws;

use crate::commands::{CommandRules, Commands, Effect, Memory, Nameplate, Refusal, Setpoints};
use ed25519_dalek::SigningKey;
use std::collections::VecDeque;
use voltmesh_control::{
    Action, ActionKind, Allowed, CLOCK_TOLERANCE_MS, Command, CommandAnswer, Epoch, Lease, Outcome,
};
use voltmesh_telemetry::{Timestamp, VehicleId};

const START: u64 = 1_700_000_000_000;

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn controller() -> SigningKey {
    key(1)
}

fn vehicle() -> VehicleId {
    "car-1".parse().unwrap()
}

fn rules() -> CommandRules {
    CommandRules {
        vehicle: vehicle(),
        controllers: vec![controller().verifying_key()],
        max_per_minute: 600,
        nameplate: Nameplate::of_capacity(60.0, 96),
        obeys: ActionKind::ALL.into_iter().collect(),
    }
}

/// A command to be signed, and its lease.
#[derive(Clone, Debug)]
struct Asked {
    vehicle: VehicleId,
    function: &'static str,
    fog: u8,
    epoch: (u32, u32),
    number: u64,
    issued: u64,
    valid: u64,
    until: u64,
    allowed: Allowed,
    action: Action,
}

impl Asked {
    fn new(number: u64, action: Action) -> Self {
        Self {
            vehicle: vehicle(),
            function: "charging-control",
            fog: 11,
            epoch: (1, 0),
            number,
            issued: START,
            valid: 60_000,
            until: START + 600_000,
            allowed: Allowed::everything(),
            action,
        }
    }

    fn signed_by(&self, controller: &SigningKey) -> Vec<u8> {
        let fog = format!("fog-{}", self.fog);
        let lease = Lease {
            vehicle: self.vehicle.clone(),
            function: self.function.to_owned(),
            fog: fog.clone(),
            fog_key: key(self.fog).verifying_key().to_bytes(),
            epoch: Epoch { term: self.epoch.0, count: self.epoch.1 },
            until: Timestamp::from_millis(self.until),
            allowed: self.allowed.clone(),
        };
        let command = Command {
            vehicle: self.vehicle.clone(),
            number: self.number,
            issued: Timestamp::from_millis(self.issued),
            expires: Timestamp::from_millis(self.issued + self.valid),
            action: self.action.clone(),
            reason: "a test".to_owned(),
        };
        command.sign(&fog, &lease.sign("ctl-1", controller), &key(self.fog))
    }

    fn bytes(&self) -> Vec<u8> {
        self.signed_by(&controller())
    }
}

#[test]
fn what_the_lease_does_not_allow_is_refused() {
    let mut car = Car::new();
    let allowed =
        Allowed { ranges: [(ActionKind::ChargeLimit, (10_000, 50_000))].into(), commands_per_min: 6 };
    for (number, action, applied) in [
        (0, Action::ChargeLimit(50_000), true),
        (1, Action::ChargeLimit(9_999), false),
        (2, Action::StopCharging, false),
        (3, Action::DischargeLimit(50_000), false),
    ] {
        let outcome = car.take(&Asked { allowed: allowed.clone(), ..Asked::new(number, action.clone()) });
        assert_eq!(matches!(outcome, Outcome::Applied { .. }), applied, "{action:?}: {outcome:?}");
    }
    assert_eq!(car.in_force.charge_ma, Some(50_000), "what was in force stays");
    assert_eq!(car.count("commands_refused_bounds"), 3);
}

/// Commands with a disk.
struct Car {
    rules: CommandRules,
    commands: Commands,
    now: u64,
    /// What the disk holds, and what it is asked to hold.
    disk: Memory,
    saves: VecDeque<String>,
    works: bool,
    answers: Vec<CommandAnswer>,
    said: Vec<String>,
    in_force: Setpoints,
}

impl Car {
    fn new() -> Self {
        Self::with(rules())
    }

    fn with(rules: CommandRules) -> Self {
        let now = Timestamp::from_millis(START);
        Self {
            commands: Commands::new(rules.clone(), Ok(Memory::default()), now),
            rules,
            now: START,
            disk: Memory::default(),
            saves: VecDeque::new(),
            works: true,
            answers: Vec::new(),
            said: Vec::new(),
            in_force: Setpoints::default(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Save { json } => self.saves.push_back(json),
                Effect::Answer(answer) => {
                    let json = serde_json::to_vec(&answer).unwrap();
                    assert!(json.len() <= CommandAnswer::MAX_BYTES, "{answer:?}");
                    self.answers.push(answer);
                }
                Effect::Obey { setpoints, own, .. } => {
                    assert!(setpoints.charge_ma.is_none_or(|ma| ma <= own.charge_ma), "beyond its own limit");
                    assert!(setpoints.discharge_ma.is_none_or(|ma| ma <= own.discharge_ma));
                    self.in_force = setpoints;
                }
                Effect::Warn(text) => self.said.push(text),
            }
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let effects = self.commands.take(self.now(), bytes);
        self.perform(effects);
    }

    /// The disk does what it was asked for last.
    fn sync(&mut self) {
        while let Some(json) = self.saves.pop_front() {
            if self.works {
                self.disk = Memory::parse(json.as_bytes()).unwrap();
            }
            let failed = (!self.works).then_some("no space left on device");
            let effects = self.commands.saved(self.now(), failed);
            self.perform(effects);
        }
    }

    fn take(&mut self, asked: &Asked) -> Outcome {
        self.deliver(&asked.bytes());
        self.sync();
        self.answers.last().expect("each command is answered").outcome.clone()
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.saturating_add_signed(ms);
        let effects = self.commands.tick(self.now());
        self.perform(effects);
    }

    /// The twin says what the battery may take and give.
    fn own(&mut self, charge_a: f64, discharge_a: f64) {
        let effects = self.commands.own_limits(self.now(), Some((charge_a, discharge_a)));
        self.perform(effects);
    }

    fn restart(&mut self) {
        self.saves.clear();
        self.in_force = Setpoints::default();
        self.commands = Commands::new(self.rules.clone(), Ok(self.disk.clone()), self.now());
        self.pass(0);
    }

    fn count(&self, name: &str) -> u64 {
        self.commands.counters().find(|(counter, _)| *counter == name).expect(name).1
    }
}

fn applied(value: i64) -> Outcome {
    Outcome::Applied { value: Some(value), why_less: None }
}

#[track_caller]
fn less(outcome: &Outcome, expected: i64, said: &str) {
    match outcome {
        Outcome::Applied { value, why_less: Some(why) } => {
            assert_eq!(*value, Some(expected), "{why}");
            assert!(why.contains(said), "{why:?} does not say {said:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_is_in_force_until_its_time_is_over_and_then_the_vehicles_own_limits_are() {
    let mut car = Car::new();
    assert_eq!(car.take(&Asked::new(1, Action::ChargeLimit(20_000))), applied(20_000));
    assert_eq!(car.in_force.charge_ma, Some(20_000));
    car.pass(59_999);
    assert_eq!(car.in_force.charge_ma, Some(20_000));
    assert_eq!(car.commands.deadline(), Some(Timestamp::from_millis(START + 60_000)));
    car.pass(1);
    assert!(car.in_force.is_idle());
    assert_eq!(car.answers.last().unwrap().outcome, Outcome::Expired);
    // A lease that ends before its command ends the command.
    let asked =
        Asked { until: START + 70_000, issued: START + 60_000, ..Asked::new(2, Action::Derate(500_000)) };
    assert_eq!(car.take(&asked), applied(500_000));
    assert_eq!((car.in_force.charge_ma, car.in_force.discharge_ma), (Some(45_000), Some(120_000)));
    car.pass(10_000);
    assert!(car.in_force.is_idle());
    assert_eq!((car.count("commands_expired"), car.count("commands_in_force")), (2, 0));
}

#[test]
fn a_command_goes_as_far_as_the_vehicles_own_limits_and_says_why_not_further() {
    let mut car = Car::new();
    car.own(30.0, 100.0);
    less(&car.take(&Asked::new(1, Action::ChargeLimit(50_000))), 30_000, "own limit now is 30.0 A");
    car.own(40.0, 100.0);
    assert_eq!(car.in_force.charge_ma, Some(40_000), "it follows the vehicle's own limit");
    car.own(80.0, 100.0);
    assert_eq!(car.in_force.charge_ma, Some(50_000), "and goes no further than asked");
    less(&car.take(&Asked::new(2, Action::TargetTemperature(7_000))), 4_500, "between 5 and 45 °C");
    less(&car.take(&Asked::new(3, Action::SamplingRate(500_000))), 100_000, "100 to 100000 samples");
    assert_eq!(car.take(&Asked::new(4, Action::Derate(250_000))), applied(250_000));
    less(&car.take(&Asked::new(5, Action::DischargeLimit(90_000))), 25_000, "derating to 25.0 %");
    assert_eq!(car.take(&Asked::new(6, Action::Balance(vec![3, 17]))), applied(2));
    let stopped = car.take(&Asked::new(7, Action::StopCharging));
    assert_eq!(stopped, Outcome::Applied { value: None, why_less: None });
    let Setpoints { balance, stop_charging, .. } = &car.in_force;
    assert_eq!((&balance[..], *stop_charging), (&[3, 17][..], true));
    let mut unknown = Car::new();
    less(&unknown.take(&Asked::new(1, Action::ChargeLimit(100_000))), 90_000, "what the pack is built for");
    assert_eq!(unknown.count("commands_reduced"), 1);
}

#[test]
fn of_two_functions_the_stricter_wins_and_the_other_is_told() {
    let mut car = Car::new();
    let guard =
        |number, ma| Asked { function: "plating-guard", ..Asked::new(number, Action::ChargeLimit(ma)) };
    assert_eq!(car.take(&Asked::new(1, Action::ChargeLimit(40_000))), applied(40_000));
    assert_eq!(car.take(&guard(1, 15_000)), applied(15_000));
    less(
        &car.take(&Asked::new(2, Action::ChargeLimit(30_000))),
        15_000,
        "15.0 A of plating-guard is stricter",
    );
    assert_eq!(car.count("commands_contradicting"), 2);
    // The stricter one ends first: what the other asked for is in force then.
    assert_eq!(car.take(&Asked { valid: 30_000, ..guard(2, 15_000) }), applied(15_000));
    car.pass(30_000);
    assert_eq!(car.in_force.charge_ma, Some(30_000));
    // Where nothing is stricter, the later one wins.
    let warm =
        |function, number, c100| Asked { function, ..Asked::new(number, Action::TargetTemperature(c100)) };
    car.take(&warm("plating-guard", 3, 2_500));
    car.take(&warm("charging-control", 3, 1_500));
    assert_eq!(car.in_force.target_centidegrees, Some(1_500));
}

#[test]
fn a_newer_lease_ends_what_an_older_one_asked_for_and_an_older_one_is_refused() {
    let mut car = Car::new();
    car.take(&Asked::new(7, Action::ChargeLimit(20_000)));
    car.take(&Asked::new(8, Action::Derate(500_000)));
    let newer = Asked { epoch: (1, 1), fog: 12, ..Asked::new(1, Action::ChargeLimit(25_000)) };
    assert_eq!(car.take(&newer), applied(25_000), "numbers begin anew with a lease");
    assert_eq!(car.in_force.discharge_ma, None, "the derating was the older lease's");
    let late = car.take(&Asked::new(9, Action::ChargeLimit(90_000)));
    assert_eq!(late, Outcome::Refused { reason: "its lease 1.0 is replaced by 1.1".into() });
    car.restart();
    assert_eq!(car.in_force.charge_ma, Some(25_000), "what was in force is in force again");
    assert!(matches!(car.take(&Asked::new(10, Action::ChargeLimit(90_000))), Outcome::Refused { .. }));
    assert_eq!((car.count("commands_refused_fenced"), car.in_force.charge_ma), (1, Some(25_000)));
    // Another function has its own leases.
    assert_eq!(
        car.take(&Asked { function: "f", ..Asked::new(1, Action::Derate(900_000)) }),
        applied(900_000)
    );
}

/// What is asked is refused with that reason and counted, and what was in force stays so.
#[track_caller]
fn refused(change: impl Fn(&mut Car, &mut Asked), said: &str, refusal: &str) {
    let mut car = Car::new();
    car.take(&Asked::new(1, Action::ChargeLimit(20_000)));
    let before = car.in_force.clone();
    let mut asked = Asked::new(2, Action::ChargeLimit(10_000));
    change(&mut car, &mut asked);
    let outcome = car.take(&asked);
    let Outcome::Refused { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains(said), "{reason:?} does not say {said:?}");
    assert_eq!(car.count(refusal), 1, "{refusal}");
    assert_eq!(car.in_force, before, "the last state is in force");
    assert!(car.said.iter().any(|line| line.contains(said)), "{:?}", car.said);
}

#[test]
fn each_bad_command_is_refused_with_its_reason_and_counted() {
    refused(|_, asked| asked.vehicle = "car-2".parse().unwrap(), "for car-2", "commands_refused_vehicle");
    refused(|_, asked| asked.number = 1, "number 1 is not above 1", "commands_refused_replayed");
    refused(|_, asked| asked.epoch = (0, 9), "0.9 is replaced by 1.0", "commands_refused_fenced");
    refused(|_, asked| asked.issued = START - 60_000, "it was over 0 ms ago", "commands_refused_expired");
    refused(|_, asked| asked.until = START - 5, "its lease was over 5 ms ago", "commands_refused_expired");
    let ahead = START + CLOCK_TOLERANCE_MS + 1;
    refused(|_, asked| asked.issued = ahead, "300001 ms ahead", "commands_refused_ahead");
    let absurd = Action::ChargeLimit(9_000_000);
    refused(|_, asked| asked.action = absurd.clone(), "10 times the 90.0 A", "commands_refused_bounds");
    refused(|_, asked| asked.action = Action::Balance(vec![96]), "group 96", "commands_refused_bounds");
    refused(|_, asked| asked.action = Action::SamplingRate(0), "0 samples", "commands_refused_bounds");
    refused(|car, _| car.works = false, "no space left", "commands_refused_unsaved");
}

#[test]
fn a_vehicle_that_can_do_nothing_of_it_says_so() {
    let limits = [ActionKind::ChargeLimit].into_iter().collect();
    let mut car = Car::with(CommandRules { obeys: limits, ..rules() });
    let outcome = car.take(&Asked::new(1, Action::TargetTemperature(2_000)));
    assert!(
        matches!(&outcome, Outcome::Refused { reason } if reason.contains("nothing in this vehicle obeys"))
    );
    assert_eq!(car.count("commands_refused_unable"), 1);
}

#[test]
fn forged_and_malformed_commands_are_refused() {
    let mut car = Car::new();
    let asked = Asked::new(1, Action::ChargeLimit(10_000));
    car.deliver(&asked.signed_by(&key(9)));
    assert!(
        matches!(&car.answers[0].outcome, Outcome::Refused { reason } if reason.contains("no controller"))
    );
    let mut altered = asked.bytes();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    car.deliver(&altered);
    car.deliver(b"{}");
    car.deliver(&vec![0; 1 << 20]);
    assert_eq!((car.count("commands_refused_forged"), car.count("commands_refused_malformed")), (2, 2));
    assert!(car.saves.is_empty() && car.in_force.is_idle(), "it leaves no trace");
}

#[test]
fn without_a_controller_or_a_memory_every_command_is_refused_aloud() {
    let asked = Asked::new(1, Action::StopCharging);
    let mut car = Car::with(CommandRules { controllers: Vec::new(), ..rules() });
    car.deliver(&asked.bytes());
    assert!(
        matches!(&car.answers[0].outcome, Outcome::Refused { reason } if reason.contains("[commands] controllers"))
    );
    assert_eq!(car.count("commands_refused_unconfigured"), 1);
    let lost = Err("commands.json cannot be read: damaged".to_owned());
    car.commands = Commands::new(rules(), lost, car.now());
    car.deliver(&asked.bytes());
    assert!(matches!(&car.answers[1].outcome, Outcome::Refused { reason } if reason.contains("damaged")));
    assert_eq!(car.count("commands_refused_unreadable"), 1);
}

#[test]
fn the_very_same_command_again_has_the_same_answer_and_another_under_its_number_is_refused() {
    let mut car = Car::new();
    let asked = Asked::new(5, Action::ChargeLimit(20_000));
    car.take(&asked);
    car.deliver(&asked.bytes());
    assert_eq!(car.answers[0], car.answers[1]);
    assert_eq!((car.answers.len(), car.count("commands_again")), (2, 1));
    car.deliver(&Asked::new(5, Action::ChargeLimit(30_000)).bytes());
    assert_eq!(car.count("commands_refused_replayed"), 1);
}

#[test]
fn more_commands_than_the_cap_are_refused_but_an_end_of_charging_is_not() {
    let mut car = Car::with(CommandRules { max_per_minute: 10, ..rules() });
    for number in 1..=20 {
        car.take(&Asked::new(number, Action::ChargeLimit(20_000 + number as u32)));
    }
    assert_eq!((car.count("commands_applied"), car.count("commands_refused_rate")), (5, 15));
    assert_eq!(car.in_force.charge_ma, Some(20_005), "the last that was taken");
    car.take(&Asked::new(21, Action::StopCharging));
    assert!(car.in_force.stop_charging);
    car.pass(12_000);
    assert_eq!(car.take(&Asked::new(22, Action::ChargeLimit(1_000))), applied(1_000));
}

#[test]
fn a_flood_of_rubbish_is_dropped_unread_and_said_once() {
    let mut car = Car::new();
    (0..1_000).for_each(|_| car.deliver(b"rubbish"));
    assert_eq!((car.count("commands_refused_malformed"), car.count("commands_flooded")), (200, 800));
    assert_eq!((car.said.len(), car.answers.len()), (2, 0));
    car.pass(10_000);
    assert_eq!(car.take(&Asked::new(1, Action::ChargeLimit(20_000))), applied(20_000));
}

#[test]
fn a_battery_that_does_not_obey_is_counted() {
    let mut car = Car::new();
    car.take(&Asked::new(1, Action::ChargeLimit(20_000)));
    for _ in 0..30 {
        car.now += 1_000;
        let effects = car.commands.measured(car.now(), 60_000, true);
        car.perform(effects);
    }
    assert_eq!(car.count("commands_disobeyed"), 1);
    assert!(car.said.iter().any(|line| line.contains("does not obey")), "{:?}", car.said);
}

#[test]
fn a_clock_that_is_set_back_holds_no_command_longer() {
    let mut car = Car::new();
    car.take(&Asked::new(1, Action::ChargeLimit(20_000)));
    car.pass(30_000);
    car.pass(-3_600_000);
    car.pass(29_999);
    assert_eq!(car.in_force.charge_ma, Some(20_000));
    car.pass(1);
    assert!(car.in_force.is_idle());
    // A clock that is behind obeys no longer than a command is valid altogether.
    let mut behind = Car::new();
    let ahead = Asked { issued: START + 200_000, valid: 1_000, ..Asked::new(1, Action::ChargeLimit(20_000)) };
    behind.take(&ahead);
    behind.pass(1_000);
    assert!(behind.in_force.is_idle());
}

#[test]
fn every_refusal_has_its_counter() {
    let car = Car::new();
    let counted: Vec<_> = car.commands.counters().map(|(name, _)| name).collect();
    assert!(Refusal::COUNTERS.iter().all(|name| counted.contains(name)));
}
