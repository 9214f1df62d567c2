//! What must hold whatever happens.

use proptest::prelude::*;
use voltmesh_ledger::Anchor;

use super::*;

#[test]
fn a_batch_goes_all_the_way() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let session = world.vehicle(&car());
    let batch = car().batch(1, 0, 10, None);
    let token = world.send(session, &batch);
    world.tick();
    assert_eq!(world.answers[&token], 0);
    world.wait(200);
    world.block();
    assert_eq!(world.receipts_told(), [batch.id()]);
    world.cloud(true);
    assert_eq!((world.archived.len(), world.notices_told(), world.held()), (1, 1, 0));
    let counters = ["received_records", "anchored_records", "forwarded", "archived_batches"];
    assert_eq!(counters.map(|name| world.counter(name)), [10, 10, 1, 1]);
    world.tick();
    assert_eq!(world.core.deadline(), None, "nothing is left to do");
}

#[test]
fn puback_follows_durability() {
    let mut world = World::new();
    let session = world.vehicle(&car());
    world.syncs = false;
    let token = world.send(session, &car().batch(1, 0, 10, None));
    world.tick();
    world.wait(1_000);
    assert!(!world.answers.contains_key(&token));
    assert!(world.submitted.is_empty(), "what is not durable is not anchored");
    world.sync();
    assert_eq!(world.answers[&token], 0);
}

#[test]
fn a_batch_again_gets_its_receipt_and_its_notice_again() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let session = world.vehicle(&car());
    let batch = car().batch(1, 0, 10, None);
    world.send(session, &batch);
    world.wait(200);
    world.block();
    let token = world.send(session, &batch);
    world.tick();
    assert_eq!(world.answers[&token], 0);
    assert_eq!(world.receipts_told(), [batch.id(), batch.id()]);
    world.cloud(true);
    let token = world.send(session, &batch);
    world.tick();
    assert_eq!((world.answers[&token], world.notices_told()), (0, 2));
    assert_eq!((world.counter("duplicates"), world.counter("received_records")), (2, 10));
}

#[test]
fn an_archived_batch_without_a_notice_at_hand_is_forwarded_again() {
    let mut world = World::new();
    let session = world.vehicle(&car());
    let batch = car().batch(1, 0, 10, None);
    world.send(session, &batch);
    world.settle();
    world.crash(); // notices are kept in memory only
    let session = world.vehicle(&car());
    let before = world.notices_told();
    let token = world.send(session, &batch);
    world.settle();
    assert_eq!((world.answers[&token], world.held()), (0, 0));
    assert!(world.notices_told() > before);
}

#[test]
fn a_vehicle_that_was_away_is_told_at_its_hello() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let session = world.vehicle(&car());
    let all = batches(&car(), 1, 2);
    world.send(session, &all[0]);
    world.wait(200);
    world.give(Input::Disconnected { session });
    world.block();
    assert_eq!(world.receipts_told(), []);
    let session = world.vehicle(&car());
    assert_eq!(world.receipts_told(), [all[0].id()]);
    world.give(Input::Disconnected { session });
    world.cloud(true);
    assert_eq!(world.notices_told(), 0);
    world.vehicle(&car());
    assert_eq!(world.notices_told(), 1);
}

#[test]
fn a_day_without_the_cloud_loses_nothing() {
    let mut world = World::new();
    let session = world.vehicle(&car());
    let all = batches(&car(), 1, 50);
    for batch in &all {
        world.send(session, batch);
        world.wait(200);
        world.block();
    }
    world.wait(86_400_000);
    assert!(world.forwards.is_empty());
    world.settle();
    assert_eq!((world.archived.len(), world.held()), (50, 0));
}

#[test]
fn what_the_cloud_does_not_answer_or_notice_is_sent_again() {
    let mut world = World::new();
    let session = world.vehicle(&car());
    world.send(session, &car().batch(1, 0, 10, None));
    world.give(Input::CloudUp);
    world.wait(200);
    world.block();
    assert_eq!(world.forwards.len(), 1);
    world.give(Input::CloudDown);
    world.forwards.clear();
    world.give(Input::CloudUp);
    world.tick();
    assert_eq!(world.forwards.len(), 1, "after a reconnect");
    world.cloud(false);
    assert!(world.held() > 0, "a PUBACK alone releases nothing");
    world.wait(10_001);
    assert_eq!(world.forwards.len(), 1, "without a notice in time");
    assert_eq!(world.counter("forwarded_again"), 1);
}

