//! Second copies of foreign records: offered, held, taken over, settled.

use super::{
    foreign::{colliding, sample},
    *,
};

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
fn another_sample_is_refused_while_the_first_is_under_way() {
    let (one, other) = colliding();
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    let first = worlds.0.publish(session, "v1/paho/sample", one.clone());
    let second = worlds.0.publish(session, "v1/paho/sample", other.clone());
    worlds.0.tick();
    assert_eq!((worlds.0.answers.get(&first), worlds.0.answers.get(&second)), (None, Some(&0x83)));
    // No second copy comes: the session ends, the sample is in the spool all the same, and its number stays its own.
    worlds.0.copies.clear();
    worlds.0.wait(2_001);
    assert_eq!(worlds.0.answers.get(&first), None);
    let session = worlds.0.connect("client:paho");
    let again = worlds.0.publish(session, "v1/paho/sample", one);
    let second = worlds.0.publish(session, "v1/paho/sample", other);
    worlds.0.tick();
    carry(&mut worlds);
    assert_eq!((worlds.0.answers[&again], worlds.0.answers[&second]), (0, 0x83));
    worlds.0.settle();
    assert_eq!(worlds.0.archived_records.len(), 1);
}

/// The attested batches in what a world has archived, by who attests them: told by the disk of the one that holds them.
fn attested_by(world: &World) -> Vec<String> {
    let entries = world.disk.iter().flatten().filter_map(Entry::decode);
    let batches = entries.filter_map(|entry| match entry {
        Entry::Batch(entry) => SealedBatch::parse(entry.wire).ok(),
        _ => None,
    });
    let signers = batches.map(|batch| match &batch.header().signer {
        Signer::Fog(fog) => fog.clone(),
        Signer::Vehicle => "the vehicle".into(),
    });
    signers.collect()
}

/// A block of one bare record, as earlier versions offered it.
fn bare_block(time_ms: u64) -> Bytes {
    let mut block = Block::default();
    let sample = voltmesh_telemetry::vss::parse(&sample(time_ms)).unwrap();
    block.push(&"paho".parse().unwrap(), &voltmesh_telemetry::Record::foreign(sample));
    block.take()
}

#[test]
fn an_authority_that_offers_a_record_and_disowns_it_makes_nobody_attest_it() {
    let mut world = World::with(chain(), 1, Foreign::default());
    let faulty = peer(0, &world.chain);
    let block = bare_block(1);
    let digest = Digest::of(&block);
    world.give(Input::Copy { from: faulty.clone(), message: Message::Offer(block).encode() });
    world.tick();
    assert_eq!(world.counter("copies_held"), 1);
    world.give(Input::Copy { from: faulty, message: Message::Unknown(vec![digest]).encode() });
    world.tick();
    assert_eq!((world.counter("rejected_unattested"), world.quarantine.len(), world.held()), (1, 1, 0));
    assert!(String::from_utf8_lossy(&world.quarantine[0]).contains("not attested; ask the client"));
    world.settle();
    assert!(world.archived.is_empty() && world.submitted.is_empty());
    // Through its own connection it is another matter.
    let session = world.connect("client:paho");
    let mut worlds = (world, World::with(chain(), 0, Foreign::default()));
    let first = peer(0, &worlds.0.chain);
    worlds.0.give(Input::Peers(vec![first]));
    let token = worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    let offers = std::mem::take(&mut worlds.0.copies);
    let held = offers.iter().filter_map(|(_, message)| match Message::decode(message) {
        Some(Message::OfferSealed(block)) => Some(Digest::of(&block)),
        _ => None,
    });
    let message = Message::Held(held.collect()).encode();
    let from = peer(0, &worlds.0.chain);
    worlds.0.give(Input::Copy { from, message });
    worlds.0.tick();
    assert_eq!(worlds.0.answers[&token], 0);
}

#[test]
fn what_nobody_attested_is_held_and_told_and_quarantined_past_its_bound() {
    let foreign = Foreign { unattested_ms: 3_600_000, ..Foreign::default() };
    let mut world = World::with(chain(), 1, foreign);
    let silent = peer(0, &world.chain);
    world.give(Input::Copy { from: silent, message: Message::Offer(bare_block(1)).encode() });
    world.tick();
    for _ in 0..95 {
        world.wait(37_502); // asked, and no answer
    }
    assert_eq!((world.counter("copies_unattested"), world.quarantine.len(), world.held()), (1, 0, 1));
    assert!(world.core.deadline().is_some_and(|due| due.as_millis() > world.now), "no busy loop");
    for _ in 0..4 {
        world.wait(37_502);
    }
    assert_eq!((world.counter("copies_unattested"), world.quarantine.len(), world.held()), (1, 1, 0));
}

