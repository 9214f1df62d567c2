//! Receipts of events on disk: which list each event of the journal is in, and what proves that the ledger holds the list.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use commonware_runtime::{Supervisor as _, tokio::Context};
use voltmesh_ledger::{ActEvidence, EventProof};
use voltmesh_spool::{Config as SpoolConfig, Error as SpoolError, Position, Spool, Writer};

use crate::{Error, functions::journal::Entry, functions::lists::Record};

/// A list that is to be submitted.
const RECORD: u8 = 1;
/// A list that is on the ledger: its record, the block's height and the act's place, and the evidence.
const RECEIPT: u8 = 2;

/// Entries per file: of at most 27 KiB with the most authorities, so 1.7 MiB.
const FILE: NonZeroU64 = NonZeroU64::new(64).expect("not zero");
/// The files hold at most so many times what is needed of them.
const ROOM: u64 = 2;
/// Entries read at once at the start.
const RESTORE: (usize, usize) = (1_024, 16 << 20);

/// Where an event's list is on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the list among this node's.
    pub sequence: u64,
    /// Height of the block that holds it; none where no block was found.
    pub height: Option<u64>,
    /// Its place in the log of acts, with the height.
    pub act: Option<u64>,
    last: u64,
    at: Position,
    bytes: u64,
}

/// What an earlier process kept.
pub struct Restored {
    /// All events below this position are on the ledger.
    pub listed: u64,
    /// Numbers of lists below this one were given.
    pub next: u64,
    /// The list that was under way.
    pub pending: Option<Record>,
}

#[derive(Default)]
struct State {
    /// By the position of the list's first event.
    places: BTreeMap<u64, Place>,
    bytes: u64,
    /// The record that waits for its receipt.
    record: Option<Position>,
}

/// The store of lists and receipts. Cheap to clone.
#[derive(Clone)]
pub struct Receipts {
    spool: Writer<Context>,
    state: Arc<Mutex<State>>,
    bound: u64,
}

impl Receipts {
    /// Opens what is kept, at most so many bytes; `end` is the end of the journal of events.
    pub async fn open(context: &Context, bound: u64, end: u64) -> Result<(Self, Restored), Error> {
        let config = SpoolConfig {
            max_bytes: bound.saturating_mul(ROOM),
            entries_per_file: FILE,
            ..SpoolConfig::new("event_receipts")
        };
        let spool = Spool::open(context.child("event_receipts"), config).await?;
        let (mut state, mut restored) = (State::default(), Restored { listed: 0, next: 0, pending: None });
        let mut from = spool.floor();
        loop {
            let entries = spool.read_from(from, RESTORE.0, RESTORE.1).await?;
            let Some((last, _)) = entries.last() else { break };
            from = last.next();
            for (position, bytes) in entries {
                restore(&mut state, &mut restored, position, bytes);
            }
        }
        let (spool, _) = spool.start(context.child("event_receipts_writer"));
        let receipts = Self { spool, state: Arc::new(Mutex::new(state)), bound };
        restored.pending = restored.pending.filter(|record| record.end() > restored.listed);
        if restored.listed.max(restored.pending.as_ref().map_or(0, Record::end)) > end {
            tracing::error!("the journal of functions was lost: receipts of its events are removed");
            receipts.clear();
            (restored.listed, restored.pending) = (0, None);
        }
        Ok((receipts, restored))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ack(&self, position: Position) {
        if let Err(error) = self.spool.ack(position) {
            tracing::error!(%error, %position, "what is not needed stays among the receipts of events");
        }
    }

    fn clear(&self) {
        let State { places, record, .. } = std::mem::take(&mut *self.lock());
        places.values().map(|place| place.at).chain(record).for_each(|position| self.ack(position));
    }

    async fn append(&self, bytes: Bytes) -> Result<Position, SpoolError> {
        let position = self.spool.append(bytes)?;
        self.spool.durable(position).await?;
        Ok(position)
    }

    /// Makes a record durable, in the place of the one before it.
    pub async fn write(&self, record: &Record) -> Result<(), SpoolError> {
        let mut bytes = BytesMut::new();
        bytes.put_u8(RECORD);
        record.write(&mut bytes);
        let position = self.append(bytes.freeze()).await?;
        let before = self.lock().record.replace(position);
        before.into_iter().for_each(|position| self.ack(position));
        Ok(())
    }

    /// Makes a receipt durable; without evidence where no block was found.
    pub async fn keep(&self, record: &Record, evidence: Option<&ActEvidence>) -> Result<(), SpoolError> {
        let bytes = receipt(record, evidence);
        let size = bytes.len() as u64;
        let position = self.append(bytes).await?;
        let place = place(record, evidence, position, size);
        let mut gone = Vec::new();
        {
            let mut state = self.lock();
            gone.extend(state.record.take());
            insert(&mut state, record, place);
            // The newest says where to go on.
            while state.bytes > self.bound
                && state.places.len() > 1
                && let Some((_, oldest)) = state.places.pop_first()
            {
                state.bytes -= oldest.bytes;
                gone.push(oldest.at);
            }
        }
        gone.into_iter().for_each(|position| self.ack(position));
        Ok(())
    }

    /// Where an event is on the ledger.
    pub fn place(&self, position: u64) -> Option<Place> {
        let state = self.lock();
        let (_, place) = state.places.range(..=position).next_back()?;
        (position <= place.last).then_some(*place)
    }

    /// Proves that an event is on the ledger.
    pub async fn prove(&self, journal: &Writer<Context>, position: u64) -> Result<EventProof, Unproven> {
        let event = journal.read(Position(position)).await?.ok_or(Unproven::Gone)?;
        if !matches!(Entry::decode(&event), Ok(Entry::Event(_))) {
            return Err(Unproven::Gone);
        }
        let Some(place) = self.place(position) else { return Err(Unproven::Waits) };
        let mut receipt = self.spool.read(place.at).await?.ok_or(Unproven::NoReceipt)?;
        let (record, evidence) = read_receipt(&mut receipt).ok_or(Unproven::NoReceipt)?;
        let evidence = evidence.ok_or(Unproven::NoReceipt)?;
        let index = record.index_of(position).ok_or(Unproven::Gone)?;
        let salt = record.events.get(index).ok_or(Unproven::Gone)?.salt;
        let proof = EventProof::of_event(salt, Entry::said(&event), &record.digests(), index, evidence);
        proof.ok_or(Unproven::NoReceipt)
    }

    /// Receipts that are kept.
    pub fn kept(&self) -> usize {
        self.lock().places.len()
    }

    /// Ends the task; what is appended is synced.
    pub async fn close(&self) -> Result<(), Error> {
        Ok(self.spool.close().await?)
    }
}

/// Why an event cannot be proven.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// There is no such event, or not any more.
    #[error("no event lies there: positions are those of /events, and the oldest events leave")]
    Gone,
    /// It will be on the ledger.
    #[error("the event is not on the ledger yet: ask again in a second")]
    Waits,
    /// It left, or was never there.
    #[error("the event is on the ledger, but its receipt is not here any more")]
    NoReceipt,
    /// The disk.
    #[error("the journal cannot be read")]
    Disk(#[from] SpoolError),
}

fn receipt(record: &Record, evidence: Option<&ActEvidence>) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(RECEIPT);
    record.write(&mut bytes);
    if let Some(evidence) = evidence {
        bytes.put_slice(&evidence.to_bytes());
    }
    bytes.freeze()
}

