//! The log against a disk that forgets what is not durable, and a manager that the test plays.

use super::*;
use proptest::prelude::*;
use voltmesh_control::{Action, Command, Severity};
use voltmesh_telemetry::Digest;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_780_000_000_000 + ms)
}

fn car(n: u8) -> VehicleId {
    format!("car-{n}").parse().unwrap()
}

fn event(vehicle: u8, number: u64) -> FunctionEvent {
    FunctionEvent {
        vehicle: car(vehicle),
        function: "guard".into(),
        release: Digest::ZERO,
        epoch: (1, 0),
        number,
        at_ms: 7,
        kind: "hot".into(),
        severity: Severity::Warning,
        text: "too hot".into(),
        figures: vec![("temp_c".into(), 61.5)],
    }
}

fn snapshot(vehicle: u8, next_event: u64, ended: bool) -> Snapshot {
    let running = voltmesh_function::Running {
        release: Digest::ZERO,
        configuration: serde_json::json!({}),
        lease: String::new(),
        state: voltmesh_function::State { version: 1, bytes: Vec::new() },
        next_event,
        next_command: 0,
        commands: Vec::new(),
        conditions: BTreeMap::new(),
        previous: None,
        failed: false,
        fleet: Default::default(),
    };
    Snapshot {
        vehicle: car(vehicle),
        function: "guard".into(),
        order: (1, 1),
        epoch: (1, 0),
        until_ms: at(1_000).as_millis(),
        running: (!ended).then_some(running),
    }
}

fn leaving(vehicle: u8, number: u64, expires_ms: u64) -> Box<Leaving> {
    Box::new(Leaving {
        command: Command {
            vehicle: car(vehicle),
            number,
            issued: at(0),
            expires: at(expires_ms),
            action: Action::StopCharging,
            reason: String::new(),
        },
        lease: Vec::new(),
        function: "guard".into(),
        arrived_us: None,
    })
}

/// A log with its disk.
struct World {
    journal: Journal,
    /// What was appended, by position.
    disk: Vec<Bytes>,
    durable: usize,
    released: usize,
    sent: Vec<u64>,
    given_up: usize,
    kept: u64,
    bound: u64,
}

impl World {
    fn new(bound: u64) -> Self {
        let journal = Journal::new(0, bound);
        Self {
            journal,
            disk: Vec::new(),
            durable: 0,
            released: 0,
            sent: Vec::new(),
            given_up: 0,
            kept: 0,
            bound,
        }
    }

    /// What a controller knows is on the ledger too.
    fn told(&mut self, below: usize) {
        self.give(Input::Told(below as u64));
        self.give(Input::Listed(below as u64));
    }

    fn give(&mut self, input: Input) {
        for output in self.journal.handle(at(0), input) {
            match output {
                Output::Append(bytes) => self.disk.push(bytes),
                Output::Kept(through) => {
                    assert!(through > self.kept);
                    self.kept = through;
                }
                Output::Send(leaving) => {
                    assert_eq!(self.durable, self.disk.len(), "a command before all before it is durable");
                    self.sent.push(leaving.command.number);
                }
                Output::GivenUp(_) => self.given_up += 1,
                Output::Release(from, to) => {
                    assert_eq!(from as usize, self.released);
                    assert!(to as usize <= self.durable, "released before it was durable");
                    self.released = to as usize;
                }
            }
        }
    }

    fn sync(&mut self) {
        self.durable = self.disk.len();
        self.give(Input::Durable(self.durable as u64));
    }

    /// The process dies; what was not durable is gone. Some of what was released may come again.
    fn crash(&mut self, again: usize) -> Vec<(Box<Snapshot>, Option<u64>)> {
        self.disk.truncate(self.durable);
        self.journal = Journal::new(0, self.bound);
        self.released = self.released.saturating_sub(again);
        for (position, bytes) in self.disk.iter().enumerate().skip(self.released) {
            self.journal.restore(position as u64, bytes);
        }
        let restored = self.journal.restored(self.disk.len() as u64);
        (self.kept, self.sent) = (0, Vec::new());
        restored
    }
}

#[test]
fn a_command_waits_for_the_event_before_it() {
    let mut world = World::new(1 << 20);
    world.give(Input::Command { after: None, leaving: leaving(0, 0, 60_000) });
    assert_eq!(world.sent, [0], "nothing was said before it");
    world.give(Input::Keep { sequence: 1, event: Box::new(event(0, 0)) });
    world.give(Input::Command { after: Some(1), leaving: leaving(0, 1, 60_000) });
    world.give(Input::Command { after: None, leaving: leaving(0, 2, 60_000) });
    assert_eq!((&world.sent[..], world.kept), (&[0][..], 0));
    world.sync();
    assert_eq!((&world.sent[..], world.kept), (&[0, 1, 2][..], 1));
    world.give(Input::Command { after: Some(9), leaving: leaving(0, 3, 60_000) });
    assert_eq!((world.sent.len(), world.given_up), (3, 1), "no such event was ever given");
    assert_eq!(world.journal.counters().commands_unfounded, 1);
}

