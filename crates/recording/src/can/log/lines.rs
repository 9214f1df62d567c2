//! Lines of bounded length from a file, plain or gzip.

use crate::Error;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read, in bytes; of a longer one the rest is left out.
pub(super) const MAX_LINE: usize = 16 << 10;
/// Bytes at the beginning by which the format is recognised.
pub(super) const HEAD: usize = 64 << 10;

/// A reader of any input.
pub(super) type Input = Box<dyn BufRead + Send>;

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<Input, Error> {
    let file = File::open(path).map_err(Error::file(path, "opening"))?;
    unpacked(Box::new(BufReader::with_capacity(HEAD, file))).map_err(Error::file(path, "reading"))
}

/// What begins with gzip's mark is unpacked while reading.
pub(super) fn unpacked(input: Input) -> io::Result<Input> {
    let (head, input) = peek(input, 2)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(HEAD, MultiGzDecoder::new(input))));
    }
    Ok(input)
}

/// The first bytes, at most `most`, and the whole input again.
pub(super) fn peek(mut input: Input, most: usize) -> io::Result<(Vec<u8>, Input)> {
    let mut head = Vec::new();
    // What comes before a damaged place of an archive is read; reading on meets the damage again.
    match input.by_ref().take(most as u64).read_to_end(&mut head) {
        Err(error) if head.is_empty() => return Err(error),
        _ => {}
    }
    let again = io::Cursor::new(head.clone());
    Ok((head, Box::new(BufReader::with_capacity(HEAD, again.chain(input)))))
}

/// Lines of an input.
pub(super) struct Lines {
    input: Input,
    end: u8,
    line: Vec<u8>,
    /// Number of the line that was read last; the first is 1.
    pub(super) number: u64,
}

/// Parsed line of a log.
pub(super) enum Line<'a> {
    /// A line without its end.
    Whole(&'a [u8]),
    /// A line that is longer than [`MAX_LINE`].
    TooLong,
}

impl Lines {
    /// Lines that end in LF or CR LF, or in CR if the head has no LF.
    pub(super) fn new(input: Input, head: &[u8]) -> Self {
        let end = if !head.contains(&b'\n') && head.contains(&b'\r') { b'\r' } else { b'\n' };
        Self { input, end, line: Vec::with_capacity(256), number: 0 }
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        // One byte more than a line with CR LF may have.
        let most = MAX_LINE as u64 + 2;
        let read = self.input.by_ref().take(most).read_until(self.end, &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let ended = self.line.last() == Some(&self.end);
        if !ended && self.line.len() > MAX_LINE {
            self.input.skip_until(self.end)?;
            return Ok(Some(Line::TooLong));
        }
        while matches!(self.line.last(), Some(b'\n' | b'\r')) {
            self.line.pop();
        }
        if self.line.len() > MAX_LINE {
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Whole(&self.line)))
    }
}
