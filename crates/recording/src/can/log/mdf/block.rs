//! Blocks of an MDF 4 file: an identifier, a length, links to other blocks, and data.

use super::super::seekable::{Numbers, Store, damaged};
use std::io;

/// Bytes of a block's header.
pub(super) const HEADER: u64 = 24;
/// Most links of a block: a list of data blocks of 4 MB has 65,536 for 256 GB.
const MAX_LINKS: u64 = 1 << 16;
/// Most bytes of a block that is no data block: texts and descriptions.
const MAX_BYTES: u64 = 1 << 20;

/// Position and length of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its two letters.
    pub id: [u8; 2],
    /// Place of its header.
    pub at: u64,
    /// Bytes, header and links included.
    pub length: u64,
    /// Number of its links.
    pub links: u64,
}

impl Head {
    /// Reads a block's header.
    pub fn read(store: &mut Store, at: u64) -> io::Result<Self> {
        let bytes = store.bytes(at, HEADER as usize)?;
        let (id, length, links) = match (bytes.get(..4), bytes.u64_at(8), bytes.u64_at(16)) {
            (Some([b'#', b'#', a, b]), Some(length), Some(links)) => ([*a, *b], length, links),
            _ => return Err(damaged(format!("there is no block at {at}, where one must be"))),
        };
        if length < HEADER || links > MAX_LINKS || length < HEADER + 8 * links {
            return Err(damaged(format!("the block at {at} has an impossible length")));
        }
        Ok(Self { id, at, length, links })
    }

    /// Where its data begin, behind the links.
    pub const fn data_at(&self) -> u64 {
        self.at + HEADER + 8 * self.links
    }

    /// Bytes of its data.
    pub const fn data_length(&self) -> u64 {
        self.length - HEADER - 8 * self.links
    }
}

/// A block that is in memory.
pub(super) struct Block {
    pub links: Vec<u64>,
    pub data: Vec<u8>,
}

impl Block {
    /// Reads a block of this kind.
    pub fn read(store: &mut Store, at: u64, id: &[u8; 2]) -> io::Result<Self> {
        let head = Head::read(store, at)?;
        if head.id != *id {
            let (wanted, found) =
                (String::from_utf8_lossy(id), String::from_utf8_lossy(&head.id).into_owned());
            return Err(damaged(format!("the block at {at} is {found:?}, where {wanted:?} must be")));
        }
        Self::of(store, &head)
    }

    /// Reads a block whose header is known.
    pub fn of(store: &mut Store, head: &Head) -> io::Result<Self> {
        if head.length > MAX_BYTES {
            return Err(damaged(format!(
                "the block at {} has {} bytes, at most {MAX_BYTES}",
                head.at, head.length
            )));
        }
        let bytes = store.bytes(head.at, head.length as usize)?;
        let links = (0..head.links as usize).filter_map(|n| bytes.u64_at(HEADER as usize + 8 * n)).collect();
        let data = bytes.get((head.data_at() - head.at) as usize..).unwrap_or_default().to_vec();
        Ok(Self { links, data })
    }

    /// A link; 0, as the file writes it, where there is none.
    pub fn link(&self, number: usize) -> u64 {
        self.links.get(number).copied().unwrap_or(0)
    }
}

/// The text of a text block; empty where there is none.
pub(super) fn text(store: &mut Store, at: u64) -> io::Result<String> {
    if at == 0 {
        return Ok(String::new());
    }
    let block = Block::read(store, at, b"TX")?;
    let end = block.data.iter().position(|byte| *byte == 0).unwrap_or(block.data.len());
    Ok(String::from_utf8_lossy(&block.data[..end]).into_owned())
}
