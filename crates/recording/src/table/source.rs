//! Rows of cells of a file, of whatever kind.

use super::cell::{Cell, Kept};
use super::date::within;
use super::dialect::{self, Dialect, HEAD_LINES, Ranges, SPACE};
use super::header::Name;
use super::number::Decimal;
use super::options::Options;
use super::text::Lines;
use crate::{Error, Skipped};
use std::collections::VecDeque;

/// The first lines of a text are kept up to so many bytes.
const HEAD_BYTES: usize = 2 << 20;

/// A file with its header and the first rows.
pub(crate) struct Opened {
    pub source: Source,
    pub names: Vec<Name>,
    /// The first rows, which the source gives again.
    pub sample: Vec<Vec<Kept>>,
    pub decimal: Decimal,
    pub grouped: bool,
    /// See [`Dialect::is_guessed`].
    pub is_guessed: bool,
    /// Whether dates that are stored as numbers count from 1904.
    pub is_1904: bool,
    /// Dates that lines before the header state, in ns since the Unix epoch.
    pub dates: Vec<i64>,
    /// What kind of file it is, for a person.
    pub kind: String,
    pub warnings: Vec<String>,
}

/// Rows of cells.
pub(crate) enum Source {
    Text(Box<TextSource>),
    #[cfg_attr(not(feature = "xlsx"), allow(dead_code, reason = "only sheets are held in memory"))]
    Kept(KeptSource),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::ParquetSource>),
}

impl Source {
    /// Goes to the next row; false at the end. Rows that are none are counted.
    pub fn advance(&mut self, skipped: &mut Skipped) -> Result<bool, Error> {
        match self {
            Self::Text(source) => source.advance(skipped),
            Self::Kept(source) => {
                source.next += 1;
                Ok(source.next <= source.rows.len())
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(source) => source.advance(),
        }
    }

    /// The cells of the row.
    #[inline]
    pub fn cells(&self) -> Cells<'_> {
        match self {
            Self::Text(source) => Cells::Text(source.line(), &source.ranges),
            Self::Kept(source) => {
                let row = source.next.checked_sub(1).and_then(|row| source.rows.get(row));
                Cells::Kept(row.map_or(&[], Vec::as_slice))
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(source) => Cells::Parquet(source),
        }
    }

    /// Where the row stands.
    pub fn place(&self) -> String {
        match self {
            Self::Text(source) => format!("line {}", source.number),
            Self::Kept(source) => format!("row {}", source.first_row + source.next),
            #[cfg(feature = "parquet")]
            Self::Parquet(source) => format!("row {}", source.number()),
        }
    }
}

/// The cells of a row.
#[derive(Clone, Copy)]
pub(crate) enum Cells<'a> {
    Text(&'a [u8], &'a [(u32, u32)]),
    Kept(&'a [Kept]),
    #[cfg(feature = "parquet")]
    Parquet(&'a super::parquet::ParquetSource),
}

impl<'a> Cells<'a> {
    /// One of them; empty beyond the last.
    #[inline]
    pub fn get(self, index: usize) -> Cell<'a> {
        match self {
            Self::Text(line, ranges) => match ranges.get(index) {
                Some((from, to)) if to > from => Cell::Text(&line[*from as usize..*to as usize]),
                _ => Cell::Empty,
            },
            Self::Kept(row) => row.get(index).map_or(Cell::Empty, Kept::as_cell),
            #[cfg(feature = "parquet")]
            Self::Parquet(source) => source.cell(index),
        }
    }
}

/// Rows that are in memory.
pub(crate) struct KeptSource {
    pub rows: Vec<Vec<Kept>>,
    /// Rows that came before the first one, header included.
    pub first_row: usize,
    /// The row to come.
    pub next: usize,
}

/// Rows of a text.
pub(crate) struct TextSource {
    lines: Lines,
    /// First lines that were read ahead, and the one that is the row now.
    head: VecDeque<Vec<u8>>,
    from_head: Option<Vec<u8>>,
    separator: u8,
    width: usize,
    ranges: Ranges,
    number: u64,
    /// Fewest characters of each column's cells in the first rows; empty where there are too few rows to say.
    fewest: Vec<usize>,
}

/// Rows from which the length of a column's cells is told.
const MIN_ROWS: usize = 5;
/// Reason for skipping the last line of a file that was cut off.
const CUT: &str = "the line has no end and is shorter than all others: it seems to be cut off";

impl TextSource {
    fn advance(&mut self, skipped: &mut Skipped) -> Result<bool, Error> {
        loop {
            self.number += 1;
            if self.from_head.is_some() || !self.head.is_empty() {
                self.from_head = self.head.pop_front();
            }
            let line = match &self.from_head {
                Some(line) => line.as_slice(),
                None => match self.lines.advance()? {
                    None => return Ok(false),
                    Some(true) => self.lines.line(),
                    Some(false) => {
                        let number = self.number;
                        skipped.count("the line is longer than 1 MB", || format!("line {number}"));
                        continue;
                    }
                },
            };
            if line.first().is_none_or(|first| *first == b'#') {
                continue;
            }
            dialect::split(line, self.separator, &mut self.ranges);
            // A word that is missing among words shifts all behind it.
            if self.separator == SPACE && self.ranges.len() != self.width {
                let number = self.number;
                skipped.count("the row has another number of words than the header", || {
                    format!("line {number}")
                });
                continue;
            }
            if self.ranges.len() > self.width {
                let filled = dialect::filled(&self.ranges);
                if filled > self.width {
                    let number = self.number;
                    let reason = "the row has more cells than the header has names";
                    skipped.count(reason, || format!("line {number}"));
                    continue;
                }
            }
            let filled = dialect::filled(&self.ranges);
            if filled == 0 {
                continue;
            }
            // A cell that is cut off has another value.
            let (from, to) = self.ranges[filled - 1];
            if self.head.is_empty()
                && self.lines.is_open()
                && self.fewest.get(filled - 1).is_some_and(|fewest| ((to - from) as usize) < *fewest)
            {
                let number = self.number;
                skipped.count(CUT, || format!("line {number}"));
                continue;
            }
            return Ok(true);
        }
    }