#[test]
fn an_anchor_that_is_lost_is_submitted_again() {
    let mut world = World::new();
    let session = world.vehicle(&car());
    world.send(session, &car().batch(1, 0, 10, None));
    world.wait(200);
    assert_eq!(world.submitted.len(), 1);
    world.submitted.clear();
    world.wait(3_001);
    assert_eq!((world.submitted.len(), world.counter("anchors_resubmitted")), (1, 1));
    world.block();
    assert_eq!(world.counter("anchored_records"), 10);
    world.wait(10_000);
    assert!(world.submitted.is_empty());
}

#[test]
fn a_clouds_clock_that_is_an_hour_off_is_said() {
    let mut world = World::new();
    let batch = car().batch(1, 0, 10, None);
    let now = world.now;
    for (ms, count) in [(now, 0), (now + 299_000, 0), (now + 3_600_000, 1), (1, 2)] {
        let notice = ArchiveNotice {
            vehicle: batch.header().vehicle.clone(),
            batches: vec![ArchivedBatch::of(batch.header(), batch.id())],
            archived: Timestamp::from_millis(ms),
        };
        world.give(Input::CloudNotice(notice.sign(&cloud_key()).into()));
        assert_eq!(world.counter("cloud_clock_off"), count, "{ms}");
    }
}

#[test]
fn a_vehicles_clock_that_is_an_hour_off_is_said() {
    let mut world = World::new();
    let opening = Opening { salt: car().opening.salt, key: car().opening.key };
    let hello = Hello { opening, boot: voltmesh_telemetry::Boot::new(1), client_version: "test".into() };
    for (ms, count) in [(world.now, 0), (world.now + 299_000, 0), (world.now + 3_600_000, 1), (0, 2)] {
        let session = world.connect("edge:car");
        let hello = hello.with_clock(Timestamp::from_millis(ms));
        let token = world.publish(session, "v1/car/hello", hello.encode());
        world.tick();
        assert_eq!((world.answers[&token], world.counter("vehicle_clocks_off")), (0, count), "{ms}");
    }
}

/// What a vehicle, the disk, the ledger, the cloud and fate do.
#[derive(Debug, Clone)]
enum Step {
    Send,
    Again(usize),
    Sync,
    Fail,
    Wait(u64),
    Block,
    LoseAnchors,
    Cloud(bool),
    CloudUp,
    CloudDown,
    Reconnect,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Send),
        2 => (0usize..40).prop_map(Step::Again),
        5 => Just(Step::Sync),
        1 => Just(Step::Fail),
        4 => (1u64..5_000).prop_map(Step::Wait),
        4 => Just(Step::Block),
        1 => Just(Step::LoseAnchors),
        3 => any::<bool>().prop_map(Step::Cloud),
        2 => Just(Step::CloudUp),
        1 => Just(Step::CloudDown),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_forgotten_before_it_is_archived(steps in steps()) {
        let car = car();
        let all = batches(&car, 1, 40);
        let mut world = World::new();
        let mut session = world.vehicle(&car);
        let (mut sent, mut claims) = (0, BTreeMap::new());
        for step in steps {
            world.syncs = false;
            match step {
                Step::Send if sent < all.len() => {
                    claims.insert(world.send(session, &all[sent]), sent);
                    sent += 1;
                }
                Step::Send => {}
                Step::Again(n) if n < sent => {
                    claims.insert(world.send(session, &all[n]), n);
                }
                Step::Again(_) => {}
                Step::Sync => world.sync(),
                Step::Fail => world.give(Input::StorageFailed("no space".into())),
                Step::Wait(ms) => world.now += ms,
                Step::Block => world.block(),
                Step::LoseAnchors => world.submitted.clear(),
                Step::Cloud(notices) => world.cloud(notices),
                Step::CloudUp => world.give(Input::CloudUp),
                Step::CloudDown => {
                    world.give(Input::CloudDown);
                    world.forwards.clear();
                }
                Step::Reconnect => {
                    world.give(Input::Disconnected { session });
                    session = again(&mut world, &car);
                }
                Step::Crash => {
                    world.crash();
                    session = again(&mut world, &car);
                }
            }
            world.give(Input::Tick);
            // Nothing is acknowledged that neither the durable disk nor the archive holds.
            let durable: BTreeSet<BatchId> =
                world.disk[..world.durable].iter().flatten().filter_map(batch_in).collect();
            for (token, n) in &claims {
                if world.answers.get(token) == Some(&0) {
                    let id = all[*n].id();
                    prop_assert!(durable.contains(&id) || world.archived.contains(&id), "batch {} is nowhere", n);
                }
            }
            if world.ended.iter().any(|(ended, ..)| *ended == session) {
                session = again(&mut world, &car);
            }
        }
        world.settle();
        for (token, n) in &claims {
            if world.answers.get(token) == Some(&0) {
                prop_assert!(world.archived.contains(&all[*n].id()), "acknowledged, not archived: {}", n);
            }
        }
        prop_assert_eq!(world.held(), 0, "everything is archived, so nothing is kept");
        prop_assert_eq!(world.counter("rejected"), 0);
    }
}

