//! Tables of frames with a line of column names: SavvyCAN and GVRET CSV, python-can CSV, CANedge CSV, and a parser's
//! tab-separated table.

use super::super::{Bus, Direction, Frame, Kind};
use super::parsed::Parsed;
use super::text::{SECOND, byte, decimal, hex, scaled, stamp, without_0x, words};

/// Which tool's columns.
#[derive(Clone, Copy, PartialEq)]
enum Tool {
    /// Times in µs, data in one column per byte.
    Gvret,
    /// Times in s, data in base64.
    PythonCan,
    /// Times in s, data as `E00D83FF`.
    CanEdge,
    /// Times in ms, data as `0x00 01`.
    Parser,
}

/// Most columns that are looked at.
const MAX_COLUMNS: usize = 80;

/// Reader of such a table.
pub(super) struct Columns {
    tool: Tool,
    separator: u8,
    time: usize,
    id: usize,
    extended: Option<usize>,
    direction: Option<usize>,
    bus: Option<usize>,
    remote: Option<usize>,
    error: Option<usize>,
    length: usize,
    data: usize,
    /// Whether times of GVRET have decimals.
    in_seconds: bool,
}

impl Columns {
    /// If this is such a line of names.
    pub(super) fn begins(line: &[u8]) -> Option<Self> {
        let separator = *[b',', b'\t', b';'].iter().find(|s| line.contains(s))?;
        let names: Vec<Vec<u8>> = line
            .split(|b| *b == separator)
            .map(|name| {
                name.trim_ascii()
                    .iter()
                    .filter(|b| b.is_ascii_alphanumeric() || **b == b'/')
                    .map(u8::to_ascii_lowercase)
                    .collect()
            })
            .collect();
        let find =
            |wanted: &[&str]| names.iter().position(|name| wanted.iter().any(|w| w.as_bytes() == name));
        let (tool, time, id, data) = if let Some(id) = find(&["arbitrationid"]) {
            (Tool::PythonCan, find(&["timestamp"])?, id, find(&["data"])?)
        } else if let (Some(time), Some(data)) = (find(&["timestampepoch"]), find(&["databytes"])) {
            (Tool::CanEdge, time, find(&["id"])?, data)
        } else if let (Some(id), Some(data)) = (find(&["id"]), find(&["d1", "db1", "data1", "d0"])) {
            (Tool::Gvret, find(&["timestamp"])?, id, data)
        } else {
            (Tool::Parser, find(&["time"])?, find(&["canid"])?, find(&["data"])?)
        };
        Some(Self {
            tool,
            separator,
            time,
            id,
            extended: find(&["extended", "ext", "ide"]),
            direction: find(&["dir", "t/r"]),
            bus: find(&["bus", "ch", "buschannel"]),
            remote: find(&["remote", "rtr"]),
            error: find(&["error"]),
            // A code of CAN FD stands beside the length.
            length: find(&["datalength"]).or_else(|| find(&["len", "dlc", "length"]))?,
            data,
            in_seconds: false,
        })
    }

    pub(super) const fn warning(&self) -> Option<&'static str> {
        if self.in_seconds {
            Some("the times have decimals: they are taken for seconds, not for microseconds")
        } else {
            None
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.tool {
            Tool::Gvret => "SavvyCAN or GVRET CSV",
            Tool::PythonCan => "python-can CSV",
            Tool::CanEdge => "CANedge CSV",
            Tool::Parser => "tab-separated frames",
        }
    }

