//! What of a fog node survives a kill.

use bytes::Bytes;
use std::collections::BTreeMap;
use voltmesh_control::{FunctionEvent, FunctionReport};
use voltmesh_fog::functions::journal::Entry;
use voltmesh_telemetry::Digest;

/// A disk: the journal of functions, packages, and how far the controller knows.
#[derive(Default)]
pub struct Disk {
    /// Entries of the journal by their positions, those that are not durable too.
    pub entries: BTreeMap<u64, Bytes>,
    /// Position of the next entry.
    pub end: u64,
    /// Entries below this position are durable.
    durable: u64,
    /// Signed packages.
    pub packages: BTreeMap<Digest, Bytes>,
    /// Position below which the controller knows all events, as it was last written down.
    pub known: u64,
}

impl Disk {
    /// Appends an entry; returns the position after it.
    pub fn append(&mut self, entry: Bytes) -> u64 {
        self.entries.insert(self.end, entry);
        self.end += 1;
        self.end
    }

    /// Entries below this position are durable.
    pub fn sync(&mut self, end: u64) {
        self.durable = self.durable.max(end.min(self.end));
    }

    /// What was not durable is lost.
    pub fn cut(&mut self) {
        let durable = self.durable;
        self.entries.retain(|position, _| *position < durable);
        self.end = durable;
    }

    /// Entries that are not needed any more.
    pub fn release(&mut self, from: u64, to: u64) {
        self.entries.retain(|position, _| !(from..to).contains(position));
    }

    /// Every event that is durable, by position.
    pub fn events(&self) -> impl Iterator<Item = (u64, Box<FunctionEvent>)> + '_ {
        self.entries.range(..self.durable).filter_map(|(position, entry)| match Entry::decode(entry) {
            Ok(Entry::Event(event)) => Some((*position, event)),
            _ => None,
        })
    }

    /// The next event that is durable as a report, with its position; the cursor goes behind it.
    pub fn next_event(&self, cursor: &mut u64) -> Option<(u64, Bytes)> {
        while *cursor < self.durable {
            let position = *cursor;
            *cursor += 1;
            let Some(entry) = self.entries.get(&position) else { continue };
            if let Ok(Entry::Event(event)) = Entry::decode(entry)
                && let Ok(bytes) = FunctionReport::Event(*event).encode()
            {
                return Some((position, bytes.into()));
            }
        }
        None
    }
}
