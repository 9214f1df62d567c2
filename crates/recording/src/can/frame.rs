//! One frame of a bus.

use crate::Stamp;
use std::fmt;

/// Kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Data frame of classic CAN, at most 8 bytes.
    Data,
    /// Data frame of CAN FD, at most 64 bytes.
    Fd,
    /// Remote request: has no data.
    Remote,
    /// Error report of a controller or its driver: its bytes are no data of a message.
    Error,
}

/// Direction of a frame as the logging device saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Received.
    Received,
    /// Sent by the logging device itself.
    Sent,
    /// Not stated.
    Unknown,
}

/// Name of a bus in its log, as `can0` or `1`; at most 15 bytes, further ones are left out.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bus {
    bytes: [u8; 15],
    length: u8,
}

impl Bus {
    /// A bus of this name; bytes that are not ASCII become `?`.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let mut bytes = [0; 15];
        let length = name.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = if from.is_ascii_graphic() { *from } else { b'?' };
        }
        Self { bytes, length: length as u8 }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), f)
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One frame of a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When it was seen; `Stamp::Relative(0)` where the log states no times ([`Log::timed`](super::Log::timed)).
    pub time: Stamp,
    /// On which bus; `None` if the log does not say.
    pub bus: Option<Bus>,
    /// Identifier: 11 bits, or 29 if `extended`.
    pub id: u32,
    /// Whether the identifier has 29 bits.
    pub extended: bool,
    /// Its kind.
    pub kind: Kind,
    /// Its direction.
    pub direction: Direction,
    length: u8,
    bytes: [u8; 64],
}

/// Largest 11-bit identifier.
pub const MAX_STANDARD_ID: u32 = 0x7ff;
/// Largest 29-bit identifier.
pub const MAX_EXTENDED_ID: u32 = 0x1fff_ffff;

impl Frame {
    /// A data frame without data; kind, bus and direction can be set afterwards.
    #[must_use]
    pub const fn new(time: Stamp, id: u32, extended: bool) -> Self {
        let (kind, direction) = (Kind::Data, Direction::Unknown);
        Self { time, bus: None, id, extended, kind, direction, length: 0, bytes: [0; 64] }
    }

    /// The same with this data, of which 64 bytes are taken.
    #[must_use]
    pub fn with_data(mut self, data: &[u8]) -> Self {
        let length = data.len().min(64);
        self.bytes[..length].copy_from_slice(&data[..length]);
        self.length = length as u8;
        self
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether its data are those of a message: not of a remote request or an error.
    #[must_use]
    pub fn has_data(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Fd)
    }

    /// Adds a byte; false if there are 64 already.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        let Some(slot) = self.bytes.get_mut(usize::from(self.length)) else { return false };
        *slot = byte;
        self.length += 1;
        true
    }
}