    pub(super) fn parse(&mut self, line: &[u8]) -> Parsed {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        if line.trim_ascii().is_empty() || Self::begins(line).is_some() {
            return Parsed::Nothing;
        }
        let mut cells: [&[u8]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
        for (cell, text) in cells.iter_mut().zip(line.split(|b| *b == self.separator)) {
            let text = text.trim_ascii();
            *cell = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(text);
        }
        self.in_seconds |=
            self.tool == Tool::Gvret && cells.get(self.time).is_some_and(|time| time.contains(&b'.'));
        self.frame(&cells).map_or_else(Parsed::Skip, Parsed::Frame)
    }

    fn frame(&self, cells: &[&[u8]; MAX_COLUMNS]) -> Result<Frame, &'static str> {
        let cell = |column: usize| *cells.get(column).unwrap_or(&&[][..]);
        let yes = |column: Option<usize>| {
            column.is_some_and(|c| matches!(cell(c), b"1") || cell(c).eq_ignore_ascii_case(b"true"))
        };
        let unit = match self.tool {
            Tool::Gvret if self.in_seconds => SECOND,
            Tool::Gvret => 1000,
            Tool::Parser => 1_000_000,
            Tool::PythonCan | Tool::CanEdge => SECOND,
        };
        let ns = scaled(cell(self.time), unit).ok_or("a time that is none")?;
        let id = hex(without_0x(cell(self.id))).ok_or("an identifier that is none")?;
        let extended = if self.extended.is_some() { yes(self.extended) } else { id > 0x7ff };
        let most = if extended {
            super::super::frame::MAX_EXTENDED_ID
        } else {
            super::super::frame::MAX_STANDARD_ID
        };
        if id > most {
            return Err("an identifier that is none");
        }
        let mut frame = Frame::new(stamp(ns), id, extended);
        frame.bus = self.bus.map(|c| Bus::new(cell(c)));
        frame.direction = match self.direction.map(cell) {
            Some([b'R' | b'r', ..]) => Direction::Received,
            Some([b'T' | b't', ..]) => Direction::Sent,
            Some(b"0") if self.tool == Tool::CanEdge => Direction::Received,
            Some(b"1") if self.tool == Tool::CanEdge => Direction::Sent,
            _ => Direction::Unknown,
        };
        let length = decimal(cell(self.length)).filter(|n| *n <= 64).ok_or("a length that is none")?;
        if yes(self.remote) || yes(self.error) {
            frame.kind = if yes(self.error) { Kind::Error } else { Kind::Remote };
            return Ok(frame);
        }
        if length > 8 {
            frame.kind = Kind::Fd;
        }
        self.fill(&mut frame, cells, length as usize)?;
        Ok(frame)
    }

    fn fill(
        &self,
        frame: &mut Frame,
        cells: &[&[u8]; MAX_COLUMNS],
        length: usize,
    ) -> Result<(), &'static str> {
        const FEWER: &str = "fewer bytes than the length says";
        let data = cells.get(self.data..).unwrap_or_default();
        match self.tool {
            Tool::Gvret => {
                for i in 0..length {
                    let text = data.get(i).filter(|text| !text.is_empty()).ok_or(FEWER)?;
                    frame.push(byte(without_0x(text)).ok_or("data that are not hexadecimal")?);
                }
            }
            Tool::Parser => {
                for text in words(data.first().ok_or(FEWER)?) {
                    frame.push(byte(without_0x(text)).ok_or("data that are not hexadecimal")?);
                }
            }
            Tool::CanEdge => {
                for text in data.first().ok_or(FEWER)?.chunks(2) {
                    frame.push(byte(text).ok_or("data that are not hexadecimal")?);
                }
            }
            Tool::PythonCan => base64(data.first().ok_or(FEWER)?, frame).ok_or("data that are no base64")?,
        }
        match frame.data().len() {
            n if n < length => Err(FEWER),
            n if n > length => Err("more bytes than the length says"),
            _ => Ok(()),
        }
    }
}

/// RFC 4648 4, with its padding.
fn base64(text: &[u8], frame: &mut Frame) -> Option<()> {
    for group in text.chunks(4) {
        let &[a, b, c, d] = group else { return None };
        let bytes = if c == b'=' {
            1
        } else if d == b'=' {
            2
        } else {
            3
        };
        let mut bits = 0u32;
        for (i, digit) in [a, b, c, d].into_iter().enumerate() {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' if i > bytes => 0,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        for i in 0..bytes {
            if !frame.push((bits >> (16 - 8 * i)) as u8) {
                return None;
            }
        }
    }
    Some(())
}
