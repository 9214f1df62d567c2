//! What the core does in single cases, in its [world](super::world).

use super::world::{Event, FOGS, World, credentials, forge, rules, sample, settle, trust};
use crate::agent::{Agent, Found, KeepUntil, Rules};
use crate::entry;
use crate::sources::Cursor;
use crate::{FogIndex, Input, Output};
use bytes::Bytes;
use voltmesh_control::{BatchReceipt, Handovers, Receipts};
use voltmesh_ledger::commitment;
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Millivolts16, Sample, Timestamp};

/// A world with `count` durable batches of four records, sent to a fog node that keeps them to itself.
fn with_batches(count: u64) -> World {
    let mut world = World::new(1000);
    world.fogs.iter_mut().for_each(|fog| fog.swallows = true);
    world.feed(4 * count);
    while world.deliver() {}
    assert_eq!(world.durable, count);
    world
}

#[test]
fn forged_and_stale_notices_are_refused_and_counted() {
    let mut world = with_batches(2);
    forge(&mut world, 0);
    assert_eq!(world.acked.len(), 0);
    let counters = world.agent.counters();
    assert_eq!(counters["notices_refused"], 6, "{:?}", world.warnings);
    assert!(world.warnings.iter().any(|w| w.contains("it is for vehicle car-2")), "{:?}", world.warnings);

    let wire = world.stored(0).batch.wire().clone();
    world.archive(wire.clone());
    while world.deliver() {}
    assert_eq!(world.acked.len(), 1);
    // The same notice again: stale, and harmless.
    world.archive(wire);
    while world.deliver() {}
    assert_eq!(world.agent.counters()["notices_unmatched"], 1);
    assert_eq!(world.acked.len(), 1);
    assert_eq!(world.agent.counters()["forgotten"], 4);
}

#[test]
fn receipts_are_checked_against_the_trust_file() {
    let mut world = with_batches(1);
    let batch = world.stored(0).batch.id();
    let opening = credentials(trust(world.chain.trust())).opening();
    let signer = commitment("car-1", &opening.salt, &opening.key);
    let evidence = world.chain.anchor(&[batch]).evidence(&batch, &signer).unwrap().to_bytes();
    let receipts = |batch, evidence: Bytes| {
        let message = Receipts { items: vec![BatchReceipt { batch, evidence }] }.encode();
        Input::Receipts { message: message.into() }
    };
    for at in (0..evidence.len()).step_by(97) {
        let mut flipped = evidence.to_vec();
        flipped[at] ^= 4;
        world.input(receipts(batch, flipped.into()));
    }
    assert_eq!(world.agent.counters()["anchored"], 0);
    world.input(receipts(BatchId::from([1; 32]), evidence.clone()));
    assert_eq!(world.agent.counters()["anchored"], 0, "a receipt for a batch that is not ours");
    world.input(receipts(batch, evidence.clone()));
    world.input(receipts(batch, evidence));
    assert_eq!(world.agent.counters()["anchored"], 4, "counted once");
    assert_eq!(world.acked.len(), 0, "an anchored record is kept until it is archived");
    assert_eq!(world.agent.latencies()[0].1.len(), 1);
}

#[test]
fn a_hand_over_is_followed_or_refused() {
    let mut world = with_batches(1);
    world.input(Input::Trust { message: Bytes::from_static(b"nonsense") });
    assert_eq!(world.agent.counters()["trust_refused"], 1);
    world.chain.advance_to(10);
    let items = world.chain.handovers().iter().map(|h| h.to_bytes()).collect();
    world.input(Input::Trust { message: Handovers { items }.encode().into() });
    assert_eq!(world.agent.counters()["trust_refused"], 1);
}

#[test]
fn policies_forget_at_their_stage() {
    let check = |keep_until, stage: &str| {
        let mut world = World::new(4);
        let rules = Rules { keep_until, ..rules(1) };
        world.agent = Agent::new(rules, credentials(trust(world.chain.trust())), Found::default());
        world.events.clear();
        world.input(Input::Tick);
        world.feed(4);
        let mut forgotten = Vec::new();
        for _ in 0..50 {
            let Some(Event::Input(input)) = world.events.pop_front() else { continue };
            if let Input::Synced { durable, .. } = &input {
                world.durable = durable.0;
            }
            for output in world.agent.handle(world.now, input) {
                match output {
                    Output::Forget { position } => forgotten.push(position),
                    output => world.perform(output),
                }
            }
        }
        assert_eq!(forgotten.len(), usize::from(stage == "received"), "{stage}");
    };
    check(KeepUntil::Received, "received");
    check(KeepUntil::Anchored, "anchored");
    check(KeepUntil::Archived, "archived");
}

