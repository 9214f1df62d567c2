//! Logs of frames in the forms that tools write, recognised by their content.

mod asc;
mod blf;
mod candump;
mod columns;
mod crtd;
mod lines;
mod mdf;
mod parsed;
mod seekable;
mod sqlite;
mod stated;
mod text;
mod trc;

use super::Frame;
use crate::{Error, Skipped, Stamp, gps};
use lines::{Input, Line, Lines};
use parsed::Parsed;
pub(crate) use stated::Stated;
use stated::{LOCAL, Local, Wall};
use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;

/// A form of text.
enum Text {
    Candump(candump::Candump),
    Asc(asc::Asc),
    Trc(trc::Trc),
    Columns(columns::Columns),
    Crtd,
    Ixxat,
}

enum Source {
    Text(Lines, Text),
    Blf(blf::Blf),
    Mdf(Box<mdf::Mdf>),
    Sqlite(Box<sqlite::Messages>),
}

/// First bytes of files of frames that are no text.
const BLF: &[u8] = b"LOGG";
const MDF: [&[u8]; 2] = [b"MDF     ", b"UnFinMF "];
const SQLITE: &[u8] = b"SQLite format 3\0";

/// A log of frames, read once from its beginning to its end.
pub struct Log {
    place: String,
    source: Source,
    skipped: Skipped,
    warnings: BTreeSet<&'static str>,
    timed: bool,
    wall: Wall,
    gps: bool,
    ended: bool,
}

