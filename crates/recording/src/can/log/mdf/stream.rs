//! Records of one data group to frames, in the order in which they were recorded.

use super::super::seekable::{Numbers, Store, damaged};
use super::super::text::{SECOND, stamp};
use super::super::trc::length_of_code;
use super::block::Head;
use super::data::Data;
use super::group::{Frames, Group, Payload};
use crate::can::frame::{MAX_EXTENDED_ID, MAX_STANDARD_ID};
use crate::can::{Bus, Direction, Frame, Kind};
use crate::{Skipped, Stamp};
use std::collections::VecDeque;
use std::io;

/// Most frames that wait for their data, and data that wait for their frame, in a group of both.
const MAX_WAITING: usize = 1024;
/// Most bytes of a frame's data.
const MAX_DATA: u32 = 64;
/// Count of times that the data of a signal are read from their beginning again, because offsets went back, at most.
const MAX_RESTARTS: u32 = 16;
/// Reason for which a record is left out.
const NO_TIME: &str = "its time cannot be read";
const NO_DATA: &str = "a frame whose data are not in the file";
const CUT: &str = "a record that is cut";

/// Data of frames that stand elsewhere.
enum Source {
    /// In a block of their own.
    Signal { data: Data, restarts: u32 },
    /// In records of a group of the same stream, by its place among the groups.
    Records(usize),
}

/// A frame without its data.
struct Waiting {
    frame: Frame,
    offset: u64,
    group: usize,
}

/// Data without their frame.
struct Found {
    group: usize,
    offset: u64,
    bytes: Vec<u8>,
}

/// Reader of one data group.
pub(super) struct Stream {
    groups: Vec<Group>,
    sources: Vec<Option<Source>>,
    /// Bytes of a record's identifier.
    id_bytes: usize,
    start: i64,
    data: Data,
    ready: VecDeque<Frame>,
    waiting: VecDeque<Waiting>,
    found: VecDeque<Found>,
    /// Bytes of each group's records with a length so far.
    offsets: Vec<u64>,
    ended: bool,
}

impl Stream {
    pub fn new(
        groups: Vec<Group>,
        id_bytes: usize,
        start: i64,
        block: u64,
        store: &mut Store,
        is_open: bool,
    ) -> io::Result<Self> {
        if !matches!(id_bytes, 0 | 1 | 2 | 4 | 8) || (id_bytes == 0 && groups.len() > 1) {
            return Err(damaged(format!("{} groups have identifiers of {id_bytes} bytes", groups.len())));
        }
        let mut sources = Vec::new();
        for group in &groups {
            sources.push(match group.frames.as_ref().map(|frames| frames.payload) {
                Some(Payload::Elsewhere { block, .. })
                    if block != 0 && Head::read(store, block)?.id == *b"CG" =>
                {
                    let of = groups.iter().position(|other| other.at == block && other.is_variable);
                    Some(Source::Records(
                        of.ok_or_else(|| damaged("the data of frames are in another group"))?,
                    ))
                }
                Some(Payload::Elsewhere { block, .. }) => {
                    Some(Source::Signal { data: Data::new(block, store.length, false), restarts: 0 })
                }
                _ => None,
            });
        }
        Ok(Self {
            offsets: vec![0; groups.len()],
            groups,
            sources,
            id_bytes,
            start,
            data: Data::new(block, store.length, is_open),
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            found: VecDeque::new(),
            ended: false,
        })
    }

    /// The time of the next frame.
    pub fn peek(&self) -> Option<Stamp> {
        self.ready.front().map(|frame| frame.time)
    }