#[test]
fn the_nearest_node_is_used_and_the_next_one_at_once_when_it_fails() {
    let mut world = World::new(1000);
    while world.deliver() {}
    assert_eq!(world.connects, vec![0], "the nearest by round trip");
    world.fogs[0].swallows = true;
    world.feed(4);
    while world.deliver() {}
    world.fail_fog(0);
    while world.deliver() {}
    assert_eq!(world.connects, vec![0, 1], "without any time passing");
    assert_eq!(world.acked.len(), 1, "what node 0 had kept to itself came through node 1");
    assert_eq!(world.agent.counters()["failovers"], 1);

    // All are down: back-off with jitter, never longer than its bound.
    world.fail_fog(1);
    world.fail_fog(2);
    let mut tried = world.connects.len();
    for _ in 0..40 {
        while world.deliver() {}
        let due = world.agent.deadline().unwrap();
        assert!(due.millis_since(world.now) <= 60_000, "{due:?}");
        world.now = world.now.max(due);
        world.input(Input::Tick);
    }
    while world.deliver() {}
    tried = world.connects.len() - tried;
    assert!((5..=40).contains(&tried), "{tried} attempts");
}

#[test]
fn silence_while_an_answer_is_due_asks_for_a_sign_of_life() {
    let mut world = with_batches(1);
    let outputs = |world: &mut World, ms| {
        world.now = world.now.plus_millis(ms);
        world.agent.handle(world.now, Input::Tick)
    };
    assert!(!outputs(&mut world, 199).iter().any(|o| matches!(o, Output::Ping(_))));
    assert_eq!(outputs(&mut world, 1), vec![Output::Ping(FogIndex(0))]);
    assert!(outputs(&mut world, 100).is_empty(), "once");
}

#[test]
fn a_node_that_swallows_data_is_left_after_a_time() {
    let mut world = World::new(1000);
    while world.deliver() {}
    world.fogs[0].swallows = true;
    world.feed(8);
    while world.deliver() {}
    assert_eq!(world.acked.len(), 0);
    world.pass(5_001);
    while world.deliver() {}
    assert_eq!(world.connects, vec![0, 1]);
    assert_eq!(world.acked.len(), 2);
    assert_eq!(world.agent.counters()["offered_again"], 8);
}

#[test]
fn a_full_spool_stops_the_source_and_drops_nothing() {
    let mut world = with_batches(1);
    let full = rules(1).max_spool_bytes;
    world.input(Input::Synced { durable: Position(1), bytes: full });
    assert!(world.paused && !world.agent.is_ready());
    let cursor = Cursor::default();
    world.input(Input::Sample { sample: sample(1), cursor });
    assert_eq!(world.agent.counters()["refused"], 1);
    assert_eq!(world.agent.counters()["held"], 1);
    world.input(Input::Synced { durable: Position(1), bytes: 0 });
    assert!(!world.paused);
    world.input(Input::SyncFailed { reason: "no space".into() });
    assert!(world.paused, "a disk that fails stops the source too");
}

#[test]
fn an_agent_that_is_told_to_stop_ends_though_its_disk_fails() {
    let mut world = World::new(1000);
    world.disk_works = false;
    world.feed(3);
    world.input(Input::Stop);
    assert!(!world.finished, "the disk is tried once more, with what was sealed last");
    while world.deliver() {}
    assert!(world.finished);
    assert_eq!((world.durable, world.agent.counters()["spooled"]), (0, 0), "nothing counts as kept");

    let mut world = World::new(1000);
    world.disk_works = false;
    world.feed(3);
    world.pass(1000);
    while world.deliver() {}
    world.disk_works = true;
    world.input(Input::Stop);
    assert!(!world.finished, "a failure before the stop is none after it");
    world.schedule_sync();
    while world.deliver() {}
    assert!(world.finished);
    assert_eq!(world.agent.counters()["spooled"], 3);
}

