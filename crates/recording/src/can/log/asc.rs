//! Vector's ASC.

use super::super::frame::MAX_EXTENDED_ID;
use super::super::{Bus, Direction, Frame, Kind};
use super::parsed::Parsed;
use super::text::{SECOND, byte, clock, decimal, hex, moment, nanos, stamp, starts, word, words};
use crate::Stamp;

/// Reader of lines as `0.000000 1  100  Rx   d 8 E0 0D 83 FF 00 00 00 00`.
#[derive(Default)]
pub(super) struct Asc {
    decimal: bool,
    /// Each time counts from the line before.
    deltas: bool,
    /// Of the line `date`.
    date: Option<i64>,
    /// Of the last line `Begin Triggerblock` that no time has followed yet.
    trigger: Option<i64>,
    /// What times count from: of a clock on the wall.
    pub(super) origin: Option<i64>,
    last: Option<i64>,
}

pub(super) fn begins(line: &[u8]) -> bool {
    let mut words = words(line);
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    first == b"date" && second.len() >= 2 && date(after_word(line)).is_some()
        || first == b"base" && matches!(second, b"hex" | b"dec")
        || first.eq_ignore_ascii_case(b"begin") && second.eq_ignore_ascii_case(b"triggerblock")
}

fn after_word(line: &[u8]) -> &[u8] {
    word(line).1
}

