//! What is not taken for now: no PUBACK, the session ends, and nothing is lost.

use super::*;

/// Expects a transient failure: no PUBACK, DISCONNECT 0x97.
pub fn delay(world: &mut World, session: SessionId, token: u64, counter: &str, words: &str) {
    world.tick();
    assert_eq!(world.answers.get(&token), None);
    let (ended, reason, why) = world.ended.last().expect("the session ends");
    assert_eq!((*ended, *reason), (session, 0x97));
    assert!(why.contains(words), "{why}");
    assert!(world.counter(counter) >= 1, "{counter}");
    assert_eq!((world.counter("rejected"), world.quarantine.len()), (0, 0));
}

#[test]
fn without_hello_or_enrolment_it_is_only_delayed() {
    let mut world = World::new();
    let session = world.connect("edge:car");
    let token = world.send(session, &car().batch(1, 0, 10, None));
    delay(&mut world, session, token, "delayed_no_hello", "publish v1/<id>/hello first");
    let stranger = Vehicle::new("stranger");
    let session = world.connect("edge:stranger");
    let token = world.hello(session, &stranger);
    delay(&mut world, session, token, "delayed_not_enrolled", "is not enrolled at height 1");
    world.chain.enrol(&[stranger.commitment()]);
    world.deliver(world.chain.blocks.len() - 1);
    world.vehicle(&stranger);
}

#[test]
fn a_ledger_that_is_behind_delays() {
    let chain = chain();
    let settings = settings(&chain, 0, Foreign::default());
    let mut world = World::of(chain, settings.clone());
    world.core = Ingest::new(settings, Position(0));
    world.ledger(false);
    let session = world.connect("edge:car");
    let token = world.hello(session, &car());
    delay(&mut world, session, token, "delayed_ledger_behind", "catching up");
}

#[test]
fn a_full_disk_delays_and_loses_nothing() {
    let mut world = World::new();
    let session = world.vehicle(&car());
    let all = batches(&car(), 1, 2);
    let good = world.send(session, &all[0]);
    world.tick();
    world.give(Input::Space(Spool::default().reserve_bytes + 10));
    let token = world.send(session, &all[1]);
    delay(&mut world, session, token, "delayed_disk_full", "the disk is full to its mark");
    assert_eq!(world.answers[&good], 0);
    world.give(Input::Space(u64::MAX));
    world.give(Input::SpoolUsed(Spool::default().capacity_bytes));
    let session = world.vehicle(&car());
    let token = world.send(session, &all[1]);
    delay(&mut world, session, token, "delayed_disk_full", "the disk is full to its mark");
    world.give(Input::SpoolUsed(0));
    let session = world.vehicle(&car());
    let token = world.send(session, &all[1]);
    world.tick();
    assert_eq!(world.answers[&token], 0);
    world.settle();
    assert_eq!(world.archived.len(), 2);
}

#[test]
fn a_failing_disk_delays_and_says_so() {
    let mut world = World::new();
    let session = world.vehicle(&car());
    world.syncs = false;
    let token = world.send(session, &car().batch(1, 0, 10, None));
    world.give(Input::Tick);
    world.give(Input::StorageFailed("fdatasync: input/output error".into()));
    delay(&mut world, session, token, "delayed_spool_failing", "input/output error");
    let session = world.connect("edge:car");
    world.hello(session, &car());
    world.sync();
    let token = world.send(session, &car().batch(1, 0, 10, None));
    world.tick();
    world.sync();
    assert_eq!(world.answers.get(&token), Some(&0), "the same batch again, once the disk works");
}

#[test]
fn too_much_at_once_delays() {
    let chain = chain();
    let mut settings = settings(&chain, 0, Foreign::default());
    settings.limits.inflight_bytes = 100;
    let mut world = World::of(chain, settings);
    let session = world.vehicle(&car());
    let token = world.send(session, &car().batch(1, 0, 10, None));
    delay(&mut world, session, token, "delayed_busy", "slow down");
}

#[test]
fn too_many_sessions_are_sent_elsewhere() {
    let chain = chain();
    let mut settings = settings(&chain, 0, Foreign::default());
    settings.limits.sessions = 1;
    let mut world = World::of(chain, settings);
    world.connect("edge:car");
    let second = world.connect("edge:other");
    assert_eq!(world.ended.last().map(|(session, reason, _)| (*session, *reason)), Some((second, 0x97)));
}

#[test]
fn a_node_whose_key_does_not_serve_sends_vehicles_elsewhere() {
    let chain = chain();
    let settings = Settings { key: key(99), ..settings(&chain, 0, Foreign::default()) };
    let mut world = World::of(chain, settings);
    let session = world.connect("edge:car");
    let token = world.hello(session, &car());
    delay(&mut world, session, token, "delayed_not_authority", "use another fog node");
}
