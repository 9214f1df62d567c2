//! Files that are read at any place, and little-endian or big-endian numbers in them.

use super::lines::Input;
use crate::Error;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of a packed file that are unpacked to memory, at most: 24 MB, so that all of reading stays below 64 MB.
const MAX_UNPACKED: u64 = 24 << 20;

/// Input that can be read at any place.
pub(super) trait Seekable: Read + Seek + Send {}
impl<T: Read + Seek + Send> Seekable for T {}

/// A file that is read at any place.
pub(super) struct Store {
    from: Box<dyn Seekable>,
    /// Its bytes.
    pub(super) length: u64,
}

impl Store {
    /// The file itself where `path` is not packed, else what `input` gives, in memory.
    pub(super) fn open(path: Option<&Path>, head: &[u8], input: Input, place: &str) -> Result<Self, Error> {
        if let Some(path) = path {
            let mut file = File::open(path).map_err(Error::file(path, "opening"))?;
            let mut first = vec![0; head.len().min(8)];
            let plain = file.read_exact(&mut first).is_ok() && head.starts_with(&first);
            if plain {
                return Self::new(Box::new(file)).map_err(Error::file(path, "reading"));
            }
        }
        let mut bytes = Vec::new();
        let read = input.take(MAX_UNPACKED + 1).read_to_end(&mut bytes);
        read.map_err(Error::file(Path::new(place), "reading"))?;
        if bytes.len() as u64 > MAX_UNPACKED {
            let problem = "a packed file of this format is read up to 24 MB: unpack it (`gunzip FILE`)";
            return Err(Error::format(place, problem));
        }
        Self::new(Box::new(Cursor::new(bytes))).map_err(Error::file(Path::new(place), "reading"))
    }

    fn new(mut from: Box<dyn Seekable>) -> io::Result<Self> {
        let length = from.seek(SeekFrom::End(0))?;
        Ok(Self { from, length })
    }

    /// Exactly `count` bytes at a place; an error of kind `UnexpectedEof` if the file is shorter. A caller bounds `count`.
    pub(super) fn bytes(&mut self, at: u64, count: usize) -> io::Result<Vec<u8>> {
        let end = at.checked_add(count as u64).filter(|end| *end <= self.length);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = vec![0; count];
        self.from.seek(SeekFrom::Start(at))?;
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// An error of a file's content.
pub(super) fn damaged(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.into())
}

/// Whole numbers at a place of some bytes.
pub(super) trait Numbers {
    /// A byte.
    fn u8_at(&self, at: usize) -> Option<u8>;
    /// Two bytes, least first.
    fn u16_at(&self, at: usize) -> Option<u16>;
    /// Four bytes, least first.
    fn u32_at(&self, at: usize) -> Option<u32>;
    /// Eight bytes, least first.
    fn u64_at(&self, at: usize) -> Option<u64>;
    /// Of IEEE 754, eight bytes, least first.
    fn f64_at(&self, at: usize) -> Option<f64>;
}

impl Numbers for [u8] {
    fn u8_at(&self, at: usize) -> Option<u8> {
        self.get(at).copied()
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(*self.get(at..)?.first_chunk()?))
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.get(at..)?.first_chunk()?))
    }

    fn u64_at(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*self.get(at..)?.first_chunk()?))
    }

    fn f64_at(&self, at: usize) -> Option<f64> {
        Some(f64::from_bits(self.u64_at(at)?))
    }
}
