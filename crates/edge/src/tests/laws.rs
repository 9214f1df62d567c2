//! Laws of the core in a small world of our own: model spool, model fog nodes, real signatures, real ledger.

use crate::agent::{Agent, Credentials, Found, KeepUntil, Rules};
use crate::entry::{self, Stored};
use crate::sources::Cursor;
use crate::{FogIndex, Input, Output};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voltmesh_control::{ArchiveNotice, ArchivedBatch, BatchReceipt, Handovers, Receipts};
use voltmesh_ledger::{Trust, commitment, public_key, testing};
use voltmesh_spool::Position;
use voltmesh_telemetry::{
    BatchId, Boot, ChainHead, Link, Millivolts16, Sample, SealedBatch, Secret, Timestamp, VehicleId,
};

const FOGS: usize = 3;

fn vehicle() -> VehicleId {
    "car-1".parse().unwrap()
}

fn key(n: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[n; 32])
}

fn cloud_key() -> ed25519_dalek::SigningKey {
    key(9)
}

fn trust(base: Trust) -> Trust {
    let mut trust = base;
    trust.add_cloud(public_key(&cloud_key().verifying_key().to_bytes()).unwrap());
    trust
}

fn credentials(trust: Trust) -> Credentials {
    Credentials { signing: key(1), secret: Secret::new([2; 32]), salt: [3; 32], trust }
}

fn rules(boot: u64) -> Rules {
    let fogs = (1..=FOGS).map(|n| format!("fog-{n}")).collect();
    Rules {
        max_records: 4,
        max_age_ms: 1000,
        window: 8,
        in_flight: 3,
        offer_again_after_ms: 5_000,
        until_archived: true,
        ..Rules::new(vehicle(), Boot::new(boot), fogs)
    }
}

fn sample(index: u64) -> Sample {
    Sample {
        time: Timestamp::from_millis(index),
        cells: vec![Millivolts16::new(3700 + (index % 7) as u16); 4],
        ..Sample::default()
    }
}

/// Something under way in the world.
#[derive(Clone, Debug)]
enum Event {
    Input(Input),
    /// A fog node passes a batch on to the cloud; lost with the node.
    Archive {
        fog: usize,
        batch: Bytes,
    },
}

#[derive(Clone, Debug, Default)]
struct Fog {
    up: bool,
    swallows: bool,
    session: bool,
    heads: BTreeMap<u64, ChainHead>,
}

struct World {
    now: Timestamp,
    agent: Agent,
    boot: u64,
    chain: testing::Chain,
    /// Entries of the spool: durable ones below `durable`.
    spool: Vec<Bytes>,
    acked: BTreeSet<u64>,
    durable: u64,
    disk_works: bool,
    next_sample: u64,
    total: u64,
    ended: bool,
    fogs: Vec<Fog>,
    events: VecDeque<Event>,
    /// Batches for which a valid notice was made.
    noticed: BTreeSet<BatchId>,
    /// Batches in the archive, by boot and first record.
    archive: BTreeMap<(u64, u64), Bytes>,
    finished: bool,
    connects: Vec<usize>,
    paused: bool,
    warnings: Vec<String>,
}

impl World {
    fn new(total: u64) -> Self {
        let mut chain = testing::Chain::new(4);
        let opening = credentials(trust(chain.trust())).opening();
        chain.enrol(&[commitment("car-1", &opening.salt, &opening.key)]);
        let now = Timestamp::from_millis(1_000_000);
        let agent = Agent::new(rules(1), credentials(trust(chain.trust())), Found::default());
        let fog = Fog { up: true, ..Fog::default() };
        let mut world = Self {
            now,
            agent,
            boot: 1,
            chain,
            spool: Vec::new(),
            acked: BTreeSet::new(),
            durable: 0,
            disk_works: true,
            next_sample: 0,
            total,
            ended: false,
            fogs: vec![fog; FOGS],
            events: VecDeque::new(),
            noticed: BTreeSet::new(),
            archive: BTreeMap::new(),
            finished: false,
            connects: Vec::new(),
            paused: false,
            warnings: Vec::new(),
        };
        world.input(Input::Tick);
        world
    }

