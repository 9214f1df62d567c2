//! Lines of `candump` in all its forms, and of battery emulators that write alike.

mod stamps;

use super::super::{Bus, Direction, Frame, Kind};
use super::parsed::Parsed;
use super::text::{byte, clock, decimal, hex, moment, nanos, nibble, stamp, without_0x, word};
use crate::Stamp;
use stamps::Meaning;

/// Reader of lines as
/// `(1700000000.5) can0 100#E00D R`, ` (2023-11-14 22:13:20.5)  can0  RX - -  100   [2]  E0 0D` and
/// `(737.12) RX0 2AD [2] 25 06`.
#[derive(Default)]
pub(super) struct Candump {
    /// No line has a time.
    pub(super) untimed: bool,
    meaning: Meaning,
    sum: i64,
    /// Times are those of a clock on the wall (`-tA`).
    pub(super) local: bool,
}

impl Candump {
    /// By the first lines: whether there are times, and what they mean.
    pub(super) fn of_head<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut times = Vec::new();
        let mut untimed = true;
        for line in lines.take(1000) {
            let line = without_surroundings(line.trim_ascii_start());
            let Parsed::Frame(_) = Self::default().parse(line) else { continue };
            if let Some(text) = line.strip_prefix(b"(").and_then(|rest| rest.split(|b| *b == b')').next()) {
                untimed = false;
                times.extend(nanos(text));
            }
        }
        Self { untimed, meaning: stamps::told(&times), ..Self::default() }
    }

    /// Takes what is stated of its times: whether each counts from the frame before.
    pub(super) const fn state(&mut self, deltas: bool) {
        self.meaning = Meaning { deltas, of_zero: false, unsure: false };
    }

    pub(super) const fn warning(&self) -> Option<&'static str> {
        match self.meaning {
            Meaning { unsure: true, .. } | Meaning { deltas: false, of_zero: false, .. } => None,
            Meaning { deltas: true, .. } => {
                Some("the times are taken as differences from frame to frame (candump -td)")
            }
            Meaning { deltas: false, .. } => {
                Some("the times are taken as counted from the first frame (candump -tz)")
            }
        }
    }

    /// The doubt about times that can mean either.
    pub(super) const fn doubt(&self) -> Option<&'static str> {
        match self.meaning {
            Meaning { unsure: false, .. } => None,
            Meaning { deltas: true, .. } => Some(
                "the times can be differences from frame to frame (candump -td) or counts from the first frame (-tz), and are \
                 read as differences: state time_format, \"candump_td\" or \"candump_tz\"",
            ),
            Meaning { deltas: false, .. } => Some(
                "the times can be counts from the first frame (candump -tz) or differences from frame to frame (-td), and are \
                 read as counts: state time_format, \"candump_tz\" or \"candump_td\"",
            ),
        }
    }

    fn time(&mut self, text: &[u8]) -> Option<Stamp> {
        if let Some(ns) = nanos(text) {
            if !self.meaning.deltas {
                return Some(stamp(ns));
            }
            self.sum = self.sum.checked_add(ns)?;
            return Some(Stamp::Relative(self.sum));
        }
        // candump -tA
        let (date, rest) = word(text);
        let mut date = date.split(|b| *b == b'-').map(decimal);
        let date = (date.next()?? as i64, date.next()?? as i64, date.next()?? as i64);
        self.local = true;
        Some(Stamp::Unix(moment(date, clock(rest.trim_ascii())?)?))
    }

    pub(super) fn parse(&mut self, line: &[u8]) -> Parsed {
        let line = without_surroundings(line.trim_ascii());
        if line.is_empty() {
            return Parsed::Nothing;
        }
        let (time, rest) = match line.strip_prefix(b"(") {
            None => (Stamp::Relative(0), line),
            Some(rest) => {
                let Some(end) = rest.iter().position(|b| *b == b')') else {
                    return Parsed::Skip("a time without its end");
                };
                let Some(time) = self.time(&rest[..end]) else { return Parsed::Skip("a time that is none") };
                (time, &rest[end + 1..])
            }
        };
        let (bus, rest) = word(rest);
        let (second, after) = word(rest);
        let result = match second.iter().position(|b| *b == b'#') {
            Some(at) => log_form(time, &second[..at], &second[at + 1..], after),
            None => screen_form(time, bus, second, after),
        };
        match result {
            Ok(mut frame) => {
                // A battery emulator writes RX0 or TX0 for direction and bus.
                let (direction, name) = match bus {
                    [b'R' | b'r', b'X' | b'x', name @ ..] => (Direction::Received, name),
                    [b'T' | b't', b'X' | b'x', name @ ..] => (Direction::Sent, name),
                    _ => (frame.direction, bus),
                };
                frame.direction = direction;
                frame.bus = (!name.is_empty()).then(|| Bus::new(name));
                Parsed::Frame(frame)
            }
            Err(reason) => Parsed::Skip(reason),
        }
    }
}