#[test]
fn what_is_taken_over_stays_the_word_of_its_first_node() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    let token = worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    carry(&mut worlds);
    assert_eq!(worlds.0.answers[&token], 0);
    let mut holder = worlds.1;
    holder.wait(30_001);
    holder.copies.clear();
    holder.wait(7_501);
    assert_eq!(attested_by(&holder), ["fog-0"]);
    // A crash in between changes nothing: the batch is held once and archived once.
    holder.crash();
    holder.wait(30_001);
    holder.wait(7_501);
    assert_eq!(attested_by(&holder), ["fog-0"]);
    holder.settle();
    assert_eq!((holder.archived_records.len(), holder.archived.len(), holder.held()), (1, 1, 0));
}

#[test]
fn a_block_that_its_sender_did_not_sign_is_refused_and_a_forged_batch_quarantined() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    let (_, message) = worlds.0.copies.pop().unwrap();
    let mut world = World::with(worlds.0.chain.clone(), 1, Foreign::default());
    // Another authority's word for it.
    let other = peer(2, &world.chain);
    world.give(Input::Copy { from: other, message: message.clone() });
    assert_eq!((world.counter("copies_refused"), world.counter("copies_held")), (1, 0));
    // Its own, with a flipped bit in the last batch's columns.
    let mut forged = message.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let first = peer(0, &world.chain);
    world.give(Input::Copy { from: first, message: forged.into() });
    world.tick();
    assert_eq!(world.counter("copies_held"), 1);
    world.wait(30_001);
    world.wait(7_501);
    assert_eq!((world.counter("rejected_signature"), world.quarantine.len()), (1, 1));
    world.settle();
    assert_eq!((world.archived.len(), world.held()), (0, 0));
}

#[test]
fn an_offer_that_was_given_up_settles_all_the_same() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    let token = worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    let offers = std::mem::take(&mut worlds.0.copies);
    worlds.0.wait(2_101);
    assert!(!worlds.0.answers.contains_key(&token) && !worlds.0.ended.is_empty());
    // The copy arrives late and is confirmed; once archived, its holder is told to forget it.
    worlds.0.copies = offers;
    carry(&mut worlds);
    assert_eq!(worlds.1.counter("copies_held"), 1);
    worlds.0.settle();
    carry(&mut worlds);
    assert_eq!((worlds.0.archived.len(), worlds.0.held(), worlds.1.held()), (1, 0, 0));
}

#[test]
fn slow_clients_wait_for_no_batch_and_fast_ones_for_attest_ms() {
    let mut worlds = pair();
    let session = worlds.0.connect("client:paho");
    let first = worlds.0.publish(session, "v1/paho/sample", sample(1));
    worlds.0.tick();
    carry(&mut worlds);
    assert_eq!(worlds.0.answers[&first], 0, "at once");
    let rest: Vec<_> = (2..10).map(|n| worlds.0.publish(session, "v1/paho/sample", sample(n))).collect();
    worlds.0.tick();
    carry(&mut worlds);
    assert!(rest.iter().all(|token| !worlds.0.answers.contains_key(token)));
    worlds.0.wait(100);
    carry(&mut worlds);
    assert!(rest.iter().all(|token| worlds.0.answers[token] == 0));
    assert_eq!(worlds.0.counter("received_batches"), 2);
    worlds.0.settle();
    assert_eq!((worlds.0.archived_records.len(), worlds.0.held()), (9, 0));
}

#[test]
fn a_failing_disk_gives_up_publishes_at_every_step_of_their_way() {
    for steps in 0..4 {
        let mut worlds = pair();
        worlds.0.syncs = false;
        let session = worlds.0.connect("client:paho");
        let token = worlds.0.publish(session, "v1/paho/sample", sample(1));
        for step in 0..steps {
            if step % 2 == 0 { worlds.0.tick() } else { worlds.0.sync() }
        }
        worlds.0.give(Input::Tick);
        worlds.0.give(Input::StorageFailed("input/output error".into()));
        assert_eq!(worlds.0.ended.len(), 1, "after {steps} steps");
        assert_eq!(worlds.0.core.gauges().iter().find(|(name, _)| *name == "inflight_bytes").unwrap().1, 0);
        carry(&mut worlds);
        assert!(!worlds.0.answers.contains_key(&token), "after {steps} steps");
        worlds.0.settle();
        assert_eq!((worlds.0.archived_records.len(), worlds.0.held()), (1, 0), "after {steps} steps");
    }
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
