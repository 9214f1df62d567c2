//! Records as compressed columns.

use super::{BatchHeader, MAX_COLUMN_BYTES, MAX_RECORDS};
use crate::{Error, Record};

/// Compression level: beyond it nothing shrinks that is worth the time.
const LEVEL: i32 = 3;

/// Compresses records.
pub(super) fn compress(records: &[Record]) -> Result<Vec<u8>, Error> {
    let mut raw = Vec::new();
    let mut bytes = Vec::new();
    for record in records {
        bytes.clear();
        record.canonical(&mut bytes);
        raw.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        raw.extend_from_slice(&bytes);
    }
    Error::limit("batch's columns", raw.len(), MAX_COLUMN_BYTES)?;
    zstd::bulk::compress(&raw, LEVEL)
        .map_err(|_| Error::Inconsistent { what: "batch's columns", why: "cannot be compressed" })
}

/// Decompresses and decodes what [`compress`] made.
pub(super) fn decompress(compressed: &[u8], header: &BatchHeader) -> Result<Vec<Record>, Error> {
    let malformed = |at, why| Error::Malformed { what: "batch's columns", at, why };
    let raw = zstd::bulk::decompress(compressed, MAX_COLUMN_BYTES)
        .map_err(|_| malformed(0, "not a zstd frame within the limit"))?;
    let mut records = Vec::with_capacity((header.count as usize).min(MAX_RECORDS));
    let mut rest = raw.as_slice();
    while let Some((len, tail)) = rest.split_first_chunk::<2>() {
        let at = raw.len() - rest.len();
        let (record, tail) = tail
            .split_at_checked(usize::from(u16::from_le_bytes(*len)))
            .ok_or(malformed(at, "ends early"))?;
        records.push(Record::from_canonical(record)?);
        rest = tail;
    }
    Ok(records)
}