    fn input(&mut self, input: Input) {
        for output in self.agent.handle(self.now, input) {
            self.perform(output);
        }
    }

    fn bytes(&self) -> u64 {
        (0..self.durable)
            .filter(|p| !self.acked.contains(p))
            .map(|p| self.spool[p as usize].len() as u64)
            .sum()
    }

    fn stored(&self, position: u64) -> Stored {
        entry::decode(Position(position), &self.spool[position as usize]).unwrap()
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Persist { position, entry } => {
                assert_eq!(position.0, self.spool.len() as u64, "positions are those of the spool");
                self.spool.push(entry);
                self.schedule_sync();
            }
            Output::Forget { position } => {
                assert!(position.0 < self.durable);
                let id = self.stored(position.0).batch.id();
                assert!(self.noticed.contains(&id), "{id} was forgotten without a notice");
                assert!(self.acked.insert(position.0), "forgotten twice");
            }
            Output::Load { from, limit } => {
                let open = (from.0..self.durable).filter(|p| !self.acked.contains(p));
                let positions: Vec<u64> = open.take(limit).collect();
                let next = match positions.last() {
                    Some(last) if positions.len() == limit => last + 1,
                    _ => self.durable,
                };
                let batches = positions.into_iter().map(|p| self.stored(p)).collect();
                self.events.push_back(Event::Input(Input::Loaded { batches, next: Position(next) }));
            }
            Output::Connect { fog, .. } => {
                self.connects.push(fog.0);
                self.fogs[fog.0].session = self.fogs[fog.0].up;
                let input = match self.fogs[fog.0].up {
                    true => Input::Connected { fog, round_trip_us: 1000 },
                    false => Input::Lost { fog, reason: "down".into() },
                };
                self.events.push_back(Event::Input(input));
            }
            Output::Disconnect(fog) => self.end_session(fog.0),
            Output::Ping(fog) if self.fogs[fog.0].session => {
                self.events.push_back(Event::Input(Input::Heard { fog }))
            }
            Output::Ping(_) => {}
            Output::Measure(fog) => {
                let round_trip_us = self.fogs[fog.0].up.then_some(1000 * (fog.0 as u64 + 1));
                self.events.push_back(Event::Input(Input::Measured { fog, round_trip_us }));
            }
            Output::Send { fog, position, .. } => self.publish(fog, position),
            Output::SaveTrust { .. } | Output::SaveTwin { .. } | Output::Obey { .. } => {}
            Output::SaveCommands { .. } => {
                self.events.push_back(Event::Input(Input::CommandsSaved { failed: None }));
            }
            Output::Answer { .. } => {}
            Output::Pause { .. } => self.paused = true,
            Output::Resume => self.paused = false,
            Output::Warn { message } => self.warnings.push(message),
            Output::Finished => self.finished = true,
        }
    }

    fn schedule_sync(&mut self) {
        let input = if self.disk_works {
            // What is appended now is durable when this comes: see `deliver`.
            Input::Synced { durable: Position(self.spool.len() as u64), bytes: 0 }
        } else {
            Input::SyncFailed { reason: "full".into() }
        };
        self.events.push_back(Event::Input(input));
    }

    fn end_session(&mut self, fog: usize) {
        self.fogs[fog].session = false;
        let of_session = |event: &Event| match event {
            Event::Input(
                Input::Answered { fog: f, .. } | Input::Heard { fog: f } | Input::Connected { fog: f, .. },
            ) => f.0 == fog,
            _ => false,
        };
        self.events.retain(|event| !of_session(event));
    }

    /// A batch arrives at a fog node.
    fn publish(&mut self, fog: FogIndex, position: Position) {
        assert!(position.0 < self.durable, "sent before it was durable");
        assert!(!self.acked.contains(&position.0), "sent after it was forgotten");
        let state = &mut self.fogs[fog.0];
        if !state.session || !state.up {
            return;
        }
        let stored = entry::decode(position, &self.spool[position.0 as usize]).unwrap();
        let batch = SealedBatch::parse(stored.batch.wire().clone()).unwrap();
        batch.verify(&key(1).verifying_key()).expect("the vehicle's signature");
        let head = state.heads.get(&batch.header().boot.get());
        let link = ChainHead::classify(head, batch.header(), batch.id());
        assert_ne!(link, Link::Fork, "two batches at one place");
        state.heads.insert(batch.header().boot.get(), ChainHead::after(batch.header(), batch.id()));
        if state.swallows {
            return;
        }
        self.events.push_back(Event::Input(Input::Answered { fog, position, code: 0 }));
        self.events.push_back(Event::Archive { fog: fog.0, batch: stored.batch.wire().clone() });
    }

    /// The next thing happens.
    fn deliver(&mut self) -> bool {
        let Some(event) = self.events.pop_front() else { return false };
        match event {
            Event::Input(Input::Synced { durable, .. }) => {
                self.durable = self.durable.max(durable.0);
                let bytes = self.bytes();
                self.input(Input::Synced { durable, bytes });
            }
            Event::Input(input) => self.input(input),
            Event::Archive { fog, batch, .. } if self.fogs[fog].up => self.archive(batch),
            Event::Archive { .. } => {}
        }
        true
    }

    fn archive(&mut self, wire: Bytes) {
        let batch = SealedBatch::parse(wire.clone()).unwrap();
        let header = batch.header();
        let place = (header.boot.get(), header.first.get());
        if let Some(before) = self.archive.insert(place, wire.clone()) {
            assert_eq!(before, wire, "two batches at one place in the archive");
        }
        self.noticed.insert(batch.id());
        let notice = ArchiveNotice {
            vehicle: vehicle(),
            batches: vec![ArchivedBatch::of(header, batch.id())],
            archived: self.now,
        };
        let message = Bytes::from(notice.sign(&cloud_key()));
        self.events.push_back(Event::Input(Input::Notice { message }));
    }

    fn feed(&mut self, count: u64) {
        for _ in 0..count {
            if self.paused || self.ended {
                return;
            }
            if self.next_sample == self.total {
                self.ended = true;
                self.input(Input::SourceEnded);
                return;
            }
            let index = self.next_sample;
            self.next_sample += 1;
            let cursor = Cursor { source: 1, done: self.next_sample, base_ms: 0 };
            self.input(Input::Sample { sample: sample(index), cursor });
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_millis(ms);
        self.input(Input::Tick);
    }

    /// The vehicle's power fails: what is not durable survives or not, and the agent starts again.
    fn crash(&mut self, survivors: u64) {
        let kept = (self.durable + survivors).min(self.spool.len() as u64);
        self.spool.truncate(kept as usize);
        self.durable = kept;
        self.boot += 1;
        self.events.retain(|event| matches!(event, Event::Archive { .. }));
        self.fogs.iter_mut().for_each(|fog| fog.session = false);
        let cursor = kept.checked_sub(1).map(|last| self.stored(last).cursor).unwrap_or_default();
        let floor = (0..kept).find(|p| !self.acked.contains(p)).unwrap_or(kept);
        let found = Found { floor: Position(floor), end: Position(kept), bytes: self.bytes(), cursor };
        self.agent = Agent::new(rules(self.boot), credentials(trust(self.chain.trust())), found);
        self.next_sample = cursor.done;
        (self.ended, self.paused) = (false, false);
        self.input(Input::Tick);
    }

    fn fail_fog(&mut self, fog: usize) {
        let session = self.fogs[fog].session;
        self.end_session(fog);
        self.fogs[fog] = Fog::default(); // with its disk
        if session {
            self.events.push_back(Event::Input(Input::Lost { fog: FogIndex(fog), reason: "gone".into() }));
        }
    }

    /// Every record of the source is in the archive exactly once, in contiguous batches of each boot.
    fn check_archive(&self) {
        let mut times = Vec::new();
        let mut next: BTreeMap<u64, (u64, Option<BatchId>)> = BTreeMap::new();
        for ((boot, first), wire) in &self.archive {
            let batch = SealedBatch::parse(wire.clone()).unwrap();
            let expected = next.entry(*boot).or_insert((0, None));
            assert_eq!((*first, batch.header().previous), *expected, "numbers and chain of boot {boot}");
            *expected = (batch.header().next().get(), Some(batch.id()));
            times.extend(batch.open().unwrap().iter().map(|r| r.sample.time.as_millis()));
        }
        times.sort_unstable();
        assert_eq!(times, (0..self.total).collect::<Vec<_>>(), "every sample exactly once");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Feed(u64),
    Deliver(u8),
    Pass(u64),
    Crash(u64),
    FogFails(usize),
    FogReturns(usize),
    Swallow(usize),
    Disk(bool),
    Forge(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u64..9).prop_map(Step::Feed),
        10 => (1u8..20).prop_map(Step::Deliver),
        5 => prop_oneof![Just(50u64), Just(300), Just(1100), Just(6000), Just(40_000)].prop_map(Step::Pass),
        1 => (0u64..3).prop_map(Step::Crash),
        1 => (0..FOGS).prop_map(Step::FogFails),
        2 => (0..FOGS).prop_map(Step::FogReturns),
        1 => (0..FOGS).prop_map(Step::Swallow),
        1 => any::<bool>().prop_map(Step::Disk),
        1 => any::<u8>().prop_map(Step::Forge),
    ]
}

