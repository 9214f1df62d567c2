//! Properties of a workbook that the reader of its sheets does not give: one entry of a zip archive.

use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Most bytes of the archive's directory, and of the workbook's properties: both have some kB.
const MAX_BYTES: u64 = 4 << 20;
/// Bytes of the end record without its comment, and the longest comment.
const END: u64 = 22;
const MAX_COMMENT: u64 = 65_535;

/// Whether the dates of a workbook count from 1904.
pub(super) fn counts_from_1904(path: &Path) -> bool {
    let Some(text) = entry(path, b"xl/workbook.xml") else { return false };
    let has = |part: &str| memchr::memmem::find(&text, part.as_bytes()).is_some();
    ["\"1\"", "'1'", "\"true\"", "'true'"].iter().any(|value| has(&format!("date1904={value}")))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)))
}

fn read(file: &mut File, from: u64, count: u64) -> Option<Vec<u8>> {
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(count.min(MAX_BYTES)).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The unpacked bytes of an entry of a zip archive (APPNOTE 6.3.10, 4.3).
fn entry(path: &Path, wanted: &[u8]) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let tail = read(&mut file, size.saturating_sub(END + MAX_COMMENT), END + MAX_COMMENT)?;
    let end = memchr::memmem::rfind(&tail, b"PK\x05\x06")?;
    let (count, from) = (u32_at(&tail, end + 12)?, u32_at(&tail, end + 16)?);
    let directory = read(&mut file, from, count)?;
    let mut at = 0;
    while directory.get(at..)?.starts_with(b"PK\x01\x02") {
        let (method, packed) = (u16_at(&directory, at + 10)?, u32_at(&directory, at + 20)?);
        let name_length = u16_at(&directory, at + 28)? as usize;
        let rest = (u16_at(&directory, at + 30)? + u16_at(&directory, at + 32)?) as usize;
        if directory.get(at + 46..at + 46 + name_length)? == wanted {
            let local = u32_at(&directory, at + 42)?;
            let head = read(&mut file, local, 30)?;
            let data = local + 30 + u16_at(&head, 26)? + u16_at(&head, 28)?;
            let bytes = read(&mut file, data, packed)?;
            let mut text = Vec::new();
            return match method {
                0 => Some(bytes),
                8 => {
                    DeflateDecoder::new(bytes.as_slice()).take(MAX_BYTES).read_to_end(&mut text).ok()?;
                    Some(text)
                }
                _ => None,
            };
        }
        at += 46 + name_length + rest;
    }
    None
}
