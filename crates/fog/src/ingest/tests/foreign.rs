//! Samples of clients that are not ours: attested, refused, archived once.

use super::*;

pub fn sample(time_ms: u64) -> Bytes {
    let sample = voltmesh_telemetry::Sample {
        time: Timestamp::from_millis(1_700_000_000_000 + time_ms),
        pack_voltage: voltmesh_telemetry::Millivolts::new(352_100),
        ..voltmesh_telemetry::Sample::default()
    };
    voltmesh_telemetry::vss::to_json(&sample).into()
}

/// A sample of one moment, by its voltage.
fn at_one_time(millivolts: u32) -> voltmesh_telemetry::Sample {
    voltmesh_telemetry::Sample {
        time: Timestamp::from_millis(1_700_000_000_000),
        pack_voltage: voltmesh_telemetry::Millivolts::new(millivolts),
        ..voltmesh_telemetry::Sample::default()
    }
}

fn json(sample: &voltmesh_telemetry::Sample) -> Bytes {
    voltmesh_telemetry::vss::to_json(sample).into()
}

/// Two samples that differ and have one number.
pub fn colliding() -> (Bytes, Bytes) {
    let mut seen = BTreeMap::new();
    for millivolts in 300_000..400_000 {
        // As the fog node reads it: what JSON does not say is unknown.
        let sample = voltmesh_telemetry::vss::parse(&json(&at_one_time(millivolts))).unwrap();
        let number = voltmesh_telemetry::Record::foreign(sample).number;
        if let Some(other) = seen.insert(number, millivolts) {
            return (json(&at_one_time(other)), json(&at_one_time(millivolts)));
        }
    }
    panic!("2^21 tags and 100,000 samples have no collision");
}

#[test]
fn samples_become_attested_batches() {
    let mut world = World::new();
    let session = world.connect("client:paho");
    let tokens: Vec<_> = (0..20).map(|n| world.publish(session, "v1/paho/sample", sample(n))).collect();
    world.tick();
    assert!(tokens.iter().all(|token| world.answers[token] == 0));
    world.settle();
    assert_eq!((world.archived.len(), world.held()), (1, 0));
    assert_eq!(world.counter("received_records"), 20);
    assert_eq!(world.receipts_told(), [], "a foreign client has no use for receipts");
}

#[test]
fn a_sample_again_is_acknowledged_and_not_doubled() {
    let mut world = World::new();
    let session = world.connect("client:paho");
    for _ in 0..3 {
        let token = world.publish(session, "v1/paho/sample", sample(1));
        world.tick();
        assert_eq!(world.answers[&token], 0);
    }
    world.crash();
    let session = world.connect("client:paho");
    let token = world.publish(session, "v1/paho/sample", sample(1));
    world.tick();
    assert_eq!(world.answers[&token], 0);
    world.settle();
    assert_eq!((world.archived.len(), world.held()), (1, 0));
    assert_eq!(world.counter("duplicates"), 1, "since the restart");
}

#[test]
fn samples_survive_a_crash_at_any_step() {
    for steps in 0..8 {
        let mut world = World::new();
        let session = world.connect("client:paho");
        let token = world.publish(session, "v1/paho/sample", sample(1));
        for step in 0..steps {
            match step % 3 {
                0 => world.tick(),
                1 => world.wait(200),
                _ => world.block(),
            }
        }
        let acknowledged = world.answers.contains_key(&token);
        world.crash();
        world.settle();
        assert_eq!(!world.archived.is_empty(), acknowledged, "after {steps} steps");
        assert_eq!(world.held(), 0, "after {steps} steps");
    }
}

#[test]
fn a_node_that_is_not_enrolled_does_not_attest() {
    let mut chain = Chain::new(4);
    chain.enrol(&[car().commitment()]);
    let mut world = World::with(chain, 0, Foreign { second_copy: false, ..Foreign::default() });
    let session = world.connect("client:paho");
    let token = world.publish(session, "v1/paho/sample", sample(1));
    world.tick();
    assert!(!world.answers.contains_key(&token));
    assert_eq!(world.counter("delayed_not_enrolled"), 1);
}

#[test]
fn of_samples_stamped_with_one_second_each_is_archived_or_refused() {
    let mut world = World::new();
    let session = world.connect("client:gateway");
    let mut tokens = Vec::new();
    for n in 0..4_000 {
        tokens.push(world.publish(session, "v1/gateway/sample", json(&at_one_time(300_000 + 7 * n))));
        if n % 100 == 0 {
            world.wait(50);
        }
    }
    world.tick();
    let refused = tokens.iter().filter(|token| world.answers[token] == 0x83).count();
    let taken = tokens.iter().filter(|token| world.answers[token] == 0).count();
    assert_eq!(taken + refused, 4_000);
    assert_eq!(world.counter("rejected_number_taken"), refused as u64);
    assert!(refused > 0 && world.quarantine.len() == refused, "{refused} share a number");
    world.settle();
    assert_eq!((world.archived_records.len(), world.held()), (taken, 0));
}