#[test]
fn a_command_that_waited_too_long_is_given_up() {
    let mut world = World::new(1 << 20);
    world.give(Input::Keep { sequence: 1, event: Box::new(event(0, 0)) });
    world.give(Input::Command { after: Some(1), leaving: leaving(0, 0, 0) });
    world.sync();
    assert_eq!((world.sent.len(), world.given_up), (0, 1));
    for number in 0..=MAX_WAITING as u64 {
        world.give(Input::Keep { sequence: 2 + number, event: Box::new(event(0, 1 + number)) });
        world.give(Input::Command { after: None, leaving: leaving(0, number, 60_000) });
    }
    assert_eq!((world.journal.waiting(), world.given_up), (MAX_WAITING, 2));
}

#[test]
fn after_a_crash_functions_go_on_from_their_last_snapshot_and_number() {
    let mut world = World::new(1 << 20);
    world.give(Input::Persist(Box::new(snapshot(0, 0, false))));
    world.give(Input::Persist(Box::new(snapshot(1, 0, false))));
    world.give(Input::Keep { sequence: 1, event: Box::new(event(0, 0)) });
    world.give(Input::Keep { sequence: 2, event: Box::new(event(0, 1)) });
    world.sync();
    world.give(Input::Persist(Box::new(snapshot(1, 5, false))));
    world.give(Input::Keep { sequence: 3, event: Box::new(event(0, 2)) });
    let restored = world.crash(0);
    let found: Vec<_> = restored
        .iter()
        .map(|(snapshot, kept)| {
            (snapshot.vehicle.clone(), snapshot.running.as_ref().unwrap().next_event, *kept)
        })
        .collect();
    assert_eq!(found, [(car(0), 0, Some(1)), (car(1), 0, None)]);
}

#[test]
fn what_has_ended_is_forgotten_when_its_lease_is_over() {
    let mut world = World::new(1 << 20);
    world.give(Input::Persist(Box::new(snapshot(0, 0, false))));
    world.give(Input::Persist(Box::new(snapshot(0, 0, true))));
    world.sync();
    assert_eq!(world.released, 1, "the snapshot before it");
    assert_eq!(world.crash(1).len(), 1, "a lower order must not begin it again");
    let outputs = world.journal.handle(at(1_001), Input::Durable(2));
    assert_eq!(outputs, [Output::Release(0, 2)]);
    assert_eq!(world.journal.used(), 0);
}

/// The log stays within its bound: told events leave, snapshots move, and only what nobody could be told is lost.
#[test]
fn the_log_is_bounded() {
    let size = entry(EVENT, &serde_json::to_vec(&event(0, 0)).unwrap()).len() as u64;
    let mut world = World::new(200 * size);
    world.give(Input::Persist(Box::new(snapshot(0, 0, false))));
    for number in 0..2_000 {
        world.give(Input::Keep { sequence: 1 + number, event: Box::new(event(1, number)) });
        world.sync();
        if number < 1_000 {
            world.told(world.durable);
        }
        assert!(world.journal.used() <= 200 * size);
        if number == 999 {
            assert_eq!(world.journal.counters().events_lost, 0);
        }
    }
    let counters = world.journal.counters();
    assert!((800..1_000).contains(&counters.events_lost), "{counters:?}");
    assert_eq!(counters.events_lost, counters.events_unlisted);
    assert_eq!(world.crash(0).len(), 1, "the snapshot is still there");
}

/// What the ledger has not taken stays like what nobody could be told.
#[test]
fn an_event_stays_until_it_is_known_and_on_the_ledger() {
    let size = entry(EVENT, &serde_json::to_vec(&event(0, 0)).unwrap()).len() as u64;
    for (told, listed, expected) in [(true, true, 50), (true, false, 0), (false, true, 0)] {
        let mut world = World::new(200 * size);
        for number in 0..150 {
            world.give(Input::Keep { sequence: 1 + number, event: Box::new(event(1, number)) });
        }
        world.sync();
        if told {
            world.give(Input::Told(150));
        }
        if listed {
            world.give(Input::Listed(150));
        }
        let released = world.released;
        assert!((expected..=expected + 8).contains(&released), "{told} {listed}: {released} released");
    }
}

