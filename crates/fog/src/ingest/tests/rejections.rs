//! Each bad input: its reason code, its counter, its words, and that nothing valid is lost by it.

use super::{delays::delay, *};
use voltmesh_telemetry::{Place, Record, seal};

/// Publishes `payload` after one good batch; expects a permanent rejection.
fn reject(topic: &str, payload: impl Into<Bytes>, reason: u8, counter: &str, words: &str) {
    let mut world = World::new();
    let session = world.vehicle(&car());
    let good = world.send(session, &car().batch(1, 0, 10, None));
    let bad = world.publish(session, topic, payload);
    world.tick();
    assert_eq!(world.answers.get(&bad), Some(&reason), "{counter}: {:?}", world.ended);
    assert_eq!(world.answers[&good], 0);
    assert_eq!((world.counter(counter), world.counter("rejected"), world.counter("quarantined")), (1, 1, 1));
    let quarantined = String::from_utf8_lossy(&world.quarantine[0]).into_owned();
    assert!(quarantined.contains(words) && quarantined.contains(counter), "{quarantined}");
    world.settle();
    assert_eq!(world.archived.len(), 1, "the good batch is not affected");
}

fn foreign_batch(vehicle: &str, key: &SigningKey) -> Bytes {
    let source = car().batch(1, 10, 10, Some(car().batch(1, 0, 10, None).id()));
    let records: Vec<Record> = source.open().unwrap();
    let place = Place {
        vehicle: vehicle.parse().unwrap(),
        boot: voltmesh_telemetry::Boot::new(1),
        previous: source.header().previous,
        signer: Signer::Vehicle,
    };
    seal(&place, &records, &Secret::new([9; 32]), key).unwrap().wire().clone()
}

#[test]
fn topics_of_others() {
    let batch = car().batch(1, 10, 10, None.or(Some(car().batch(1, 0, 10, None).id())));
    for topic in ["v1/other/batch", "v1/car/receipt", "v1/car", "v1/fog/fog-1/envelope", "v1/carx/batch", ""]
    {
        reject(topic, batch.wire().clone(), 0x90, "rejected_topic", "publish under v1/");
    }
}

#[test]
fn sizes() {
    reject("v1/car/hello", vec![0; 257], 0x99, "rejected_oversized", "at most 256");
    reject("v1/car/batch", vec![0; (1 << 20) + 1], 0x99, "rejected_oversized", "at most 1048576");
    reject("v1/car/sample", vec![b' '; (64 << 10) + 1], 0x99, "rejected_oversized", "at most 65536");
}

#[test]
fn malformed_bytes() {
    reject("v1/car/hello", "nonsense", 0x99, "rejected_malformed", "hello cannot be read");
    reject("v1/car/batch", "nonsense", 0x99, "rejected_malformed", "batch cannot be read");
    reject("v1/car/sample", "{}", 0x99, "rejected_malformed", "sample cannot be read");
    // CBOR that claims 2^63 elements, and one that nests without end.
    reject(
        "v1/car/batch",
        vec![0x9b, 0x7f, 255, 255, 255, 255, 255, 255, 255],
        0x99,
        "rejected_malformed",
        "batch",
    );
    reject("v1/car/batch", vec![0x81; 100_000], 0x99, "rejected_malformed", "batch");
    let cut = car().batch(1, 10, 10, Some(car().batch(1, 0, 10, None).id())).wire().slice(..200);
    reject("v1/car/batch", cut, 0x99, "rejected_malformed", "batch");
}

#[test]
fn wrong_vehicle_key_or_signature() {
    reject(
        "v1/car/batch",
        foreign_batch("other", &car().key),
        0x87,
        "rejected_vehicle",
        "its own batches only",
    );
    reject(
        "v1/car/batch",
        foreign_batch("car", &other_key()),
        0x87,
        "rejected_key",
        "sign with the enrolled key",
    );
    let mut wire = car().batch(1, 10, 10, Some(car().batch(1, 0, 10, None).id())).wire().to_vec();
    *wire.last_mut().unwrap() ^= 1;
    reject("v1/car/batch", wire, 0x87, "rejected_signature", "does not verify");
}