/// `Wed Nov 15 10:13:20.5 am 2023`, in English or German, as nanoseconds since the Unix epoch.
fn date(text: &[u8]) -> Option<i64> {
    const MONTHS: [&[u8]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    const GERMAN: [(&[u8], usize); 5] =
        [(b"m\xc3\xa4r", 2), (b"m\xe4r", 2), (b"mai", 4), (b"okt", 9), (b"dez", 11)];
    let mut words = words(text);
    let _weekday = words.next()?;
    let name = words.next()?.to_ascii_lowercase();
    let month = MONTHS
        .iter()
        .position(|m| name.starts_with(m))
        .or_else(|| GERMAN.iter().find(|(m, _)| name.starts_with(m)).map(|(_, i)| *i))?;
    let day = decimal(words.next()?)?;
    let text = words.next()?;
    let mut time = match text.iter().position(|byte| matches!(byte, b'.' | b',')) {
        // Milliseconds are a count of three digits; python-can leaves their zeros in front out.
        Some(at) if (1..3).contains(&(text.len() - at - 1)) => {
            clock(&text[..at])? + decimal(&text[at + 1..])? as i64 * (SECOND / 1000)
        }
        _ => clock(text)?,
    };
    let mut next = words.next()?;
    let (am, pm) = (next.eq_ignore_ascii_case(b"am"), next.eq_ignore_ascii_case(b"pm"));
    if am || pm {
        let hour = 3600 * SECOND;
        time = time % (12 * hour) + if pm { 12 * hour } else { 0 };
        next = words.next()?;
    }
    moment((decimal(next)? as i64, month as i64 + 1, day as i64), time)
}

impl Asc {
    /// Takes a line of the head or a trigger block in; false if it is none.
    fn head(&mut self, line: &[u8]) -> bool {
        let (first, rest) = word(line);
        if first == b"date" {
            self.date = date(rest);
            self.origin = self.date;
        } else if first == b"base" {
            self.decimal = word(rest).0 == b"dec";
            self.deltas = words(rest).any(|w| w == b"relative");
        } else if starts(line, b"begin triggerblock") {
            self.trigger = date(after_word(rest));
        } else {
            return starts(line, b"end triggerblock")
                || starts(line, b"internal events")
                || starts(line, b"no internal events")
                || line.starts_with(b"//");
        }
        true
    }

    /// The time of a line. Times count from the line `date`. Converters write when they ran into that line, and the
    /// measurement's start into the first trigger block, from which times then count; a later block begins anew only
    /// if times go back.
    fn time(&mut self, text: &[u8]) -> Option<Stamp> {
        let mut ns = nanos(text)?;
        if self.deltas {
            ns = ns.checked_add(self.last.unwrap_or(0))?;
        }
        if let Some(trigger) = self.trigger.take() {
            let from_date = self
                .date
                .and_then(|date| date.checked_add(ns))
                .is_some_and(|t| (t - trigger).abs() < 2 * SECOND);
            let anew = self.last.is_none_or(|last| ns < last);
            if anew && !from_date {
                self.origin = Some(trigger);
            }
        }
        self.last = Some(ns);
        Some(match self.origin {
            Some(origin) => Stamp::Unix(origin.checked_add(ns)?),
            None => stamp(ns),
        })
    }

    pub(super) fn parse(&mut self, line: &[u8]) -> Parsed {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return Parsed::Nothing;
        }
        let (first, rest) = word(line);
        if !first[0].is_ascii_digit() {
            return if self.head(line) { Parsed::Nothing } else { Parsed::Skip("no frame in the line") };
        }
        let Some(time) = self.time(first) else { return Parsed::Skip("a time that is none") };
        let (channel, rest) = word(rest);
        let result = if channel == b"CANFD" {
            self.fd(time, rest)
        } else if starts(rest.trim_ascii_start(), b"errorframe") && decimal(channel).is_some() {
            let mut frame = Frame::new(time, 0, false);
            (frame.kind, frame.bus) = (Kind::Error, Some(Bus::new(channel)));
            Ok(frame)
        } else if starts(line, first) && starts(word(line).1.trim_ascii_start(), b"start of measurement") {
            return Parsed::Nothing;
        } else {
            self.classic(time, channel, rest)
        };
        result.map_or_else(Parsed::Skip, Parsed::Frame)
    }

    fn identified(&self, time: Stamp, text: &[u8]) -> Option<Frame> {
        let (digits, extended) = match text {
            [digits @ .., b'x' | b'X'] => (digits, true),
            digits => (digits, false),
        };
        let id = if self.decimal { u32::try_from(decimal(digits)?).ok()? } else { hex(digits)? };
        let most = if extended { MAX_EXTENDED_ID } else { super::super::frame::MAX_STANDARD_ID };
        (id <= most).then(|| Frame::new(time, id, extended))
    }

    fn classic(&self, time: Stamp, channel: &[u8], rest: &[u8]) -> Result<Frame, &'static str> {
        const EVENT: &str = "an event, no frame";
        if decimal(channel).is_none() {
            return Err(EVENT);
        }
        let (id, rest) = word(rest);
        let (direction, rest) = word(rest);
        let (kind, rest) = word(rest);
        let direction = direction_of(direction).ok_or(EVENT)?;
        let mut frame = self
            .identified(time, id)
            .ok_or("an identifier that is no number (log without symbolic names)")?;
        (frame.bus, frame.direction) = (Some(Bus::new(channel)), direction);
        match kind {
            b"r" | b"R" => {
                frame.kind = Kind::Remote;
                return Ok(frame);
            }
            b"d" | b"D" => {}
            _ => return Err(EVENT),
        }
        let (length, rest) = word(rest);
        // The code of 8 bytes may be 9 to 15.
        let length = if self.decimal { decimal(length) } else { hex(length).map(u64::from) };
        let length = length.filter(|n| *n <= 15).ok_or("a length that is none")?.min(8);
        self.fill(frame, length, rest)
    }

    /// `1 Rx 200 [name] 1 0 f 64 00 01 …` behind `CANFD`.
    fn fd(&self, time: Stamp, rest: &[u8]) -> Result<Frame, &'static str> {
        let (channel, rest) = word(rest);
        let (direction, rest) = word(rest);
        let (id, mut rest) = word(rest);
        let direction = direction_of(direction).ok_or("an event, no frame")?;
        if starts(id, b"errorframe") {
            let mut frame = Frame::new(time, 0, false);
            (frame.kind, frame.bus) = (Kind::Error, Some(Bus::new(channel)));
            return Ok(frame);
        }
        let mut frame = self
            .identified(time, id)
            .ok_or("an identifier that is no number (log without symbolic names)")?;
        (frame.bus, frame.direction) = (Some(Bus::new(channel)), direction);
        // The name of the message is a word that is no digit.
        if !matches!(word(rest).0, b"0" | b"1") {
            rest = word(rest).1;
        }
        for _ in 0..2 {
            rest = word(rest).1;
        }
        let (_code, rest) = word(rest);
        let (length, rest) = word(rest);
        let length = decimal(length).filter(|n| *n <= 64).ok_or("a length that is none")?;
        frame.kind = Kind::Fd;
        self.fill(frame, length, rest)
    }

    fn fill(&self, mut frame: Frame, length: u64, mut rest: &[u8]) -> Result<Frame, &'static str> {
        for _ in 0..length {
            let (text, next) = word(rest);
            if text.is_empty() {
                return Err("fewer bytes than the length says");
            }
            let value =
                if self.decimal { decimal(text).and_then(|v| u8::try_from(v).ok()) } else { byte(text) };
            frame.push(value.ok_or("data that are no bytes")?);
            rest = next;
        }
        Ok(frame)
    }
}

fn direction_of(text: &[u8]) -> Option<Direction> {
    Some(match text {
        b"Rx" | b"RX" | b"rx" => Direction::Received,
        b"Tx" | b"TX" | b"tx" | b"TxRq" => Direction::Sent,
        _ => return None,
    })
}
