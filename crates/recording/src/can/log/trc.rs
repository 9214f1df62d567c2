//! PEAK's TRC 1.0 to 2.1, and IXXAT's trace, which has the same name.

use super::super::frame::MAX_EXTENDED_ID;
use super::super::{Bus, Direction, Frame, Kind};
use super::parsed::Parsed;
use super::text::{byte, decimal, hex, nanos, scaled, stamp, words};
use crate::Stamp;

/// Reader of lines as `1) 1059.9 Rx 0300 7 00 00 04 00 00 00 00`.
#[derive(Default)]
pub(super) struct Trc {
    /// Major and minor version; 1.0 has none.
    version: (u8, u8),
    /// Start in ns, of a clock on the wall.
    pub(super) start: Option<i64>,
    /// Letters of the columns of 2.x.
    columns: Vec<u8>,
}

pub(super) fn begins(line: &[u8]) -> bool {
    if line.starts_with(b";$FILEVERSION") || line.starts_with(b";$STARTTIME") {
        return true;
    }
    // 1.0 without a head: number with a parenthesis, time, identifier of 4 or 8 digits, length
    let mut words = words(line);
    let number = words.next().and_then(|w| w.strip_suffix(b")")).and_then(decimal);
    let time = words.next().and_then(nanos);
    number.is_some() && time.is_some()
}

impl Trc {
    fn head(&mut self, line: &[u8]) {
        if let Some(version) = line.strip_prefix(b";$FILEVERSION=") {
            let mut parts = version.trim_ascii().split(|b| *b == b'.').map(|p| decimal(p).unwrap_or(0) as u8);
            self.version = (parts.next().unwrap_or(1), parts.next().unwrap_or(0));
        } else if let Some(days) = line.strip_prefix(b";$STARTTIME=") {
            self.start = std::str::from_utf8(days.trim_ascii()).ok().and_then(ole_days);
        } else if let Some(columns) = line.strip_prefix(b";$COLUMNS=") {
            self.columns = columns
                .trim_ascii()
                .split(|b| *b == b',')
                .filter_map(|c| c.first().copied())
                .take(32)
                .collect();
        }
    }

    pub(super) fn parse(&mut self, line: &[u8]) -> Parsed {
        let line = line.trim_ascii();
        if line.starts_with(b";") {
            self.head(line);
            return Parsed::Nothing;
        }
        if line.is_empty() {
            return Parsed::Nothing;
        }
        let cells: Vec<&[u8]> = words(line).take(96).collect();
        let columns: &[u8] = match self.version {
            (2, _) if !self.columns.is_empty() => &self.columns,
            (2, _) => b"NOTIdlD",
            (1, 1) => b"NOdIlD",
            (1, 2) => b"NOBdIlD",
            (1, _) if self.version.1 > 2 => b"NOBdIRlD",
            _ => b"NOIlD",
        };
        self.frame(&cells, columns).map_or_else(Parsed::Skip, Parsed::Frame)
    }

    fn frame(&self, cells: &[&[u8]], columns: &[u8]) -> Result<Frame, &'static str> {
        let cell = |letter: u8| columns.iter().position(|c| *c == letter).and_then(|i| cells.get(i)).copied();
        let kind = cell(b'T').unwrap_or(b"DT");
        let direction = match cell(b'd') {
            Some([b'R', ..]) => Direction::Received,
            Some([b'T', ..]) => Direction::Sent,
            Some(_) if cell(b'T').is_none() => return Err("an event, no frame"),
            _ => Direction::Unknown,
        };
        if !matches!(kind, b"DT" | b"FD" | b"FB" | b"FE" | b"BI" | b"RR") {
            return Err("an event, no frame");
        }
        let ns = cell(b'O').and_then(|ms| scaled(ms, 1_000_000)).ok_or("a time that is none")?;
        let time = match self.start {
            Some(start) => Stamp::Unix(start.checked_add(ns).ok_or("a time that is none")?),
            None => stamp(ns),
        };
        let id = cell(b'I').ok_or("a line that is cut")?;
        let value = hex(id).ok_or("an identifier that is none")?;
        if value > MAX_EXTENDED_ID {
            return Err("an event, no frame");
        }
        let mut frame = Frame::new(time, value, id.len() > 4);
        frame.direction = direction;
        frame.bus = cell(b'B').filter(|b| *b != b"-").map(Bus::new);
        frame.kind = match kind {
            b"RR" => Kind::Remote,
            b"DT" => Kind::Data,
            _ => Kind::Fd,
        };
        let code = cell(b'L').map(decimal);
        let length = match code {
            Some(code) => code.and_then(length_of_code),
            None => cell(b'l').and_then(decimal),
        };
        let length = length.filter(|n| *n <= 64).ok_or("a length that is none")?;
        if frame.kind == Kind::Remote {
            return Ok(frame);
        }
        let first = columns.iter().position(|c| *c == b'D').ok_or("a line that is cut")?;
        for i in 0..length as usize {
            let text = cells.get(first + i).ok_or("fewer bytes than the length says")?;
            if text.eq_ignore_ascii_case(b"RTR") {
                frame.kind = Kind::Remote;
                return Ok(frame);
            }
            frame.push(byte(text).ok_or("data that are not hexadecimal")?);
        }
        Ok(frame)
    }
}

/// Length of a data length code (ISO 11898-1 table 5).
pub(super) fn length_of_code(code: u64) -> Option<u64> {
    Some(match code {
        0..=8 => code,
        9..=12 => 4 * (code - 6),
        13 => 32,
        14 => 48,
        15 => 64,
        _ => return None,
    })
}

/// Days since 30 December 1899 as nanoseconds since the Unix epoch, to the microsecond.
fn ole_days(text: &str) -> Option<i64> {
    const UNIX_EPOCH: f64 = 25_569.0;
    let days: f64 = text.replace(',', ".").parse().ok()?;
    let us = ((days - UNIX_EPOCH) * 86_400e6).round();
    (0.0..9.0e15).contains(&us).then(|| us as i64 * 1000)
}

/// A line of IXXAT's trace: `26,641405 1 00000004 112 8 00 20 … 00000000 text`, separated by tabs.
pub(super) fn parse_ixxat(line: &[u8]) -> Parsed {
    let trimmed = line.trim_ascii();
    if trimmed.is_empty() || trimmed.starts_with(b"#") || trimmed.starts_with(b"@") {
        return Parsed::Nothing;
    }
    ixxat(line).map_or_else(Parsed::Skip, Parsed::Frame)
}

fn ixxat(line: &[u8]) -> Result<Frame, &'static str> {
    let mut cells = line.split(|b| *b == b'\t').map(<[u8]>::trim_ascii);
    let mut next = || cells.next().ok_or("a line that is cut");
    let time = nanos(next()?).ok_or("a time that is none")?;
    let bus = next()?;
    let _flags = next()?;
    let id = hex(next()?).filter(|id| *id <= MAX_EXTENDED_ID).ok_or("an identifier that is none")?;
    let mut frame = Frame::new(stamp(time), id, id > 0x7ff);
    frame.bus = Some(Bus::new(bus));
    let length = decimal(next()?).filter(|n| *n <= 64).ok_or("a length that is none")?;
    if length > 8 {
        frame.kind = Kind::Fd;
    }
    for text in words(next()?) {
        frame.push(byte(text).ok_or("data that are not hexadecimal")?);
    }
    if frame.data().len() as u64 == length { Ok(frame) } else { Err("fewer bytes than the length says") }
}
