//! A small world in which the core runs: model spool, model fog nodes, real signatures, real ledger.

use crate::agent::{Agent, Credentials, Found, Rules};
use crate::entry::{self, Stored};
use crate::sources::Cursor;
use crate::{FogIndex, Input, Output};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voltmesh_control::{ArchiveNotice, ArchivedBatch};
use voltmesh_ledger::{Trust, commitment, public_key, testing};
use voltmesh_spool::Position;
use voltmesh_telemetry::{
    BatchId, Boot, ChainHead, Link, Millivolts16, Sample, SealedBatch, Secret, Timestamp, VehicleId,
};

pub(super) const FOGS: usize = 3;

pub(super) fn vehicle() -> VehicleId {
    "car-1".parse().unwrap()
}

pub(super) fn key(n: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[n; 32])
}

pub(super) fn cloud_key() -> ed25519_dalek::SigningKey {
    key(9)
}

pub(super) fn trust(base: Trust) -> Trust {
    let mut trust = base;
    trust.add_cloud(public_key(&cloud_key().verifying_key().to_bytes()).unwrap());
    trust
}

pub(super) fn credentials(trust: Trust) -> Credentials {
    Credentials { signing: key(1), secret: Secret::new([2; 32]), salt: [3; 32], trust }
}

pub(super) fn rules(boot: u64) -> Rules {
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

pub(super) fn sample(index: u64) -> Sample {
    Sample {
        time: Timestamp::from_millis(index),
        cells: vec![Millivolts16::new(3700 + (index % 7) as u16); 4],
        ..Sample::default()
    }
}

/// Something under way in the world.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Input(Input),
    /// A fog node passes a batch on to the cloud; lost with the node.
    Archive {
        fog: usize,
        batch: Bytes,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Fog {
    pub(super) up: bool,
    pub(super) swallows: bool,
    pub(super) session: bool,
    pub(super) heads: BTreeMap<u64, ChainHead>,
}

pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) agent: Agent,
    pub(super) boot: u64,
    pub(super) chain: testing::Chain,
    /// Entries of the spool: durable ones below `durable`.
    pub(super) spool: Vec<Bytes>,
    pub(super) acked: BTreeSet<u64>,
    pub(super) durable: u64,
    pub(super) disk_works: bool,
    pub(super) next_sample: u64,
    pub(super) total: u64,
    pub(super) ended: bool,
    pub(super) fogs: Vec<Fog>,
    pub(super) events: VecDeque<Event>,
    /// Batches for which a valid notice was made.
    pub(super) noticed: BTreeSet<BatchId>,
    /// Batches in the archive, by boot and first record.
    pub(super) archive: BTreeMap<(u64, u64), Bytes>,
    pub(super) finished: bool,
    pub(super) connects: Vec<usize>,
    pub(super) paused: bool,
    pub(super) warnings: Vec<String>,
}

impl World {
    pub(super) fn new(total: u64) -> Self {
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

    pub(super) fn input(&mut self, input: Input) {
        for output in self.agent.handle(self.now, input) {
            self.perform(output);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        (0..self.durable)
            .filter(|p| !self.acked.contains(p))
            .map(|p| self.spool[p as usize].len() as u64)
            .sum()
    }

    pub(super) fn stored(&self, position: u64) -> Stored {
        entry::decode(Position(position), &self.spool[position as usize]).unwrap()
    }

    pub(super) fn perform(&mut self, output: Output) {
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

    pub(super) fn schedule_sync(&mut self) {
        let input = if self.disk_works {
            // What is appended now is durable when this comes: see `deliver`.
            Input::Synced { durable: Position(self.spool.len() as u64), bytes: 0 }
        } else {
            Input::SyncFailed { reason: "full".into() }
        };
        self.events.push_back(Event::Input(input));
    }

    pub(super) fn end_session(&mut self, fog: usize) {
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
    pub(super) fn publish(&mut self, fog: FogIndex, position: Position) {
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
    pub(super) fn deliver(&mut self) -> bool {
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

    pub(super) fn archive(&mut self, wire: Bytes) {
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

    pub(super) fn feed(&mut self, count: u64) {
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

    pub(super) fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_millis(ms);
        self.input(Input::Tick);
    }

    /// The vehicle's power fails: what is not durable survives or not, and the agent starts again.
    pub(super) fn crash(&mut self, survivors: u64) {
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

    pub(super) fn fail_fog(&mut self, fog: usize) {
        let session = self.fogs[fog].session;
        self.end_session(fog);
        self.fogs[fog] = Fog::default(); // with its disk
        if session {
            self.events.push_back(Event::Input(Input::Lost { fog: FogIndex(fog), reason: "gone".into() }));
        }
    }

    /// Every record of the source is in the archive exactly once, in contiguous batches of each boot.
    pub(super) fn check_archive(&self) {
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

/// Notices that must not count, for a batch of the spool. `perform` asserts that none of them makes the agent forget.
pub(super) fn forge(world: &mut World, position: u64) {
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
pub(super) fn settle(world: &mut World) {
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
