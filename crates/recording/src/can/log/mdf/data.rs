//! Bytes of a data group or of a signal: one data block, or a list of them, packed or not.

use super::super::seekable::{Numbers, Store, damaged};
use super::block::{Block, HEADER, Head};
use flate2::read::ZlibDecoder;
use lz4_flex::frame::FrameDecoder;
use std::collections::VecDeque;
use std::io::{self, Read};

/// Bytes that are read at once of a block that is not packed.
const CHUNK: u64 = 64 << 10;
/// Most bytes of a packed block, packed or not: the standard asks for at most 4 MB before packing.
const MAX_PACKED: u64 = 8 << 20;
/// Bytes of a packed block's own header.
const PACKED_HEADER: u64 = 24;

/// Bytes in the order in which they were recorded.
pub(super) struct Data {
    /// Blocks to come: addresses, and lists that are not opened yet.
    blocks: VecDeque<u64>,
    /// What is not read yet of a block that is not packed.
    rest: (u64, u64),
    /// Bytes that are read and not taken, from `at` on.
    bytes: Vec<u8>,
    at: usize,
    /// Bytes that were taken.
    taken: u64,
    first: u64,
    /// Blocks that may still be opened: a file cannot have more than one each 24 bytes.
    left: u64,
    /// Whether the last block's length was never written.
    unfinished: bool,
}

impl Data {
    /// The data that begin with a block; none if it is 0.
    pub fn new(first: u64, file_length: u64, unfinished: bool) -> Self {
        Self {
            blocks: (first != 0).then_some(first).into_iter().collect(),
            rest: (0, 0),
            bytes: Vec::new(),
            at: 0,
            taken: 0,
            first,
            left: file_length / HEADER + 1,
            unfinished,
        }
    }

    /// The number of bytes that were taken.
    pub const fn position(&self) -> u64 {
        self.taken
    }

    /// The same from the beginning.
    pub fn again(&self, file_length: u64) -> Self {
        Self::new(self.first, file_length, self.unfinished)
    }

    /// The next bytes, `count` of them; `None` at the end, an error of kind `UnexpectedEof` if they are cut.
    pub fn take(&mut self, store: &mut Store, count: usize) -> io::Result<Option<&[u8]>> {
        while self.bytes.len() - self.at < count {
            if !self.fill(store)? {
                let rest = self.bytes.len() - self.at;
                return if rest == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
        self.at += count;
        self.taken += count as u64;
        Ok(Some(&self.bytes[self.at - count..self.at]))
    }

    /// Passes over bytes; false if there are fewer.
    pub fn skip(&mut self, store: &mut Store, mut count: u64) -> io::Result<bool> {
        while count > 0 {
            let part = count.min(CHUNK) as usize;
            if self.take(store, part)?.is_none() {
                return Ok(false);
            }
            count -= part as u64;
        }
        Ok(true)
    }

    /// Reads on; false at the end.
    fn fill(&mut self, store: &mut Store) -> io::Result<bool> {
        self.bytes.drain(..self.at);
        self.at = 0;
        let (from, to) = self.rest;
        if from < to {
            let part = (to - from).min(CHUNK);
            self.bytes.extend(store.bytes(from, part as usize)?);
            self.rest.0 += part;
            return Ok(true);
        }
        let Some(at) = self.blocks.pop_front() else { return Ok(false) };
        self.left = self.left.checked_sub(1).ok_or_else(|| damaged("the data blocks form a circle"))?;
        let head = Head::read(store, at)?;
        match &head.id {
            b"DT" | b"SD" | b"DV" => {
                let open = self.unfinished && self.blocks.is_empty();
                let end =
                    if open { store.length } else { head.at.saturating_add(head.length).min(store.length) };
                self.rest = (head.data_at(), end);
            }
            b"DZ" => unpack(store, &head, &mut self.bytes)?,
            b"HL" => {
                let list = Block::of(store, &head)?;
                self.blocks.extend(list.links.first().filter(|at| **at != 0));
            }
            b"DL" => {
                let list = Block::of(store, &head)?;
                let (next, blocks) = list.links.split_first().unwrap_or((&0, &[]));
                self.blocks.extend(blocks.iter().chain([next]).filter(|at| **at != 0));
            }
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(damaged(format!(
                    "data blocks of kind {name:?} are not read: save it as MDF 4.10 with asammdf"
                )));
            }
        }
        Ok(true)
    }
}

/// Appends the bytes of a packed block.
fn unpack(store: &mut Store, head: &Head, to: &mut Vec<u8>) -> io::Result<()> {
    if head.data_length() < PACKED_HEADER {
        return Err(damaged("a packed block is cut"));
    }
    let own = store.bytes(head.data_at(), PACKED_HEADER as usize)?;
    let kind = own.u8_at(2).unwrap_or(0);
    let (columns, original, packed) = match (own.u32_at(4), own.u64_at(8), own.u64_at(16)) {
        (Some(columns), Some(original), Some(packed)) => (columns as usize, original, packed),
        _ => return Err(damaged("a packed block is cut")),
    };
    if original > MAX_PACKED || packed > MAX_PACKED || packed > head.data_length() - PACKED_HEADER {
        return Err(damaged(format!("a packed block has {original} bytes, at most {MAX_PACKED} are read")));
    }
    let packed = store.bytes(head.data_at() + PACKED_HEADER, packed as usize)?;
    let bytes = unpacked(kind, &packed, original)?;
    if bytes.len() as u64 != original {
        return Err(damaged("a packed block is shorter than it says"));
    }
    // Odd kinds are turned before they are packed.
    if kind % 2 == 1 {
        turn(&bytes, columns, to)?
    } else {
        to.extend(bytes)
    }
    Ok(())
}

/// What was packed, at most so many bytes of it.
fn unpacked(kind: u8, packed: &[u8], most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most as usize);
    match kind {
        0 | 1 => ZlibDecoder::new(packed).take(most).read_to_end(&mut bytes)?,
        // Into one buffer, whose size is known: the window that the packer had costs no memory beside it.
        2 | 3 => zstd::bulk::Decompressor::new()?.decompress_to_buffer(packed, &mut bytes)?,
        4 | 5 => FrameDecoder::new(packed).take(most).read_to_end(&mut bytes)?,
        other => {
            return Err(damaged(format!("packing {other} is not read: save it as MDF 4.10 with asammdf")));
        }
    };
    Ok(bytes)
}

/// Appends bytes that were written column by column; what is no whole row follows as it is.
fn turn(bytes: &[u8], columns: usize, to: &mut Vec<u8>) -> io::Result<()> {
    if columns == 0 {
        return Err(damaged("a packed block has rows of 0 bytes"));
    }
    let rows = bytes.len() / columns;
    let (whole, rest) = bytes.split_at(rows * columns);
    to.reserve(bytes.len());
    for row in 0..rows {
        to.extend(whole.iter().skip(row).step_by(rows));
    }
    to.extend(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        let mut to = Vec::new();
        turn(b"adgbehcfi!", 3, &mut to).expect("rows of 3");
        assert_eq!(to, b"abcdefghi!");
        assert!(turn(b"ab", 0, &mut to).is_err());
    }
}