/// Events leave, and with them their numbers: the snapshot that was written again knows them.
#[test]
fn a_snapshot_that_is_written_again_counts_the_events_that_have_left() {
    let size = entry(EVENT, &serde_json::to_vec(&event(0, 0)).unwrap()).len() as u64;
    let mut world = World::new(100 * size);
    world.give(Input::Persist(Box::new(snapshot(0, 0, false))));
    for number in 0..7 {
        world.give(Input::Keep { sequence: 1 + number, event: Box::new(event(0, number)) });
    }
    for number in 0..500 {
        world.give(Input::Keep { sequence: 8 + number, event: Box::new(event(1, number)) });
        world.sync();
        world.told(world.durable);
    }
    assert!(world.released > 8, "{} released", world.released);
    let restored = world.crash(0);
    let next = restored[0].0.running.as_ref().unwrap().next_event;
    assert_eq!((restored.len(), next, restored[0].1), (1, 7, None));
}

#[test]
fn entries_are_pinned_and_what_is_none_is_left_out() {
    let bytes = entry(EVENT, &serde_json::to_vec(&event(0, 3)).unwrap());
    assert!(bytes.starts_with(b"\x01{\"vehicle\":\"car-0\",\"function\":\"guard\""), "{bytes:?}");
    assert_eq!(Entry::decode(&bytes), Ok(Entry::Event(Box::new(event(0, 3)))));
    let mut journal = Journal::new(0, 1 << 20);
    for (position, bytes) in [&b""[..], b"\x01{", b"\x02[]", b"\x09"].into_iter().enumerate() {
        journal.restore(position as u64, &Bytes::copy_from_slice(bytes));
    }
    assert_eq!(journal.restored(9), []);
    assert_eq!((journal.counters().unreadable, journal.end()), (4, 9));
}

/// What can happen to a log.
#[derive(Debug, Clone, Copy)]
enum Step {
    Say(u8),
    Persist(u8),
    Command(u8),
    Sync,
    Told,
    Crash(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3u8).prop_map(Step::Say),
        2 => (0..3u8).prop_map(Step::Persist),
        3 => (0..3u8).prop_map(Step::Command),
        3 => Just(Step::Sync),
        1 => Just(Step::Told),
        1 => (0..20u8).prop_map(Step::Crash),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever happens in whatever order: each function's events on the disk have numbers without gaps and none twice; a command
    /// that has left follows events that are durable; a crash brings back every function that was ever durable.
    #[test]
    fn numbers_have_no_gaps_and_no_command_precedes_its_event(steps in steps()) {
        let mut world = World::new(8_000);
        // The manager, as it stands: next numbers of three functions, and its sequence.
        let (mut next, mut sequence) = ([0u64; 3], 0);
        let mut persisted = [false; 3];
        for vehicle in 0..3 {
            world.give(Input::Persist(Box::new(snapshot(vehicle, 0, false))));
        }
        for step in steps {
            match step {
                Step::Say(vehicle) => {
                    sequence += 1;
                    let number = next[usize::from(vehicle)];
                    world.give(Input::Keep { sequence, event: Box::new(event(vehicle, number)) });
                    next[usize::from(vehicle)] += 1;
                }
                Step::Persist(vehicle) => {
                    let snapshot = snapshot(vehicle, next[usize::from(vehicle)], false);
                    world.give(Input::Persist(Box::new(snapshot)));
                }
                Step::Command(vehicle) => {
                    let after = (sequence > 0).then_some(sequence);
                    world.give(Input::Command { after, leaving: leaving(vehicle, sequence, 60_000) });
                }
                Step::Sync => {
                    world.sync();
                    persisted = [true; 3];
                }
                Step::Told => world.told(world.durable),
                Step::Crash(again) => {
                    let restored = world.crash(again.into());
                    prop_assert_eq!(restored.len(), persisted.iter().filter(|known| **known).count());
                    (next, sequence) = ([0; 3], 0);
                    for (snapshot, kept) in restored {
                        let vehicle = (0..3).find(|n| car(*n) == snapshot.vehicle).unwrap();
                        let counted = snapshot.running.unwrap().next_event;
                        next[usize::from(vehicle)] = counted.max(kept.map_or(0, |kept| kept + 1));
                    }
                    if persisted == [false; 3] {
                        for vehicle in 0..3 {
                            world.give(Input::Persist(Box::new(snapshot(vehicle, 0, false))));
                        }
                    }
                }
            }
            let mut numbers = [Vec::new(), Vec::new(), Vec::new()];
            for bytes in &world.disk {
                if let Ok(Entry::Event(event)) = Entry::decode(bytes) {
                    let vehicle = (0..3).find(|n| car(*n) == event.vehicle).unwrap();
                    numbers[usize::from(vehicle)].push(event.number);
                }
            }
            for (numbers, next) in numbers.iter().zip(next) {
                prop_assert_eq!(numbers, &(0..next).collect::<Vec<_>>());
            }
        }
    }
}