#[test]
fn another_sample_under_a_taken_number_is_refused_and_the_same_is_not() {
    let (one, other) = colliding();
    let mut world = World::new();
    let session = world.connect("client:paho");
    let publish = |world: &mut World, sample: &Bytes| {
        let token = world.publish(session, "v1/paho/sample", sample.clone());
        world.tick();
        world.answers[&token]
    };
    assert_eq!(publish(&mut world, &one), 0);
    assert_eq!(publish(&mut world, &other), 0x83, "its number is taken");
    assert_eq!(publish(&mut world, &one), 0, "the same is a redelivery");
    assert!(String::from_utf8_lossy(&world.quarantine[0]).contains("is taken by another sample of paho"));
    world.crash();
    let session = world.connect("client:paho");
    let token = world.publish(session, "v1/paho/sample", other.clone());
    world.tick();
    assert_eq!(world.answers[&token], 0x83, "a restart forgets nothing that the spool holds");
    world.settle();
    assert_eq!(world.archived_records.len(), 1);
    // Of another client it is another number.
    let session = world.connect("client:other");
    let token = world.publish(session, "v1/other/sample", other);
    world.tick();
    assert_eq!(world.answers[&token], 0);
}

#[test]
fn one_past_the_remembered_numbers_the_cloud_decides_and_nothing_is_swallowed() {
    let (one, other) = colliding();
    let mut world =
        World::with(chain(), 0, Foreign { second_copy: false, remembered: 3, ..Foreign::default() });
    let session = world.connect("client:paho");
    let mut all = vec![one];
    all.extend((1..=3).map(sample)); // the fourth answer makes the first be forgotten
    all.push(other);
    for sample in &all {
        let token = world.publish(session, "v1/paho/sample", sample.clone());
        world.tick();
        assert_eq!(world.answers[&token], 0);
    }
    world.settle();
    assert_eq!(world.archived_records.len(), 5, "both left for the cloud, each in a batch of its own");
    assert_eq!((world.archived.len(), world.held()), (2, 0));
}

#[test]
fn a_sample_after_the_last_time_is_refused_and_its_neighbours_are_not() {
    let mut world = World::new();
    let session = world.connect("client:paho");
    let mut tokens: Vec<_> = (0..20).map(|n| world.publish(session, "v1/paho/sample", sample(n))).collect();
    let late = r#"{"timestamp":"2126-01-01T00:00:00Z","Vehicle.Powertrain.TractionBattery.CurrentVoltage":352,
        "Vehicle.Powertrain.TractionBattery.CurrentCurrent":1}"#;
    tokens.push(world.publish(session, "v1/paho/sample", late));
    world.tick();
    let answers: Vec<_> = tokens.iter().map(|token| world.answers[token]).collect();
    assert_eq!(answers, [vec![0; 20], vec![0x99]].concat());
    assert!(String::from_utf8_lossy(&world.quarantine[0]).contains("2109"));
    world.settle();
    assert_eq!(world.archived_records.len(), 20);
}

#[test]
fn a_spool_with_a_time_after_the_last_gives_up_that_record_alone() {
    let mut world = World::new();
    let client: VehicleId = "paho".parse().unwrap();
    let mut block = Block::default();
    for time in [1_700_000_000_000, Timestamp::MAX.as_millis() + 1, 1_700_000_001_000] {
        let sample = voltmesh_telemetry::Sample { time: Timestamp::from_millis(time), ..Default::default() };
        block.push(&client, &voltmesh_telemetry::Record::foreign(sample));
    }
    let entry = SamplesEntry { received: Timestamp::from_millis(world.now), block: block.take() };
    world.disk.push(Some(Entry::Samples(entry).encode()));
    world.durable = 1;
    world.crash();
    world.settle();
    assert_eq!((world.archived_records.len(), world.held(), world.quarantine.len()), (2, 0, 1));
    assert_eq!(world.counter("rejected_malformed"), 1);
}

/// Ten clients with a batch a second each for so long; the most that was held in the first minute and in the last.
fn held_at_ten_batches_a_second(seconds: u64) -> (usize, usize) {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let sessions: Vec<_> = (0..10).map(|n| world.connect(&format!("client:meter-{n}"))).collect();
    let (mut first, mut last) = (0, 0);
    for second in 0..seconds {
        for (n, session) in sessions.iter().enumerate() {
            world.publish(*session, &format!("v1/meter-{n}/sample"), sample(1_000 * second));
        }
        world.tick();
        world.wait(1_000);
        world.block();
        let held = world.core.gauges().iter().find(|(name, _)| *name == "held_batches").unwrap().1 as usize;
        if second < 60 {
            first = first.max(held);
        }
        last = if second + 60 < seconds { 0 } else { last.max(held) };
        while !world.forwards.is_empty() {
            world.cloud(true);
        }
    }
    world.settle();
    assert_eq!((world.archived_records.len() as u64, world.held()), (10 * seconds, 0));
    assert_eq!(world.counter("notices_stale"), 0);
    (first, last)
}

