//! What is handed on to be looked into: what is durable and verified, each record once.

use super::*;

fn world(feeding: bool) -> World {
    let mut world = World::new();
    if feeding {
        world.core.feed();
    }
    world
}

fn sample(ms: u64) -> String {
    voltmesh_telemetry::vss::to_json(&voltmesh_telemetry::Sample {
        time: Timestamp::from_millis(1_700_000_000_000 + ms),
        pack_voltage: voltmesh_telemetry::Millivolts::new(352_100),
        ..Default::default()
    })
}

#[test]
fn a_batch_is_fed_once_when_it_is_durable() {
    let mut world = world(true);
    let car = car();
    let session = world.vehicle(&car);
    let batch = batches(&car, 1, 1).remove(0);
    world.syncs = false;
    world.send(session, &batch);
    world.tick();
    assert_eq!(world.fed, [], "not durable yet");
    world.syncs = true;
    world.tick();
    let content = FeedContent::Batch(batch.wire().clone());
    assert_eq!(world.fed, [Feed { arrived_us: 0, content }]);
    world.send(session, &batch);
    world.tick();
    assert_eq!(world.fed.len(), 1, "it came again");
}

#[test]
fn what_is_refused_is_not_fed() {
    let mut world = world(true);
    let car = car();
    let session = world.vehicle(&car);
    let mut wire = batches(&car, 1, 1).remove(0).wire().to_vec();
    let last = wire.len() - 1;
    wire[last] ^= 1;
    world.publish(session, &format!("v1/{}/batch", car.id), wire);
    world.tick();
    assert_eq!((world.fed.len(), world.counter("rejected")), (0, 1));
}

#[test]
fn samples_of_clients_are_fed_as_they_came_and_not_again_as_the_batch_that_attests_them() {
    let mut world = world(true);
    let session = world.connect("client:paho");
    for ms in 0..3 {
        world.publish(session, "v1/paho/sample", sample(ms));
    }
    world.tick();
    world.wait(1_000);
    let [Feed { content: FeedContent::Samples(block), .. }] = &world.fed[..] else {
        panic!("{:?}", world.fed);
    };
    let (records, unreadable) = Block::read(block).unwrap();
    assert_eq!((records.len(), unreadable.len()), (3, 0));
    assert!(world.disk.len() > 1, "the attested batch is in the spool, too");
}

#[test]
fn without_a_reader_nothing_is_fed() {
    let mut world = world(false);
    let car = car();
    let session = world.vehicle(&car);
    world.send(session, &batches(&car, 1, 1)[0]);
    let client = world.connect("client:paho");
    world.publish(client, "v1/paho/sample", sample(0));
    world.tick();
    assert_eq!(world.fed, []);
}
