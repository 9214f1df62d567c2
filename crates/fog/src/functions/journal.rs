//! What functions said and are, in the order in which it must survive, and the commands that wait for it.
//!
//! One log holds events and snapshots, since whatever of a log survives a crash is a beginning of it: a snapshot is never there
//! without the events that it counts. A command waits until all that was appended before it is durable.
//!
//! The log is bounded. Events that the controller knows and the ledger holds stay for readers in half of it; the oldest leave first.
//! A snapshot that is in the way is written again at the end. Events that nobody could be told, or that the ledger has not taken,
//! stay until an eighth is left; then the oldest of them are lost, which is counted: functions go on.

mod entry;
mod io;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use voltmesh_control::FunctionEvent;
use voltmesh_function::Snapshot;
use voltmesh_telemetry::{Timestamp, VehicleId};

pub use entry::Entry;
use entry::{EVENT, SNAPSHOT, entry};
pub use io::{Input, Leaving, Output};

/// Commands that wait for the disk at once: four of each of 1,000 instances. Beyond it the oldest is given up.
const MAX_WAITING: usize = 4_096;

/// What is known of an entry that is not released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Event,
    /// The newest of its function.
    Snapshot,
    /// Not needed once the entry at this position is durable.
    Replaced(u64),
}

/// The newest snapshot of a function.
#[derive(Debug, Clone)]
struct Live {
    position: u64,
    bytes: Bytes,
    /// When it may be forgotten: its function has ended.
    until: Option<Timestamp>,
}

type Key = (VehicleId, String);

/// Counters since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that were appended.
    pub events: u64,
    /// Events that were released before the controller knew them.
    pub events_lost: u64,
    /// Events that were released before they were on the ledger.
    pub events_unlisted: u64,
    /// Commands that were given up: past their time, or crowded out.
    pub commands_given_up: u64,
    /// Commands after an event that was never given: refused.
    pub commands_unfounded: u64,
    /// Entries that could not be read at the start.
    pub unreadable: u64,
}

/// The log of events and snapshots of one node's functions.
#[derive(Debug)]
pub struct Journal {
    bound: u64,
    /// Position of the first entry that is not released.
    first: u64,
    held: VecDeque<(Held, u32)>,
    used: u64,
    durable: u64,
    told: u64,
    listed: u64,
    live: BTreeMap<Key, Live>,
    live_bytes: u64,
    /// Positions and sequences of events that are not durable.
    undurable: VecDeque<(u64, u64)>,
    sequence: u64,
    /// Commands, and the position below which all must be durable.
    waiting: VecDeque<(u64, Box<Leaving>)>,
    /// Highest numbers of events, by function: epoch and number.
    numbers: BTreeMap<Key, ((u32, u32), u64)>,
    counters: Counters,
}