    #[inline]
    fn line(&self) -> &[u8] {
        self.from_head.as_deref().unwrap_or_else(|| self.lines.line())
    }
}

/// A text by its lines.
pub(crate) fn from_lines(mut lines: Lines, options: &Options, place: &str) -> Result<Opened, Error> {
    let (mut head, mut bytes) = (Vec::new(), 0);
    while head.len() < HEAD_LINES && bytes < HEAD_BYTES {
        match lines.advance()? {
            None => break,
            Some(true) => head.push(lines.line().to_vec()),
            // Its place is kept, so that numbers of lines are right.
            Some(false) => head.push(Vec::new()),
        }
        bytes += head.last().map_or(0, Vec::len);
    }
    if head.iter().all(|line| line.iter().all(u8::is_ascii_whitespace)) {
        return Err(Error::format(place, "the file is empty"));
    }
    let Dialect { separator, before, names, decimal, grouped, is_guessed, warnings } =
        dialect::find(&head, options, place)?;
    let mut ranges = Ranges::new();
    let mut sample: Vec<Vec<Kept>> = Vec::new();
    for line in head.iter().skip(before).filter(|line| line.first().is_some_and(|first| *first != b'#')) {
        dialect::split(line, separator, &mut ranges);
        let is_row = match separator {
            SPACE => ranges.len() == names.len(),
            _ => dialect::filled(&ranges) <= names.len(),
        };
        if is_row {
            let kept = |range: &(u32, u32)| match dialect::cell(line, *range) {
                [] => Kept::Empty,
                text => Kept::Text(text.into()),
            };
            sample.push(ranges.iter().map(kept).collect());
        }
    }
    let fewest = fewest(&sample, lines.is_open());
    let dates = head.iter().take(before).flat_map(|line| within::dates(line)).collect();
    let separated = match separator {
        b'\t' => "tabs".to_owned(),
        SPACE => "spaces".to_owned(),
        other => format!("{:?}", char::from(other)),
    };
    let kind =
        format!("text in {}, separated by {separated}, decimal sign {:?}", lines.encoding(), decimal.sign());
    let width = names.len();
    let head = head.split_off(before.min(head.len())).into();
    let number = before as u64;
    let source = TextSource { lines, head, from_head: None, separator, width, ranges, number, fewest };
    let source = Source::Text(Box::new(source));
    Ok(Opened { source, names, sample, decimal, grouped, is_guessed, is_1904: false, dates, kind, warnings })
}

/// Fewest characters of each column's cells, but for the last row where its line is open.
fn fewest(sample: &[Vec<Kept>], last_is_open: bool) -> Vec<usize> {
    let rows = &sample[..sample.len() - usize::from(last_is_open && !sample.is_empty())];
    let width = rows.iter().map(Vec::len).max().filter(|_| rows.len() >= MIN_ROWS).unwrap_or(0);
    let length = |row: &Vec<Kept>, column: usize| match row.get(column) {
        Some(Kept::Text(text)) => text.len(),
        _ => 0,
    };
    (0..width).map(|column| rows.iter().map(|row| length(row, column)).min().unwrap_or(0)).collect()
}