fn apply(world: &mut World, step: Step) {
    match step {
        Step::Feed(count) => world.feed(count),
        Step::Deliver(count) => (0..count).for_each(|_| {
            world.deliver();
        }),
        Step::Pass(ms) => world.pass(ms),
        Step::Crash(survivors) => world.crash(survivors),
        Step::FogFails(fog) => world.fail_fog(fog),
        Step::FogReturns(fog) => world.fogs[fog].up = true,
        Step::Swallow(fog) => world.fogs[fog].swallows = true,
        Step::Disk(works) => {
            world.disk_works = works;
            if works {
                world.schedule_sync();
            }
        }
        Step::Forge(pick) => {
            if world.durable > 0 {
                let position = u64::from(pick) % world.durable;
                forge(world, position);
            }
        }
    }
}

/// Notices that must not count, for a batch of the spool. `perform` asserts that none of them makes the agent forget.
fn forge(world: &mut World, position: u64) {
    let batch = world.stored(position).batch;
    if world.noticed.contains(&batch.id()) {
        return;
    }
    let real = ArchivedBatch::of(batch.header(), batch.id());
    let notice = |vehicle: &str, batch| ArchiveNotice {
        vehicle: vehicle.parse().unwrap(),
        batches: vec![batch],
        archived: Timestamp::from_millis(1),
    };
    let other = ArchivedBatch { id: BatchId::from([7; 32]), ..real };
    let mut flipped = notice("car-1", real).sign(&cloud_key());
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for message in [
        notice("car-1", real).sign(&key(5)),
        notice("car-2", real).sign(&cloud_key()),
        notice("car-1", other).sign(&cloud_key()),
        notice("car-1", ArchivedBatch { count: real.count + 1, ..real }).sign(&cloud_key()),
        flipped,
        Vec::new(),
    ] {
        world.input(Input::Notice { message: message.into() });
    }
}

/// Faults stop; everything must end well.
fn settle(world: &mut World) {
    world.disk_works = true;
    world.schedule_sync();
    world.fogs.iter_mut().for_each(|fog| (fog.up, fog.swallows) = (true, false));
    for _ in 0..20_000 {
        if world.finished {
            return;
        }
        world.feed(4);
        if !world.deliver() {
            let due = world.agent.deadline().unwrap_or(world.now);
            world.now = world.now.max(due).plus_millis(1);
            world.input(Input::Tick);
        }
    }
    panic!("it does not end: {:?} {:?}", world.agent.counters(), world.warnings.last());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Nothing is forgotten without a valid notice, no power cut loses a durable record or repeats one, numbers are
    /// contiguous, and once faults stop every sample of the source is archived exactly once.
    #[test]
    fn nothing_is_lost(steps in prop::collection::vec(step(), 0..150)) {
        let mut world = World::new(60);
        for step in steps {
            apply(&mut world, step);
        }
        settle(&mut world);
        world.check_archive();
    }
}

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
