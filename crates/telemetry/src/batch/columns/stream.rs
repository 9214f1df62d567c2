//! Columns of integers to bytes and back.

use crate::{Error, batch::MAX_COLUMN_BYTES};
use std::cell::RefCell;

thread_local! {
    /// Making a decompression context costs as much as decoding a minute of samples.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decompresses one zstd frame that states its size, after checking that size against the limit.
pub(super) fn unzstd(compressed: &[u8]) -> Result<Vec<u8>, Error> {
    let malformed = |why| Error::Malformed { what: "batch's columns", at: 0, why };
    let size = zstd::zstd_safe::get_frame_content_size(compressed)
        .ok()
        .flatten()
        .ok_or(malformed("not a zstd frame that states its size"))?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    Error::limit("batch's columns", size, MAX_COLUMN_BYTES)?;
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Decompressor::new().ok();
        }
        let context = slot.as_mut().ok_or(malformed("no memory to decompress"))?;
        let raw = context.decompress(compressed, size).map_err(|_| malformed("zstd frame is broken"))?;
        if raw.len() == size { Ok(raw) } else { Err(malformed("zstd frame has another size than it states")) }
    })
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The first value, then each one's difference from the one before.
pub(super) fn differences(values: impl Iterator<Item = i64>) -> impl Iterator<Item = i64> {
    let mut last = 0;
    values.map(move |value| {
        let difference = value.wrapping_sub(last);
        last = value;
        difference
    })
}

/// What [`differences`] was made of.
pub(super) fn sums(mut values: Vec<i64>) -> Vec<i64> {
    let mut sum = 0i64;
    for value in &mut values {
        sum = sum.wrapping_add(*value);
        *value = sum;
    }
    values
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// What all values are multiples of: the resolution of their sensor; 1 if they are all zero.
pub(super) fn common_divisor(values: impl Iterator<Item = u64>) -> u64 {
    let mut divisor = 0;
    for value in values {
        divisor = gcd(value, divisor);
        if divisor == 1 {
            break;
        }
    }
    divisor.max(1)
}

#[derive(Default)]
pub(super) struct Output(Vec<u8>);

impl Output {
    pub(super) fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn int(&mut self, value: i64) {
        self.uint(zigzag(value));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A column as differences.
    pub(super) fn deltas(&mut self, values: impl Iterator<Item = i64>) {
        differences(values).for_each(|difference| self.int(difference));
    }

    /// A column as its resolution and differences in units of it.
    pub(super) fn scaled(&mut self, values: impl Iterator<Item = i64> + Clone) {
        let scale = common_divisor(values.clone().map(i64::unsigned_abs));
        self.uint(scale);
        self.deltas(values.map(|value| value / scale as i64));
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

pub(super) struct Input<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Self {
        Self { raw, at: 0 }
    }

    pub(super) fn malformed(&self, why: &'static str) -> Error {
        Error::Malformed { what: "batch's columns", at: self.at, why }
    }

    pub(super) fn uint(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.raw.get(self.at) else {
                return Err(self.malformed("ends early"));
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed("varint is over 64 bits"))
    }

    pub(super) fn int(&mut self) -> Result<i64, Error> {
        self.uint().map(unzigzag)
    }

    /// A number of things, at most `limit`.
    pub(super) fn count(&mut self, limit: usize) -> Result<usize, Error> {
        match usize::try_from(self.uint()?) {
            Ok(count) if count <= limit => Ok(count),
            _ => Err(self.malformed("count is over its limit")),
        }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let rest = &self.raw[self.at..];
        let taken = rest.get(..len).ok_or_else(|| self.malformed("ends early"))?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn deltas(&mut self, count: usize) -> Result<Vec<i64>, Error> {
        let mut last = 0i64;
        let mut next = || {
            last = last.wrapping_add(self.int()?);
            Ok(last)
        };
        (0..count).map(|_| next()).collect()
    }

    pub(super) fn scaled(&mut self, count: usize) -> Result<Vec<i64>, Error> {
        let scale = self.uint()? as i64;
        let mut values = self.deltas(count)?;
        values.iter_mut().for_each(|value| *value = value.wrapping_mul(scale));
        Ok(values)
    }

    pub(super) fn finish(&self) -> Result<(), Error> {
        if self.at == self.raw.len() { Ok(()) } else { Err(self.malformed("bytes follow the end")) }
    }
}
