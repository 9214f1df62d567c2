//! The part of CBOR (RFC 8949) that signed data needs, in its one deterministic encoding (4.2.1).
//!
//! Provided: integers, byte and text strings, arrays, maps, tags, null, of definite length, shortest form only.
//! The reader copies nothing, allocates nothing and looks at each byte once, so that no input can make it
//! work harder than its own length.
//! Not provided: floats, indefinite lengths, ordering of map keys (the callers name the keys they expect in order).

use crate::{Digest, Error};

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const NULL: u8 = 0xf6;

/// Deepest nesting that [`Reader::item`] steps over.
const MAX_DEPTH: usize = 16;

/// Writes deterministic CBOR.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        match value {
            0..=23 => self.0.push(major | value as u8),
            24..=0xff => self.0.extend([major | 24, value as u8]),
            0x100..=0xffff => {
                self.0.push(major | 25);
                self.0.extend((value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.0.push(major | 26);
                self.0.extend((value as u32).to_be_bytes());
            }
            _ => {
                self.0.push(major | 27);
                self.0.extend(value.to_be_bytes());
            }
        }
        self
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UINT, value)
    }

    /// A signed integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        if value < 0 { self.head(NEGATIVE, !value as u64) } else { self.head(UINT, value as u64) }
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64).raw(value)
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64).raw(value.as_bytes())
    }

    /// The head of an array of `len` items.
    pub fn array(&mut self, len: usize) -> &mut Self {
        self.head(ARRAY, len as u64)
    }

    /// The head of a map of `len` pairs; write the keys in bytewise order of their encoding.
    pub fn map(&mut self, len: usize) -> &mut Self {
        self.head(MAP, len as u64)
    }

    /// The head of a tagged item.
    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(TAG, tag)
    }

    /// Null.
    pub fn null(&mut self) -> &mut Self {
        self.0.push(NULL);
        self
    }

    /// Bytes that are deterministic CBOR already.
    pub fn raw(&mut self, encoded: &[u8]) -> &mut Self {
        self.0.extend_from_slice(encoded);
        self
    }

    /// What was written.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads deterministic CBOR and nothing else.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    what: &'static str,
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `input`, called `what` in errors. Limit the size of `input` first.
    pub fn new(what: &'static str, input: &'a [u8]) -> Self {
        Self { what, input, at: 0 }
    }

    /// An error at the current place.
    pub fn malformed(&self, why: &'static str) -> Error {
        Error::Malformed { what: self.what, at: self.at, why }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.input.len() - self.at
    }

    /// Offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Error> {
        let rest = &self.input[self.at..];
        match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(self.malformed("ends early")),
        }
    }

    fn be(&mut self, len: u64) -> Result<u64, Error> {
        Ok(self.take(len)?.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    fn head(&mut self) -> Result<(u8, u64), Error> {
        let Some(&first) = self.input.get(self.at) else {
            return Err(self.malformed("ends early"));
        };
        let start = self.at;
        self.at += 1;
        let major = first >> 5;
        let (value, least) = match first & 0x1f {
            small @ 0..=23 => (u64::from(small), 0),
            24 => (self.be(1)?, 24),
            25 => (self.be(2)?, 0x100),
            26 => (self.be(4)?, 0x1_0000),
            27 => (self.be(8)?, 0x1_0000_0000),
            _ => (0, 1),
        };
        // RFC 8949 4.2.1: the shortest form, and no indefinite lengths.
        if value < least {
            self.at = start;
            return Err(self.malformed("not in the shortest form of definite length"));
        }
        Ok((major, value))
    }

    fn expect(&mut self, major: u8, why: &'static str) -> Result<u64, Error> {
        let start = self.at;
        match self.head()? {
            (found, value) if found == major => Ok(value),
            _ => {
                self.at = start;
                Err(self.malformed(why))
            }
        }
    }

    /// An unsigned integer.
    pub fn uint(&mut self) -> Result<u64, Error> {
        self.expect(UINT, "want an unsigned integer")
    }

    /// An unsigned integer of at most 32 bits.
    pub fn u32(&mut self) -> Result<u32, Error> {
        let start = self.at;
        u32::try_from(self.uint()?).map_err(|_| {
            self.at = start;
            self.malformed("want at most 32 bits")
        })
    }

    /// A signed integer.
    pub fn int(&mut self) -> Result<i64, Error> {
        let start = self.at;
        let found = match self.head()? {
            (UINT, value) => i64::try_from(value).ok(),
            (NEGATIVE, value) => i64::try_from(value).ok().map(|value| !value),
            _ => None,
        };
        found.ok_or_else(|| {
            self.at = start;
            self.malformed("want an integer of 64 bits")
        })
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = self.expect(BYTES, "want a byte string")?;
        self.take(len)
    }

    /// A byte string of exactly `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let start = self.at;
        self.bytes()?.try_into().map_err(|_| {
            self.at = start;
            self.malformed("byte string has another length")
        })
    }

    /// A byte string of 32 bytes.
    pub fn digest(&mut self) -> Result<Digest, Error> {
        self.fixed().map(Digest::new)
    }

    /// A text string.
    pub fn text(&mut self) -> Result<&'a str, Error> {
        let len = self.expect(TEXT, "want a text string")?;
        std::str::from_utf8(self.take(len)?).map_err(|_| self.malformed("text is not UTF-8"))
    }

    /// The head of an array: its length, at most as many items as bytes follow.
    pub fn array(&mut self) -> Result<usize, Error> {
        let len = self.expect(ARRAY, "want an array")?;
        self.count(len, 1)
    }

    /// The head of a map: its number of pairs, at most as many as can follow.
    pub fn map(&mut self) -> Result<usize, Error> {
        let len = self.expect(MAP, "want a map")?;
        self.count(len, 2)
    }

    fn count(&self, len: u64, bytes_each: usize) -> Result<usize, Error> {
        match usize::try_from(len) {
            Ok(len) if len <= self.remaining() / bytes_each => Ok(len),
            _ => Err(self.malformed("more items than bytes")),
        }
    }

    /// The head of an array of exactly `len` items.
    pub fn array_of(&mut self, len: usize) -> Result<(), Error> {
        if self.array()? == len { Ok(()) } else { Err(self.malformed("array has another length")) }
    }

    /// The head of a map of exactly `len` pairs.
    pub fn map_of(&mut self, len: usize) -> Result<(), Error> {
        if self.map()? == len { Ok(()) } else { Err(self.malformed("map has another length")) }
    }

    /// The head of an item tagged `tag`.
    pub fn tag(&mut self, tag: u64) -> Result<(), Error> {
        if self.expect(TAG, "want a tag")? == tag { Ok(()) } else { Err(self.malformed("another tag")) }
    }

    /// The integer map key `key`.
    pub fn key(&mut self, key: i64) -> Result<(), Error> {
        if self.int()? == key { Ok(()) } else { Err(self.malformed("another map key")) }
    }

    /// The text map key `key`.
    pub fn text_key(&mut self, key: &str) -> Result<(), Error> {
        if self.text()? == key { Ok(()) } else { Err(self.malformed("another map key")) }
    }

    /// Null if it comes next.
    pub fn null(&mut self) -> bool {
        let found = self.input.get(self.at) == Some(&NULL);
        self.at += usize::from(found);
        found
    }

    /// Steps over any one item and returns its bytes.
    pub fn item(&mut self) -> Result<&'a [u8], Error> {
        let start = self.at;
        self.skip(MAX_DEPTH)?;
        Ok(&self.input[start..self.at])
    }

    fn skip(&mut self, depth: usize) -> Result<(), Error> {
        if depth == 0 {
            return Err(self.malformed("nested too deep"));
        }
        let start = self.at;
        match self.head()? {
            (UINT | NEGATIVE, _) => {}
            (BYTES, len) => {
                self.take(len)?;
            }
            (TEXT, _) => {
                self.at = start;
                self.text()?;
            }
            (ARRAY, len) => {
                for _ in 0..self.count(len, 1)? {
                    self.skip(depth - 1)?;
                }
            }
            (MAP, len) => {
                for _ in 0..2 * self.count(len, 2)? {
                    self.skip(depth - 1)?;
                }
            }
            (TAG, _) => self.skip(depth - 1)?,
            // Simple values: false, true and null only.
            (_, 20..=22) => {}
            _ => {
                self.at = start;
                return Err(self.malformed("floats and other simple values are not used"));
            }
        }
        Ok(())
    }

    /// Nothing may follow.
    pub fn finish(&self) -> Result<(), Error> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.malformed("bytes follow the end")) }
    }
}