fn read_receipt(bytes: &mut Bytes) -> Option<(Record, Option<ActEvidence>)> {
    if bytes.remaining() < 1 || bytes.get_u8() != RECEIPT {
        return None;
    }
    let record = Record::read(bytes)?;
    let evidence = match bytes.is_empty() {
        true => None,
        false => Some(ActEvidence::from_bytes(bytes).ok()?),
    };
    Some((record, evidence))
}

fn place(record: &Record, evidence: Option<&ActEvidence>, at: Position, bytes: u64) -> Place {
    Place {
        sequence: record.sequence,
        height: evidence.map(|evidence| evidence.header.height.get()),
        act: evidence.map(|evidence| evidence.inclusion.index),
        last: record.end().saturating_sub(1),
        at,
        bytes,
    }
}

fn insert(state: &mut State, record: &Record, place: Place) {
    let Some(first) = record.events.first() else { return };
    state.bytes += place.bytes;
    if let Some(before) = state.places.insert(first.position, place) {
        state.bytes -= before.bytes;
    }
}

/// Takes an entry of an earlier process.
fn restore(state: &mut State, restored: &mut Restored, position: Position, bytes: Bytes) {
    let size = bytes.len() as u64;
    let mut rest = bytes.clone();
    if let Some((record, evidence)) = read_receipt(&mut rest) {
        restored.listed = restored.listed.max(record.end());
        restored.next = restored.next.max(record.sequence.saturating_add(1));
        insert(state, &record, place(&record, evidence.as_ref(), position, size));
        return;
    }
    let mut rest = bytes;
    if rest.remaining() > 0
        && rest.get_u8() == RECORD
        && let Some(record) = Record::read(&mut rest)
    {
        restored.next = restored.next.max(record.sequence.saturating_add(1));
        restored.pending = Some(record);
        state.record = Some(position);
        return;
    }
    tracing::error!(%position, "an entry among the receipts of events cannot be read");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::lists::Listed;
    use voltmesh_ledger::Hash;

    fn record(sequence: u64, positions: std::ops::Range<u64>) -> Record {
        let listed = |position| Listed { position, salt: [1; 16], digest: Hash::new([position as u8; 32]) };
        Record { authority: [3; 32], sequence, above: 9, events: positions.map(listed).collect() }
    }

    /// What entries say in the order in which a crash may leave them.
    fn check(entries: &[Bytes], listed: u64, next: u64, pending: Option<u64>) {
        let (mut state, mut restored) = (State::default(), Restored { listed: 0, next: 0, pending: None });
        for (position, bytes) in entries.iter().enumerate() {
            restore(&mut state, &mut restored, Position(position as u64), bytes.clone());
        }
        let pending_now = restored.pending.filter(|record| record.end() > restored.listed);
        assert_eq!((restored.listed, restored.next), (listed, next));
        assert_eq!(pending_now.map(|record| record.sequence), pending);
    }

    #[test]
    fn what_was_under_way_is_known_again_and_what_is_done_is_not_done_twice() {
        let written = |record: &Record| {
            let mut bytes = BytesMut::new();
            bytes.put_u8(RECORD);
            record.write(&mut bytes);
            bytes.freeze()
        };
        let (first, second) = (record(4, 0..3), record(5, 3..9));
        check(&[], 0, 0, None);
        check(&[written(&first)], 0, 5, Some(4));
        check(&[written(&first), receipt(&first, None)], 3, 5, None);
        check(&[written(&first), receipt(&first, None), written(&second)], 3, 6, Some(5));
        check(&[receipt(&first, None), written(&second), receipt(&second, None)], 9, 6, None);
        // A number given anew.
        check(&[written(&first), written(&record(7, 0..3))], 0, 8, Some(7));
        check(&[Bytes::from_static(b"rubbish"), Bytes::new()], 0, 0, None);
    }
}
