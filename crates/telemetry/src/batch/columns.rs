//! Records as compressed columns.
//!
//! Each quantity becomes a column of small numbers: divided by what all its values share (the sensor's resolution),
//! then taken as the difference from what the values before it predict. Cells move together, so each is predicted from
//! the mean of all ([`cells`]). zstd's entropy coder does the rest.
//!
//! Layout before compression, integers as LEB128 varints, signed ones zigzag: the columns of format 1 ([`first`]); what
//! only format 2 says follows ([`second`]).

mod cells;
mod first;
mod second;
mod spans;
mod stream;

use super::{
    BatchHeader,
    limits::{MAX_COLUMN_BYTES, MAX_RECORDS, MAX_REPORT_BYTES, MAX_VALUES},
};
use crate::{Error, Format, Record};
use first::VALUES;
use stream::Input;

/// Compression level: higher ones save less than 1 % of such columns.
const LEVEL: i32 = 3;

/// The first format whose columns can hold these records.
pub(super) fn format(records: &[Record]) -> Format {
    // What is kept of format 1 has no place in its columns: its numbers are codes now.
    let first = |record: &Record| record.sample.format() == Format::One && !record.sample.original.is_some();
    if records.iter().all(first) { Format::One } else { Format::Two }
}

/// Compresses records, which have passed [`crate::Sample::check`].
pub(super) fn compress(records: &[Record], foreign: bool, format: Format) -> Result<Vec<u8>, Error> {
    let values = records.iter().map(|record| record.sample.values()).sum();
    Error::limit(VALUES, values, MAX_VALUES)?;
    let raw = match format {
        Format::One => first::encode(records, foreign).finish(),
        Format::Two => second::encode(records, foreign)?.finish(),
    };
    Error::limit("batch's columns", raw.len(), MAX_COLUMN_BYTES)?;
    zstd::bulk::compress(&raw, LEVEL)
        .map_err(|_| Error::Inconsistent { what: "batch's columns", why: "cannot be compressed" })
}

/// Compresses a report.
pub(super) fn compress_report(report: &[u8]) -> Result<Vec<u8>, Error> {
    zstd::bulk::compress(report, LEVEL)
        .map_err(|_| Error::Inconsistent { what: "batch's report", why: "cannot be compressed" })
}

/// Decompresses a report, no further than its limit.
pub(super) fn decompress_report(compressed: &[u8]) -> Result<Vec<u8>, Error> {
    zstd::bulk::decompress(compressed, MAX_REPORT_BYTES)
        .map_err(|_| Error::Inconsistent { what: "batch's report", why: "is no zstd frame within its limit" })
}

/// Decompresses and decodes what [`compress`] made; work and memory are bounded by the limits on a batch.
pub(super) fn decompress(compressed: &[u8], header: &BatchHeader) -> Result<Vec<Record>, Error> {
    let raw = stream::unzstd(compressed)?;
    let count = (header.count as usize).min(MAX_RECORDS);
    decode(&raw, count, header)
}

fn decode(raw: &[u8], count: usize, header: &BatchHeader) -> Result<Vec<Record>, Error> {
    let mut input = Input::new(raw);
    let mut records = first::decode(&mut input, count, header)?;
    match header.format {
        Format::One => {
            for record in &mut records {
                record.sample = std::mem::take(&mut record.sample).of_format_1()?;
            }
        }
        Format::Two => second::decode(&mut input, &mut records)?,
    }
    input.finish()?;
    records.iter().try_for_each(|record| record.sample.check())?;
    Ok(records)
}

#[cfg(test)]
mod tests;
