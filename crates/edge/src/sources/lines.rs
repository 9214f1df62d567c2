//! Text files, plain or gzip.

use crate::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read, in bytes.
pub(super) const MAX_LINE: usize = 64 << 10;

/// Opens a file; what begins with gzip's mark is unpacked while reading.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, Error> {
    let file = File::open(path).map_err(Error::file(path, "opening"))?;
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let head = reader.fill_buf().map_err(Error::file(path, "reading"))?;
    if head.starts_with(&[0x1f, 0x8b]) {
        let unpacked = flate2::bufread::MultiGzDecoder::new(reader);
        return Ok(Box::new(BufReader::with_capacity(64 << 10, unpacked)));
    }
    Ok(Box::new(reader))
}

/// Reads a line without its end; `None` at the end of the file. UTF-8, else Latin-1.
pub(super) fn next_line(reader: &mut dyn BufRead, path: &Path) -> Result<Option<String>, Error> {
    let mut line = Vec::new();
    let read = reader
        .take(MAX_LINE as u64 + 1)
        .read_until(b'\n', &mut line)
        .map_err(Error::file(path, "reading"))?;
    if read == 0 {
        return Ok(None);
    }
    if line.len() > MAX_LINE {
        return Err(Error::source(
            path.display().to_string(),
            format!("a line is longer than {MAX_LINE} bytes"),
        ));
    }
    while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(decode(line)))
}

fn decode(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect())
}
