//! Files of text to lines: plain or gzip, in UTF-8, UTF-16, Windows-1252 or an encoding of East Asia.

use super::encoding;
use crate::Error;
use encoding_rs::{Decoder, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that is read: 1 MB. A longer one is counted and passed over.
pub const MAX_LINE: usize = 1 << 20;
/// The encoding is told from so many bytes.
const SNIFFED: usize = 64 << 10;
/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// Lines of a file.
pub(crate) struct Lines {
    source: Box<dyn Read + Send>,
    path: PathBuf,
    encoding: &'static str,
    newline: u8,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// Where the last line stands in the buffer.
    last: (usize, usize),
    is_open: bool,
}

/// Opens a file and unpacks it if it begins with gzip's mark.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read + Send>, Error> {
    let mut file = File::open(path).map_err(Error::file(path, "opening"))?;
    let head = fill(&mut file, 2).map_err(Error::file(path, "reading"))?;
    let zipped = head == [0x1f, 0x8b];
    let whole = io::Cursor::new(head).chain(file);
    if zipped {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(CHUNK, whole))));
    }
    Ok(Box::new(whole))
}

/// Up to `wanted` bytes of the beginning.
pub(crate) fn fill(from: &mut impl Read, wanted: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    from.take(wanted as u64).read_to_end(&mut head)?;
    Ok(head)
}

impl Lines {
    /// Lines of what `source` gives; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::Format`] for what is no text.
    pub fn read(mut source: Box<dyn Read + Send>, path: &Path) -> Result<Self, Error> {
        let head = fill(&mut source, SNIFFED).map_err(Error::file(path, "reading"))?;
        let told = encoding::of(&head);
        let is_wide = told == UTF_16LE || told == UTF_16BE;
        // A logger that loses its power leaves zeros at the end of its file.
        let zeros = memchr::memchr(0, &head).map(|first| &head[first..]);
        if !is_wide
            && zeros.is_some_and(|zeros| zeros.iter().any(|byte| *byte != 0) || zeros.len() == head.len())
        {
            return Err(Error::format(path.display(), "this is no text: it holds bytes of value 0"));
        }
        let of_macintosh = !is_wide && !head.contains(&b'\n') && head.contains(&b'\r');
        let skip = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let whole = io::Cursor::new(head[skip..].to_vec()).chain(source);
        let source: Box<dyn Read + Send> = if told == UTF_8 || told == WINDOWS_1252 {
            // Lines are decoded one by one where they are used.
            Box::new(whole)
        } else {
            Box::new(Transcoded { from: whole, decoder: told.new_decoder(), text: Vec::new(), done: false })
        };
        let encoding = told.name();
        let newline = if of_macintosh { b'\r' } else { b'\n' };
        let path = path.to_owned();
        let buffer = vec![0; CHUNK];
        let is_open = false;
        Ok(Self {
            source,
            path,
            encoding,
            newline,
            buffer,
            start: 0,
            end: 0,
            at_end: false,
            last: (0, 0),
            is_open,
        })
    }

    /// The encoding that was told from the beginning.
    #[must_use]
    pub const fn encoding(&self) -> &'static str {
        self.encoding
    }

    /// Whether the last line is that of the file, and has no end.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// The last line without its end.
    #[inline]
    pub(crate) fn line(&self) -> &[u8] {
        &self.buffer[self.last.0..self.last.1]
    }

    /// Goes to the next line: `None` at the end, false if it is too long.
    pub(crate) fn advance(&mut self) -> Result<Option<bool>, Error> {
        let mut searched = 0;
        let mut too_long = false;
        loop {
            let open = &self.buffer[self.start..self.end];
            let found = memchr::memchr(self.newline, &open[searched..]).map(|at| self.start + searched + at);
            if found.is_none() && self.at_end && self.start == self.end && !too_long {
                return Ok(None);
            }
            if found.is_some() || self.at_end {
                let to = found.unwrap_or(self.end);
                self.last = (self.start, to);
                self.is_open = found.is_none() && to > self.start;
                self.start = if found.is_some() { to + 1 } else { to };
                if to > self.last.0 && self.buffer[to - 1] == b'\r' {
                    self.last.1 -= 1;
                }
                return Ok(Some(!too_long && self.last.1 - self.last.0 <= MAX_LINE));
            }
            searched = self.end - self.start;
            if searched > MAX_LINE {
                (too_long, searched) = (true, 0);
                (self.start, self.end) = (0, 0);
            }
            self.refill()?;
        }
    }

    fn refill(&mut self) -> Result<(), Error> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < CHUNK / 2 {
            self.buffer.resize(self.buffer.len() + CHUNK, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    self.at_end = read == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::file(&self.path, "reading")(error)),
            }
        }
    }
}