#[test]
fn any_flipped_bit_is_found() {
    let wire = car().batch(1, 10, 10, Some(car().batch(1, 0, 10, None).id())).wire().to_vec();
    let mut world = World::new();
    let session = world.vehicle(&car());
    world.send(session, &car().batch(1, 0, 10, None));
    for at in (0..wire.len()).step_by(7) {
        let mut wire = wire.clone();
        wire[at] ^= 1 << (at % 8);
        let token = world.publish(session, "v1/car/batch", wire);
        world.tick();
        assert!(world.answers[&token] >= 0x80, "byte {at}");
    }
}

#[test]
fn chains() {
    let first = car().batch(1, 0, 10, None);
    let fork = car().batch(1, 0, 5, None);
    reject(
        "v1/car/batch",
        fork.wire().clone(),
        0x83,
        "rejected_boot_reused",
        "raise the vehicle's boot counter",
    );
    let broken = car().batch(1, 10, 10, Some(fork.id()));
    reject(
        "v1/car/batch",
        broken.wire().clone(),
        0x83,
        "rejected_chain",
        "broken chain in boot 1 at record 10",
    );
    let overlap = car().batch(1, 5, 10, Some(first.id()));
    reject("v1/car/batch", overlap.wire().clone(), 0x83, "rejected_fork", "fork of boot 1 at record 5");
}

#[test]
fn a_gap_is_taken_and_counted() {
    let mut world = World::new();
    let session = world.vehicle(&car());
    let all = batches(&car(), 1, 3);
    world.send(session, &all[0]);
    let token = world.send(session, &all[2]);
    world.tick();
    assert_eq!((world.answers[&token], world.counter("gaps")), (0, 1));
    let token = world.send(session, &all[1]);
    world.tick();
    assert_eq!((world.answers[&token], world.counter("gaps")), (0, 1));
}

#[test]
fn a_revoked_key_is_rejected_and_what_it_anchors_does_not_count() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let session = world.vehicle(&car());
    let all = batches(&car(), 1, 2);
    world.send(session, &all[0]);
    world.tick();
    let anchor = std::mem::take(&mut world.submitted);
    world.chain.act(vec![voltmesh_ledger::Action::RevokeVehicle { commitment: car().commitment() }]);
    world.deliver(world.chain.blocks.len() - 1);
    let token = world.send(session, &all[1]);
    world.tick();
    assert_eq!((world.answers[&token], world.counter("rejected_revoked")), (0x87, 1));
    world.submitted = anchor;
    world.wait(200);
    world.block();
    assert_eq!((world.forwards.len(), world.counter("rejected_revoked"), world.held()), (0, 2, 0));
    let session = world.connect("edge:car");
    let token = world.hello(session, &car());
    world.tick();
    assert_eq!(world.answers[&token], 0x87);
}

#[test]
fn forged_and_stale_notices_release_nothing() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let session = world.vehicle(&car());
    let all = batches(&car(), 1, 2);
    world.send(session, &all[0]);
    world.wait(200);
    world.block();
    let held = world.held();
    world.give(Input::CloudNotice(notice(&all[0], &other_key())));
    world.give(Input::CloudNotice(Bytes::from_static(b"nonsense")));
    world.give(Input::CloudNotice(notice(&all[1], &cloud_key())));
    world.tick();
    assert_eq!((world.counter("notices_forged"), world.counter("notices_stale")), (2, 1));
    assert_eq!(world.held(), held);
    world.give(Input::CloudNotice(notice(&all[0], &cloud_key())));
    world.tick();
    assert_eq!(world.held(), held, "its own envelope is still to be answered");
    world.give(Input::CloudAnswer { batch: all[0].id(), reason: 0 });
    world.tick();
    assert_eq!(world.held(), 0);
}

