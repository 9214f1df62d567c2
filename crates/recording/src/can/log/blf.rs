//! Vector's BLF: objects, most of them in containers that are packed with zlib. Layout as python-can and T. Lorenz'
//! vector_blf read it.

use super::super::frame::MAX_EXTENDED_ID;
use super::super::{Bus, Direction, Frame, Kind};
use super::lines::Input;
use super::text::{SECOND, moment, stamp};
use super::trc::length_of_code;
use crate::{Error, Skipped, Stamp};
use flate2::read::ZlibDecoder;
use std::io::{self, Read};
use std::path::Path;

/// Largest container or object that is read, in bytes, packed or not; Vector's tools write 128 KiB.
const MAX_OBJECT: usize = 8 << 20;
/// Bytes of the header that every object has.
const BASE: usize = 16;

/// Reader of such a file.
pub(super) struct Blf {
    input: Input,
    /// Start in ns, of the clock on the wall of the computer that logged, if the file states it.
    pub(super) start: Option<i64>,
    /// Unpacked bytes that are not read yet, from `at` on.
    data: Vec<u8>,
    at: usize,
    /// Number of the object that was read last.
    pub(super) objects: u64,
    place: String,
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

impl Blf {
    pub(super) fn open(mut input: Input, place: &str) -> Result<Self, Error> {
        let mut head = [0; 72];
        input.read_exact(&mut head).map_err(Error::file(Path::new(place), "reading"))?;
        let size = u32_at(&head, 4).unwrap_or(0) as usize;
        if !(72..=4096).contains(&size) {
            return Err(Error::format(place, format!("the BLF header has {size} bytes, not 144")));
        }
        let rest = (size - head.len()) as u64;
        io::copy(&mut input.by_ref().take(rest), &mut io::sink())
            .map_err(Error::file(Path::new(place), "reading"))?;
        // SYSTEMTIME: year, month, weekday, day, hour, minute, second, ms
        let part = |i: usize| i64::from(u16_at(&head, 40 + 2 * i).unwrap_or(0));
        let clock = ((part(4) * 60 + part(5)) * 60 + part(6)) * SECOND + part(7) * 1_000_000;
        let start = moment((part(0), part(1), part(3)), clock);
        Ok(Self { input, start, data: Vec::new(), at: 0, objects: 0, place: place.to_owned() })
    }

    pub(super) fn next(&mut self, skipped: &mut Skipped) -> io::Result<Option<Frame>> {
        loop {
            while let Some((from, to)) = self.object()? {
                self.at = to;
                self.objects += 1;
                let number = self.objects;
                match self.frame(from, to) {
                    Some(Ok(frame)) => return Ok(Some(frame)),
                    Some(Err(reason)) => skipped.count(reason, || format!("{}: object {number}", self.place)),
                    None => {
                        skipped.count("an object that is cut", || format!("{}: object {number}", self.place))
                    }
                }
            }
            if !self.fill(skipped)? {
                if self.at < self.data.len() && self.data[self.at..].iter().any(|b| *b != 0) {
                    skipped.count("an object that is cut", || self.place.clone());
                }
                return Ok(None);
            }
        }
    }

    /// Begin and end of the next whole object in `data`; up to 7 bytes of padding come before it.
    fn object(&self) -> io::Result<Option<(usize, usize)>> {
        let rest = &self.data[self.at..];
        let Some(padding) = rest.windows(4).take(8).position(|w| w == b"LOBJ") else {
            return if rest.len() < 12 {
                Ok(None)
            } else {
                Err(damaged("there is no object where one must be"))
            };
        };
        let from = self.at + padding;
        let Some(size) = u32_at(&self.data, from + 8) else { return Ok(None) };
        let size = size as usize;
        if !(BASE..=MAX_OBJECT).contains(&size) {
            return Err(damaged("an object has an impossible size"));
        }
        Ok((from + size <= self.data.len()).then_some((from, from + size)))
    }