/// UTF-8, else Windows-1252.
#[must_use]
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()),
    }
}

/// A text as UTF-8.
struct Transcoded<R> {
    from: R,
    decoder: Decoder,
    text: Vec<u8>,
    done: bool,
}

impl<R: Read> Read for Transcoded<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.text.is_empty() && !self.done {
            let mut raw = [0; 8192];
            let read = self.from.read(&mut raw)?;
            self.done = read == 0;
            // Three bytes of UTF-8 for two of another encoding, and what the decoder holds back.
            self.text.resize(4 * 8192, 0);
            let (_, _, written, _) = self.decoder.decode_to_utf8(&raw[..read], &mut self.text, self.done);
            self.text.truncate(written);
        }
        let taken = to.len().min(self.text.len());
        to[..taken].copy_from_slice(&self.text[..taken]);
        self.text.drain(..taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: Vec<u8>) -> Vec<String> {
        let mut lines = Lines::read(Box::new(io::Cursor::new(bytes)), Path::new("a")).expect("text");
        let mut all = Vec::new();
        while let Some(whole) = lines.advance().expect("memory is read") {
            all.push(if whole { decode(lines.line()).into_owned() } else { "…".into() });
        }
        all
    }

    #[test]
    fn encodings() {
        let text = "Zeit;Temp [°C]\r\n0;25\n1;26";
        let expected = ["Zeit;Temp [°C]", "0;25", "1;26"];
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let wide = |mark: bool, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.then_some(0xfeff).into_iter().chain(text.encode_utf16()).flat_map(order).collect()
        };
        assert_eq!(lines(text.into()), expected);
        assert_eq!(lines([b"\xef\xbb\xbf", text.as_bytes()].concat()), expected);
        assert_eq!(lines(latin), expected);
        for mark in [true, false] {
            assert_eq!(lines(wide(mark, u16::to_le_bytes)), expected);
            assert_eq!(lines(wide(mark, u16::to_be_bytes)), expected);
        }
    }

    #[test]
    fn encodings_of_east_asia() {
        use encoding_rs::{BIG5, EUC_KR, Encoding, GB18030, SHIFT_JIS};
        let cases: [(&'static Encoding, &str); 4] = [
            (GB18030, "总时间,电流(A),电压(V),温度(℃)"),
            (SHIFT_JIS, "時間[s],電圧[V],電流[A]"),
            (BIG5, "時間[s],電壓[V],電流[A]"),
            (EUC_KR, "시간[s],전압[V],전류[A]"),
        ];
        for (encoding, header) in cases {
            let text = format!("{header}\n0,3.7,1\n");
            assert_eq!(
                lines(encoding.encode(&text).0.into_owned()),
                [header, "0,3.7,1"],
                "{}",
                encoding.name()
            );
        }
        // A header of many such letters leaves few bytes of value 0.
        let text = "总时间,电流(A),电压(V),温度(℃)\n0,1,3.7,25\n1,1,3.7,25\n";
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(lines(text.encode_utf16().flat_map(order).collect()).len(), 3);
        }
        let latin: Vec<u8> = "Größe;Spannung;Temp [°C]".chars().map(|c| c as u8).collect();
        assert_eq!(lines(latin), ["Größe;Spannung;Temp [°C]"]);
    }

    #[test]
    fn ends_of_lines_and_of_files() {
        assert_eq!(lines(b"t,u\r0,1\r1,2\r".to_vec()), ["t,u", "0,1", "1,2"]);
        let whole = lines([b"t,u\n0,1\n".as_slice(), &[0; 64]].concat());
        assert_eq!(whole[..2], ["t,u", "0,1"]);
        let of_zeros = Lines::read(Box::new(io::Cursor::new(vec![0; 64])), Path::new("a"));
        assert!(of_zeros.is_err());
    }

    #[test]
    fn long_lines_are_passed_over() {
        let long = vec![b'x'; 3 * MAX_LINE];
        assert_eq!(lines([b"a\n", long.as_slice(), b"\nb"].concat()), ["a", "…", "b"]);
        let fits = vec![b'x'; MAX_LINE];
        assert_eq!(lines([fits.as_slice(), b"\nb\n"].concat())[1], "b");
    }
}