/// While the cloud's key is replaced, the node takes notices and statements of both; afterwards those of the new one alone.
#[test]
fn a_notice_counts_under_any_key_that_is_configured() {
    let (old, new) = (cloud_key(), other_key());
    for (keys, signer, counts) in [
        (vec![&old, &new], &old, true),
        (vec![&old, &new], &new, true),
        (vec![&new], &old, false),
        (vec![&new], &new, true),
        (vec![], &old, false),
    ] {
        let chain = chain();
        let mut settings = settings(&chain, 0, Foreign { second_copy: false, ..Foreign::default() });
        settings.cloud_keys = keys.iter().map(|key| key.verifying_key()).collect();
        let mut world = World::of(chain, settings);
        world.give(Input::CloudUp);
        let session = world.vehicle(&car());
        let batch = car().batch(1, 0, 10, None);
        world.send(session, &batch);
        world.wait(200);
        world.block();
        world.give(Input::CloudNotice(notice(&batch, signer)));
        world.give(Input::CloudAnswer { batch: batch.id(), reason: 0 });
        world.tick();
        assert_eq!((world.held() == 0, world.counter("notices_forged")), (counts, u64::from(!counts)));
    }
}

#[test]
fn what_the_cloud_rejects_is_quarantined_and_released() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let session = world.vehicle(&car());
    world.send(session, &car().batch(1, 0, 10, None));
    world.wait(200);
    world.block();
    let batch = world.forwards[0].0;
    world.give(Input::CloudAnswer { batch, reason: 0x83 });
    world.tick();
    assert_eq!((world.counter("rejected_by_cloud"), world.quarantine.len(), world.held()), (1, 1, 0));
}

#[test]
fn what_one_sends_does_not_wash_out_what_others_sent() {
    let mut world = World::new();
    let honest = world.connect("client:meter");
    world.publish(honest, "v1/meter/sample", "a broken sample");
    world.tick();
    let share = Spool::default().quarantine_bytes / 16;
    let rubbish = vec![b'x'; 60_000];
    let mut session = world.connect("client:mallory");
    let mut refused = 0;
    while refused < 20 {
        let token = world.publish(session, "v1/mallory/sample", rubbish.clone());
        world.tick();
        if !world.answers.contains_key(&token) {
            let (ended, reason, why) = world.ended.last().unwrap();
            assert_eq!((*ended, *reason), (session, 0x97));
            assert!(why.contains("your share of the quarantine"), "{why}");
            refused += 1;
            session = world.connect("client:mallory"); // and again
        }
    }
    let kept: usize = world.quarantine.iter().map(Bytes::len).sum();
    assert!(kept as u64 <= share + 1_000, "{kept}");
    assert_eq!(world.counter("delayed_quarantine_used"), 20);
    let token = world.publish(honest, "v1/meter/sample", "another broken sample");
    world.tick();
    assert_eq!(world.answers[&token], 0x99, "others have their own share");
}

#[test]
fn a_vehicle_sends_samples_only_while_its_key_counts() {
    let mut world = World::new();
    let sample = |n: u64| {
        let time = Timestamp::from_millis(1_700_000_000_000 + n);
        voltmesh_telemetry::vss::to_json(&voltmesh_telemetry::Sample { time, ..Default::default() })
    };
    let session = world.connect("edge:car");
    let token = world.publish(session, "v1/car/sample", sample(1));
    delay(&mut world, session, token, "delayed_no_hello", "publish v1/<id>/hello first");
    let session = world.vehicle(&car());
    let token = world.publish(session, "v1/car/sample", sample(1));
    world.tick();
    assert_eq!(world.answers.get(&token), Some(&0));
    world.chain.act(vec![voltmesh_ledger::Action::RevokeVehicle { commitment: car().commitment() }]);
    world.deliver(world.chain.blocks.len() - 1);
    let token = world.publish(session, "v1/car/sample", sample(2));
    world.tick();
    assert_eq!((world.answers[&token], world.counter("rejected_revoked")), (0x87, 1));
}

#[test]
fn a_client_with_the_id_of_a_vehicle_is_shut_out() {
    let mut world = World::new();
    let client = world.connect("client:car");
    assert!(world.ended.is_empty(), "no vehicle of that id is known");
    world.vehicle(&car());
    let (ended, reason, why) = world.ended.last().unwrap();
    assert_eq!((*ended, *reason), (client, 0x87));
    assert!(why.contains("a vehicle's id"), "{why}");
    let again = world.connect("client:car");
    assert_eq!((world.ended.last().unwrap().0, world.ended.len()), (again, 2));
    world.connect("client:bus");
    assert_eq!(world.ended.len(), 2);
}
