//! Which entries are acknowledged: a floor and ranges above it.

use crate::Position;
use std::collections::BTreeMap;

/// Acknowledged positions: all below the floor, and disjoint, non-adjacent ranges above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acks {
    floor: u64,
    /// start → end (exclusive)
    above: BTreeMap<u64, u64>,
}

/// Ranges above the floor that are made durable, lowest first. What lies above them may return after a crash.
/// 16 bytes each: 1 MiB.
pub(crate) const MAX_RANGES: usize = 65_536;

impl Acks {
    /// The first position that is not acknowledged.
    #[must_use]
    pub fn floor(&self) -> Position {
        Position(self.floor)
    }

    /// One past the highest acknowledged position.
    #[must_use]
    pub fn end(&self) -> Position {
        Position(self.above.last_key_value().map_or(self.floor, |(_, end)| *end))
    }

    /// Whether a position is acknowledged.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        position.0 < self.floor
            || self.above.range(..=position.0).next_back().is_some_and(|(_, e)| position.0 < *e)
    }

    /// The first position at or after `from` that is not acknowledged.
    #[must_use]
    pub fn next_open(&self, from: Position) -> Position {
        let from = from.0.max(self.floor);
        match self.above.range(..=from).next_back() {
            Some((_, end)) if from < *end => Position(*end),
            _ => Position(from),
        }
    }

    /// Acknowledges a position; false if it was already.
    pub fn insert(&mut self, position: Position) -> bool {
        if self.contains(position) {
            return false;
        }
        let (mut start, mut end) = (position.0, position.0 + 1);
        if let Some((&before, &before_end)) = self.above.range(..start).next_back()
            && before_end == start
        {
            self.above.remove(&before);
            start = before;
        }
        if let Some(after_end) = self.above.remove(&end) {
            end = after_end;
        }
        if start == self.floor {
            self.floor = end;
        } else {
            self.above.insert(start, end);
        }
        true
    }

    /// Acknowledges all below `end`.
    pub fn insert_below(&mut self, end: Position) {
        if end.0 <= self.floor {
            return;
        }
        let rest = self.above.split_off(&end.0);
        let last = std::mem::replace(&mut self.above, rest).pop_last().map_or(end.0, |(_, e)| e.max(end.0));
        self.floor = last;
        if let Some(joined) = self.above.remove(&last) {
            self.floor = joined;
        }
    }

    /// Number of ranges above the floor.
    #[must_use]
    pub fn gaps(&self) -> usize {
        self.above.len()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.floor.to_be_bytes());
        let ranges = self.above.len().min(MAX_RANGES);
        out.extend_from_slice(&(ranges as u32).to_be_bytes());
        for (start, end) in self.above.iter().take(ranges) {
            out.extend_from_slice(&start.to_be_bytes());
            out.extend_from_slice(&end.to_be_bytes());
        }
    }

    /// `None` if the bytes are not what [`Self::encode`] writes.
    pub(crate) fn decode(input: &mut &[u8]) -> Option<Self> {
        let floor = take_u64(input)?;
        let ranges = take_u32(input)?;
        let mut above = BTreeMap::new();
        let mut last = floor;
        for _ in 0..ranges {
            let (start, end) = (take_u64(input)?, take_u64(input)?);
            if start <= last || end <= start {
                return None;
            }
            last = end;
            above.insert(start, end);
        }
        Some(Self { floor, above })
    }
}

pub(crate) fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (head, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_be_bytes(*head))
}

pub(crate) fn take_u32(input: &mut &[u8]) -> Option<u32> {
    let (head, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    Some(u32::from_be_bytes(*head))
}