fn again(world: &mut World, car: &Vehicle) -> SessionId {
    let session = world.connect(&format!("edge:{}", car.id));
    world.hello(session, car);
    session
}

fn batch_in(entry: &Bytes) -> Option<BatchId> {
    match Entry::decode(entry)? {
        Entry::Batch(entry) => Some(SealedBatch::parse(entry.wire).ok()?.id()),
        _ => None,
    }
}

/// An anchor of another authority that names this batch, too.
fn anchor_of_another(world: &World, sequence: u64, batch: BatchId) -> Transaction {
    let chain = world.chain.network.genesis().digest();
    let other = world.chain.network.authority(1);
    Transaction::Anchor(Anchor::sign(&chain, other, sequence, 10, vec![batch]))
}

/// A vehicle offered its batch to two nodes, and both have put it into the log: whoever holds it tells the cloud of both
/// entries, whichever comes first.
#[test]
fn the_cloud_hears_of_every_entry_that_names_a_held_batch() {
    for own_first in [true, false] {
        let mut world = World::new();
        world.give(Input::CloudUp);
        let session = world.vehicle(&car());
        let batch = car().batch(1, 0, 10, None);
        world.send(session, &batch);
        world.wait(200);
        let own = world.submitted.pop().expect("an anchor");
        let other = anchor_of_another(&world, 0, batch.id());
        let (first, second) = if own_first { (own, other) } else { (other, own) };
        world.submitted = vec![first];
        world.block();
        world.cloud(true);
        if !own_first {
            assert!(world.held() > 0, "its own anchor is under way");
        }
        world.submitted = vec![second];
        world.block();
        world.cloud(true);
        world.tick();
        assert_eq!(world.held(), 0, "own first: {own_first}");
        let told: BTreeSet<_> = world.told_entries.iter().copied().collect();
        let expected = if own_first { 1 } else { 2 };
        assert_eq!(told.len(), expected, "{told:?}");
    }
}

/// Both entries are in one block, or the second comes before the first is answered; the node dies in between, or not.
#[test]
fn entries_that_name_one_batch_are_told_one_after_the_other_also_after_a_crash() {
    for crash in [false, true] {
        let mut world = World::new();
        let session = world.vehicle(&car());
        let batch = car().batch(1, 0, 10, None);
        world.send(session, &batch);
        world.wait(200);
        let other = anchor_of_another(&world, 0, batch.id());
        world.submitted.push(other);
        world.block();
        if crash {
            world.crash();
        }
        world.give(Input::CloudUp);
        world.tick();
        world.cloud(true);
        assert!(world.held() > 0, "the second entry is not told yet");
        world.cloud(true);
        assert_eq!((world.held(), world.told_entries.len()), (0, 2));
        assert!(world.disk.iter().all(Option::is_none), "all its evidence is released");
    }
}