/// Forms that are recognised and refused: the bytes they begin with, their name, and the remedy.
const REFUSED: [(&[u8], &str, &str); 6] = [
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it"),
    (b"\xfd7zXZ\0", "an xz archive", "unpack it"),
    (b"\xff\xfe", "UTF-16 text", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\x0a\x0d\x0d\x0a", "a pcapng file", "convert it with `tshark` or record with `candump -L`"),
    (b"\xd4\xc3\xb2\xa1", "a pcap file", "convert it with `tshark` or record with `candump -L`"),
];

impl Log {
    /// Opens a file, plain or gzip.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a format that is not known or not read, with the remedy.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::recognize(lines::open(path)?, path.display().to_string(), Some(path))
    }

    /// The log in a file; `None` for a file without frames of a known format, which may be a table.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a kind of log that is known and not read, with the remedy.
    pub fn find(path: &Path) -> Result<Option<Self>, Error> {
        let place = path.display().to_string();
        let (head, input) =
            lines::peek(lines::open(path)?, lines::HEAD).map_err(Error::file(path, "reading"))?;
        // Sheets of XLSX are archives, and tables may be in UTF-16.
        let of_tables = [b"PK\x03\x04".as_slice(), b"\xff\xfe", b"\xfe\xff", b"PAR1"];
        let refused = REFUSED.iter().any(|(magic, ..)| head.starts_with(magic));
        if of_tables.iter().any(|magic| head.starts_with(magic))
            || !(refused || is_binary(&head) || recognize_text(&head).is_some())
        {
            return Ok(None);
        }
        Self::recognize(input, place, Some(path)).map(Some)
    }

    /// The same from any input; `place` names it in errors.
    ///
    /// # Errors
    /// See [`Log::open`].
    pub fn new(input: impl BufRead + Send + 'static, place: &str) -> Result<Self, Error> {
        let input = lines::unpacked(Box::new(input)).map_err(Error::file(Path::new(place), "reading"))?;
        Self::recognize(input, place.to_owned(), None)
    }

    fn recognize(input: Input, place: String, path: Option<&Path>) -> Result<Self, Error> {
        let (head, input) =
            lines::peek(input, lines::HEAD).map_err(Error::file(Path::new(&place), "reading"))?;
        if let Some((_, name, remedy)) = REFUSED.iter().find(|(magic, ..)| head.starts_with(magic)) {
            return Err(Error::format(place, format!("this is {name}, which is not read: {remedy}")));
        }
        let mut warnings = BTreeSet::new();
        let (source, timed) = if head.starts_with(BLF) {
            (Source::Blf(blf::Blf::open(input, &place)?), true)
        } else if MDF.iter().any(|magic| head.starts_with(magic)) {
            let store = seekable::Store::open(path, &head, input, &place)?;
            (Source::Mdf(Box::new(mdf::Mdf::open(store, &place)?)), true)
        } else if head.starts_with(SQLITE) {
            let store = seekable::Store::open(path, &head, input, &place)?;
            (Source::Sqlite(Box::new(sqlite::Messages::open(store, path, &place)?)), true)
        } else {
            let text = recognize_text(&head).ok_or_else(|| {
                let known = "candump, Vector ASC and BLF, MDF 4, PEAK TRC, IXXAT trace, SavvyCAN or GVRET CSV, OVMS \
                             CRTD, python-can and CANedge CSV, SQLite, tab-separated frames";
                Error::format(&place, format!("no frame of a known format in the first 64 KiB; known are: {known}"))
            })?;
            let timed = !matches!(&text, Text::Candump(candump) if candump.untimed);
            (Source::Text(Lines::new(input, &head), text), timed)
        };
        if !timed {
            warnings.insert("the log states no times: record with `candump -L` or `candump -ta`");
        }
        let (skipped, wall) = (Skipped::default(), Wall::default());
        Ok(Self { place, source, skipped, warnings, timed, wall, gps: false, ended: false })
    }

    /// The same log with what is stated of its times; before its first frame.
    ///
    /// # Errors
    /// [`Error::Mapping`] if it is of another format than that whose times are stated.
    pub(crate) fn with_stated(mut self, stated: &Stated) -> Result<Self, Error> {
        self.wall = Wall::of(stated.zone);
        self.gps = stated.gps == Some(true);
        if stated.gps.is_some() && !self.counts_seconds() {
            let problem = format!(
                "time_format is stated for a log whose times count from 1970, and this is {}",
                self.format()
            );
            return Err(Error::mapping(&self.place, problem));
        }
        match (stated.deltas, &mut self.source) {
            (None, _) => {}
            (Some(deltas), Source::Text(_, Text::Candump(candump))) => candump.state(deltas),
            (Some(_), _) => {
                let problem =
                    format!("time_format is stated for a log of candump, and this is {}", self.format());
                return Err(Error::mapping(&self.place, problem));
            }
        }
        Ok(self)
    }

    /// The next frame; `None` at the end. After an error there is no further frame.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read on, as at the end of an archive that was cut.
    #[expect(clippy::should_implement_trait, reason = "a result of an option is what callers ask with `?`")]
    pub fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let Some(mut frame) = self.read()? else { return Ok(None) };
            if self.wall.is_of_zone() {
                let local = self.local();
                let Some(time) = self.wall.in_utc(frame.time, local) else {
                    let place = format!("{}:{}", self.place, self.line());
                    self.skipped.count("a time that its zone does not have", || place);
                    continue;
                };
                frame.time = time;
            }
            if let (true, Stamp::Unix(ns)) = (self.gps, frame.time) {
                frame.time = Stamp::Unix(gps::unix_ns(ns).unwrap_or(i64::MAX));
            }
            return Ok(Some(frame));
        }
    }

    /// The next frame with the time that the log states.
    fn read(&mut self) -> Result<Option<Frame>, Error> {
        if self.ended {
            return Ok(None);
        }
        let next = match &mut self.source {
            Source::Blf(blf) => blf.next(&mut self.skipped),
            Source::Mdf(mdf) => mdf.next(&mut self.skipped),
            Source::Sqlite(messages) => messages.next(&mut self.skipped),
            Source::Text(lines, text) => {
                next_of_text(lines, text, &self.place, &mut self.skipped, &mut self.warnings)
            }
        };
        match next {
            Ok(Some(frame)) => return Ok(Some(frame)),
            Ok(None) => self.ended = true,
            Err(error) => {
                self.ended = true;
                return Err(Error::file(Path::new(&self.place), "reading")(error));
            }
        }
        Ok(None)
    }

    /// Name of the format.
    #[must_use]
    pub const fn format(&self) -> &'static str {
        match &self.source {
            Source::Blf(_) => "Vector BLF",
            Source::Mdf(_) => "MDF 4 bus logging",
            Source::Sqlite(_) => "python-can SQLite",
            Source::Text(_, text) => match text {
                Text::Candump(_) => "candump",
                Text::Asc(_) => "Vector ASC",
                Text::Trc(_) => "PEAK TRC",
                Text::Columns(columns) => columns.name(),
                Text::Crtd => "OVMS CRTD",
                Text::Ixxat => "IXXAT trace",
            },
        }
    }

    /// Whether the log states times. Without, all frames have `Stamp::Relative(0)`.
    #[must_use]
    pub const fn timed(&self) -> bool {
        self.timed
    }

    /// Whether its times are bare numbers of seconds, so that nothing in it says from which date they count.
    #[must_use]
    pub(crate) const fn counts_seconds(&self) -> bool {
        match &self.source {
            Source::Blf(_) | Source::Mdf(_) | Source::Text(_, Text::Asc(_) | Text::Trc(_) | Text::Ixxat) => {
                false
            }
            Source::Text(_, Text::Candump(candump)) => !candump.local,
            Source::Sqlite(_) | Source::Text(_, Text::Columns(_) | Text::Crtd) => true,
        }
    }

    /// Number of the line that was read last, from 1; of objects in a BLF file, of records in MDF 4 and SQLite.
    #[must_use]
    pub const fn line(&self) -> u64 {
        match &self.source {
            Source::Text(lines, _) => lines.number,
            Source::Blf(blf) => blf.objects,
            Source::Mdf(mdf) => mdf.records,
            Source::Sqlite(messages) => messages.records,
        }
    }

    /// What was left out so far.
    #[must_use]
    pub const fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// What the log's times are of a clock on the wall.
    fn local(&self) -> Local {
        let start = match &self.source {
            Source::Blf(blf) => blf.start,
            Source::Mdf(mdf) => mdf.local_start,
            Source::Text(_, Text::Asc(asc)) => asc.origin,
            Source::Text(_, Text::Trc(trc)) => trc.start,
            Source::Text(_, Text::Candump(candump)) if candump.local => return Local::Each,
            Source::Text(..) | Source::Sqlite(_) => None,
        };
        start.map_or(Local::None, Local::Start)
    }

    /// What makes the log's times doubtful, with the remedy.
    #[must_use]
    pub const fn doubt(&self) -> Option<&'static str> {
        match &self.source {
            Source::Text(_, Text::Candump(candump)) => candump.doubt(),
            _ => None,
        }
    }

    /// What a user should know so far, one sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let of_mdf = match &self.source {
            Source::Mdf(mdf) => Some(mdf.warnings()),
            _ => None,
        };
        let local = (self.local() != Local::None && !self.wall.is_of_zone()).then_some(LOCAL);
        self.warnings.iter().copied().chain(local).chain(of_mdf.into_iter().flatten())
    }
}