impl Journal {
    /// An empty log whose first entry gets this position, of at most so many bytes.
    pub fn new(first: u64, bound: u64) -> Self {
        Self {
            bound,
            first,
            held: VecDeque::new(),
            used: 0,
            durable: first,
            told: first,
            listed: first,
            live: BTreeMap::new(),
            live_bytes: 0,
            undurable: VecDeque::new(),
            sequence: 0,
            waiting: VecDeque::new(),
            numbers: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    fn next(&self) -> u64 {
        self.first + self.held.len() as u64
    }

    /// Takes an entry of an earlier process; positions ascend, those between are released.
    pub fn restore(&mut self, position: u64, bytes: &Bytes) {
        if self.held.is_empty() {
            self.first = position;
        }
        while self.next() < position {
            self.held.push_back((Held::Replaced(0), 0));
        }
        match Entry::decode(bytes) {
            Ok(Entry::Event(event)) => {
                self.count(&event);
                self.push(Held::Event, bytes.len());
            }
            Ok(Entry::Snapshot(snapshot)) => self.place(&snapshot, bytes.clone()),
            Err(_) => {
                self.counters.unreadable += 1;
                self.push(Held::Replaced(0), bytes.len());
            }
        }
        self.durable = self.next();
    }

    /// All entries of the log were given, whose next position is this; the snapshots to go on from, each with the highest number
    /// of an event of its epoch.
    pub fn restored(&mut self, next: u64) -> Vec<(Box<Snapshot>, Option<u64>)> {
        if self.held.is_empty() {
            self.first = next;
        }
        while self.next() < next {
            self.held.push_back((Held::Replaced(0), 0));
        }
        (self.durable, self.told, self.listed) = (next, self.first, self.first);
        let live = self.live.iter().filter_map(|(key, live)| {
            let Ok(Entry::Snapshot(snapshot)) = Entry::decode(&live.bytes) else { return None };
            let kept = self.numbers.get(key).filter(|(epoch, _)| *epoch == snapshot.epoch);
            Some((snapshot, kept.map(|(_, number)| *number)))
        });
        live.collect()
    }

    /// Position of the next entry.
    pub fn end(&self) -> u64 {
        self.next()
    }

    /// Position of the first entry that is not released.
    pub fn start(&self) -> u64 {
        self.first
    }

    /// Bytes that are not released.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Commands that wait for the disk.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What follows from an input.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        match input {
            Input::Keep { sequence, event } => {
                let Ok(json) = serde_json::to_vec(&event) else { return outputs };
                self.sequence = self.sequence.max(sequence);
                self.undurable.push_back((self.next(), sequence));
                self.counters.events += 1;
                self.count(&event);
                self.append(Held::Event, entry(EVENT, &json), &mut outputs);
            }
            Input::Persist(snapshot) => {
                let bytes = entry(SNAPSHOT, &snapshot.encode());
                self.place(&snapshot, bytes.clone());
                outputs.push(Output::Append(bytes));
            }
            Input::Command { after, leaving } => self.command(after, leaving, &mut outputs),
            Input::Durable(below) => self.advance(now, below, &mut outputs),
            Input::Told(below) => self.told = self.told.max(below),
            Input::Listed(below) => self.listed = self.listed.max(below),
        }
        self.forget(now);
        self.tidy(&mut outputs);
        outputs
    }

    fn count(&mut self, event: &FunctionEvent) {
        let number = (event.epoch, event.number);
        let known = self.numbers.entry((event.vehicle.clone(), event.function.clone())).or_insert(number);
        *known = (*known).max(number);
    }

    fn push(&mut self, held: Held, size: usize) {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.used += u64::from(size);
        self.held.push_back((held, size));
    }

    fn append(&mut self, held: Held, bytes: Bytes, outputs: &mut Vec<Output>) {
        self.push(held, bytes.len());
        outputs.push(Output::Append(bytes));
    }

    /// Puts a snapshot at the end, in the place of the one before it.
    fn place(&mut self, snapshot: &Snapshot, bytes: Bytes) {
        let until = snapshot.ended().then(|| snapshot.until());
        let key = (snapshot.vehicle.clone(), snapshot.function.clone());
        let live = Live { position: self.next(), bytes, until };
        self.push(Held::Snapshot, live.bytes.len());
        self.replace(key, live);
    }

    fn replace(&mut self, key: Key, live: Live) {
        let by = live.position;
        self.live_bytes += live.bytes.len() as u64;
        if let Some(before) = self.live.insert(key, live) {
            self.live_bytes -= before.bytes.len() as u64;
            self.mark(before.position, Held::Replaced(by));
        }
    }

    fn mark(&mut self, position: u64, held: Held) {
        let index = position.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some((known, _)) = index.and_then(|index| self.held.get_mut(index)) {
            *known = held;
        }
    }