/// The line from its time on: without what a journal writes before it, and without a terminal's colours.
fn without_surroundings(line: &[u8]) -> &[u8] {
    const ESCAPE: u8 = 0x1b;
    if line.starts_with(b"(") && !line.contains(&ESCAPE) {
        return line;
    }
    let is_time = |from: &usize| {
        let text = || line[from + 1..].split(|b| *b == b')').next().unwrap_or_default();
        line[*from] == b'(' && text().contains(&b'.') && text().first().is_some_and(u8::is_ascii_digit)
    };
    let Some(from) = (0..line.len()).find(is_time) else { return line };
    line[from..].split(|b| *b == ESCAPE).next().unwrap_or_default().trim_ascii_end()
}

/// Identifier as candump writes it: three digits for 11 bits, eight for 29 with error reports above.
fn identified(time: Stamp, id: &[u8]) -> Result<Frame, &'static str> {
    let digits = without_0x(id);
    let value = hex(digits).ok_or("no frame in the line")?;
    let mut frame =
        Frame::new(time, value & super::super::frame::MAX_EXTENDED_ID, digits.len() > 4 || value > 0x7ff);
    if value & 0x2000_0000 != 0 && digits.len() == 8 {
        frame.kind = Kind::Error;
        frame.extended = false;
    } else if value > super::super::frame::MAX_EXTENDED_ID && value & 0x8000_0000 == 0 {
        return Err("an identifier of more than 29 bits");
    }
    Ok(frame)
}

/// `100#E00D83FF R`: also `#R8`, `##1…` for FD, and `_9` behind for a raw length code.
fn log_form(time: Stamp, id: &[u8], data: &[u8], after: &[u8]) -> Result<Frame, &'static str> {
    let mut frame = identified(time, id)?;
    frame.direction = match word(after).0 {
        b"R" => Direction::Received,
        b"T" => Direction::Sent,
        _ => Direction::Unknown,
    };
    let mut data = data;
    let mut most = 8;
    if let Some(fd) = data.strip_prefix(b"#") {
        let [flags, rest @ ..] = fd else { return Err("a line that is cut") };
        if nibble(*flags).is_none() {
            return Err("CAN XL, which is not read");
        }
        (frame.kind, data, most) = (Kind::Fd, rest, 64);
    } else if let [b'R' | b'r', ..] = data {
        frame.kind = Kind::Remote;
        return Ok(frame);
    }
    while let [first, rest @ ..] = data {
        match (first, rest) {
            (b'.', _) => data = rest,
            (b'_', _) => break,
            (_, [second, rest @ ..]) => {
                let value = byte(&[*first, *second]).ok_or("data that are not hexadecimal")?;
                if frame.data().len() >= most || !frame.push(value) {
                    return Err("more data than a frame can have");
                }
                data = rest;
            }
            _ => return Err("a line that is cut"),
        }
    }
    Ok(frame)
}

/// `100   [8]  E0 0D …` behind the bus, with direction and flags between (`-x`).
fn screen_form(time: Stamp, bus: &[u8], second: &[u8], after: &[u8]) -> Result<Frame, &'static str> {
    const NONE: &str = "no frame in the line";
    let (mut id, mut rest) = (second, after);
    let mut direction = Direction::Unknown;
    let (mut length, mut data) = word(rest);
    if matches!(second, b"RX" | b"TX") && !length.starts_with(b"[") {
        // candump -x: direction, BRS and ESI as letters or dashes
        direction = if second == b"RX" { Direction::Received } else { Direction::Sent };
        for _ in 0..2 {
            rest = word(rest).1;
        }
        (id, rest) = word(rest);
        (length, data) = word(rest);
    }
    if bus.is_empty() {
        return Err(NONE);
    }
    let count = length.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).ok_or(NONE)?;
    let mut frame = identified(time, id)?;
    frame.direction = direction;
    let most = decimal(count).filter(|n| *n <= 64).ok_or(NONE)?;
    // Length in two digits, or above 8: FD.
    if count.len() == 2 {
        frame.kind = Kind::Fd;
    }
    if data.trim_ascii().starts_with(b"remote request") {
        frame.kind = Kind::Remote;
        return Ok(frame);
    }
    for _ in 0..most {
        let (text, next) = word(data);
        if text.is_empty() {
            return Err("fewer bytes than the length says");
        }
        frame.push(byte(text).ok_or("data that are not hexadecimal")?);
        data = next;
    }
    let tail = data.trim_ascii();
    if tail.starts_with(b"ERRORFRAME") {
        frame.kind = Kind::Error;
    } else if !tail.is_empty() && byte(word(tail).0).is_some() {
        return Err("more bytes than the length says");
    }
    Ok(frame)
}
