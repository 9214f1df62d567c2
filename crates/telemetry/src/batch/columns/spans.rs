//! Which values of a batch are unknown: spans of consecutive records, by place.

use super::stream::{Input, Output};
use crate::{Error, MAX_CELLS, MAX_CHANNELS, MAX_TEMPERATURES, Unknown};
use std::{collections::BTreeMap, ops::Range};

/// Causes, which share a number with a span's length.
const CAUSES: u64 = Unknown::ALL.len() as u64;

/// Place of a value in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(usize);

impl Place {
    pub const PACK_VOLTAGE: Place = Place(0);
    pub const PACK_CURRENT: Place = Place(1);
    pub const SOC: Place = Place(2);
    const OPTIONAL: usize = 3;
    const CHANNELS: usize = Self::OPTIONAL + 4;
    const TEMPERATURES: usize = Self::CHANNELS + MAX_CHANNELS;
    const CELLS: usize = Self::TEMPERATURES + MAX_TEMPERATURES;
    const END: usize = Self::CELLS + MAX_CELLS;

    pub fn optional(of: usize) -> Self {
        Self(Self::OPTIONAL + of)
    }

    pub fn channel(channel: usize) -> Self {
        Self(Self::CHANNELS + channel)
    }

    pub fn temperature(sensor: usize) -> Self {
        Self(Self::TEMPERATURES + sensor)
    }

    pub fn cell(cell: usize) -> Self {
        Self(Self::CELLS + cell)
    }

    fn within(self, range: Range<usize>) -> Option<usize> {
        range.contains(&self.0).then(|| self.0 - range.start)
    }

    pub fn as_optional(self) -> Option<usize> {
        self.within(Self::OPTIONAL..Self::CHANNELS)
    }

    pub fn as_channel(self) -> Option<usize> {
        self.within(Self::CHANNELS..Self::TEMPERATURES)
    }

    pub fn as_temperature(self) -> Option<usize> {
        self.within(Self::TEMPERATURES..Self::CELLS)
    }

    pub fn as_cell(self) -> Option<usize> {
        self.within(Self::CELLS..Self::END)
    }
}

/// Spans by place, each with its cause, in the order of records.
#[derive(Default)]
pub(super) struct Spans(BTreeMap<Place, Vec<(Range<usize>, Unknown)>>);

impl Spans {
    /// Notes that a value of the record at `at` is unknown; records come in order.
    pub fn note(&mut self, place: Place, at: usize, cause: Option<Unknown>) {
        let Some(cause) = cause else { return };
        let spans = self.0.entry(place).or_default();
        match spans.last_mut() {
            Some((span, last)) if span.end == at && *last == cause => span.end += 1,
            _ => spans.push((at..at + 1, cause)),
        }
    }

    pub fn encode(&self, out: &mut Output) {
        out.uint(self.0.values().map(Vec::len).sum::<usize>() as u64);
        let mut last = 0;
        for (place, spans) in &self.0 {
            let mut end = 0;
            for (span, cause) in spans {
                out.uint((place.0 - last) as u64);
                out.uint((span.start - end) as u64);
                out.uint(CAUSES * (span.len() as u64 - 1) + *cause as u64);
                (last, end) = (place.0, span.end);
            }
        }
    }

    /// Reads spans of `records` records in ascending order and marks each; `mark` says whether there is such a value.
    pub fn decode(
        input: &mut Input<'_>,
        records: usize,
        mut mark: impl FnMut(Place, Range<usize>, Unknown) -> bool,
    ) -> Result<(), Error> {
        let (mut place, mut end) = (0, 0);
        for _ in 0..input.count(records * Place::END)? {
            let step = input.count(Place::END)?;
            if step > 0 {
                (place, end) = (place + step, 0);
            }
            let start = end + input.count(records)?;
            let packed = input.uint()?;
            let cause = Unknown::from_code((packed % CAUSES) as u8);
            let len = usize::try_from(packed / CAUSES).unwrap_or(usize::MAX).saturating_add(1);
            end = start.saturating_add(len);
            let marked = cause.is_some_and(|cause| end <= records && mark(Place(place), start..end, cause));
            if !marked {
                return Err(input.malformed("span of unknown values is outside the records"));
            }
        }
        Ok(())
    }
}