#[test]
fn a_disk_that_fails_five_times_a_second_is_said_each_ten_seconds() {
    let mut world = World::new(1000);
    for _ in 0..100 {
        world.input(Input::SyncFailed { reason: "no space".into() });
        world.pass(200);
    }
    let said = world.warnings.iter().filter(|warning| warning.contains("cannot be written")).count();
    assert_eq!(said, 2, "{:?}", world.warnings);
    assert_eq!(world.agent.counters()["sync_failures"], 100);
}

#[test]
fn a_rejected_batch_is_kept_and_offered_again() {
    let mut world = with_batches(1);
    world.input(Input::Answered { fog: FogIndex(0), position: Position(0), code: 0x99 });
    assert_eq!(world.agent.counters()["rejected"], 1);
    assert_eq!((world.agent.counters()["received"], world.agent.counters()["held"]), (0, 1));
    assert!(world.warnings.last().unwrap().contains("0x99"));
    world.fogs.iter_mut().for_each(|fog| fog.swallows = false);
    world.pass(5_001);
    while world.deliver() {}
    assert_eq!(world.acked.len(), 1);
}

#[test]
fn a_batch_is_sealed_by_age_and_split_by_size() {
    let mut world = World::new(1000);
    world.feed(1);
    assert_eq!(world.spool.len(), 0);
    world.pass(1000);
    assert_eq!(world.spool.len(), 1);

    let rules = Rules { max_records: 2048, ..rules(1) };
    let mut agent = Agent::new(rules, credentials(trust(world.chain.trust())), Found::default());
    let mut persisted = Vec::new();
    let mut random = 1u64;
    for index in 0..2048 {
        let cells = (0..512).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Millivolts16::new((random >> 48) as u16)
        });
        let sample = Sample { cells: cells.collect(), ..sample(index) };
        for output in agent.handle(world.now, Input::Sample { sample, cursor: Cursor::default() }) {
            if let Output::Persist { position, entry } = output {
                persisted.push(entry::decode(position, &entry).unwrap().batch);
            }
        }
    }
    assert!(persisted.len() > 1, "noise does not fit one batch");
    let counts: u32 = persisted.iter().map(|b| b.header().count).sum();
    assert_eq!(counts, 2048);
    for pair in persisted.windows(2) {
        assert_eq!(pair[1].header().previous, Some(pair[0].id()));
        assert_eq!(pair[1].header().first, pair[0].header().next());
    }
}

#[test]
fn a_clock_that_is_off_is_said_once_an_hour() {
    // The test chain's blocks are of the first seconds of 1970.
    for (now, off) in [(100_000, 0), (1_000_000, 2)] {
        let mut world = World::new(1000);
        world.now = Timestamp::from_millis(now);
        world.fogs.iter_mut().for_each(|fog| fog.swallows = true);
        world.feed(8);
        while world.deliver() {}
        let opening = credentials(trust(world.chain.trust())).opening();
        let signer = commitment("car-1", &opening.salt, &opening.key);
        for position in 0..2 {
            let batch = world.stored(position).batch.id();
            let evidence = world.chain.anchor(&[batch]).evidence(&batch, &signer).unwrap().to_bytes();
            let message = Receipts { items: vec![BatchReceipt { batch, evidence }] }.encode();
            world.input(Input::Receipts { message: message.into() });
        }
        let said = world.warnings.iter().filter(|line| line.contains("clock is")).collect::<Vec<_>>();
        let counters = world.agent.counters();
        assert_eq!((counters["clock_off"], counters["clock_off_ms"] > 300_000), (off, off > 0));
        assert_eq!(said.len(), usize::from(off > 0), "{said:?}");
        assert!(said.iter().all(|line| line.contains("ahead of the ledger's: set it")), "{said:?}");
    }
}

#[test]
fn one_past_the_window_waits_in_the_spool_and_is_archived() {
    let mut world = World::new(4 * 9); // a window of 8 batches of 4 records, and one more
    for fog in 0..FOGS {
        world.fail_fog(fog);
    }
    world.feed(4 * 9);
    while world.deliver() {}
    assert_eq!((world.agent.counters()["held"], world.spool.len()), (8, 9));
    settle(&mut world);
    world.check_archive();
    assert!(world.finished);
}