fn next_of_text(
    lines: &mut Lines,
    text: &mut Text,
    place: &str,
    skipped: &mut Skipped,
    warnings: &mut BTreeSet<&'static str>,
) -> std::io::Result<Option<Frame>> {
    loop {
        let number = lines.number + 1;
        let at = || format!("{place}:{number}");
        let Some(line) = lines.next()? else {
            if let Some(warning) = text.warning() {
                warnings.insert(warning);
            }
            return Ok(None);
        };
        let Line::Whole(line) = line else {
            skipped.count("a line longer than 16 KiB", at);
            continue;
        };
        match text.parse(line) {
            Parsed::Frame(frame) => {
                if number < 1024
                    && let Some(warning) = text.warning()
                {
                    warnings.insert(warning);
                }
                return Ok(Some(frame));
            }
            Parsed::Nothing => {}
            Parsed::Skip(_) if std::str::from_utf8(line).is_err() => skipped.count("not UTF-8 text", at),
            Parsed::Skip(reason) => skipped.count(reason, at),
        }
    }
}

impl Text {
    fn parse(&mut self, line: &[u8]) -> Parsed {
        match self {
            Self::Candump(candump) => candump.parse(line),
            Self::Asc(asc) => asc.parse(line),
            Self::Trc(trc) => trc.parse(line),
            Self::Columns(columns) => columns.parse(line),
            Self::Crtd => crtd::parse(line),
            Self::Ixxat => trc::parse_ixxat(line),
        }
    }

    /// What a user should know about this log's times.
    const fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Candump(candump) => candump.warning(),
            Self::Columns(columns) => columns.warning(),
            _ => None,
        }
    }
}

/// Whether it begins as a file of frames that is no text.
fn is_binary(head: &[u8]) -> bool {
    [BLF, SQLITE].iter().chain(&MDF).any(|magic| head.starts_with(magic))
}

/// The form of the first line that only one form can have.
fn recognize_text(head: &[u8]) -> Option<Text> {
    let lines = || head.split(|b| matches!(b, b'\n' | b'\r')).filter(|line| !line.trim_ascii().is_empty());
    for line in lines() {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        if asc::begins(line) {
            return Some(Text::Asc(asc::Asc::default()));
        }
        if trc::begins(line) {
            return Some(Text::Trc(trc::Trc::default()));
        }
        if line.starts_with(b"@ TEXT @") {
            return Some(Text::Ixxat);
        }
        if let Some(columns) = columns::Columns::begins(line) {
            return Some(Text::Columns(columns));
        }
        if crtd::begins(line) {
            return Some(Text::Crtd);
        }
        if matches!(candump::Candump::default().parse(line), Parsed::Frame(_)) {
            return Some(Text::Candump(candump::Candump::of_head(lines())));
        }
    }
    None
}

#[cfg(test)]
mod tests;
