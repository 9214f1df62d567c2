//! A frozen, readable view of what is durable; it stays readable while the spool goes on.

use crate::{Acks, Error, Position, entry::Entry};
use bytes::Bytes;
use commonware_runtime::ReadOptions;
use commonware_storage::{
    Context,
    journal::{self, contiguous::Contiguous as _, contiguous::variable},
};
use futures::StreamExt as _;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) type Reader<E> = variable::Reader<'static, E, Entry>;

/// The readable part of one journal: positions `base + local`.
pub(crate) struct Segment<E: Context> {
    pub base: u64,
    /// Exclusive, a position.
    pub end: u64,
    pub reader: Arc<Reader<E>>,
}

impl<E: Context> Clone for Segment<E> {
    fn clone(&self) -> Self {
        Self { base: self.base, end: self.end, reader: self.reader.clone() }
    }
}

impl<E: Context> Segment<E> {
    /// First position that is not pruned.
    pub fn start(&self) -> u64 {
        self.base + self.reader.bounds().start
    }
}

/// The newest durable entries, in memory: who reads behind the writers need not go to the disk.
#[derive(Default)]
pub(crate) struct Recent {
    start: u64,
    entries: VecDeque<Bytes>,
    bytes: usize,
    max_bytes: usize,
}

impl Recent {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    /// An entry is durable now.
    pub fn push(&mut self, position: u64, payload: Bytes) {
        if position != self.start + self.entries.len() as u64 {
            (self.start, self.bytes) = (position, 0);
            self.entries.clear();
        }
        self.bytes += payload.len();
        self.entries.push_back(payload);
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.len();
            self.start += 1;
        }
    }

    fn get(&self, position: u64) -> Option<Bytes> {
        let index = usize::try_from(position.checked_sub(self.start)?).ok()?;
        self.entries.get(index).cloned()
    }
}

/// Segments, oldest first, without overlap.
pub(crate) struct View<E: Context> {
    pub segments: Vec<Segment<E>>,
    pub recent: Arc<Mutex<Recent>>,
}

impl<E: Context> Clone for View<E> {
    fn clone(&self) -> Self {
        Self { segments: self.segments.clone(), recent: self.recent.clone() }
    }
}

/// Up to so many entries are looked up one by one; more are read as a stream.
const FEW: usize = 16;

impl<E: Context> View<E> {
    fn segment(&self, position: u64) -> Option<&Segment<E>> {
        self.segments.iter().rev().find(|s| (s.start()..s.end).contains(&position))
    }

    pub fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry at a position as it is on disk, or `None` if it is pruned or not there.
    pub async fn entry(&self, position: u64) -> Result<Option<Entry>, journal::Error> {
        let Some(segment) = self.segment(position) else { return Ok(None) };
        segment.reader.read(position - segment.base).await.map(Some)
    }

    /// The payload at a position, or `None` if it is pruned or not there.
    pub async fn payload(&self, position: u64) -> Result<Option<Bytes>, journal::Error> {
        let recent = self.recent().get(position);
        match recent {
            Some(payload) => Ok(Some(payload)),
            None => Ok(self.entry(position).await?.map(|entry| entry.payload)),
        }
    }

    /// Up to `limit` unacknowledged entries from `from` on, until `max_bytes` are reached; one at least.
    pub async fn read_from(
        &self,
        name: &str,
        acks: &Acks,
        from: Position,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Bytes)>, Error> {
        let mut read =
            Reading { acks, next: acks.next_open(from).0, limit, max_bytes, bytes: 0, found: Vec::new() };
        while !read.is_done() {
            self.read_recent(&mut read);
            let Some(segment) = self.segments.iter().find(|s| read.next < s.end && s.start() < s.end) else {
                break;
            };
            read.skip_to(segment.start());
            if read.next >= segment.end || read.is_done() {
                continue;
            }
            let at = read.next;
            segment.read(&mut read).await.map_err(|e| read_error(name, at, e))?;
        }
        Ok(read.found)
    }

    /// Takes what is in memory.
    fn read_recent(&self, read: &mut Reading<'_>) {
        let recent = self.recent();
        while !read.is_done()
            && let Some(payload) = recent.get(read.next)
        {
            read.take(read.next, payload);
        }
    }
}

/// State of a read: the entries looked for and those found.
struct Reading<'a> {
    acks: &'a Acks,
    /// The next position that is not acknowledged.
    next: u64,
    limit: usize,
    max_bytes: usize,
    bytes: usize,
    found: Vec<(Position, Bytes)>,
}

impl Reading<'_> {
    fn is_done(&self) -> bool {
        self.found.len() >= self.limit || self.bytes >= self.max_bytes
    }

    fn skip_to(&mut self, position: u64) {
        self.next = self.acks.next_open(Position(self.next.max(position))).0;
    }

    /// Takes the entry at `position` if it is the next one.
    fn take(&mut self, position: u64, payload: Bytes) {
        if position == self.next && !self.is_done() {
            self.bytes += payload.len();
            self.found.push((Position(position), payload));
            self.skip_to(position + 1);
        }
    }
}

impl<E: Context> Segment<E> {
    async fn read(&self, read: &mut Reading<'_>) -> Result<(), journal::Error> {
        let range = read.next - self.base..self.end - self.base;
        if read.limit - read.found.len() <= FEW || range.end - range.start <= FEW as u64 {
            let position = read.next;
            let entry = self.reader.read(range.start).await?;
            read.take(position, entry.payload);
            return Ok(());
        }
        let replay = self.reader.replay(range, crate::config::REPLAY_BUFFER, ReadOptions::default()).await?;
        let mut batches = std::pin::pin!(replay);
        while let Some(batch) = batches.next().await {
            for (local, entry) in batch? {
                read.take(self.base + local, entry.payload);
            }
            if read.is_done() {
                break;
            }
        }
        Ok(())
    }
}

pub(crate) fn read_error(name: &str, position: u64, error: journal::Error) -> Error {
    let name = name.to_owned();
    let cause = error.to_string();
    if is_storage(&error) {
        return Error::Storage { name, action: "reading", cause };
    }
    Error::Corrupt { name, position: Position(position), cause }
}

/// Whether the disk did not do its work, as opposed to having given back something wrong.
pub(crate) fn is_storage(error: &journal::Error) -> bool {
    use commonware_storage::metadata::Error as MetadataError;
    matches!(error, journal::Error::Runtime(_) | journal::Error::Metadata(MetadataError::Runtime(_)))
}