    fn command(&mut self, after: Option<u64>, leaving: Box<Leaving>, outputs: &mut Vec<Output>) {
        if after.is_some_and(|after| after > self.sequence) {
            self.counters.commands_unfounded += 1;
            return outputs.push(Output::GivenUp(leaving));
        }
        if self.durable >= self.next() {
            return outputs.push(Output::Send(leaving));
        }
        if self.waiting.len() >= MAX_WAITING
            && let Some((_, oldest)) = self.waiting.pop_front()
        {
            self.counters.commands_given_up += 1;
            outputs.push(Output::GivenUp(oldest));
        }
        self.waiting.push_back((self.next(), leaving));
    }

    fn advance(&mut self, now: Timestamp, below: u64, outputs: &mut Vec<Output>) {
        self.durable = self.durable.max(below.min(self.next()));
        let mut through = None;
        while let Some((_, sequence)) = self.undurable.pop_front_if(|(position, _)| *position < self.durable)
        {
            through = Some(sequence);
        }
        outputs.extend(through.map(Output::Kept));
        while let Some((_, leaving)) = self.waiting.pop_front_if(|(below, _)| *below <= self.durable) {
            if leaving.command.expires <= now {
                self.counters.commands_given_up += 1;
                outputs.push(Output::GivenUp(leaving));
            } else {
                outputs.push(Output::Send(leaving));
            }
        }
    }

    /// Lets go of functions that have ended and whose last lease is over.
    fn forget(&mut self, now: Timestamp) {
        let over = |live: &Live| live.until.is_some_and(|until| until < now);
        if !self.live.values().any(over) {
            return;
        }
        let gone: Vec<_> =
            self.live.iter().filter(|(_, live)| over(live)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.numbers.remove(&key);
            let Some(live) = self.live.remove(&key) else { continue };
            self.live_bytes -= live.bytes.len() as u64;
            self.mark(live.position, Held::Replaced(0));
        }
    }

    /// Releases what is not needed from the front, and makes room.
    fn tidy(&mut self, outputs: &mut Vec<Output>) {
        let from = self.first;
        while self.first < self.durable
            && let Some((held, size)) = self.held.front().copied()
        {
            let leaves = match held {
                Held::Replaced(by) => by < self.durable,
                Held::Event if self.first < self.told.min(self.listed) => self.used > self.bound / 2,
                Held::Event => {
                    let lost = self.used > self.bound - self.bound / 8;
                    self.counters.events_lost += u64::from(lost && self.first >= self.told);
                    self.counters.events_unlisted += u64::from(lost && self.first >= self.listed);
                    lost
                }
                Held::Snapshot => {
                    // Early only where it helps: a log of little but snapshots would be written again and again.
                    let full = self.used > self.bound - self.bound / 8;
                    if full || self.used > self.bound / 2 && self.live_bytes < self.bound / 4 {
                        self.move_first(outputs);
                    }
                    false
                }
            };
            if !leaves {
                break;
            }
            self.held.pop_front();
            self.first += 1;
            self.used -= u64::from(size);
        }
        if self.first > from {
            outputs.push(Output::Release(from, self.first));
        }
    }

    /// Writes the first entry's snapshot again at the end, with the numbers of events that are between: they may leave now.
    fn move_first(&mut self, outputs: &mut Vec<Output>) {
        let (first, next) = (self.first, self.next());
        let Some((key, live)) = self.live.iter_mut().find(|(_, live)| live.position == first) else { return };
        if let Some((epoch, number)) = self.numbers.get(key)
            && let Ok(Entry::Snapshot(mut snapshot)) = Entry::decode(&live.bytes)
            && snapshot.epoch == *epoch
            && let Some(running) = snapshot.running.as_mut().filter(|running| running.next_event <= *number)
        {
            running.next_event = number + 1;
            let bytes = entry(SNAPSHOT, &snapshot.encode());
            self.live_bytes = self.live_bytes - live.bytes.len() as u64 + bytes.len() as u64;
            live.bytes = bytes;
        }
        live.position = next;
        let bytes = live.bytes.clone();
        self.append(Held::Snapshot, bytes, outputs);
        self.mark(first, Held::Replaced(next));
    }
}

#[cfg(test)]
mod tests;
