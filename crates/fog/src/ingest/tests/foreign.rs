//! Samples of clients that are not ours, and their second copies.

use super::*;

fn sample(time_ms: u64) -> Bytes {
    let sample = voltmesh_telemetry::Sample {
        time: Timestamp::from_millis(1_700_000_000_000 + time_ms),
        pack_voltage: voltmesh_telemetry::Millivolts::new(352_100),
        ..voltmesh_telemetry::Sample::default()
    };
    voltmesh_telemetry::vss::to_json(&sample).into()
}

fn pair() -> (World, World) {
    let chain = chain();
    let mut worlds =
        (World::with(chain.clone(), 0, Foreign::default()), World::with(chain, 1, Foreign::default()));
    let (one, other) = (peer(0, &worlds.0.chain), peer(1, &worlds.0.chain));
    worlds.0.give(Input::Peers(vec![other]));
    worlds.1.give(Input::Peers(vec![one]));
    worlds
}

/// Carries all messages between two nodes until there are none.
fn carry(worlds: &mut (World, World)) {
    let (one, other) = (peer(0, &worlds.0.chain), peer(1, &worlds.0.chain));
    loop {
        let (there, back) = (std::mem::take(&mut worlds.0.copies), std::mem::take(&mut worlds.1.copies));
        if there.is_empty() && back.is_empty() {
            return;
        }
        for (_, message) in there {
            worlds.1.give(Input::Copy { from: one.clone(), message });
        }
        worlds.1.tick();
        for (_, message) in back {
            worlds.0.give(Input::Copy { from: other.clone(), message });
        }
        worlds.0.tick();
    }
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
fn a_sample_is_acknowledged_when_two_nodes_hold_it() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    let token = worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    assert!(!worlds.0.answers.contains_key(&token), "one node alone");
    carry(&mut worlds);
    assert_eq!(worlds.0.answers[&token], 0);
    assert_eq!((worlds.1.held(), worlds.1.counter("copies_held")), (1, 1));
    worlds.0.settle();
    carry(&mut worlds);
    assert_eq!((worlds.0.archived.len(), worlds.0.held(), worlds.1.held()), (1, 0, 0));
}

#[test]
fn a_copy_that_is_not_durable_is_not_confirmed() {
    let mut worlds = pair();
    worlds.1.syncs = false;
    let session = worlds.0.connect("client:paho");
    let token = worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    carry(&mut worlds);
    assert!(!worlds.0.answers.contains_key(&token));
    worlds.1.sync();
    carry(&mut worlds);
    assert_eq!(worlds.0.answers[&token], 0);
}

#[test]
fn without_a_second_node_there_is_no_puback() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    let token = worlds.0.publish(session, "v1/paho/sample", sample(1));
    for _ in 0..20 {
        worlds.0.wait(150);
    }
    assert!(!worlds.0.answers.contains_key(&token));
    assert_eq!(worlds.0.ended.last().map(|(ended, reason, _)| (*ended, *reason)), Some((session, 0x97)));
    assert_eq!(worlds.0.counter("delayed_no_second_copy"), 1);
    assert!(worlds.0.copies.len() > 1, "it was offered again meanwhile");
    worlds.0.settle();
    assert_eq!(worlds.0.archived.len(), 1, "it is archived all the same");
}

#[test]
fn the_holder_takes_over_when_the_first_node_is_gone() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    carry(&mut worlds);
    worlds.1.wait(30_001);
    assert_eq!(worlds.1.copies.len(), 1, "it asks");
    worlds.1.copies.clear(); // nobody answers
    worlds.1.wait(7_501);
    assert_eq!(worlds.1.counter("copies_taken_over"), 1);
    worlds.1.settle();
    assert_eq!((worlds.1.archived.len(), worlds.1.held()), (1, 0));
}

#[test]
fn the_holder_waits_while_the_first_node_takes_care() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    carry(&mut worlds);
    for _ in 0..5 {
        worlds.1.wait(30_001);
        carry(&mut worlds);
        worlds.1.wait(7_501);
        carry(&mut worlds);
    }
    assert_eq!(worlds.1.counter("copies_taken_over"), 0);
}

#[test]
fn the_holder_takes_over_what_the_first_node_has_forgotten() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    carry(&mut worlds);
    worlds.0.disk.clear();
    worlds.0.durable = 0;
    worlds.0.crash(); // with its disk
    worlds.1.crash();
    worlds.1.wait(30_001);
    carry(&mut worlds);
    worlds.1.tick();
    assert_eq!(worlds.1.counter("copies_taken_over"), 1);
    worlds.1.settle();
    assert_eq!(worlds.1.archived.len(), 1);
}

#[test]
fn copies_are_bounded_and_checked() {
    let chain = chain();
    let mut world = World::with(chain, 1, Foreign { copy_bytes: 100, ..Foreign::default() });
    let from = peer(0, &world.chain);
    let mut block = Block::default();
    let record = voltmesh_telemetry::Record::foreign(voltmesh_telemetry::Sample::default());
    (0..10).for_each(|_| block.push(&"paho".parse().unwrap(), &record));
    for message in [Message::Offer(block.take()).encode(), Message::Offer("junk".into()).encode(), "x".into()]
    {
        world.give(Input::Copy { from: from.clone(), message });
    }
    world.tick();
    assert_eq!((world.counter("copies_refused"), world.held()), (3, 0));
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
