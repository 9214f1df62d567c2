//! A frozen, readable view of what is durable; it stays readable while the spool goes on.

use crate::{Acks, Error, Position, entry::Entry};
use bytes::Bytes;
use commonware_storage::{
    Context,
    journal::{self, contiguous::Contiguous as _, contiguous::variable},
};
use std::sync::Arc;

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

/// Segments, oldest first, without overlap.
pub(crate) struct View<E: Context> {
    pub segments: Vec<Segment<E>>,
}

impl<E: Context> Clone for View<E> {
    fn clone(&self) -> Self {
        Self { segments: self.segments.clone() }
    }
}

/// Entries fetched by one batched read.
const CHUNK: usize = 32;

impl<E: Context> View<E> {
    fn segment(&self, position: u64) -> Option<&Segment<E>> {
        self.segments.iter().rev().find(|s| (s.start()..s.end).contains(&position))
    }

    /// The entry at a position, or `None` if it is pruned or not there.
    pub async fn entry(&self, position: u64) -> Result<Option<Entry>, journal::Error> {
        let Some(segment) = self.segment(position) else { return Ok(None) };
        segment.reader.read(position - segment.base).await.map(Some)
    }

    /// Up to `limit` unacknowledged entries from `from` on, until `max_bytes` are exceeded; one at least.
    pub async fn read_from(
        &self,
        name: &str,
        acks: &Acks,
        from: Position,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Bytes)>, Error> {
        let mut found = Vec::new();
        let (mut next, mut bytes) = (acks.next_open(from).0, 0usize);
        while found.len() < limit && bytes < max_bytes {
            let Some(segment) = self.segments.iter().find(|s| next < s.end && s.start() < s.end) else {
                break;
            };
            next = acks.next_open(Position(next.max(segment.start()))).0;
            let mut positions = Vec::with_capacity(CHUNK);
            while next < segment.end && positions.len() < CHUNK.min(limit - found.len()) {
                positions.push(next - segment.base);
                next = acks.next_open(Position(next + 1)).0;
            }
            let first = positions.first().map_or(next, |p| p + segment.base);
            let entries =
                segment.reader.read_many(&positions).await.map_err(|e| read_error(name, first, e))?;
            for (local, entry) in positions.iter().zip(entries) {
                if bytes >= max_bytes {
                    break;
                }
                bytes += entry.payload.len();
                found.push((Position(local + segment.base), entry.payload));
            }
        }
        Ok(found)
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
