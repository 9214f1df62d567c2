//! Commands on their way to vehicles, and answers on their way back.

use super::*;
use voltmesh_control::{Action, Allowed, Command, Epoch, Lease, Outcome};

/// A command for a vehicle, signed by somebody: who may is the vehicle's to check.
fn command(vehicle: &str) -> Bytes {
    let vehicle: VehicleId = vehicle.parse().unwrap();
    let signing = SigningKey::from_bytes(&[4; 32]);
    let at = Timestamp::from_millis;
    let lease = Lease {
        vehicle: vehicle.clone(),
        function: "charging-control".into(),
        fog: "fog-0".into(),
        fog_key: signing.verifying_key().to_bytes(),
        epoch: Epoch { term: 1, count: 1 },
        until: at(9_000),
        allowed: Allowed::everything(),
    };
    let (issued, expires, reason) = (at(1_000), at(2_000), String::new());
    let command = Command { vehicle, number: 1, issued, expires, action: Action::StopCharging, reason };
    command.sign("fog-0", &lease.sign("ctl", &signing), &signing).into()
}

impl World {
    fn command(&mut self, vehicle: &str, message: Bytes) -> Result<SessionId, String> {
        let ticket = self.routed.len() as u64;
        self.give(Input::Command { vehicle: vehicle.parse().unwrap(), message: message.clone(), ticket });
        let routed = self.routed[&ticket].clone();
        routed
            .map(|(session, found, sent)| {
                assert_eq!((found.as_str(), &sent), (vehicle, &message));
                session
            })
            .map_err(|why| why.to_string())
    }
}

#[test]
fn a_command_goes_to_the_vehicle_that_it_is_signed_for_and_to_no_other() {
    let mut world = World::new();
    assert_eq!(world.command("car", command("car")), Err("car is not connected with this fog node".into()));
    let silent = world.connect("edge:car");
    assert!(world.command("car", command("car")).is_err(), "it has not said hello in session {silent:?}");
    let session = world.vehicle(&car());
    assert_eq!(world.command("car", command("car")), Ok(session));
    let refused = |found: Result<SessionId, String>, said: &str| {
        let why = found.expect_err(said);
        assert!(why.contains(said), "{why}");
    };
    refused(world.command("car", command("car-2")), "signed for car-2");
    refused(world.command("car-2", command("car")), "signed for car");
    refused(world.command("car-2", command("car-2")), "car-2 is not connected");
    refused(world.command("car", Bytes::from_static(b"{}")), "no command for car");
    world.give(Input::Disconnected { session });
    refused(world.command("car", command("car")), "not connected");
    let counters = world.core.counters().all();
    let counts = ["commands_sent", "commands_unconnected", "commands_refused"].map(|name| counters[name]);
    assert_eq!(counts, [1, 4, 3]);
}

#[test]
fn an_answer_is_the_word_of_the_vehicle_whose_session_it_comes_by() {
    let mut world = World::new();
    let answer = CommandAnswer {
        function: "charging-control".into(),
        epoch: (1, 1),
        number: 7,
        at_ms: 5,
        outcome: Outcome::Applied { value: Some(20_000), why_less: None },
    };
    let json = serde_json::to_vec(&answer).unwrap();
    let early = world.connect("edge:car");
    let token = world.publish(early, "v1/car/answer", json.clone());
    world.tick();
    assert!(!world.answers.contains_key(&token) && world.answered.is_empty(), "no hello, no answer");
    let session = world.vehicle(&car());
    let taken = world.publish(session, "v1/car/answer", json.clone());
    let of_another = world.publish(session, "v1/car-2/answer", json.clone());
    let no_answer = world.publish(session, "v1/car/answer", "{}");
    let long = world.publish(session, "v1/car/answer", vec![b' '; CommandAnswer::MAX_BYTES + 1]);
    world.tick();
    assert_eq!(world.answered, [("car".parse().unwrap(), answer)]);
    assert_eq!(world.answers[&taken], 0);
    assert!([of_another, no_answer, long].iter().all(|token| world.answers[token] >= 0x80));
    let client = world.connect("client:meter");
    let foreign = world.publish(client, "v1/meter/answer", json);
    world.tick();
    assert!(world.answers[&foreign] >= 0x80);
    assert_eq!(world.core.counters().all()["answers_received"], 1);
}