    /// Reads one more container or object of the file; false at its end.
    fn fill(&mut self, skipped: &mut Skipped) -> io::Result<bool> {
        self.data.drain(..self.at);
        self.at = 0;
        let mut head = [0; BASE];
        let mut have = 0;
        while have < BASE {
            let read = self.input.read(&mut head[have..])?;
            if read == 0 {
                return Ok(false);
            }
            have += read;
            // Padding between objects.
            let skip = head[..have].iter().take_while(|b| **b == 0).count();
            head.copy_within(skip..have, 0);
            have -= skip;
        }
        let size = u32_at(&head, 8).unwrap_or(0) as usize;
        if !head.starts_with(b"LOBJ") || !(BASE..=MAX_OBJECT).contains(&size) {
            return Err(damaged("there is no object where one must be"));
        }
        let mut body = Vec::new();
        self.input.by_ref().take((size - BASE) as u64).read_to_end(&mut body)?;
        if body.len() < size - BASE {
            skipped.count("a container that is cut", || self.place.clone());
            // What is there is unpacked as far as it goes.
        }
        if u32_at(&head, 12) != Some(10) {
            self.data.extend(head);
            self.data.extend(body);
            return Ok(true);
        }
        let packed = body.get(16..).unwrap_or_default();
        match u16_at(&body, 0) {
            Some(0) => self.data.extend(packed),
            Some(2) => {
                if ZlibDecoder::new(packed).take(MAX_OBJECT as u64).read_to_end(&mut self.data).is_err() {
                    skipped.count("a container that is damaged", || self.place.clone());
                }
            }
            _ => skipped.count("a container of an unknown packing", || self.place.clone()),
        }
        Ok(true)
    }

    fn frame(&self, from: usize, to: usize) -> Option<Result<Frame, &'static str>> {
        let object = &self.data[from..to];
        let (version, kind) = (u16_at(object, 6)?, u32_at(object, 12)?);
        let (flags, count) = (u32_at(object, 16)?, u64_at(object, 24)?);
        let body = object.get(if version == 2 { 40 } else { 32 }..)?;
        let ns = i64::try_from(count).ok()?.checked_mul(if flags == 1 { 10_000 } else { 1 })?;
        let time = match self.start {
            Some(start) => Stamp::Unix(start.checked_add(ns)?),
            None => stamp(ns),
        };
        let new = |id: u32| Frame::new(time, id & MAX_EXTENDED_ID, id & 0x8000_0000 != 0);
        let direction = |sent: bool| if sent { Direction::Sent } else { Direction::Received };
        let (mut frame, channel) = match kind {
            // CAN message, and message 2
            1 | 86 => {
                let (flags, length) = (*body.get(2)?, usize::from(*body.get(3)?).min(8));
                let mut frame = new(u32_at(body, 4)?).with_data(body.get(8..8 + length)?);
                if flags & 0x80 != 0 {
                    (frame, frame.kind) = (new(u32_at(body, 4)?), Kind::Remote);
                }
                frame.direction = direction(flags & 1 != 0);
                (frame, u16_at(body, 0)?)
            }
            // CAN FD message
            100 => {
                let (flags, fd, valid) = (*body.get(2)?, *body.get(13)?, usize::from(*body.get(14)?).min(64));
                let mut frame = new(u32_at(body, 4)?).with_data(body.get(20..20 + valid)?);
                frame.kind = if flags & 0x80 != 0 {
                    Kind::Remote
                } else if fd & 1 != 0 {
                    Kind::Fd
                } else {
                    Kind::Data
                };
                frame.direction = direction(flags & 1 != 0);
                (frame, u16_at(body, 0)?)
            }
            // CAN FD message 64
            101 => {
                let (code, valid) = (u64::from(*body.get(1)?), usize::from(*body.get(2)?).min(64));
                let (id, flags) = (u32_at(body, 4)?, u32_at(body, 12)?);
                let length = valid.min(length_of_code(code)? as usize);
                let mut frame = new(id).with_data(body.get(40..40 + length)?);
                frame.kind = if flags & 0x10 != 0 {
                    Kind::Remote
                } else if flags & 0x1000 != 0 {
                    Kind::Fd
                } else {
                    Kind::Data
                };
                frame.direction = direction(*body.get(34)? != 0);
                (frame, u16::from(*body.first()?))
            }
            // CAN error, and its extension
            2 | 73 => {
                let mut frame = new(0);
                frame.kind = Kind::Error;
                (frame, u16_at(body, 0)?)
            }
            _ => return Some(Err("an event, no frame")),
        };
        frame.bus = Some(Bus::new(channel.to_string().as_bytes()));
        Some(Ok(frame))
    }
}

fn damaged(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
