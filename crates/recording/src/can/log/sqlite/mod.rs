//! Frames in an SQLite file, as python-can writes them: a table with `ts`, `arbitration_id` and `data`.
//!
//! Read by the documented file format (sqlite.org/fileformat2.html): tables only, from their first row to their last. Not
//! read: changes that are in a write-ahead log or a rollback journal beside the file, which are refused.

mod pages;
mod row;

use super::seekable::Store;
use super::text::{SECOND, stamp};
use crate::can::frame::{MAX_EXTENDED_ID, MAX_STANDARD_ID};
use crate::can::{Frame, Kind};
use crate::{Error, Skipped};
use pages::{Rows, Sqlite};
use row::{Row, Value};
use std::io;
use std::path::Path;

/// Columns of a table of frames.
const COLUMNS: [&str; 7] = ["ts", "arbitration_id", "extended", "remote", "error", "dlc", "data"];

/// Reader of such a file.
pub(super) struct Messages {
    file: Sqlite,
    rows: Rows,
    /// Places of [`COLUMNS`] in a row.
    columns: [Option<usize>; COLUMNS.len()],
    /// Number of the row that was read last.
    pub(super) records: u64,
    place: String,
}

impl Messages {
    pub(super) fn open(store: Store, path: Option<&Path>, place: &str) -> Result<Self, Error> {
        if let Some(beside) = path.and_then(unsaved) {
            let problem = format!(
                "{} holds changes that are not in this SQLite file yet: end the recording, or run \
                 `sqlite3 FILE 'PRAGMA wal_checkpoint(TRUNCATE)'`",
                beside.display()
            );
            return Err(Error::format(place, problem));
        }
        Self::find(store, place)
            .map_err(|error| Error::format(place, format!("this SQLite file cannot be read: {error}")))?
    }

    fn find(store: Store, place: &str) -> io::Result<Result<Self, Error>> {
        let mut file = Sqlite::open(store)?;
        let mut schema = Rows::of(1);
        let mut tables = Vec::new();
        while let Some(row) = schema.next(&mut file)? {
            let row = Row::parse(&row)?;
            let (
                Some(Value::Text(kind)),
                Some(Value::Text(name)),
                Some(Value::Whole(root)),
                Some(Value::Text(sql)),
            ) = (row.value(0), row.value(1), row.value(3), row.value(4))
            else {
                continue;
            };
            if kind != b"table" {
                continue;
            }
            tables.push(String::from_utf8_lossy(name).into_owned());
            let names = row::columns(&String::from_utf8_lossy(sql));
            let columns = COLUMNS.map(|wanted| names.iter().position(|name| name == wanted));
            let whole = [0, 1, 6].iter().all(|needed: &usize| columns[*needed].is_some());
            if let (true, Ok(root)) = (whole, u32::try_from(root)) {
                let rows = Rows::of(root);
                return Ok(Ok(Self { file, rows, columns, records: 0, place: place.to_owned() }));
            }
        }
        let problem = format!(
            "this SQLite file has no table of frames (with ts, arbitration_id, data, as python-can writes); it has: {}",
            tables.join(", ")
        );
        Ok(Err(Error::format(place, problem)))
    }

    /// The next frame.
    pub(super) fn next(&mut self, skipped: &mut Skipped) -> io::Result<Option<Frame>> {
        while let Some(bytes) = self.rows.next(&mut self.file)? {
            self.records += 1;
            let number = self.records;
            match Row::parse(&bytes).map_err(|_| "a row that is damaged").and_then(|row| self.frame(&row)) {
                Ok(frame) => return Ok(Some(frame)),
                Err(reason) => skipped.count(reason, || format!("{}: row {number}", self.place)),
            }
        }
        Ok(None)
    }

    fn frame(&self, row: &Row<'_>) -> Result<Frame, &'static str> {
        let value = |number: usize| self.columns[number].and_then(|column| row.value(column));
        let flag = |number: usize| matches!(value(number), Some(Value::Whole(1..)));
        let time = match value(0) {
            Some(Value::Whole(seconds)) => seconds.checked_mul(SECOND),
            Some(Value::Real(seconds)) if seconds.abs() < 9e9 => {
                Some(seconds.trunc() as i64 * SECOND + (seconds.fract() * 1e9).round() as i64)
            }
            _ => None,
        };
        let time = time.ok_or("its time cannot be read")?;
        let id = match value(1) {
            Some(Value::Whole(id)) => u32::try_from(id).ok().filter(|id| *id <= MAX_EXTENDED_ID),
            _ => None,
        };
        let id = id.ok_or("an identifier that is none")?;
        let is_extended = flag(2) || (self.columns[2].is_none() && id > MAX_STANDARD_ID);
        if !is_extended && id > MAX_STANDARD_ID {
            return Err("an identifier of more than 11 bits that is none of 29");
        }
        let data = match value(6) {
            Some(Value::Blob(bytes) | Value::Text(bytes)) => bytes,
            _ => &[],
        };
        if data.len() > 64 {
            return Err("more data than a frame can have");
        }
        let mut frame = Frame::new(stamp(time), id, is_extended);
        frame.kind = match (flag(4), flag(3)) {
            (true, _) => Kind::Error,
            (_, true) => Kind::Remote,
            _ if data.len() > 8 => Kind::Fd,
            _ => Kind::Data,
        };
        Ok(if frame.has_data() { frame.with_data(data) } else { frame })
    }
}

/// A file beside it with changes that are not in it.
fn unsaved(path: &Path) -> Option<std::path::PathBuf> {
    ["-wal", "-journal"].into_iter().find_map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let beside = std::path::PathBuf::from(name);
        std::fs::metadata(&beside).is_ok_and(|data| data.len() > 0).then_some(beside)
    })
}

#[cfg(test)]
mod tests;