    /// The next frame.
    pub fn pop(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    /// Reads on until there is a frame, or the end.
    pub fn fill(
        &mut self,
        store: &mut Store,
        skipped: &mut Skipped,
        records: &mut u64,
        place: &str,
    ) -> io::Result<()> {
        while self.ready.is_empty() && !self.ended {
            let number = *records + 1;
            let at = || format!("{place}: record {number}");
            match self.record(store, skipped, &at) {
                Ok(true) => *records += 1,
                Ok(false) => self.end(skipped, &at),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    skipped.count(CUT, at);
                    self.end(skipped, &at);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn end(&mut self, skipped: &mut Skipped, at: &dyn Fn() -> String) {
        self.ended = true;
        for _ in self.waiting.drain(..) {
            skipped.count(NO_DATA, at);
        }
    }

    /// Reads a record; false at the end.
    fn record(
        &mut self,
        store: &mut Store,
        skipped: &mut Skipped,
        at: &dyn Fn() -> String,
    ) -> io::Result<bool> {
        let mut index = 0;
        if self.id_bytes > 0 {
            let Some(bytes) = self.data.take(store, self.id_bytes)? else { return Ok(false) };
            let id = bytes.iter().rev().fold(0, |id, byte| id << 8 | u64::from(*byte));
            let found = self.groups.iter().position(|group| group.record_id == id);
            index = found
                .ok_or_else(|| damaged(format!("a record is of group {id}, which the file does not have")))?;
        }
        if self.groups[index].is_variable {
            return self.variable(index, store, skipped, at).map(|()| true);
        }
        let bytes = self.groups[index].bytes;
        if bytes == 0 {
            return Ok(self.id_bytes > 0);
        }
        let Some(record) = self.data.take(store, bytes)? else {
            return if self.id_bytes > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(false) };
        };
        let Some(frames) = &self.groups[index].frames else { return Ok(true) };
        let (frame, offset) = match frame(frames, self.start, record) {
            Ok(read) => read,
            Err(reason) => {
                skipped.count(reason, at);
                return Ok(true);
            }
        };
        let Some(offset) = offset else {
            self.ready.push_back(frame);
            return Ok(true);
        };
        match &mut self.sources[index] {
            Some(Source::Signal { data, restarts }) => match signal(data, restarts, store, offset)? {
                Some(bytes) => self.ready.push_back(frame.with_data(&bytes)),
                None => skipped.count(NO_DATA, at),
            },
            Some(Source::Records(group)) => {
                let group = *group;
                let there =
                    self.found.iter().position(|found| found.group == group && found.offset == offset);
                match there.and_then(|there| self.found.remove(there)) {
                    Some(found) => self.ready.push_back(frame.with_data(&found.bytes)),
                    None => self.wait(Waiting { frame, offset, group }, skipped, at),
                }
            }
            None => skipped.count(NO_DATA, at),
        }
        Ok(true)
    }

    fn wait(&mut self, waiting: Waiting, skipped: &mut Skipped, at: &dyn Fn() -> String) {
        self.waiting.push_back(waiting);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
            skipped.count(NO_DATA, at);
        }
    }

    /// Reads a record that states its length: the data of a frame that came, or will come.
    fn variable(
        &mut self,
        group: usize,
        store: &mut Store,
        skipped: &mut Skipped,
        at: &dyn Fn() -> String,
    ) -> io::Result<()> {
        let length = self.data.take(store, 4)?.and_then(|bytes| bytes.u32_at(0));
        let length = length.ok_or(io::ErrorKind::UnexpectedEof)?;
        let offset = self.offsets[group];
        self.offsets[group] = offset.saturating_add(4 + u64::from(length));
        if length > MAX_DATA {
            // Data of another kind of bus.
            return if self.data.skip(store, u64::from(length))? {
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        let bytes = self.data.take(store, length as usize)?.unwrap_or_default().to_vec();
        let there =
            self.waiting.iter().position(|waiting| waiting.group == group && waiting.offset == offset);
        match there.and_then(|there| self.waiting.remove(there)) {
            Some(waiting) => self.ready.push_back(waiting.frame.with_data(&bytes)),
            None => {
                self.found.push_back(Found { group, offset, bytes });
                if self.found.len() > MAX_WAITING {
                    self.found.pop_front();
                    skipped.count("data without a frame", at);
                }
            }
        }
        Ok(())
    }
}

/// The value at an offset of a signal's data; `None` if there is none of a frame's length.
fn signal(
    data: &mut Data,
    restarts: &mut u32,
    store: &mut Store,
    offset: u64,
) -> io::Result<Option<Vec<u8>>> {
    if offset < data.position() {
        *restarts += 1;
        if *restarts > MAX_RESTARTS {
            return Err(damaged("the data of frames are not in their order"));
        }
        *data = data.again(store.length);
    }
    let missing =
        |error: io::Error| if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    match data.skip(store, offset - data.position()) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(error) => return missing(error),
    }
    let length = match data.take(store, 4) {
        Ok(bytes) => bytes.and_then(|bytes| bytes.u32_at(0)),
        Err(error) => return missing(error),
    };
    let Some(length) = length.filter(|length| *length <= MAX_DATA) else { return Ok(None) };
    match data.take(store, length as usize) {
        Ok(bytes) => Ok(bytes.map(<[u8]>::to_vec)),
        Err(error) => missing(error),
    }
}

/// A frame of a record, and the offset of its data if they stand elsewhere; or why there is none.
fn frame(frames: &Frames, start: i64, record: &[u8]) -> Result<(Frame, Option<u64>), &'static str> {
    let whole = |number: usize| frames.parts[number].and_then(|part| part.whole(record));
    let (ide, code, length, bus, direction, fd) =
        (whole(0), whole(1), whole(2), whole(3), whole(4), whole(5));
    let seconds = frames.time.number(record).ok_or(CUT)? * frames.seconds.0 + frames.seconds.1;
    let time = nanoseconds(seconds).and_then(|ns| start.checked_add(ns)).ok_or(NO_TIME)?;
    let raw = frames.id.whole(record).ok_or(CUT)?;
    let id = raw as u32 & MAX_EXTENDED_ID;
    let is_extended = ide == Some(1) || raw >> 31 & 1 == 1 || (ide.is_none() && id > MAX_STANDARD_ID);
    if !is_extended && id > MAX_STANDARD_ID {
        return Err("an identifier of more than 11 bits that is none of 29");
    }
    let mut frame = Frame::new(stamp(time), id, is_extended);
    frame.kind = if frames.kind == Kind::Data && fd == Some(1) { Kind::Fd } else { frames.kind };
    frame.bus = bus.map(|bus| Bus::new(bus.to_string().as_bytes()));
    frame.direction = match direction {
        Some(0) => Direction::Received,
        Some(1) => Direction::Sent,
        _ => Direction::Unknown,
    };
    let length = length.or_else(|| code.and_then(length_of_code));
    match frames.payload {
        Payload::Missing => Ok((frame, None)),
        _ if frames.kind != Kind::Data => Ok((frame, None)),
        Payload::Elsewhere { offset, .. } => Ok((frame, Some(offset.whole(record).ok_or(CUT)?))),
        Payload::Fixed { byte, most } => {
            let length = length.map_or(most, |length| length.min(most as u64) as usize);
            let bytes = record.get(byte..byte + length).ok_or(CUT)?;
            if length > MAX_DATA as usize {
                return Err("more data than a frame can have");
            }
            Ok((frame.with_data(bytes), None))
        }
    }
}

/// Seconds as nanoseconds; `None` beyond 292 years.
fn nanoseconds(seconds: f64) -> Option<i64> {
    let whole = seconds.floor();
    let within = seconds.is_finite() && whole.abs() < 9e9;
    within.then(|| whole as i64 * SECOND + ((seconds - whole) * 1e9).round() as i64)
}