#[test]
fn batches_of_foreign_clients_are_released_by_their_notices() {
    let (first, last) = held_at_ten_batches_a_second(120);
    assert!(last <= first, "{first} batches were held in the first minute, {last} in the last");
}

#[test]
#[ignore = "an hour of simulated time: run it with --ignored"]
fn an_hour_of_foreign_batches_is_held_flat_slow() {
    let (first, last) = held_at_ten_batches_a_second(3_600);
    assert!(last <= first, "{first} batches were held in the first minute, {last} in the last");
}

/// A stamp ahead would be the client's newest until that time has come.
#[test]
fn a_sample_dated_ahead_is_refused_and_hides_no_newer_one() {
    let mut world = World::new();
    let session = world.connect("client:paho");
    let ahead = |ms: i64| sample((world.now as i64 + ms - 1_700_000_000_000) as u64);
    let (hours, within, now) = (ahead(7_200_000), ahead(299_000), ahead(0));
    let refused = world.publish(session, "v1/paho/sample", hours);
    let taken = [within, now].map(|payload| world.publish(session, "v1/paho/sample", payload));
    world.tick();
    assert_eq!(world.answers[&refused], 0x99);
    assert!(world.whys[&refused].contains("7200 s ahead of this node's clock"), "{}", world.whys[&refused]);
    assert_eq!((world.counter("rejected_ahead"), world.quarantine.len()), (1, 1));
    assert!(taken.iter().all(|token| world.answers[token] == 0));
}

#[test]
fn a_sample_that_is_refused_says_why() {
    let mut world = World::new();
    let session = world.connect("client:paho");
    for (json, why) in [
        (r#"{"timestamp":"2023-01-01T00:00:00.250"}"#, "has no offset from UTC: add Z"),
        (r#"{"Timestamp":1672531200000}"#, "it is spelled timestamp"),
        (r#"{"timestamp":1672531200}"#, "looks like seconds"),
        (
            r#"{"timestamp":1672531200000,"Vehicle.Powertrain.TractionBattery.CurrentVoltage":352100}"#,
            "CurrentVoltage: 352100 V is no battery's: the path is in volts",
        ),
        (
            r#"{"timestamp":1672531200000,"Vehicle.Powertrain.TractionBattery.CurrentCurrent":-12500}"#,
            "CurrentCurrent: -12500 A is no battery's",
        ),
        (
            r#"{"timestamp":1672531200000,"Vehicle.Powertrain.TractionBattery.Temperature.Average":-300}"#,
            "Temperature: -300 °C is below absolute zero",
        ),
    ] {
        let token = world.publish(session, "v1/paho/sample", json);
        world.tick();
        assert_eq!(world.answers[&token], 0x99, "{json}");
        assert!(world.whys[&token].contains(why), "{json}: {}", world.whys[&token]);
    }
}

/// What a client left for its end comes when its session is over, and also when this node has ended it.
#[test]
fn a_will_is_taken_like_any_sample_and_its_loss_is_said() {
    let peer = |name: &str| Peer {
        identity: format!("urn:voltmesh:{name}").parse().unwrap(),
        serial: "01".parse().unwrap(),
        expires_s: i64::MAX,
    };
    let mut world = World::new();
    let session = world.connect("client:paho");
    let will = |token, topic: &str, payload: Bytes| Input::Will {
        claim: Claim { session, token, arrived_us: 0 },
        peer: peer("client:paho"),
        topic: topic.into(),
        payload,
    };
    world.give(will(1, "v1/paho/sample", sample(1)));
    world.give(Input::Disconnected { session });
    world.give(will(2, "v1/paho/sample", sample(2)));
    world.give(will(3, "v1/other/sample", sample(3)));
    world.tick();
    world.settle();
    assert_eq!((world.counter("wills"), world.counter("received_records")), (2, 2));
    assert_eq!((world.counter("rejected_topic"), world.archived_records.len()), (1, 2));
    // Nothing is taken now.
    world.give(Input::Space(0));
    world.give(will(4, "v1/paho/sample", sample(4)));
    assert_eq!((world.counter("wills_lost"), world.counter("delayed_disk_full")), (1, 1));
    assert_eq!(world.core.gauges()[0], ("sessions", 0));
}

/// A client that knows one cell and the cause of another is served; one that says nothing of a battery is told so.
#[test]
fn unknown_values_of_a_client_are_taken_with_their_causes() {
    use voltmesh_telemetry::{Record, Unknown, vss};
    let json = r#"{"timestamp":1700000000000,
        "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages":[3.7,null,{"unknown":"stale"}]}"#;
    let sample = vss::parse(json.as_bytes()).unwrap();
    assert_eq!(sample.cells[2].cause(), Some(Unknown::Stale));
    // As its spool keeps it.
    let record = Record::foreign(sample);
    assert_eq!(Record::from_canonical(&record.to_canonical()), Ok(record));
}
